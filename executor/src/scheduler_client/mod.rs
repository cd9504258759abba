//! Talking to the scheduler.
//!
//! Owns: addresses, credentials, retries, and the one place where a lost or found connection is
//! logged. Leaves to others: what the messages mean ([`belljar_api::executor`]).
//!
//! Every retry sends the same message again; the protocol makes that harmless (claims by id,
//! reports by digest, logs by offset, blobs by content).

mod blobs;
mod error;

pub use blobs::Under;
pub use error::ClientError;

use crate::config::Credential;
use backon::{ExponentialBuilder, Retryable as _};
use belljar_api::executor::{
    Claim, Claimed, Complete, Completed, Heartbeat, HeartbeatAnswer, Register, Registered, Release,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How long a call may take that is answered from memory.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the scheduler may take to commit what a call reports.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to try for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read at most: the largest is a claim with many leases.
const ANSWER_BYTES: usize = 64 << 20;

/// A client of the schedulers of one installation.
#[derive(Debug)]
pub struct SchedulerClient {
    http: reqwest::Client,
    schedulers: Vec<String>,
    /// Which address is asked first.
    current: AtomicUsize,
    /// Whether the last call that could tell found a scheduler.
    reached: AtomicBool,
    credential: Credential,
}

impl SchedulerClient {
    /// A client for these addresses.
    ///
    /// # Errors
    ///
    /// `Refused` where there is no address or one is no HTTP address.
    pub fn new(schedulers: &[String], credential: Credential) -> Result<Self, ClientError> {
        let wrong = |scheduler: &str, detail: &str| ClientError::Refused {
            scheduler: scheduler.to_owned(),
            status: 0,
            code: "bad_address".to_owned(),
            detail: detail.to_owned(),
        };
        if schedulers.is_empty() {
            return Err(wrong("the configuration", "it names no scheduler"));
        }
        for scheduler in schedulers {
            let url = reqwest::Url::parse(scheduler)
                .map_err(|error| wrong(scheduler, &error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(wrong(
                    scheduler,
                    "an address begins with http:// or https://",
                ));
            }
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| ClientError::transport("the client", &error))?;
        let schedulers = schedulers
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect();
        Ok(Self {
            http,
            schedulers,
            current: AtomicUsize::new(0),
            reached: AtomicBool::new(true),
            credential,
        })
    }

    /// Registers this executor; tries until a scheduler answers.
    ///
    /// # Errors
    ///
    /// `Refused`, `Protocol` and `Fenced`: nothing that trying again would change.
    pub async fn register(&self, message: &Register) -> Result<Registered, ClientError> {
        self.persist(|| self.post("register", message, CALL_TIMEOUT))
            .await
    }

    /// Calls for work; tries until a scheduler answers, always with the same claim id.
    ///
    /// # Errors
    ///
    /// As [`Self::register`].
    pub async fn claim(&self, message: &Claim) -> Result<Claimed, ClientError> {
        let timeout = Duration::from_millis(message.wait_ms) + CALL_TIMEOUT;
        self.persist(|| self.post("claim", message, timeout)).await
    }

    /// Sends one heartbeat, once: the next one is newer.
    ///
    /// # Errors
    ///
    /// Every [`ClientError`].
    pub async fn heartbeat(
        &self,
        message: &Heartbeat,
        timeout: Duration,
    ) -> Result<HeartbeatAnswer, ClientError> {
        self.post("heartbeat", message, timeout.min(CALL_TIMEOUT))
            .await
    }

    /// Reports what ended; tries until a scheduler answers.
    ///
    /// # Errors
    ///
    /// As [`Self::register`], and `Failed`: one of the reports may be what it fails at.
    pub async fn complete(&self, message: &Complete) -> Result<Completed, ClientError> {
        let call = || self.post("complete", message, COMMIT_TIMEOUT);
        self.persist_while(call, |error| {
            error.is_transient() && !matches!(error, ClientError::Failed { .. })
        })
        .await
    }

    /// Gives leases back, once: a lease that is not listed in heartbeats returns by itself.
    ///
    /// # Errors
    ///
    /// Every [`ClientError`].
    pub async fn release(&self, message: &Release) -> Result<(), ClientError> {
        self.exchange("release", message, CALL_TIMEOUT).await?;
        Ok(())
    }

    async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        call: &str,
        message: &Q,
        timeout: Duration,
    ) -> Result<A, ClientError> {
        let (scheduler, body) = self.exchange(call, message, timeout).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Protocol {
            scheduler,
            detail: format!("{call}: {error}"),
        })
    }

    /// One call to the current scheduler; gives its address and the body of its answer.
    async fn exchange<Q: Serialize>(
        &self,
        call: &str,
        message: &Q,
        timeout: Duration,
    ) -> Result<(String, Vec<u8>), ClientError> {
        let (index, scheduler) = self.scheduler();
        let sent = self
            .http
            .post(format!("{scheduler}/executor/v1/{call}"))
            .bearer_auth(self.credential.expose())
            .timeout(timeout)
            .json(message)
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
        result.map(|body| (scheduler.to_owned(), body))
    }

    /// Tries until the answer is one that trying again would not change.
    async fn persist<T, F, Fut>(&self, call: F) -> Result<T, ClientError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        self.persist_while(call, ClientError::is_transient).await
    }

    /// Tries as long as the error is one `again` is true of.
    async fn persist_while<T, F, Fut>(
        &self,
        call: F,
        again: impl FnMut(&ClientError) -> bool,
    ) -> Result<T, ClientError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        call.retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(50))
                // Doubled at most by the jitter: a scheduler that is back is found within a second.
                .with_max_delay(Duration::from_millis(500))
                .with_jitter()
                .without_max_times(),
        )
        .when(again)
        .adjust(|error, delay| {
            let asked = error
                .retry_after()
                .map(|asked| asked.clamp(MIN_WAIT, MAX_WAIT));
            asked.or(delay)
        })
        .await
    }

    fn scheduler(&self) -> (usize, &str) {
        let index = self.current.load(Ordering::Relaxed) % self.schedulers.len();
        (index, &self.schedulers[index])
    }

    /// Learns from an outcome: the next address after a silent one or a follower, and one line in
    /// the log for each change.
    fn observe(&self, index: usize, error: Option<&ClientError>) {
        let reached = !error.is_some_and(ClientError::is_transient);
        if !reached {
            let next = (index + 1) % self.schedulers.len();
            // Only if nobody else has moved on already.
            let _ =
                self.current
                    .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        match (self.reached.swap(reached, Ordering::Relaxed), error) {
            (true, Some(error)) if !reached => {
                tracing::warn!(%error, "the scheduler does not answer; running attempts go on, and I keep trying");
            }
            (false, _) if reached => {
                tracing::info!(scheduler = %self.schedulers[index], "the scheduler answers again");
            }
            _ => {}
        }
    }
}

/// The shortest wait that a scheduler's Retry-After can bring about.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// The longest wait that a scheduler's Retry-After can bring about.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The whole body, up to a limit.
async fn read_body(
    scheduler: &str,
    mut response: reqwest::Response,
) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(ClientError::transport(scheduler, &error)),
        }
        if body.len() > ANSWER_BYTES {
            return Err(ClientError::Protocol {
                scheduler: scheduler.to_owned(),
                detail: format!("the answer has more than {ANSWER_BYTES} bytes"),
            });
        }
    }
}
