//! The executor's data folder.
//!
//! Owns: its layout, the executor's id, and the lock that keeps a second executor out. Leaves to
//! others: what is in the files.
//!
//! ```text
//! lock                   held while an executor runs
//! executor-id            the same across restarts
//! journal                what is owed
//! cache/<hex digest>     inputs and image archives
//! attempts/<name>/logs/  what was read of an attempt's logs
//! attempts/<name>/staging/  outputs on their way
//! sandbox/               the sandbox's own state
//! ```

use belljar_ids::ExecutorId;
use belljar_sandbox::AttemptName;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another executor uses it.
    #[error("another executor uses the data folder {}", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("failed to {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file with the id holds something else.
    #[error("{} does not hold an executor's id: {source}", path.display())]
    BadId {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: belljar_ids::InvalidId,
    },
}

impl HomeError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// A data folder that is ours as long as this value lives.
#[derive(Debug)]
pub struct Home {
    root: PathBuf,
    id: ExecutorId,
    _lock: File,
}

impl Home {
    /// Takes the folder at `root`, making what is missing.
    ///
    /// # Errors
    ///
    /// `InUse` where another executor has it, `BadId`, `Io`.
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        make_folder(root)?;
        let root = root.canonicalize().map_err(HomeError::io("find", root))?;
        let lock = lock(&root.join("lock"))?;
        let id = executor_id(&root.join("executor-id"))?;
        for folder in ["cache", "attempts", "sandbox"] {
            make_folder(&root.join(folder))?;
        }
        Ok(Self {
            root,
            id,
            _lock: lock,
        })
    }

    /// The executor's id.
    #[must_use]
    pub fn id(&self) -> ExecutorId {
        self.id
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal's file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Where inputs and image archives are kept.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The sandbox's state.
    #[must_use]
    pub fn sandbox(&self) -> PathBuf {
        self.root.join("sandbox")
    }

    /// The folder of one attempt.
    #[must_use]
    pub fn attempt(&self, name: &AttemptName) -> PathBuf {
        self.root.join("attempts").join(name.as_str())
    }

    /// Makes the folders of one attempt.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn make_attempt(&self, name: &AttemptName) -> Result<(), HomeError> {
        let folder = self.attempt(name);
        make_folder(&folder)?;
        make_folder(&folder.join("logs"))?;
        make_folder(&folder.join("staging"))
    }

    /// Deletes the folder of one attempt.
    ///
    /// # Errors
    ///
    /// `Io`; a folder that is not there is deleted already.
    pub fn remove_attempt(&self, name: &AttemptName) -> Result<(), HomeError> {
        let folder = self.attempt(name);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(HomeError::io("delete", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Deletes the folders of all attempts but these; gives how many.
    ///
    /// # Errors
    ///
    /// `Io` for the first that could not be deleted, after trying all.
    pub fn sweep_attempts(&self, keep: &BTreeSet<AttemptName>) -> Result<usize, HomeError> {
        let folder = self.root.join("attempts");
        let mut removed = 0;
        let mut failed = None;
        let entries = std::fs::read_dir(&folder).map_err(HomeError::io("list", &folder))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let kept = name
                .to_str()
                .and_then(|name| name.parse::<AttemptName>().ok())
                .is_some_and(|name| keep.contains(&name));
            if kept {
                continue;
            }
            match std::fs::remove_dir_all(entry.path()) {
                Ok(()) => removed += 1,
                Err(error) => {
                    failed.get_or_insert(HomeError::io("delete", &entry.path())(error));
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// Bytes free for us on the folder's filesystem.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn free_bytes(&self) -> Result<u64, HomeError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|error| HomeError::io("ask for the space in", &self.root)(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Makes a folder that only its owner may enter.
fn make_folder(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(HomeError::io("make the folder", path))
}

fn lock(path: &Path) -> Result<File, HomeError> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(HomeError::io("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(HomeError::InUse(path.parent().unwrap_or(path).to_owned()))
        }
        Err(error) => Err(HomeError::io("lock", path)(error.into())),
    }
}

/// The id in the file, or a new one put there.
fn executor_id(path: &Path) -> Result<ExecutorId, HomeError> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_string(&mut text)
                .map_err(HomeError::io("read", path))?;
            return text.trim().parse().map_err(|source| HomeError::BadId {
                path: path.to_owned(),
                source,
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(HomeError::io("open", path)(error)),
    }
    let id = ExecutorId::from_uuid(uuid::Uuid::now_v7());
    // Whole or not at all: half an id would be another executor.
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(format!("{id}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(HomeError::io("write", path))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_executor_at_a_time_and_one_id_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        let first = Home::open(&root).unwrap();
        let id = first.id();
        assert!(matches!(Home::open(&root), Err(HomeError::InUse(_))));
        drop(first);
        assert_eq!(Home::open(&root).unwrap().id(), id);
        std::fs::write(root.join("executor-id"), "exe_12").unwrap();
        assert!(matches!(Home::open(&root), Err(HomeError::BadId { .. })));
    }

    #[test]
    fn sweeping_keeps_what_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let name = |task: &str| -> AttemptName {
            format!("belljar-00000000000a-{:032x}-{task}-n-1", 7)
                .parse()
                .unwrap()
        };
        home.make_attempt(&name("a")).unwrap();
        home.make_attempt(&name("b")).unwrap();
        assert_eq!(
            home.sweep_attempts(&BTreeSet::from([name("b")])).unwrap(),
            1
        );
        assert!(!home.attempt(&name("a")).exists());
        assert!(home.attempt(&name("b")).join("logs").is_dir());
    }
}
