//! The logs of attempts, as files that only grow: `<root>/<tenant>/<run>/<task>.<index>.<fence>.<stream>`.
//!
//! Owns: those files, and waking who waits for more of one. Leaves to others: who may read or write
//! which, and what an attempt's final sizes are (the engine's rows).
//!
//! A chunk names where it begins. What is there already is left alone, so the same chunk again changes
//! nothing; a chunk beyond the end is refused with the end, so a writer that lost its place finds it.

use belljar_api::executor::Stream as LogStream;
use belljar_ids::{Fence, InstanceKey, TenantId};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The task instance.
    pub instance: InstanceKey,
    /// The attempt.
    pub fence: Fence,
    /// Which of its two.
    pub stream: LogStream,
}

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The chunk begins beyond the end.
    #[error("the log ends at byte {end}")]
    Gap {
        /// Where the log ends.
        end: u64,
    },
    /// The log would be larger than allowed.
    #[error("a log has at most {0} bytes")]
    TooLarge(u64),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk does not read or write.
    #[error("failed to access a log")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for LogError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

/// All logs.
#[derive(Debug, Clone)]
pub struct LogStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    max_bytes: u64,
    /// One writer of a log at a time; logs share locks by their hash.
    writers: [Mutex<()>; 64],
    /// The ends of the logs that somebody waits for.
    ends: Mutex<HashMap<LogKey, watch::Sender<u64>>>,
}

impl LogStore {
    /// The logs below the folder `root`, which is made where it is not there; each at most
    /// `max_bytes` long.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>, max_bytes: u64) -> std::io::Result<Self> {
        let root = root.into();
        std::fs::create_dir_all(&root)?;
        Ok(Self(Arc::new(Shared {
            root,
            max_bytes,
            writers: std::array::from_fn(|_| Mutex::new(())),
            ends: Mutex::new(HashMap::new()),
        })))
    }

    /// Adds `bytes` at `offset`. The log's end afterwards.
    ///
    /// # Errors
    ///
    /// Any [`LogError`]; where the disk failed midway, part of the bytes may be there.
    pub async fn append(&self, key: LogKey, offset: u64, bytes: Bytes) -> Result<u64, LogError> {
        let shared = Arc::clone(&self.0);
        blocking(move || {
            let end = shared.append(&key, offset, &bytes)?;
            let ends = shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = ends.get(&key) {
                sender.send_replace(end);
            }
            Ok(end)
        })
        .await
    }

    /// How long the log is; 0 where there is none.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub async fn size(&self, key: &LogKey) -> Result<u64, LogError> {
        match tokio::fs::metadata(self.0.path(key)).await {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// At most `max` bytes from `offset` on; none at or beyond the end.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub async fn read(&self, key: &LogKey, offset: u64, max: u64) -> Result<Bytes, LogError> {
        let path = self.0.path(key);
        blocking(move || {
            let mut file = match std::fs::File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Bytes::new()),
                Err(error) => return Err(error.into()),
            };
            // Before the seek, which the system refuses beyond what a file can ever be.
            if file.metadata()?.len() <= offset {
                return Ok(Bytes::new());
            }
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(max).read_to_end(&mut bytes)?;
            Ok(bytes.into())
        })
        .await
    }

    /// Comes back as soon as the log reaches beyond `offset`.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub async fn grown(&self, key: &LogKey, offset: u64) -> Result<(), LogError> {
        let waiting = Waiting::new(&self.0, key);
        let mut end = waiting.receiver.clone();
        // After the subscription, so that bytes in between are not missed.
        if self.size(key).await? > offset {
            return Ok(());
        }
        // The sender lives as long as `waiting`.
        let _ = end.wait_for(|end| *end > offset).await;
        Ok(())
    }
}

/// Somebody who waits for a log; the last of a log to go takes its entry away.
struct Waiting<'a> {
    shared: &'a Shared,
    key: &'a LogKey,
    receiver: watch::Receiver<u64>,
}

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared, key: &'a LogKey) -> Self {
        let mut ends = shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = ends
            .entry(key.clone())
            .or_insert_with(|| watch::Sender::new(0));
        let receiver = sender.subscribe();
        drop(ends);
        Self {
            shared,
            key,
            receiver,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut ends = self
            .shared
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // `receiver` itself is still counted, and `grown` has dropped its clone.
        if ends
            .get(self.key)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            ends.remove(self.key);
        }
    }
}

impl Shared {
    /// Where a log is. Every part of the name is of a closed alphabet without `/`, `.` or white space.
    fn path(&self, key: &LogKey) -> PathBuf {
        let instance = &key.instance;
        let stream = match key.stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        };
        self.root
            .join(key.tenant.as_str())
            .join(instance.run.to_string())
            .join(format!(
                "{}.{}.{}.{stream}",
                instance.task, instance.map_index, key.fence
            ))
    }

    fn append(&self, key: &LogKey, offset: u64, bytes: &[u8]) -> Result<u64, LogError> {
        let path = self.path(key);
        let _writer = self.writers[shard(&path)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut file = open_to_append(&path)?;
        let end = file.metadata()?.len();
        let skip = end.checked_sub(offset).ok_or(LogError::Gap { end })?;
        let new = usize::try_from(skip)
            .ok()
            .and_then(|skip| bytes.get(skip..))
            .unwrap_or_default();
        let after = end.saturating_add(new.len() as u64);
        if after > self.max_bytes {
            return Err(LogError::TooLarge(self.max_bytes));
        }
        file.write_all(new)?;
        Ok(after)
    }
}

fn shard(path: &Path) -> usize {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (hasher.finish() % 64) as usize
}

fn open_to_append(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            options.open(path)
        }
        opened => opened,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(LogError::Io(std::io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_ids::MapIndex;

    fn key() -> LogKey {
        LogKey {
            tenant: TenantId::default_tenant(),
            instance: InstanceKey {
                run: "run_0000000000000000000000000192f00d".parse().unwrap(),
                task: "clean".parse().unwrap(),
                map_index: MapIndex::NONE,
            },
            fence: Fence(1),
            stream: LogStream::Stdout,
        }
    }

    #[tokio::test]
    async fn chunks_are_idempotent_by_offset() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogStore::open(folder.path(), 10).unwrap();
        let append =
            |offset, bytes: &'static [u8]| logs.append(key(), offset, Bytes::from_static(bytes));
        assert_eq!(append(0, b"abc").await.unwrap(), 3);
        assert_eq!(append(0, b"abc").await.unwrap(), 3);
        assert_eq!(append(1, b"bcdef").await.unwrap(), 6);
        assert!(matches!(
            append(7, b"x").await,
            Err(LogError::Gap { end: 6 })
        ));
        assert!(matches!(
            append(6, b"12345").await,
            Err(LogError::TooLarge(10))
        ));
        assert_eq!(append(2, b"").await.unwrap(), 6);
        assert_eq!(logs.read(&key(), 0, 99).await.unwrap(), &b"abcdef"[..]);
        assert_eq!(logs.read(&key(), 4, 1).await.unwrap(), &b"e"[..]);
        assert_eq!(
            logs.read(&key(), u64::MAX >> 1, 1).await.unwrap(),
            Bytes::new()
        );
        // A process that starts anew goes on where the file ends.
        let logs = LogStore::open(folder.path(), 10).unwrap();
        assert_eq!(logs.size(&key()).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn a_waiter_wakes_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogStore::open(folder.path(), 1 << 20).unwrap();
        let waiter = tokio::spawn({
            let logs = logs.clone();
            async move { logs.grown(&key(), 3).await }
        });
        logs.append(key(), 0, Bytes::from_static(b"abc"))
            .await
            .unwrap();
        while logs.0.ends.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!waiter.is_finished());
        logs.append(key(), 3, Bytes::from_static(b"d"))
            .await
            .unwrap();
        waiter.await.unwrap().unwrap();
        assert!(logs.0.ends.lock().unwrap().is_empty());
    }
}
