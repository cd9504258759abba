//! Between the wire and the engine: resolves what people name, makes plans, and turns rows into views.
//!
//! Owns: reference resolution, grants, plans, tokens' text, the logs' files, views. Leaves to others:
//! decisions (the engine, asked by command), SQL (the store), HTTP. Nothing here changes state but by a
//! command to the leader.

pub mod analyses;
mod codes;
pub mod dags;
pub mod datasets;
pub mod grant;
pub mod logs;
mod plan;
pub mod requests;
mod resolve;
pub mod runs;
pub mod tokens;
pub mod views;
pub mod waiting;

use crate::blobs::{BlobError, BlobStore};
use crate::leader::{LeaderError, LeaderHandle};
use belljar_api::problem as wire;
use belljar_engine::command::Refusal;
use belljar_ids::{Digest, PrincipalName, TenantId};
use belljar_manifest::{Diagnostic, Severity, Sha256Digest, Span};
use belljar_store::{Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many plans are made at once; further ones wait their turn.
const PLANNERS: usize = 2;
/// The longest that a plan may take, its turn included.
const PLAN_DEADLINE: Duration = Duration::from_secs(20);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such thing.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// What was sent is wrong.
    #[error("{detail}")]
    Invalid {
        /// In a sentence.
        detail: String,
        /// The problems, each in its place.
        problems: Vec<Diagnostic>,
    },
    /// The state of things does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The owner of a dataset has not allowed it.
    #[error("{0}")]
    GrantMissing(String),
    /// The idempotency key was used for another submission.
    #[error("the idempotency key was used for another submission")]
    IdempotencyMismatch,
    /// No plan could be made in time.
    #[error("no plan could be made in time")]
    Busy,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The leader.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// The blob store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Something stored cannot be what was stored.
    #[error("stored data is not as expected: {0}")]
    Stored(String),
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        Self::Leader(LeaderError::Refused(refusal))
    }
}

/// Who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The tenant.
    pub tenant: TenantId,
    /// The person or service.
    pub principal: PrincipalName,
}

/// What the service works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    /// The database.
    pub store: Store,
    /// The leader.
    pub leader: LeaderHandle,
    /// The blobs.
    pub blobs: BlobStore,
    planners: Arc<Semaphore>,
}

impl Service {
    /// A service on these.
    #[must_use]
    pub fn new(store: Store, leader: LeaderHandle, blobs: BlobStore) -> Self {
        Self {
            store,
            leader,
            blobs,
            planners: Arc::new(Semaphore::new(PLANNERS)),
        }
    }

    /// Runs pure work that may take long (YAML, schemas, expressions) where it holds up nobody, within
    /// a deadline. What is given up goes on to its end, which its own limits bound, and keeps its turn.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let planners = Arc::clone(&self.planners);
        let task = async move {
            let turn = planners.acquire_owned().await.ok()?;
            tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work()
            })
            .await
            .ok()
        };
        match tokio::time::timeout(PLAN_DEADLINE, task).await {
            Ok(Some(done)) => Ok(done),
            // A panic was logged by the hook; a deadline says that there is too much work.
            Ok(None) => Err(ServiceError::Stored("planning failed".to_owned())),
            Err(_) => Err(ServiceError::Busy),
        }
    }
}

/// The leader answered with something that does not belong to the command: a defect.
fn unexpected() -> ServiceError {
    ServiceError::Leader(LeaderError::Internal)
}

fn digest(from: Sha256Digest) -> Digest {
    Digest::from_bytes(*from.as_bytes())
}

/// Diagnostics as they are sent.
#[must_use]
pub fn diagnostics(problems: Vec<Diagnostic>) -> Vec<wire::Diagnostic> {
    problems.into_iter().map(diagnostic).collect()
}

fn diagnostic(problem: Diagnostic) -> wire::Diagnostic {
    wire::Diagnostic {
        code: problem.code,
        severity: match problem.severity {
            Severity::Error => wire::Severity::Error,
            Severity::Warning => wire::Severity::Warning,
        },
        message: problem.message,
        file: problem.file,
        pointer: problem.pointer,
        span: problem.span.map(span),
        labels: problem
            .labels
            .into_iter()
            .map(|label| wire::Label {
                span: span(label.span),
                message: label.message,
            })
            .collect(),
        help: problem.help,
        docs_url: problem.docs_url,
    }
}

fn span(span: Span) -> wire::Span {
    wire::Span {
        line: span.line,
        col: span.col,
        end_line: span.end_line,
        end_col: span.end_col,
        start: span.start as u64,
        end: span.end as u64,
    }
}

/// A sentence on how many errors there are.
fn summary(what: &str, problems: &[Diagnostic]) -> String {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let s = if errors == 1 { "" } else { "s" };
    format!("{what} has {errors} error{s}")
}

fn invalid(what: &str, problems: Vec<Diagnostic>) -> ServiceError {
    ServiceError::Invalid {
        detail: summary(what, &problems),
        problems,
    }
}
