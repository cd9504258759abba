//! The SDK: a typed, asynchronous client of the public API, `/api/v1`.
//!
//! Owns: the calls, what may be repeated and when, and the reading of answers. Leaves to others: the
//! wire types (`belljar-api`), where server and token come from (`config`), and anything shown to people.
//!
//! A call that the server refuses with 503 or 429 is made again after the time that the server names, where
//! making it twice does no harm: reads, writes that name their whole effect, and submissions, which carry an
//! idempotency key for that.

mod api;
mod download;
mod error;
mod events;
mod upload;

pub use download::{Download, LogPiece};
pub use error::{Answered, ClientError};
pub use events::{EventStream, StreamItem};
pub use upload::{FileHash, hash_file};

use crate::config::{Token, is_loopback};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The result of a call.
pub type Result<T> = std::result::Result<T, ClientError>;

/// How long it may take until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take that the server does not hold back on purpose.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a transfer may stand still.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes that are read of an answer that is a document.
const DOCUMENT_LIMIT: usize = 64 << 20;
/// How often a call is made again that was refused for the moment.
const REPEATS: u32 = 5;
/// The longest that is waited between two of them, whatever the server says.
const REPEAT_DELAY_MAX: Duration = Duration::from_secs(10);

/// A client of one server, as one caller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<String>,
}

impl Client {
    /// A client of `server` (scheme, host and port) that says who it is by `token`.
    ///
    /// # Errors
    ///
    /// Where the network layer cannot be set up.
    pub fn new(server: &Url, token: Option<&Token>) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("belljar-cli/", env!("CARGO_PKG_VERSION")));
        if is_loopback(server) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::NotBelljar {
            server: server.to_string(),
            reason: chain(&error),
        })?;
        let token = token.map(|token| token.secret().to_owned());
        Ok(Self {
            http,
            server: server.clone(),
            token,
        })
    }

    /// The server's address, without a path.
    #[must_use]
    pub fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    /// The address of a route: each of `segments` is percent-encoded, and the members of `query` that are
    /// not null are its query.
    fn url(&self, segments: &[&str], query: &impl Serialize) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["api", "v1"]).extend(segments);
        }
        // A query type is a flat struct of texts, numbers and truth values.
        if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(query) {
            let mut pairs = members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .peekable();
            if pairs.peek().is_some() {
                let mut encoded = url.query_pairs_mut();
                for (name, value) in pairs {
                    match value.as_str() {
                        Some(text) => encoded.append_pair(name, text),
                        None => encoded.append_pair(name, &value.to_string()),
                    };
                }
            }
        }
        url
    }

    /// A call with this client's credentials.
    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Makes a call that does no harm twice, again where the server asks for it; an error status is an error.
    async fn send(
        &self,
        timeout: Duration,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<Response> {
        let mut repeats = 0;
        loop {
            let error = match self.send_once(timeout, build()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let delay = match error.problem() {
                Some(answered) if matches!(answered.status, 429 | 503) => answered.retry_after_secs,
                _ => None,
            };
            match delay {
                Some(secs) if repeats < REPEATS => {
                    repeats += 1;
                    tokio::time::sleep(Duration::from_secs(secs).min(REPEAT_DELAY_MAX)).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn send_once(&self, timeout: Duration, request: RequestBuilder) -> Result<Response> {
        let late = || ClientError::Unreachable {
            server: self.server().to_owned(),
            reason: format!("no answer within {} s", timeout.as_secs()),
            refused: false,
        };
        let sent = tokio::time::timeout(timeout, request.send()).await;
        let response = sent
            .map_err(|_| late())?
            .map_err(|error| self.network(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = tokio::time::timeout(timeout, body(self, response)).await;
        let (status, retry_after, bytes) = body.map_err(|_| late())??;
        Err(self.refused(status, retry_after, &bytes))
    }

    fn refused(&self, status: StatusCode, retry_after: Option<u64>, body: &[u8]) -> ClientError {
        match Answered::read(status.as_u16(), body, retry_after) {
            Some(answered) => ClientError::Problem(Box::new(answered)),
            None if matches!(status.as_u16(), 502..=504) => ClientError::Unreachable {
                server: self.server().to_owned(),
                reason: format!("something between here and there answers {status}"),
                refused: false,
            },
            None => ClientError::NotBelljar {
                server: self.server().to_owned(),
                reason: format!("{status} without a problem document"),
            },
        }
    }

    /// What the network layer said, as an error of ours.
    fn network(&self, error: &reqwest::Error) -> ClientError {
        let refused =
            io_error(error).is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        ClientError::Unreachable {
            server: self.server().to_owned(),
            reason: if refused {
                "connection refused".to_owned()
            } else {
                chain(error)
            },
            refused,
        }
    }

    /// Reads a document; a body that breaks off or is no such document is [`ClientError::Broken`].
    async fn document<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let call = format!("GET {}", response.url().path());
        let read = tokio::time::timeout(CALL_TIMEOUT, body(self, response)).await;
        let (_, _, bytes) = read.map_err(|_| ClientError::Broken {
            call: call.clone(),
            reason: "it stands still".to_owned(),
        })??;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::NotBelljar {
            server: self.server().to_owned(),
            reason: format!("{call} gave a document of another shape ({error}); is the server of another version?"),
        })
    }

    /// A read of a document.
    async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &impl Serialize,
    ) -> Result<T> {
        let url = self.url(segments, query);
        let build = || self.request(Method::GET, url.clone());
        self.document(self.send(CALL_TIMEOUT, build).await?).await
    }

    /// A write that says its whole effect, so that making it twice is the same as once.
    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T> {
        let url = self.url(segments, &());
        let build = || {
            let request = self.request(method.clone(), url.clone());
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        self.document(self.send(CALL_TIMEOUT, build).await?).await
    }
}

/// Status, `Retry-After` and body of an answer, of at most [`DOCUMENT_LIMIT`] bytes.
async fn body(client: &Client, mut response: Response) -> Result<(StatusCode, Option<u64>, Bytes)> {
    let status = response.status();
    let call = response.url().path().to_owned();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut bytes = Vec::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| ClientError::Broken {
                call: call.clone(),
                reason: chain(&error),
            })?;
        let Some(chunk) = chunk else { break };
        bytes.extend_from_slice(&chunk);
        if bytes.len() > DOCUMENT_LIMIT {
            return Err(ClientError::NotBelljar {
                server: client.server().to_owned(),
                reason: format!(
                    "the answer to {call} is larger than {} MiB",
                    DOCUMENT_LIMIT >> 20
                ),
            });
        }
    }
    Ok((status, retry_after, bytes.into()))
}

/// The innermost I/O error behind an error of the network layer.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut source = Some(error);
    let mut found = None;
    while let Some(error) = source {
        found = error.downcast_ref().or(found);
        source = error.source();
    }
    found
}

/// The innermost cause, which is what says something: the outer ones repeat the URL.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
