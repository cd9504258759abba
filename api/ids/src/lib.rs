//! The identifiers and states that cross a process boundary: one type per id, so that a run's id can never be
//! passed where an executor's is wanted.
//!
//! Owns: the types, their text forms and the checks on them. Leaves to others: what an id refers to.
//!
//! Every id has exactly one text form, the same in YAML, JSON, SQL and URLs. Random ids are UUIDv7
//! (RFC 9562) behind a readable prefix (`run_…`), so that they sort by time of creation and a stray
//! one in a log says what it names.

mod digest;
mod name;
mod number;
mod random;
mod state;

pub use digest::Digest;
pub use name::{
    AnalysisName, ArtifactName, DagName, DatasetName, InputName, PoolName, PrincipalName, TaskName,
    TenantId,
};
pub use number::{Epoch, EventSeq, Fence, MapIndex, Micros};
pub use random::{ClaimId, ExecutorId, RequestId, RunId, TokenId};
pub use state::{Cause, RunState, TaskState, UnknownName};

/// Why a text is not the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {problem}")]
pub struct InvalidId {
    /// What the text should have been, for example `run id`.
    pub kind: &'static str,
    /// The text, cut to 80 characters and with control characters escaped.
    pub text: String,
    /// What is wrong with it and what a right one looks like.
    pub problem: &'static str,
}

impl InvalidId {
    fn new(kind: &'static str, text: &str, problem: &'static str) -> Self {
        let text = text.chars().take(80).flat_map(char::escape_default);
        Self {
            kind,
            text: text.collect(),
            problem,
        }
    }
}

/// One instance of a task in a run: the key under which its state is kept.
///
/// `map_index` is [`MapIndex::NONE`] for a task that is not mapped. The tenant is not repeated
/// here because a run id is unique across tenants; every stored row carries it in front.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct InstanceKey {
    /// The run.
    pub run: RunId,
    /// The task's name in the DAG.
    pub task: TaskName,
    /// Which of the mapped instances.
    pub map_index: MapIndex,
}

impl std::fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.run, self.task)?;
        if self.map_index == MapIndex::NONE {
            Ok(())
        } else {
            write!(f, "[{}]", self.map_index)
        }
    }
}
