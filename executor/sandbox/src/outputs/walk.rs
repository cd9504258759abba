//! The walk over all of `/out`: what must not be there, and how much there is.
//!
//! Iterative, streaming, bounded in everything: a tree made to exhaust the walker fails the task.

use super::Dropped;
use crate::finished::{Cause, CauseKind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat,
};
use std::time::{Duration, Instant};

/// Regular files at most.
const MAX_FILES: u64 = 10_000;
/// Folders at most.
const MAX_FOLDERS: u64 = 1_000;
/// Folders in each other at most.
const MAX_DEPTH: usize = 16;
/// The longest path, in bytes.
const MAX_PATH: usize = 1_024;
/// How long it may take.
const MAX_TIME: Duration = Duration::from_secs(60);

/// How every open below `/out` resolves: never out, never through a link, never to another mount.
pub(super) fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV
}

/// A path made fit to show.
pub(super) fn shown(path: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(path)
        .chars()
        .take(200)
        .flat_map(char::escape_default)
        .collect();
    format!("/out/{text}")
}

fn forbidden(message: String) -> Cause {
    Cause::new(
        CauseKind::OutputForbidden,
        message,
        "write only regular files and folders below /out",
    )
}

pub(super) fn too_much(message: String) -> Cause {
    Cause::new(
        CauseKind::OutputLimit,
        message,
        "write less; for an artifact raise its `max_bytes`, for a full /out `resources.disk`",
    )
}

/// An error of the host while looking at an entry; on a sealed mount without writers it means that
/// the filesystem itself was damaged, so the entry is not accepted.
pub(super) fn unreadable(path: &[u8], error: impl std::fmt::Display) -> Cause {
    forbidden(format!("{} cannot be read: {error}", shown(path)))
}

/// Walks everything and counts what is not `declared`.
///
/// # Errors
/// The cause for which the attempt fails: something other than a folder or regular file, a
/// setuid, setgid or sticky bit, a second link to a file, or more than the walk's limits.
pub(super) fn walk(
    root: BorrowedFd<'_>,
    declared: &dyn Fn(&[u8]) -> bool,
) -> Result<Dropped, Cause> {
    let device = fstat(root).map_err(|error| unreadable(b"", error))?.st_dev;
    let mut walk = Walk {
        device,
        files: 0,
        folders: 0,
        until: Instant::now() + MAX_TIME,
        dropped: Dropped::default(),
        declared,
    };
    let top = open_folder(root, b".").map_err(|error| unreadable(b"", error))?;
    let mut open = vec![(top, Vec::new(), 0)];
    while let Some((folder, path, depth)) = open.pop() {
        let entries = Dir::read_from(&folder).map_err(|error| unreadable(&path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&path, error))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let path = join(&path, name);
            if walk.entry(folder.as_fd(), name, &path, depth)? == FileType::Directory {
                let fd = open_folder(folder.as_fd(), name);
                let fd = fd.map_err(|error| unreadable(&path, error))?;
                open.push((fd, path, depth + 1));
            }
        }
    }
    Ok(walk.dropped)
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    [folder, b"/", name].concat()
}

fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(parent, name, flags, Mode::empty(), resolve())
}

struct Walk<'a> {
    device: u64,
    files: u64,
    folders: u64,
    until: Instant,
    dropped: Dropped,
    declared: &'a dyn Fn(&[u8]) -> bool,
}

impl Walk<'_> {
    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        depth: usize,
    ) -> Result<FileType, Cause> {
        if path.len() > MAX_PATH || depth > MAX_DEPTH {
            return Err(too_much(format!(
                "paths in /out are longer than {MAX_PATH} bytes or {MAX_DEPTH} folders"
            )));
        }
        if Instant::now() > self.until {
            return Err(too_much("/out takes too long to read".to_owned()));
        }
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| unreadable(path, error))?;
        let kind = acceptable(&stat, self.device)
            .map_err(|what| forbidden(format!("{} {what}", shown(path))))?;
        self.count(kind, &stat, path)?;
        Ok(kind)
    }

    fn count(&mut self, kind: FileType, stat: &Stat, path: &[u8]) -> Result<(), Cause> {
        let declared = (self.declared)(path);
        if kind == FileType::Directory {
            self.folders += 1;
            self.dropped.folders += u64::from(!declared);
        } else {
            self.files += 1;
            if !declared {
                self.dropped.files += 1;
                self.dropped.bytes += u64::try_from(stat.st_size).unwrap_or(0);
            }
        }
        if self.files > MAX_FILES || self.folders > MAX_FOLDERS {
            return Err(too_much(format!(
                "/out has more than {MAX_FILES} files or {MAX_FOLDERS} folders"
            )));
        }
        Ok(())
    }
}

/// Whether an entry may be in `/out` at all.
pub(super) fn acceptable(stat: &Stat, device: u64) -> Result<FileType, &'static str> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::Directory | FileType::RegularFile => {}
        FileType::Symlink => return Err("is a symbolic link"),
        FileType::Fifo => return Err("is a FIFO"),
        FileType::Socket => return Err("is a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => return Err("is a device"),
        _ => return Err("is of an unknown type"),
    }
    if stat.st_dev != device {
        return Err("is on another filesystem");
    }
    if stat.st_mode & 0o7000 != 0 {
        return Err("is setuid, setgid or sticky");
    }
    if kind == FileType::RegularFile && stat.st_nlink > 1 {
        return Err("has more than one name (hard link)");
    }
    Ok(kind)
}
