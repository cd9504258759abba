//! The cache's folder: what names mean there.
//!
//! Owns: which names are trusted, and the calls to the filesystem. Leaves to others: what is kept
//! ([`super::Cache`]).

use super::{Cached, InputError, State};
use belljar_ids::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

/// The file with the id of the boot under which the names in the folder were given.
const BOOT: &str = "boot-id";
/// How the name ends of what was there before that boot.
pub(super) const UNCHECKED: &str = "unchecked";

/// Gives every file another name where the host was booted since it got its own.
pub(super) fn distrust(folder: &Path, boot_id: &str) -> Result<(), InputError> {
    let marker = folder.join(BOOT);
    if std::fs::read_to_string(&marker).is_ok_and(|known| known == boot_id) {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(InputError::io("list", folder))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if digest_in_name(&path).is_some() && path.extension().is_none() {
            let to = path.with_extension(UNCHECKED);
            std::fs::rename(&path, &to).map_err(InputError::io("rename", &path))?;
        }
    }
    sync_folder(folder)?;
    let write = || {
        let mut file = File::create(&marker)?;
        file.write_all(boot_id.as_bytes())?;
        file.sync_all()
    };
    write().map_err(InputError::io("write", &marker))
}

/// What is in the folder; everything else in it is deleted.
pub(super) fn list(folder: &Path) -> Result<State, InputError> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(InputError::io("list", folder))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file);
        match (digest_in_name(&path), meta) {
            (Some(digest), Some(meta)) => {
                let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((used, digest, meta.len(), path.extension().is_none()));
            }
            _ if path.ends_with(BOOT) => {}
            _ => std::fs::remove_file(&path).map_err(InputError::io("delete", &path))?,
        }
    }
    found.sort_unstable_by_key(|(used, ..)| *used);
    let mut state = State::default();
    for (_, digest, size, checked) in found {
        state.clock += 1;
        let file = Cached {
            size,
            checked,
            used: state.clock,
            holds: 0,
        };
        state.files.insert(digest, file);
    }
    Ok(state)
}

fn digest_in_name(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    let hex = name
        .strip_suffix(UNCHECKED)
        .and_then(|name| name.strip_suffix('.'))
        .unwrap_or(name);
    format!("sha256:{hex}").parse().ok()
}

pub(super) fn hash(path: &Path) -> std::io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(sha.finalize().into())),
            count => sha.update(&buffer[..count]),
        }
    }
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), InputError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(InputError::io("sync", folder))
}

pub(super) fn free_bytes(folder: &Path) -> Result<u64, InputError> {
    let stat = rustix::fs::statvfs(folder)
        .map_err(|error| InputError::io("ask for the space in", folder)(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
