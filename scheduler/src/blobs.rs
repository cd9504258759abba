//! The blob store on a local directory: bytes by their SHA-256, apart by tenant.
//!
//! Owns: `<root>/<tenant>/<first two digits>/<64 digits>` and `<root>/<tenant>/incoming/`. Leaves to
//! others: who may read or write what.
//!
//! *Invariants*: a file with a digest's name was hashed before it got the name, was on the disk before
//! it could be seen, and is never written again; nobody gets the last bytes of a blob before all of
//! them were hashed anew, so damaged bytes never arrive whole; damaged bytes are set aside when they are
//! found.

use belljar_ids::{Digest, TenantId};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes read from the disk at a time.
const CHUNK: usize = 256 * 1024;
/// The longest that an upload may pause.
const STALL: Duration = Duration::from_secs(60);

/// Why bytes could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There are no such bytes.
    #[error("there is no blob {0}")]
    NotFound(Digest),
    /// The bytes that came are not those that were announced. Nothing was stored.
    #[error("the bytes hash to {found}, not to {wanted}")]
    Mismatch {
        /// What was announced.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// The bytes on the disk are not those that were put there.
    #[error("the stored bytes of {0} are damaged")]
    Corrupt(Digest),
    /// More bytes came than are allowed. Nothing was stored.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The sender paused too long or went away. Nothing was stored.
    #[error("the upload broke off: {0}")]
    BrokenOff(String),
    /// The disk is full. Nothing was stored.
    #[error("the disk is full")]
    DiskFull,
    /// The disk does not read or write.
    #[error("failed to {doing} a blob")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> BlobError {
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::DiskFull,
        _ => BlobError::Io { doing, source },
    }
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// How many bytes the blob has.
    pub size: u64,
    /// Whether it was not there before.
    pub created: bool,
}

/// A blob that is being read.
pub struct Reading<S> {
    /// How many bytes it has.
    pub size: u64,
    /// The bytes, verified: ends in an error before the last of them where they are damaged.
    pub stream: S,
}

/// The store.
#[derive(Debug, Clone)]
pub struct BlobStore {
    root: Arc<Path>,
}

impl BlobStore {
    /// The store in the folder `root`, which is made where it is not there. What an earlier process
    /// had half received is removed.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made or read.
    pub fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> {
        let root: PathBuf = root.into();
        std::fs::create_dir_all(&root)?;
        for tenant in std::fs::read_dir(&root)? {
            let incoming = tenant?.path().join("incoming");
            match std::fs::remove_dir_all(&incoming) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(Self { root: root.into() })
    }

    /// Where the blob is or would be. Both parts of the path are of a closed alphabet.
    fn path(&self, tenant: &TenantId, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join(tenant.as_str()).join(&hex[..2]).join(hex)
    }

    /// How many bytes the blob has; none where it is not there. Does not read them.
    ///
    /// # Errors
    ///
    /// [`BlobError::Io`].
    pub async fn size(&self, tenant: &TenantId, digest: Digest) -> Result<Option<u64>, BlobError> {
        match tokio::fs::metadata(self.path(tenant, digest)).await {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("look for")(error)),
        }
    }

    /// Stores `body` as `digest`, if that is what it hashes to and it has at most `max` bytes.
    ///
    /// # Errors
    ///
    /// Any but [`BlobError::NotFound`] and [`BlobError::Corrupt`]; nothing is stored then.
    pub async fn put<E: std::fmt::Display>(
        &self,
        tenant: &TenantId,
        digest: Digest,
        max: u64,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Put, BlobError> {
        let incoming = self.root.join(tenant.as_str()).join("incoming");
        tokio::fs::create_dir_all(&incoming)
            .await
            .map_err(io("make room for"))?;
        let (file, path) = tempfile::NamedTempFile::new_in(&incoming)
            .map_err(io("make"))?
            .into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let (found, size) = receive(&mut file, max, body).await?;
        if found != digest {
            return Err(BlobError::Mismatch {
                wanted: digest,
                found,
            });
        }
        file.flush().await.map_err(io("write"))?;
        file.sync_all().await.map_err(io("write"))?;
        let target = self.path(tenant, digest);
        let created = tokio::task::spawn_blocking(move || settle(path, &target))
            .await
            .map_err(|error| io("store")(std::io::Error::other(error)))?
            .map_err(io("store"))?;
        Ok(Put { size, created })
    }

    /// Opens a blob.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`], [`BlobError::Io`]; the stream's own errors are [`BlobError::Io`] and
    /// [`BlobError::Corrupt`].
    pub async fn open_blob(
        &self,
        tenant: &TenantId,
        digest: Digest,
    ) -> Result<Reading<impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static>, BlobError>
    {
        let path = self.path(tenant, digest);
        let mut file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(BlobError::NotFound(digest));
            }
            Err(error) => return Err(io("open")(error)),
        };
        let size = file.metadata().await.map_err(io("open"))?.len();
        let stream = async_stream::try_stream! {
            let mut hash = Sha256::new();
            let mut held = Bytes::new();
            let mut buffer = BytesMut::with_capacity(CHUNK);
            while file.read_buf(&mut buffer).await.map_err(io("read"))? > 0 {
                // One chunk is held back, so that the last goes out only after the hash was compared.
                let before = std::mem::replace(&mut held, buffer.split().freeze());
                hash.update(&held);
                buffer.reserve(CHUNK);
                if !before.is_empty() {
                    yield before;
                }
            }
            if Digest::from_bytes(hash.finalize().into()) != digest {
                set_aside(&path, digest).await;
                Err(BlobError::Corrupt(digest))?;
            }
            yield held;
        };
        Ok(Reading { size, stream })
    }

    /// The whole of a blob that has at most `max` bytes.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`], [`BlobError::TooLarge`], [`BlobError::Corrupt`], [`BlobError::Io`].
    pub async fn read(
        &self,
        tenant: &TenantId,
        digest: Digest,
        max: u64,
    ) -> Result<Bytes, BlobError> {
        let reading = self.open_blob(tenant, digest).await?;
        if reading.size > max {
            return Err(BlobError::TooLarge(max));
        }
        let mut stream = std::pin::pin!(reading.stream);
        let mut whole = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok(whole.freeze())
    }
}

/// Takes a damaged blob out of use: from now on it is not there, and can be put again.
async fn set_aside(path: &Path, digest: Digest) {
    let aside = path.with_extension("damaged");
    match tokio::fs::rename(path, &aside).await {
        Ok(()) => tracing::error!(%digest, ?aside, "a stored blob is damaged; it was set aside"),
        Err(error) => tracing::error!(%digest, %error, "a stored blob is damaged"),
    }
}

/// Writes `body` to `file` and says what it hashes to and how long it is.
async fn receive<E: std::fmt::Display>(
    file: &mut tokio::fs::File,
    max: u64,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<(Digest, u64), BlobError> {
    let mut body = std::pin::pin!(body);
    let (mut hash, mut size) = (Sha256::new(), 0_u64);
    loop {
        let next = tokio::time::timeout(STALL, body.next()).await;
        let Some(chunk) =
            next.map_err(|_| BlobError::BrokenOff("nothing came for a minute".into()))?
        else {
            break;
        };
        let chunk = chunk.map_err(|error| BlobError::BrokenOff(error.to_string()))?;
        size = size.saturating_add(chunk.len() as u64);
        if size > max {
            return Err(BlobError::TooLarge(max));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(io("write"))?;
    }
    Ok((Digest::from_bytes(hash.finalize().into()), size))
}

/// Gives the received file its name, durably. Whether the name is new.
fn settle(received: tempfile::TempPath, target: &Path) -> std::io::Result<bool> {
    let folder = target
        .parent()
        .ok_or_else(|| std::io::Error::other("no parent"))?;
    std::fs::create_dir_all(folder)?;
    // The same bytes may arrive twice at once: whoever is first names them. A file of the name that is
    // of another length is damaged; these bytes are good, so they take its place.
    let created = match std::fs::metadata(target) {
        Ok(old) if old.len() == std::fs::metadata(&received)?.len() => return Ok(false),
        Ok(_) => false,
        Err(_) => true,
    };
    received.persist(target).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()?;
    if let Some(above) = folder.parent() {
        std::fs::File::open(above)?.sync_all()?;
    }
    Ok(created)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    fn body(
        chunks: &[&'static [u8]],
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + use<> {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::from_static(chunk)))
            .collect();
        futures::stream::iter(chunks)
    }

    fn files(folder: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return 0;
        };
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() { files(&path) } else { 1 }
            })
            .sum()
    }

    #[tokio::test]
    async fn put_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let tenant = TenantId::default_tenant();
        let wanted = digest(b"hello world");
        let put = store
            .put(&tenant, wanted, 11, body(&[b"hello ", b"world"]))
            .await
            .unwrap();
        assert_eq!(
            put,
            Put {
                size: 11,
                created: true
            }
        );
        let again = store
            .put(&tenant, wanted, 11, body(&[b"hello world"]))
            .await;
        assert!(!again.unwrap().created);
        assert_eq!(
            store.read(&tenant, wanted, 11).await.unwrap(),
            &b"hello world"[..]
        );
        assert!(matches!(
            store.read(&tenant, wanted, 10).await,
            Err(BlobError::TooLarge(10))
        ));
        let other: TenantId = "other".parse().unwrap();
        assert!(matches!(
            store.read(&other, wanted, 11).await,
            Err(BlobError::NotFound(_))
        ));
        let empty = digest(b"");
        store.put(&tenant, empty, 0, body(&[])).await.unwrap();
        assert_eq!(store.read(&tenant, empty, 0).await.unwrap(), Bytes::new());
    }

    #[tokio::test]
    async fn wrong_too_long_and_broken_uploads_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let tenant = TenantId::default_tenant();
        let wanted = digest(b"hello");
        let put = store.put(&tenant, wanted, 99, body(&[b"hell"])).await;
        assert!(matches!(put, Err(BlobError::Mismatch { .. })), "{put:?}");
        let put = store.put(&tenant, wanted, 4, body(&[b"hello"])).await;
        assert!(matches!(put, Err(BlobError::TooLarge(4))), "{put:?}");
        let broken = futures::stream::iter([Ok(Bytes::from_static(b"hel")), Err("gone")]);
        let put = store.put(&tenant, wanted, 99, broken).await;
        assert!(matches!(put, Err(BlobError::BrokenOff(_))), "{put:?}");
        assert_eq!(store.size(&tenant, wanted).await.unwrap(), None);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn damaged_bytes_never_arrive_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let tenant = TenantId::default_tenant();
        let bytes: Vec<u8> = (0..700_000_u32).map(|n| n as u8).collect();
        let wanted = digest(&bytes);
        let whole = futures::stream::iter([Ok::<_, String>(Bytes::from(bytes.clone()))]);
        store.put(&tenant, wanted, 1 << 20, whole).await.unwrap();
        let mut damaged = bytes;
        damaged[0] ^= 1;
        std::fs::write(store.path(&tenant, wanted), &damaged).unwrap();
        let reading = store.open_blob(&tenant, wanted).await.unwrap();
        let chunks: Vec<_> = reading.stream.collect().await;
        let sent: usize = chunks.iter().flatten().map(Bytes::len).sum();
        assert!(matches!(
            chunks.last(),
            Some(Err(BlobError::Corrupt(d))) if *d == wanted
        ));
        assert!(sent < damaged.len());
        // Set aside, so that the good bytes can be put again.
        assert_eq!(store.size(&tenant, wanted).await.unwrap(), None);
        damaged[0] ^= 1;
        let whole = futures::stream::iter([Ok::<_, String>(Bytes::from(damaged))]);
        let put = store.put(&tenant, wanted, 1 << 20, whole).await.unwrap();
        assert!(put.created);
        store.read(&tenant, wanted, 1 << 20).await.unwrap();
    }

    #[tokio::test]
    async fn a_restart_removes_what_was_half_received() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = folder.path().join("default/incoming");
        std::fs::create_dir_all(&incoming).unwrap();
        std::fs::write(incoming.join("half"), "x").unwrap();
        BlobStore::open(folder.path()).unwrap();
        assert_eq!(files(folder.path()), 0);
    }
}
