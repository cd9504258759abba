//! Bytes under a lease: inputs and images in, outputs and logs out.

use super::{ClientError, SchedulerClient, read_body};
use belljar_api::executor::{LEASE_TOKEN_HEADER, LeaseRef, LogWritten, Stream, WorkBlob};
use belljar_ids::Digest;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// How long nothing may arrive before a transfer is given up and tried again.
const STALL: Duration = Duration::from_secs(30);
/// How long one transfer may take altogether.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// How long one piece of a log may take.
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

/// The lease under which a call is made.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a>(pub &'a LeaseRef);

impl Under<'_> {
    /// The lease as a query: every part consists of letters, digits, `_` and `-`.
    fn query(self) -> String {
        let LeaseRef { key, fence, .. } = self.0;
        format!(
            "run={}&task={}&map_index={}&fence={fence}",
            key.run, key.task, key.map_index
        )
    }
}

impl SchedulerClient {
    /// Fetches a blob into `file`, which is written from its beginning, and checks size and digest.
    /// Tries until somebody answers.
    ///
    /// # Errors
    ///
    /// `LeaseGone`, `Refused`, `WrongBytes`, `Local`, `Fenced`.
    pub async fn blob_get(
        &self,
        under: Under<'_>,
        blob: &WorkBlob,
        file: &Path,
    ) -> Result<(), ClientError> {
        self.persist(|| self.blob_get_once(under, blob, file)).await
    }

    async fn blob_get_once(
        &self,
        under: Under<'_>,
        blob: &WorkBlob,
        file: &Path,
    ) -> Result<(), ClientError> {
        let (index, scheduler) = self.scheduler();
        let foreign = blob.url.starts_with("http://") || blob.url.starts_with("https://");
        let request = if foreign {
            // Whoever made the address put into it whatever it needs; our secrets stay here.
            self.http.get(&blob.url)
        } else {
            let join = if blob.url.contains('?') { '&' } else { '?' };
            let path = blob.url.trim_start_matches('/');
            self.http
                .get(format!("{scheduler}/{path}{join}{}", under.query()))
                .bearer_auth(self.credential.expose())
                .header(LEASE_TOKEN_HEADER, &under.0.token)
        };
        let sent = request.timeout(TRANSFER_TIMEOUT).send().await;
        let result = match sent {
            Err(error) => Err(ClientError::transport(scheduler, &error)),
            Ok(response) if !response.status().is_success() => {
                Err(ClientError::from_response(scheduler, response).await)
            }
            Ok(response) => receive(scheduler, response, blob, file).await,
        };
        if !foreign {
            self.observe(index, result.as_ref().err());
        }
        result
    }

    /// Stores a file as a blob under a lease. Tries until somebody answers.
    ///
    /// # Errors
    ///
    /// `LeaseGone`, `Refused`, `Local`, `Fenced`.
    pub async fn blob_put(
        &self,
        under: Under<'_>,
        digest: Digest,
        size: u64,
        file: &Path,
    ) -> Result<(), ClientError> {
        self.persist(|| self.blob_put_once(under, digest, size, file))
            .await
    }

    async fn blob_put_once(
        &self,
        under: Under<'_>,
        digest: Digest,
        size: u64,
        file: &Path,
    ) -> Result<(), ClientError> {
        let file = tokio::fs::File::open(file)
            .await
            .map_err(local("open an output"))?;
        let (index, scheduler) = self.scheduler();
        let sent = self
            .http
            .put(format!(
                "{scheduler}/executor/v1/blobs/{digest}?{}",
                under.query()
            ))
            .bearer_auth(self.credential.expose())
            .header(LEASE_TOKEN_HEADER, &under.0.token)
            .header(reqwest::header::CONTENT_LENGTH, size)
            .timeout(TRANSFER_TIMEOUT)
            .body(reqwest::Body::wrap_stream(ReaderStream::with_capacity(
                file,
                64 << 10,
            )))
            .send()
            .await;
        let result = match sent {
            Err(error) => Err(ClientError::transport(scheduler, &error)),
            Ok(response) if !response.status().is_success() => {
                Err(ClientError::from_response(scheduler, response).await)
            }
            Ok(_) => Ok(()),
        };
        self.observe(index, result.as_ref().err());
        result
    }

    /// Appends to a log and gives its size now. Tries until somebody answers.
    ///
    /// # Errors
    ///
    /// `LeaseGone`, `Refused`, `Protocol`, `Fenced`.
    pub async fn log_put(
        &self,
        under: Under<'_>,
        stream: Stream,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, ClientError> {
        self.persist(|| self.log_put_once(under, stream, offset, bytes.clone()))
            .await
    }

    async fn log_put_once(
        &self,
        under: Under<'_>,
        stream: Stream,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, ClientError> {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let (index, scheduler) = self.scheduler();
        let sent = self
            .http
            .put(format!(
                "{scheduler}/executor/v1/logs?{}&stream={stream}&offset={offset}",
                under.query()
            ))
            .bearer_auth(self.credential.expose())
            .header(LEASE_TOKEN_HEADER, &under.0.token)
            .timeout(LOG_TIMEOUT)
            .body(bytes)
            .send()
            .await;
        let result = match sent {
            Err(error) => Err(ClientError::transport(scheduler, &error)),
            Ok(response) if !response.status().is_success() => {
                Err(ClientError::from_response(scheduler, response).await)
            }
            Ok(response) => read_body(scheduler, response).await,
        };
        self.observe(index, result.as_ref().err());
        let written: LogWritten =
            serde_json::from_slice(&result?).map_err(|error| ClientError::Protocol {
                scheduler: scheduler.to_owned(),
                detail: format!("logs: {error}"),
            })?;
        Ok(written.size)
    }
}

/// Writes a body to a file and checks that it is the blob.
async fn receive(
    scheduler: &str,
    mut response: reqwest::Response,
    blob: &WorkBlob,
    path: &Path,
) -> Result<(), ClientError> {
    let mut file = tokio::fs::File::create(path)
        .await
        .map_err(local("create a file for an input"))?;
    let mut hash = Sha256::new();
    let mut size = 0u64;
    loop {
        let chunk = match tokio::time::timeout(STALL, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(ClientError::transport(scheduler, &error)),
            Err(_) => {
                return Err(ClientError::Unreachable {
                    scheduler: scheduler.to_owned(),
                    detail: format!("nothing of a blob came within {STALL:?}"),
                });
            }
        };
        size += chunk.len() as u64;
        if size > blob.size {
            break;
        }
        hash.update(&chunk);
        file.write_all(&chunk)
            .await
            .map_err(local("write an input"))?;
    }
    let found = Digest::from_bytes(hash.finalize().into());
    if size != blob.size || found != blob.digest {
        return Err(ClientError::WrongBytes {
            wanted: format!("{} of {} bytes", blob.digest, blob.size),
            found: if size > blob.size {
                "longer".to_owned()
            } else {
                format!("{found} of {size} bytes")
            },
        });
    }
    file.sync_all().await.map_err(local("write an input"))
}

fn local(doing: &'static str) -> impl FnOnce(std::io::Error) -> ClientError {
    move |source| ClientError::Local { doing, source }
}
