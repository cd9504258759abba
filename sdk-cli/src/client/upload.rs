//! Sending files: hashed first, then streamed.

use super::{CALL_TIMEOUT, Client, ClientError, Result, STALL_TIMEOUT};
use belljar_ids::Digest;
use bytes::Bytes;
use futures::Stream;
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// A file's size and digest at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHash {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

fn local(what: &str, path: &Path, source: std::io::Error) -> ClientError {
    ClientError::Local {
        what: format!("{what} {}", path.display()),
        source,
    }
}

async fn open(path: &Path) -> Result<tokio::fs::File> {
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|error| local("read", path, error))?;
    let metadata = file
        .metadata()
        .await
        .map_err(|error| local("read", path, error))?;
    if metadata.is_file() {
        return Ok(file);
    }
    let kind = if metadata.is_dir() {
        "it is a folder"
    } else {
        "it is not a regular file"
    };
    Err(local(
        "read",
        path,
        std::io::Error::new(std::io::ErrorKind::InvalidInput, kind),
    ))
}

/// Hashes a file; `progress` is told the bytes done so far.
///
/// # Errors
///
/// Where the file cannot be read or is not a regular file.
pub async fn hash_file(path: &Path, progress: impl Fn(u64)) -> Result<FileHash> {
    let mut file = open(path).await?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file
            .read(&mut buffer)
            .await
            .map_err(|error| local("read", path, error))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        size += read as u64;
        progress(size);
    }
    Ok(FileHash {
        digest: Digest::from_bytes(hash.finalize().into()),
        size,
    })
}

impl Client {
    /// Whether the server has a blob.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn blob_exists(&self, digest: &Digest) -> Result<bool> {
        // The answer to HEAD has no body: the status is all there is.
        let url = self.url(&["blobs", &digest.to_string()], &());
        let sent = tokio::time::timeout(CALL_TIMEOUT, self.request(Method::HEAD, url).send()).await;
        let late = || ClientError::Unreachable {
            server: self.server().to_owned(),
            reason: format!("no answer within {} s", CALL_TIMEOUT.as_secs()),
            refused: false,
        };
        let response = sent
            .map_err(|_| late())?
            .map_err(|error| self.network(&error))?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            // Why it was refused, another call can say in words.
            status => match self.whoami().await {
                Err(error) => Err(error),
                Ok(_) => Err(self.refused(status, None, b"")),
            },
        }
    }

    /// Sends a file as the blob `hash.digest`; `progress` is told the bytes that left this machine. The file is
    /// kept by the server whole or not at all.
    ///
    /// # Errors
    ///
    /// As every call; where the file cannot be read, or is not what it was when it was hashed.
    pub async fn blob_put(
        &self,
        path: &Path,
        hash: FileHash,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<()> {
        let file = open(path).await?;
        let moved = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&moved);
        let stream = chunks(file, hash.size, move |bytes| {
            counter.store(bytes, Ordering::Relaxed);
            progress(bytes);
        });
        let url = self.url(&["blobs", &hash.digest.to_string()], &());
        let request = self
            .request(Method::PUT, url)
            .header("content-type", "application/octet-stream")
            .header("content-length", hash.size)
            .body(reqwest::Body::wrap_stream(stream));
        // The time-out is for standing still, not for the whole.
        let sending = self.send_once(Duration::from_secs(u64::from(u32::MAX)), request);
        let sent = tokio::select! {
            sent = sending => sent,
            () = stalled(&moved) => Err(ClientError::Unreachable {
                server: self.server().to_owned(),
                reason: format!("nothing moved for {} s", STALL_TIMEOUT.as_secs()),
                refused: false,
            }),
        };
        match sent {
            Ok(_) => Ok(()),
            Err(error) if hash_file(path, |_| {}).await? != hash => {
                drop(error);
                Err(ClientError::Changed(path.display().to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

/// The first `size` bytes of a file, piece by piece. A file that became shorter ends in an error, so that
/// the body breaks off.
fn chunks(
    file: tokio::fs::File,
    size: u64,
    progress: impl Fn(u64) + Send + 'static,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures::stream::try_unfold(
        (file, 0_u64, progress),
        move |(mut file, done, progress)| async move {
            let missing = size - done;
            if missing == 0 {
                return Ok(None);
            }
            let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
            let read = (&mut file)
                .take(missing.min(CHUNK as u64))
                .read_buf(&mut buffer)
                .await?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            }
            let done = done + read as u64;
            progress(done);
            Ok(Some((buffer.freeze(), (file, done, progress))))
        },
    )
}

/// Returns when `moved` has not changed for [`STALL_TIMEOUT`].
async fn stalled(moved: &AtomicU64) {
    let mut before = u64::MAX;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
        tokio::time::sleep(STALL_TIMEOUT).await;
    }
}
