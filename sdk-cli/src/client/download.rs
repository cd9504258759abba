//! Fetching bytes: results, artifacts, logs.

use super::{CALL_TIMEOUT, Client, ClientError, Result, STALL_TIMEOUT, chain};
use belljar_api::tasks::{ArtifactQuery, InstanceQuery, LogQuery};
use belljar_api::{LOG_COMPLETE_HEADER, LOG_NEXT_OFFSET_HEADER};
use belljar_ids::{RequestId, RunId, TaskName};
use bytes::Bytes;
use reqwest::{Method, Response};
use serde::Serialize;
use std::time::Duration;

/// The longest that a log call is held back, seconds; the API allows 30.
const FOLLOW_SECS: u64 = 20;

/// Bytes on their way here.
#[derive(Debug)]
pub struct Download {
    response: Response,
    call: String,
    /// How many bytes there are in all, where the server said so.
    pub size: Option<u64>,
    received: u64,
}

impl Download {
    fn new(response: Response) -> Self {
        let call = format!("GET {}", response.url().path());
        let size = response.content_length();
        Self {
            response,
            call,
            size,
            received: 0,
        }
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`] where the bytes break off or stand still.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let broken = |reason| ClientError::Broken {
            call: self.call.clone(),
            reason,
        };
        let chunk = tokio::time::timeout(STALL_TIMEOUT, self.response.chunk()).await;
        let chunk =
            chunk.map_err(|_| broken(format!("nothing came for {} s", STALL_TIMEOUT.as_secs())))?;
        let chunk = chunk.map_err(|error| broken(chain(&error)))?;
        match (&chunk, self.size) {
            (Some(bytes), _) => self.received += bytes.len() as u64,
            (None, Some(size)) if size != self.received => {
                return Err(broken(format!("{} of {size} bytes came", self.received)));
            }
            (None, _) => {}
        }
        Ok(chunk)
    }

    /// All bytes at once.
    ///
    /// # Errors
    ///
    /// As [`Download::chunk`].
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// The raw bytes, hostile.
    pub bytes: Bytes,
    /// The offset to ask for next.
    pub next_offset: u64,
    /// Whether nothing will follow.
    pub complete: bool,
}

impl Client {
    async fn download(&self, segments: &[&str], query: &impl Serialize) -> Result<Download> {
        let url = self.url(segments, query);
        let build = || self.request(Method::GET, url.clone());
        Ok(Download::new(self.send(CALL_TIMEOUT, build).await?))
    }

    /// A task's `/out/result.json`.
    ///
    /// # Errors
    ///
    /// As every call; 404 or 409 where there is none.
    pub async fn task_result(&self, run: RunId, task: &TaskName) -> Result<Download> {
        let run = run.to_string();
        self.download(
            &["runs", &run, "tasks", task.as_str(), "result"],
            &InstanceQuery::default(),
        )
        .await
    }

    /// A file that a task gave out, by its key in the manifest or its path below `/out`.
    ///
    /// # Errors
    ///
    /// As every call; 404 where there is none.
    pub async fn task_artifact(&self, run: RunId, task: &TaskName, name: &str) -> Result<Download> {
        let run = run.to_string();
        let segments = ["runs", &run, "tasks", task.as_str(), "artifacts", name];
        self.download(&segments, &ArtifactQuery::default()).await
    }

    /// A request's `/out/result.json`.
    ///
    /// # Errors
    ///
    /// As every call; 409 while there is none.
    pub async fn request_result(&self, request: RequestId) -> Result<Download> {
        self.download(&["requests", &request.to_string(), "result"], &())
            .await
    }

    /// A file that a request gave out.
    ///
    /// # Errors
    ///
    /// As every call; 404 where there is none.
    pub async fn request_artifact(&self, request: RequestId, name: &str) -> Result<Download> {
        let segments = ["requests", &request.to_string(), "artifacts", name];
        self.download(&segments, &ArtifactQuery::default()).await
    }

    /// A piece of a log from `query.offset` on. Where `follow`, the answer is held back until there are bytes
    /// or nothing will follow.
    ///
    /// # Errors
    ///
    /// As every call; 404 where the attempt is not there (yet).
    pub async fn task_log(
        &self,
        run: RunId,
        task: &TaskName,
        query: &LogQuery,
        follow: bool,
    ) -> Result<LogPiece> {
        let query = LogQuery {
            follow: follow.then(|| format!("{FOLLOW_SECS}s")),
            ..query.clone()
        };
        let url = self.url(
            &["runs", &run.to_string(), "tasks", task.as_str(), "logs"],
            &query,
        );
        let build = || self.request(Method::GET, url.clone());
        let timeout = CALL_TIMEOUT + Duration::from_secs(FOLLOW_SECS);
        let response = self.send(timeout, build).await?;
        let header = |name| {
            response
                .headers()
                .get(name)?
                .to_str()
                .ok()
                .map(str::to_owned)
        };
        let next_offset = header(LOG_NEXT_OFFSET_HEADER).and_then(|text| text.parse().ok());
        let complete = header(LOG_COMPLETE_HEADER).as_deref() == Some("true");
        let bytes = Bytes::from(Download::new(response).bytes().await?);
        let offset = query.offset.unwrap_or(0);
        Ok(LogPiece {
            next_offset: next_offset.unwrap_or(offset + bytes.len() as u64),
            bytes,
            complete,
        })
    }
}
