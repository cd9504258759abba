//! Inputs, looked at before they are mounted.
//!
//! Owns: the walk that refuses anything but folders and regular files on one filesystem, and the
//! digest of an input's content. A link would lead elsewhere, a socket in a read-only mount can be
//! connected to, a setuid file works through it, and another filesystem below stays writable.
//! Leaves to others: putting inputs there.

use crate::attempt::{InputKind, InputMount, InputSource};
use crate::error::{Result, SandboxError};
use crate::plan::digest_of;
use crate::refusal::Refusal;
use belljar_ids::Digest;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat,
};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Entries of one input at most.
const MAX_ENTRIES: u64 = 1_000_000;
/// Folders in each other at most.
const MAX_DEPTH: usize = 64;

/// What a walk counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Regular files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// Looks at an input: opened below its root without following any link, of the kind it should
/// be, and nothing in it but folders and regular files on one filesystem.
///
/// # Errors
/// `Refused` with [`Refusal::Input`].
pub(crate) fn check(input: &InputMount, roots: &[PathBuf]) -> Result<Counted> {
    let mut counted = Counted::default();
    walk(input, roots, &mut |entry| {
        if entry.file.is_some() {
            counted.files += 1;
            counted.bytes += u64::try_from(entry.stat.st_size).unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(counted)
}

/// The digest of an input's content: of a file, the SHA-256 of its bytes; of a folder, the SHA-256
/// of one line `<sha256 hex>  <path>` for each file, sorted by path as bytes, as sha256sum(1)
/// writes them. Taken before and after an attempt it shows that nothing wrote through the mount.
///
/// # Errors
/// As the walk before mounting, and the host's while reading.
pub fn input_digest(input: &InputMount, roots: &[PathBuf]) -> Result<Digest> {
    let mut lines = Vec::new();
    walk(input, roots, &mut |entry| {
        if let Some(file) = entry.file.take() {
            lines.push((entry.path.to_vec(), hash(file, source(input))?));
        }
        Ok(())
    })?;
    if input.kind == InputKind::File {
        // The walk of a file yields exactly one, else it was refused.
        return Ok(lines.pop().map_or(digest_of(b""), |(_, digest)| digest));
    }
    lines.sort();
    let mut text = Vec::new();
    for (path, digest) in lines {
        let mut line = String::new();
        let _ = write!(line, "{}  ", digest.hex());
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(&path);
        text.push(b'\n');
    }
    Ok(digest_of(&text))
}

fn hash(file: OwnedFd, shown: &Path) -> Result<Digest> {
    let mut file = std::fs::File::from(file);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SandboxError::host("read", shown)(error)),
        }
    }
}

fn source(input: &InputMount) -> &Path {
    let InputSource::HostPath(path) = &input.source;
    path
}

/// One entry of an input, already accepted.
struct Entry<'a> {
    /// Below the input.
    path: &'a [u8],
    stat: Stat,
    /// Open for reading, where it is a regular file.
    file: Option<OwnedFd>,
}

type Visit<'v> = dyn FnMut(&mut Entry<'_>) -> Result<()> + 'v;

fn walk(input: &InputMount, roots: &[PathBuf], visit: &mut Visit<'_>) -> Result<()> {
    let refuse = |problem: String| {
        SandboxError::from(Refusal::Input {
            input: input.name.to_string(),
            problem,
        })
    };
    let top = open_below_root(source(input), roots).map_err(&refuse)?;
    let stat = fstat(&top).map_err(|error| refuse(error.to_string()))?;
    let wanted = match input.kind {
        InputKind::File => FileType::RegularFile,
        InputKind::Folder => FileType::Directory,
    };
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(refuse(
            format!("it is not a {:?}", input.kind).to_lowercase(),
        ));
    }
    acceptable(&stat, stat.st_dev).map_err(|problem| refuse(problem.to_owned()))?;
    if input.kind == InputKind::File {
        return visit(&mut Entry {
            path: b"",
            stat,
            file: Some(top),
        });
    }
    let mut count = 0;
    let mut open = vec![(top, Vec::new(), 0)];
    while let Some((folder, path, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(refuse(format!(
                "folders are nested deeper than {MAX_DEPTH}"
            )));
        }
        let entries = Dir::read_from(&folder).map_err(|error| refuse(error.to_string()))?;
        for entry in entries {
            let entry = entry.map_err(|error| refuse(error.to_string()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            count += 1;
            if count > MAX_ENTRIES {
                return Err(refuse(format!("it has more than {MAX_ENTRIES} entries")));
            }
            let path = join(&path, name.to_bytes());
            let told = |problem: &str| {
                let shown: String = String::from_utf8_lossy(&path).escape_default().collect();
                refuse(format!("`{shown}` {problem}"))
            };
            let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| told(&error.to_string()))?;
            acceptable(&found, stat.st_dev).map_err(&told)?;
            let fd = openat2(
                &folder,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK,
                Mode::empty(),
                resolve(),
            )
            .map_err(|error| told(&error.to_string()))?;
            let same = fstat(&fd).map_err(|error| told(&error.to_string()))?;
            if (same.st_dev, same.st_ino) != (found.st_dev, found.st_ino) {
                return Err(told("changes while it is looked at"));
            }
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                visit(&mut Entry {
                    path: &path,
                    stat: found,
                    file: None,
                })?;
                open.push((fd, path, depth + 1));
            } else {
                visit(&mut Entry {
                    path: &path,
                    stat: found,
                    file: Some(fd),
                })?;
            }
        }
    }
    Ok(())
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    [folder, b"/", name].concat()
}

fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV
}

/// Opens a path below the root it is under, without following any link on the way.
fn open_below_root(path: &Path, roots: &[PathBuf]) -> Result<OwnedFd, String> {
    let (root, rest) = roots
        .iter()
        .find_map(|root| Some((root, path.strip_prefix(root).ok()?)))
        .ok_or("its path is outside of the folders for inputs")?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let root = openat2(
        CWD,
        root,
        flags | OFlags::DIRECTORY,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|error| format!("the folder for inputs cannot be opened: {error}"))?;
    let rest = if rest.as_os_str().is_empty() {
        Path::new(".")
    } else {
        rest
    };
    // Crossing filesystems between root and input is the operator's business; inside it is not.
    let resolve = resolve().difference(ResolveFlags::NO_XDEV);
    openat2(
        &root,
        rest.as_os_str().as_bytes(),
        flags,
        Mode::empty(),
        resolve,
    )
    .map_err(|error| format!("it cannot be opened without following links: {error}"))
}

/// Whether an entry may be seen by a program.
fn acceptable(stat: &Stat, device: u64) -> Result<(), &'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory | FileType::RegularFile => {}
        FileType::Symlink => return Err("is a symbolic link"),
        FileType::Socket => return Err("is a socket"),
        FileType::Fifo => return Err("is a FIFO"),
        _ => return Err("is a device or something unknown"),
    }
    if stat.st_mode & 0o6000 != 0 {
        return Err("is setuid or setgid");
    }
    if stat.st_dev != device {
        return Err("is on another filesystem");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn input(path: PathBuf, kind: InputKind) -> InputMount {
        InputMount {
            name: "posts".parse().unwrap(),
            source: InputSource::HostPath(path),
            kind,
            digest: None,
        }
    }

    #[test]
    fn only_folders_and_regular_files_pass() {
        let root = tempfile::tempdir().unwrap();
        let roots = [root.path().to_owned()];
        let dir = root.path().join("d");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("sub/a"), "hello").unwrap();
        let folder = input(dir.clone(), InputKind::Folder);
        let counted = check(&folder, &roots).unwrap();
        assert_eq!(counted, Counted { files: 1, bytes: 5 });
        let file = input(dir.join("sub/a"), InputKind::File);
        check(&file, &roots).unwrap();
        assert!(check(&input(dir.clone(), InputKind::File), &roots).is_err());
        assert!(check(&input("/etc/passwd".into(), InputKind::File), &roots).is_err());

        let refused = |wanted: &str| {
            let error = check(&folder, &roots).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        };
        symlink("/etc/shadow", dir.join("link")).unwrap();
        refused("`link` is a symbolic link");
        std::fs::remove_file(dir.join("link")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(dir.join("s")).unwrap();
        refused("is a socket");
        std::fs::remove_file(dir.join("s")).unwrap();
        rustix::fs::mknodat(CWD, dir.join("f"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
        refused("is a FIFO");
        std::fs::remove_file(dir.join("f")).unwrap();
        std::fs::set_permissions(dir.join("sub/a"), PermissionsExt::from_mode(0o4755)).unwrap();
        refused("setuid");
        std::fs::set_permissions(dir.join("sub/a"), PermissionsExt::from_mode(0o444)).unwrap();
        check(&folder, &roots).unwrap();
        symlink(&dir, root.path().join("way")).unwrap();
        let by_link = input(root.path().join("way/sub"), InputKind::Folder);
        assert!(
            check(&by_link, &roots)
                .unwrap_err()
                .to_string()
                .contains("without following links")
        );
    }

    #[test]
    fn the_digest_is_that_of_sha256sum_and_sees_every_change() {
        let root = tempfile::tempdir().unwrap();
        let roots = [root.path().to_owned()];
        let dir = root.path().join("d");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("b"), "2").unwrap();
        std::fs::write(dir.join("sub/a"), "1").unwrap();
        let folder = input(dir.clone(), InputKind::Folder);
        let before = input_digest(&folder, &roots).unwrap();
        let listing = std::process::Command::new("sh")
            .args([
                "-c",
                "find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum",
            ])
            .current_dir(&dir)
            .output()
            .unwrap();
        let expected = String::from_utf8(listing.stdout).unwrap();
        assert_eq!(expected.split_once(' ').unwrap().0, before.hex());
        let file = input(dir.join("b"), InputKind::File);
        assert_eq!(input_digest(&file, &roots).unwrap(), digest_of(b"2"));
        std::fs::write(dir.join("b"), "3").unwrap();
        assert_ne!(input_digest(&folder, &roots).unwrap(), before);
    }
}
