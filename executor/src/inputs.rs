//! Inputs and image archives on this host, by content.
//!
//! Owns: the cache folder: fetching into it, checking digests, keeping it small. Leaves to others:
//! mounting (the sandbox) and loading images ([`crate::images`]).
//!
//! A file appears under its digest only when it is whole, checked and on the disk, with mode 0444.
//! Attempts are given the file itself, read-only; [`Held`] keeps it from being evicted meanwhile.

use crate::scheduler_client::{ClientError, SchedulerClient, Under};
use belljar_api::executor::{WorkBlob, WorkInput};
use belljar_ids::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Why an input could not be had.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The scheduler or whoever has the bytes said no, or sent others.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Bytes in the message that are not the ones it names.
    #[error("an input in the lease should be {wanted} and is {found}")]
    WrongInline {
        /// The digest it names.
        wanted: Digest,
        /// The digest it has.
        found: Digest,
    },
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
}

impl InputError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

#[derive(Debug)]
struct Cached {
    size: u64,
    /// Order of last use; larger is later.
    used: u64,
    /// How many hold it.
    holds: usize,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<Digest, Cached>,
    clock: u64,
}

/// The cache folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
    /// One fetch of the same bytes at a time.
    fetching: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// A cached file that stays as long as this value lives.
#[derive(Debug)]
pub struct Held {
    cache: Arc<Cache>,
    digest: Digest,
}

impl Held {
    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.cache.path(self.digest)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(file) = self.cache.lock().files.get_mut(&self.digest) {
            file.holds = file.holds.saturating_sub(1);
        }
        self.cache.shrink();
    }
}

impl Cache {
    /// The cache in `folder`, which exists. What is in it from earlier is used again; pieces of
    /// interrupted transfers are deleted.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Arc<Self>, InputError> {
        let mut found = Vec::new();
        let entries = std::fs::read_dir(folder).map_err(InputError::io("list", folder))?;
        for entry in entries.flatten() {
            let digest = entry
                .file_name()
                .to_str()
                .and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file);
            match (digest, meta) {
                (Some(digest), Some(meta)) => {
                    let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((used, digest, meta.len()));
                }
                _ => {
                    let path = entry.path();
                    std::fs::remove_file(&path).map_err(InputError::io("delete", &path))?;
                }
            }
        }
        found.sort_unstable_by_key(|(used, ..)| *used);
        let mut state = State::default();
        for (_, digest, size) in found {
            state.clock += 1;
            let used = state.clock;
            let holds = 0;
            state.files.insert(digest, Cached { size, used, holds });
        }
        let cache = Arc::new(Self {
            folder: folder.to_owned(),
            max_bytes,
            state: Mutex::new(state),
            fetching: Mutex::default(),
        });
        cache.shrink();
        Ok(cache)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// The bytes of an input, fetched where they are not here.
    ///
    /// # Errors
    ///
    /// `Client` where the scheduler refuses or the bytes are others, `WrongInline`, `Io`. A
    /// scheduler that does not answer is waited for.
    pub async fn input(
        self: &Arc<Self>,
        client: &SchedulerClient,
        under: Under<'_>,
        input: &WorkInput,
    ) -> Result<Held, InputError> {
        match input {
            WorkInput::Blob(blob) => self.blob(client, under, blob).await,
            WorkInput::Inline { text, digest } => self.inline(text.as_bytes(), *digest),
        }
    }

    /// The bytes of a blob, fetched where they are not here.
    ///
    /// # Errors
    ///
    /// As [`Self::input`].
    pub async fn blob(
        self: &Arc<Self>,
        client: &SchedulerClient,
        under: Under<'_>,
        blob: &WorkBlob,
    ) -> Result<Held, InputError> {
        if let Some(held) = self.hold(blob.digest) {
            return Ok(held);
        }
        let turn = self.turn(blob.digest);
        let guard = turn.lock().await;
        // Whoever had the turn before has probably fetched it.
        let held = match self.hold(blob.digest) {
            Some(held) => Ok(held),
            None => self.fetch(client, under, blob).await,
        };
        drop(guard);
        self.turns().remove(&blob.digest);
        held
    }

    async fn fetch(
        self: &Arc<Self>,
        client: &SchedulerClient,
        under: Under<'_>,
        blob: &WorkBlob,
    ) -> Result<Held, InputError> {
        // Deleted when dropped, so that a fetch that is given up leaves nothing.
        let part = tempfile::Builder::new()
            .prefix("part-")
            .tempfile_in(&self.folder)
            .map_err(InputError::io("make a file in", &self.folder))?
            .into_temp_path();
        client.blob_get(under, blob, &part).await?;
        self.keep(part, blob.digest, blob.size)
    }

    fn inline(self: &Arc<Self>, bytes: &[u8], digest: Digest) -> Result<Held, InputError> {
        let found = Digest::from_bytes(Sha256::digest(bytes).into());
        if found != digest {
            let wanted = digest;
            return Err(InputError::WrongInline { wanted, found });
        }
        if let Some(held) = self.hold(digest) {
            return Ok(held);
        }
        let part = tempfile::Builder::new()
            .prefix("part-")
            .tempfile_in(&self.folder)
            .map_err(InputError::io("make a file in", &self.folder))?
            .into_temp_path();
        std::fs::write(&part, bytes).map_err(InputError::io("write", &part))?;
        self.keep(part, digest, bytes.len() as u64)
    }

    /// Gives a whole and checked file its name.
    fn keep(
        self: &Arc<Self>,
        part: tempfile::TempPath,
        digest: Digest,
        size: u64,
    ) -> Result<Held, InputError> {
        let path = self.path(digest);
        std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o444))
            .map_err(InputError::io("protect", &part))?;
        part.persist(&path)
            .map_err(|error| InputError::io("name", &path)(error.error))?;
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        let file = state.files.entry(digest).or_insert(Cached {
            size,
            used,
            holds: 0,
        });
        file.holds += 1;
        drop(state);
        self.shrink();
        Ok(Held {
            cache: Arc::clone(self),
            digest,
        })
    }

    /// Holds a file that is here.
    pub fn hold(self: &Arc<Self>, digest: Digest) -> Option<Held> {
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        let file = state.files.get_mut(&digest)?;
        file.used = used;
        file.holds += 1;
        Some(Held {
            cache: Arc::clone(self),
            digest,
        })
    }

    /// Deletes what was used longest ago and is not held until the rest fits.
    fn shrink(&self) {
        let mut state = self.lock();
        let mut total: u64 = state.files.values().map(|file| file.size).sum();
        while total > self.max_bytes {
            let oldest = state
                .files
                .iter()
                .filter(|(_, file)| file.holds == 0)
                .min_by_key(|(_, file)| file.used)
                .map(|(digest, file)| (*digest, file.size));
            let Some((digest, size)) = oldest else { break };
            let path = self.path(digest);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "failed to delete a cached file");
            }
            state.files.remove(&digest);
            total -= size;
        }
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<()>>>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.turns().entry(digest).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &Arc<Cache>, text: &str) -> (Digest, Held) {
        let digest = Digest::from_bytes(Sha256::digest(text.as_bytes()).into());
        (digest, cache.inline(text.as_bytes(), digest).unwrap())
    }

    #[test]
    fn what_is_held_stays_and_the_longest_unused_goes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 10).unwrap();
        let (a, held_a) = put(&cache, "aaaaaa");
        let (b, held_b) = put(&cache, "bbbbbb");
        assert!(
            held_a.path().exists() && held_b.path().exists(),
            "both are in use"
        );
        drop(held_b);
        assert!(cache.hold(b).is_none(), "over the limit and not in use");
        let (c, held_c) = put(&cache, "cc");
        drop((held_a, held_c));
        assert!(
            cache.hold(a).is_some() && cache.hold(c).is_some(),
            "8 of 10 bytes"
        );
        let mode = std::fs::metadata(cache.path(a))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o444);
    }

    #[test]
    fn a_new_incarnation_finds_whole_files_and_deletes_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100).unwrap();
        let (a, held) = put(&cache, "aaaa");
        drop(held);
        std::fs::write(folder.path().join("part-x"), "half").unwrap();
        let again = Cache::open(folder.path(), 100).unwrap();
        assert!(again.hold(a).is_some());
        assert!(!folder.path().join("part-x").exists());
    }

    #[test]
    fn other_bytes_than_named_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100).unwrap();
        let wrong = cache.inline(b"a", Digest::from_bytes([0; 32]));
        assert!(matches!(wrong, Err(InputError::WrongInline { .. })));
    }
}
