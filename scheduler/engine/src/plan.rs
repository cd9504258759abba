//! What a run will do, pinned when the run is created: every reference resolved to a digest.
//!
//! Owns: the plan's types. Leaves to others: making one (the service resolves references and
//! evaluates expressions) and carrying one out (the executor). The engine decides only on names,
//! edges, priorities, pools, retries and time-outs; the rest it hands through.

use belljar_ids::{
    AnalysisName, ArtifactName, DagName, DatasetName, Digest, InputName, PoolName, TaskName,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A run's whole work, immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The DAG, or for a request the name made from its analysis.
    pub dag: DagName,
    /// The canonical hash of the DAG's spec.
    pub dag_version: Digest,
    /// The run's parameters after defaults.
    pub params: Value,
    /// How many runs of this DAG may be active at once; none is no limit.
    pub active_runs: Option<u32>,
    /// How many task instances of this DAG may hold a lease at once; none is no limit.
    pub active_tasks: Option<u32>,
    /// The tasks, every one after all it depends on.
    pub tasks: Vec<PlannedTask>,
}

/// One task of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its name in the DAG.
    pub name: TaskName,
    /// The places in [`RunPlan::tasks`] of what it depends on, ascending, each smaller than its own.
    pub upstream: Vec<u32>,
    /// Larger runs first among ready task instances.
    pub priority: i32,
    /// The pools it draws on while leased.
    pub pools: Vec<PoolNeed>,
    /// When it is tried again.
    pub retries: RetryPolicy,
    /// How long it may be ready without being leased, in milliseconds; none is for ever.
    pub queue_timeout_ms: Option<u64>,
    /// What the executor runs.
    pub work: Work,
}

/// Slots of one pool that a task instance holds while it is leased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNeed {
    /// The pool.
    pub pool: PoolName,
    /// How many of its slots, at least 1.
    pub slots: u32,
}

/// How often and when a task is tried again.
///
/// The delay before try n + 1 is drawn evenly from 0 to `initial · factorⁿ⁻¹`, at most `max_interval`
/// ("full jitter", M. Brooker, AWS Architecture Blog, 2015); without jitter it is that bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Tries in all, the first included; at least 1.
    pub max_attempts: u32,
    /// The bound of the first delay in milliseconds.
    pub initial_ms: u64,
    /// What the bound is multiplied by from try to try; at least 1.
    pub factor: f64,
    /// The largest bound, in milliseconds.
    pub max_interval_ms: u64,
    /// Whether the delay is drawn at random.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            initial_ms: 10_000,
            factor: 2.0,
            max_interval_ms: 3_600_000,
            jitter: true,
        }
    }
}

impl RetryPolicy {
    /// The largest delay after `tries` tries; saturates, never overflows.
    #[must_use]
    pub fn bound(&self, tries: u32) -> Duration {
        let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
        let factor = if self.factor.is_finite() {
            self.factor.max(1.0)
        } else {
            1.0
        };
        // A float-to-integer `as` saturates, and NaN cannot arise from finite non-negative factors.
        let initial = self.initial_ms as f64;
        let millis = (initial * factor.powi(exponent)).min(self.max_interval_ms as f64) as u64;
        Duration::from_millis(millis)
    }
}

/// What an executor needs to know of a task. The engine never looks inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The analysis and the digest that identifies this version of it.
    pub analysis: AnalysisName,
    /// Its version, for people.
    pub analysis_version: String,
    /// SHA-256 over manifest and image.
    pub analysis_digest: Digest,
    /// The manifest as submitted.
    pub manifest: Value,
    /// The image, by digest, and where it can be had.
    pub image: Image,
    /// Where each input comes from.
    pub inputs: BTreeMap<InputName, PlannedInput>,
    /// The parameters, valid against the manifest's schema.
    pub params: Value,
    /// Limits in force: the manifest's, lowered by the spec where it said so.
    pub resources: Resources,
    /// Whether an operator allowed plain `runc` for this analysis.
    pub trusted: bool,
}

/// The limits of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time, in thousandths of one core.
    pub cpu_millis: u32,
    /// Memory of the program and its `/tmp`, bytes.
    pub memory_bytes: u64,
    /// Size of `/out`, bytes.
    pub disk_bytes: u64,
    /// Size of `/tmp`, bytes.
    pub tmp_bytes: u64,
    /// Threads of the program.
    pub pids: u32,
    /// Wall clock of one attempt, milliseconds.
    pub timeout_ms: u64,
}

/// A container image, identified by its digest alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of the OCI image manifest.
    pub digest: Digest,
    /// Digest of the image's configuration: the id under which an engine keeps it.
    pub config: Digest,
    /// Where it can be had, best first.
    pub from: Vec<ImageSource>,
}

/// One place an image can be had from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// An OCI archive in the blob store.
    Blob(BlobRef),
    /// A reference by digest in a registry, for example `registry.example/team/name@sha256:…`.
    Registry(String),
}

/// Bytes in the blob store of the run's tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// What they hash to.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// Where a task's input comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedInput {
    /// A version of a dataset.
    Dataset {
        /// The dataset.
        name: DatasetName,
        /// Its version, from 1.
        version: u32,
        /// Its bytes.
        blob: BlobRef,
    },
    /// An output of a task upstream.
    Task {
        /// The task.
        task: TaskName,
        /// Which of its outputs.
        output: OutputRef,
    },
}

/// One output of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputRef {
    /// `/out/result.json`.
    Result,
    /// A declared artifact, by its key in the manifest.
    Artifact(ArtifactName),
}

/// What an accepted attempt produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// `/out/result.json`.
    pub result: Payload,
    /// The declared artifacts that were there.
    pub artifacts: BTreeMap<ArtifactName, Artifact>,
}

/// JSON text: in place where it is small, in the blob store where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Its bytes' digest and number.
    pub blob: BlobRef,
    /// The text itself, where it has at most [`Payload::INLINE_MAX`] bytes; it is then in no blob.
    pub inline: Option<String>,
}

impl Payload {
    /// The most bytes kept in place.
    pub const INLINE_MAX: usize = 16 * 1024;
}

/// A declared output file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path below `/out`.
    pub path: String,
    /// Its media type as the manifest declares it (RFC 6838).
    pub media_type: String,
    /// Its bytes.
    pub blob: BlobRef,
}
