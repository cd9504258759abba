//! Taking the declared files: opened beneath the root, checked twice, hashed while copied.

use super::walk::{self, acceptable, resolve, shown, too_much, unreadable};
use super::{Declared, OutputFile, Outputs, result};
use crate::error::{Result, SandboxError};
use crate::finished::{Cause, CauseKind};
use crate::policy::Policy;
use crate::runtime::Collect;
use belljar_ids::Digest;
use belljar_manifest::RESULT_PATH;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Collects the outputs below a sealed `/out`: walks all of it, then stages `result.json` and the
/// declared artifacts. The outer error is ours, the inner one the program's.
///
/// # Errors
/// The host's, where the staging folder cannot be written.
pub(crate) fn collect(
    out: &Path,
    collect: &Collect,
    policy: &Policy,
) -> Result<Result<Outputs, Cause>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = openat2(CWD, out, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        .map_err(|error| SandboxError::host("open", out)(error.into()))?;
    let mut collector = Collector {
        root: root.as_fd(),
        staging: &collect.staging,
        failure: None,
    };
    let outputs = collector.all(&collect.declared, policy);
    match (collector.failure, outputs) {
        (Some(ours), _) => Err(ours),
        (None, outputs) => Ok(outputs),
    }
}

struct Collector<'a> {
    root: BorrowedFd<'a>,
    staging: &'a Path,
    /// An error of ours, not of the program.
    failure: Option<SandboxError>,
}

impl Collector<'_> {
    fn all(&mut self, declared: &Declared, policy: &Policy) -> Result<Outputs, Cause> {
        let is_declared = |path: &[u8]| {
            let covers = |declared: &str| {
                let rest = declared.as_bytes().strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            covers(RESULT_PATH)
                || declared
                    .artifacts
                    .values()
                    .any(|artifact| covers(artifact.path.as_str()))
        };
        let dropped = walk::walk(self.root, &is_declared)?;
        let result = self.result(declared, policy)?;
        let mut artifacts = BTreeMap::new();
        for (name, artifact) in &declared.artifacts {
            let path = artifact.path.as_str();
            let file = self.file(path, artifact.max_bytes, &artifact.media_type)?;
            match file {
                Some(file) => drop(artifacts.insert(name.clone(), file)),
                None if artifact.optional => {}
                None => {
                    return Err(Cause::new(
                        CauseKind::ArtifactMissing,
                        format!("artifact `{name}` is missing: there is no /out/{path}"),
                        "write it before the program exits, or mark it `optional: true`",
                    ));
                }
            }
        }
        Ok(Outputs {
            result,
            artifacts,
            dropped,
        })
    }

    fn result(&mut self, declared: &Declared, policy: &Policy) -> Result<OutputFile, Cause> {
        let file = self.file(RESULT_PATH, policy.result_bytes, "application/json")?;
        let file = file.ok_or_else(|| {
            Cause::new(
                CauseKind::ResultMissing,
                "the program exited with 0 but wrote no /out/result.json",
                "write the result to /out/result.json; stdout is only a log",
            )
        })?;
        // Parsed from our copy, which nobody else can have changed.
        let bytes = match std::fs::read(self.staging.join(file.digest.hex())) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.ours("read", error)),
        };
        result::check(&bytes, &declared.result_schema, policy.result_depth)?;
        Ok(file)
    }

    /// Remembers an error of ours; the cause returned is never shown.
    fn ours(&mut self, doing: &'static str, error: std::io::Error) -> Cause {
        self.failure = Some(SandboxError::host(doing, self.staging)(error));
        Cause::new(CauseKind::OutputLimit, "", "")
    }

    /// Stages one file; `None` where there is none at that path.
    fn file(
        &mut self,
        path: &str,
        max_bytes: u64,
        media_type: &str,
    ) -> Result<Option<OutputFile>, Cause> {
        let Some((source, stat)) = self.open(path)? else {
            return Ok(None);
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > max_bytes {
            return Err(too_much(format!(
                "{} has {size} bytes; {max_bytes} are allowed",
                shown(path.as_bytes())
            )));
        }
        // A file of holes costs its writer nothing and every reader its whole size.
        let stored = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if size > 0 && stored < size / 10 {
            return Err(too_much(format!(
                "{} is sparse: {size} bytes of which {stored} are stored",
                shown(path.as_bytes())
            )));
        }
        let (digest, bytes) = self.copy(File::from(source), path, max_bytes)?;
        Ok(Some(OutputFile {
            path: path.to_owned(),
            digest,
            bytes,
            media_type: media_type.to_owned(),
        }))
    }

    /// Opens a regular file: first only as a name, so that a device or FIFO is never opened for
    /// real, then for reading, and it must be the same.
    fn open(&self, path: &str) -> Result<Option<(OwnedFd, Stat)>, Cause> {
        let lost = |error: Errno| unreadable(path.as_bytes(), error);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let named = match openat2(self.root, path, flags, Mode::empty(), resolve()) {
            Ok(named) => named,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(lost(error)),
        };
        let stat = fstat(&named).map_err(lost)?;
        let device = fstat(self.root).map_err(lost)?.st_dev;
        match acceptable(&stat, device) {
            Ok(FileType::RegularFile) => {}
            Ok(_) => return Err(unreadable(path.as_bytes(), "it is not a regular file")),
            Err(what) => return Err(unreadable(path.as_bytes(), what)),
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat2(self.root, path, flags, Mode::empty(), resolve()).map_err(lost)?;
        let again = fstat(&file).map_err(lost)?;
        if (again.st_dev, again.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(unreadable(path.as_bytes(), "it changed while it was read"));
        }
        Ok(Some((file, again)))
    }

    /// Copies into the staging folder under the digest of the bytes read, at most `max_bytes`.
    fn copy(&mut self, source: File, path: &str, max_bytes: u64) -> Result<(Digest, u64), Cause> {
        let mut staged = match tempfile::NamedTempFile::new_in(self.staging) {
            Ok(staged) => staged,
            Err(error) => return Err(self.ours("create a file in", error)),
        };
        let mut source = source.take(max_bytes.saturating_add(1));
        let mut hasher = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(path.as_bytes(), error)),
            };
            bytes += read as u64;
            hasher.update(&buffer[..read]);
            if let Err(error) = staged.write_all(&buffer[..read]) {
                return Err(self.ours("write to", error));
            }
        }
        if bytes > max_bytes {
            return Err(too_much(format!(
                "{} has more than the {max_bytes} bytes allowed",
                shown(path.as_bytes())
            )));
        }
        let digest = Digest::from_bytes(hasher.finalize().into());
        let mode = std::fs::Permissions::from_mode(0o644);
        let kept = staged
            .as_file()
            .set_permissions(mode)
            .and_then(|()| Ok(staged.persist(self.staging.join(digest.hex()))?));
        match kept {
            Ok(_) => Ok((digest, bytes)),
            Err(error) => Err(self.ours("keep a file in", error)),
        }
    }
}
