//! Inputs and image archives on this host, by content.
//!
//! Owns: the cache folder: fetching into it, checking digests, keeping it small. Leaves to others:
//! mounting (the sandbox) and loading images ([`crate::images`]).
//!
//! A file appears under its digest only when it is whole, checked and on the disk, with mode 0444.
//! Attempts are given the file itself, read-only; [`Held`] keeps it from being evicted meanwhile.
//! What was written before the host last booted may have been damaged by how it went down: it gets
//! another name then, and its own back when it is wanted and was found whole.

mod folder;

use crate::scheduler_client::{ClientError, SchedulerClient, Under};
use belljar_api::executor::{WorkBlob, WorkInput};
use belljar_ids::Digest;
use folder::{UNCHECKED, distrust, free_bytes, hash, list, sync_folder};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::{NamedTempFile, TempPath};

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
    /// The disk is too full for it.
    #[error("{needed} bytes are needed for an input and {available} are free above the reserve")]
    NoRoom {
        /// Bytes wanted.
        needed: u64,
        /// Bytes free above the reserve, with everything deleted that nobody uses.
        available: u64,
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

/// What the cache may use.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Bytes of files kept although nobody uses them.
    pub max_bytes: u64,
    /// Bytes that stay free on the disk.
    pub reserve_bytes: u64,
}

#[derive(Debug)]
struct Cached {
    size: u64,
    /// Whether it is what its digest says for certain.
    checked: bool,
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
    limits: CacheLimits,
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
    /// The cache in `folder`, which exists. What is in it from earlier is used again, after a look
    /// inside where the host was booted since (`boot_id`); pieces of interrupted transfers are
    /// deleted.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn open(
        folder: &Path,
        boot_id: &str,
        limits: CacheLimits,
    ) -> Result<Arc<Self>, InputError> {
        distrust(folder, boot_id)?;
        let cache = Arc::new(Self {
            folder: folder.to_owned(),
            limits,
            state: Mutex::new(list(folder)?),
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

    fn path_of(&self, digest: Digest, checked: bool) -> PathBuf {
        let path = self.path(digest);
        if checked {
            path
        } else {
            path.with_extension(UNCHECKED)
        }
    }

    /// The bytes of an input, fetched where they are not here.
    ///
    /// # Errors
    ///
    /// `Client` where the scheduler refuses or the bytes are others, `WrongInline`, `NoRoom`, `Io`.
    /// A scheduler that does not answer is waited for.
    pub async fn input(
        self: &Arc<Self>,
        client: &SchedulerClient,
        under: Under<'_>,
        input: &WorkInput,
    ) -> Result<Held, InputError> {
        match input {
            WorkInput::Blob(blob) => self.blob(client, under, blob).await,
            WorkInput::Inline { text, digest } => {
                let (bytes, digest) = (text.clone().into_bytes(), *digest);
                let found = Digest::from_bytes(Sha256::digest(&bytes).into());
                if found != digest {
                    let wanted = digest;
                    return Err(InputError::WrongInline { wanted, found });
                }
                let size = bytes.len() as u64;
                self.have(digest, size, self.write(bytes)).await
            }
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
        self.have(blob.digest, blob.size, self.fetch(client, under, blob))
            .await
    }

    /// Holds a file that is here and whole, or else has it brought here; one at a time for the
    /// same bytes.
    async fn have(
        self: &Arc<Self>,
        digest: Digest,
        size: u64,
        bring: impl Future<Output = Result<TempPath, InputError>>,
    ) -> Result<Held, InputError> {
        if let Some(held) = self.hold_whole(digest, size) {
            return Ok(held);
        }
        let turn = self.turn(digest);
        let guard = turn.lock().await;
        self.check(digest).await;
        // Whoever had the turn before has probably fetched it.
        let held = match self.hold_whole(digest, size) {
            Some(held) => Ok(held),
            None => match bring.await {
                Ok(part) => {
                    let cache = Arc::clone(self);
                    blocking(move || cache.keep(part, digest, size)).await
                }
                Err(error) => Err(error),
            },
        };
        drop(guard);
        self.turns().remove(&digest);
        held
    }

    async fn fetch(
        &self,
        client: &SchedulerClient,
        under: Under<'_>,
        blob: &WorkBlob,
    ) -> Result<TempPath, InputError> {
        self.make_room(blob.size)?;
        let part = self.part()?.into_temp_path();
        client.blob_get(under, blob, &part).await?;
        Ok(part)
    }

    /// Puts bytes on the disk: their name must not get there before them.
    async fn write(&self, bytes: Vec<u8>) -> Result<TempPath, InputError> {
        let mut part = self.part()?;
        blocking(move || {
            let written = part
                .write_all(&bytes)
                .and_then(|()| part.as_file().sync_all());
            written.map_err(InputError::io("write", part.path()))?;
            Ok(part.into_temp_path())
        })
        .await
    }

    /// Deleted when dropped, so that a fetch that is given up leaves nothing.
    fn part(&self) -> Result<NamedTempFile, InputError> {
        tempfile::Builder::new()
            .prefix("part-")
            .tempfile_in(&self.folder)
            .map_err(InputError::io("make a file in", &self.folder))
    }

    /// Gives a whole and checked file its name.
    fn keep(
        self: &Arc<Self>,
        part: TempPath,
        digest: Digest,
        size: u64,
    ) -> Result<Held, InputError> {
        let path = self.path(digest);
        std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o444))
            .map_err(InputError::io("protect", &part))?;
        part.persist(&path)
            .map_err(|error| InputError::io("name", &path)(error.error))?;
        sync_folder(&self.folder)?;
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        let file = state.files.entry(digest).or_insert(Cached {
            size,
            checked: true,
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

    /// Holds a file that is here and has the size it should have; another one is deleted.
    fn hold_whole(self: &Arc<Self>, digest: Digest, size: u64) -> Option<Held> {
        {
            let mut state = self.lock();
            let file = state.files.get(&digest)?;
            if !file.checked {
                return None;
            }
            if file.size != size {
                if file.holds == 0 {
                    self.delete(&mut state, digest);
                }
                return None;
            }
        }
        self.hold(digest)
    }

    /// Looks whether a file from before the last boot is what it was, and deletes it if not.
    async fn check(self: &Arc<Self>, digest: Digest) {
        let unchecked = |state: &State| state.files.get(&digest).is_some_and(|f| !f.checked);
        if !unchecked(&self.lock()) {
            return;
        }
        // Not to be evicted meanwhile.
        let held = self.hold(digest);
        let (from, to) = (self.path_of(digest, false), self.path(digest));
        let whole = blocking(move || {
            let found = hash(&from).map_err(InputError::io("read", &from))?;
            if found == digest {
                std::fs::rename(&from, &to).map_err(InputError::io("name", &to))?;
            }
            Ok(found == digest)
        })
        .await;
        let mut state = self.lock();
        match whole {
            Ok(true) => {
                if let Some(file) = state.files.get_mut(&digest) {
                    file.checked = true;
                }
            }
            found => {
                tracing::warn!(%digest, ?found, "a cached file was damaged before the host booted; it is fetched again");
                self.delete(&mut state, digest);
            }
        }
        drop(state);
        drop(held);
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
        while total > self.limits.max_bytes {
            let Some(size) = self.evict(&mut state) else {
                break;
            };
            total -= size;
        }
    }

    /// Deletes what is not held until `needed` bytes fit on the disk.
    fn make_room(&self, needed: u64) -> Result<(), InputError> {
        let mut state = self.lock();
        loop {
            let available = free_bytes(&self.folder)?.saturating_sub(self.limits.reserve_bytes);
            if available >= needed {
                return Ok(());
            }
            let evictable = state.files.values().filter(|file| file.holds == 0);
            // Nothing is deleted for what does not fit even so.
            let at_most = available + evictable.map(|file| file.size).sum::<u64>();
            if at_most < needed || self.evict(&mut state).is_none() {
                return Err(InputError::NoRoom {
                    needed,
                    available: at_most,
                });
            }
        }
    }

    /// Deletes what was used longest ago and is not held; gives its size.
    fn evict(&self, state: &mut State) -> Option<u64> {
        let unused = state.files.iter().filter(|(_, file)| file.holds == 0);
        let (digest, file) = unused.min_by_key(|(_, file)| file.used)?;
        let (digest, size) = (*digest, file.size);
        self.delete(state, digest);
        Some(size)
    }

    fn delete(&self, state: &mut State, digest: Digest) {
        let Some(file) = state.files.remove(&digest) else {
            return;
        };
        let path = self.path_of(digest, file.checked);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "failed to delete a cached file");
        }
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<()>>>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.turns().entry(digest).or_default())
    }
}

/// Runs what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InputError> + Send + 'static,
) -> Result<T, InputError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests;
