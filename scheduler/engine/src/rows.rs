//! What one batch of commands changes, as absolute row values and events: the only thing that the
//! store writes, and what it gives back when a leader takes office.
//!
//! Owns: the shape of stored state. Leaves to others: SQL. The tenant comes first in every row.
//! A row that appears twice in a batch is written once, with its last value; of events every one
//! is written.

use crate::plan::{BlobRef, Outputs, RunPlan};
use crate::{Cause, RunState, TaskState};
use belljar_ids::{
    AnalysisName, DagName, DatasetName, Digest, Epoch, EventSeq, ExecutorId, Fence, InstanceKey,
    Micros, PoolName, PrincipalName, RequestId, RunId, TenantId, TokenId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// All changes of one batch, to be written in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Row values, in the order they came about.
    pub changes: Vec<Change>,
    /// Events, by ascending sequence without a gap.
    pub events: Vec<Event>,
}

/// One row's new value.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A DAG's head. Replaces the row of the same (tenant, name).
    Dag(DagRow),
    /// A version of a DAG; immutable. A second write of the same key changes nothing.
    DagVersion(DagVersionRow),
    /// A version of an analysis. Only `trusted` and `withdrawn` may change after the first write.
    Analysis(AnalysisRow),
    /// A dataset's head.
    Dataset(DatasetRow),
    /// A version of a dataset; immutable.
    DatasetVersion(DatasetVersionRow),
    /// A pool.
    Pool(PoolRow),
    /// A new run with its plan, its idempotency key and the datasets it reads. Written once.
    RunNew(Box<RunNew>),
    /// A run's state.
    Run(RunRow),
    /// A task instance's state.
    Task(TaskRow),
    /// An attempt: its lease while it lives, its outcome afterwards.
    Attempt(Box<AttemptRow>),
    /// A report that was refused, or an identical one that came again: kept for the audit.
    Report(ReportRow),
    /// An executor's registration.
    Executor(ExecutorRow),
    /// An access token.
    Token(TokenRow),
    /// A message to be delivered outside, at least once, after the commit.
    Outbox(OutboxRow),
}

/// A DAG as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The name.
    pub dag: DagName,
    /// The version that a new run takes.
    pub version: Digest,
    /// Counts versions from 1.
    pub number: u32,
    /// Whether queued runs stay queued.
    pub paused: bool,
    /// Who applied it first.
    pub owner: PrincipalName,
    /// When it was applied first.
    pub created_at: Micros,
    /// When it was last changed.
    pub updated_at: Micros,
}

/// One version of a DAG.
#[derive(Debug, Clone, PartialEq)]
pub struct DagVersionRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The DAG.
    pub dag: DagName,
    /// The canonical hash of the spec.
    pub version: Digest,
    /// Counts versions from 1.
    pub number: u32,
    /// The YAML as it was applied.
    pub source: String,
    /// The canonical JSON that was hashed.
    pub spec: Value,
    /// Who applied it.
    pub created_by: PrincipalName,
    /// When.
    pub created_at: Micros,
}

/// One version of an analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The name.
    pub analysis: AnalysisName,
    /// The version (semver.org 2.0.0).
    pub version: String,
    /// SHA-256 over manifest and image: the identity.
    pub digest: Digest,
    /// The manifest as submitted.
    pub manifest: Value,
    /// The image, as [`crate::plan::Image`] in JSON.
    pub image: Value,
    /// Whether an operator allowed plain `runc`.
    pub trusted: bool,
    /// Whether new runs may no longer use it.
    pub withdrawn: bool,
    /// Who submitted it.
    pub publisher: PrincipalName,
    /// When.
    pub created_at: Micros,
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The name.
    pub dataset: DatasetName,
    /// Who may use it and give it to others.
    pub owner: PrincipalName,
    /// What it is, in a sentence.
    pub description: String,
    /// The number of its newest version.
    pub latest: u32,
    /// When its first version was put in.
    pub created_at: Micros,
}

/// One version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetVersionRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The dataset.
    pub dataset: DatasetName,
    /// Counts versions from 1.
    pub number: u32,
    /// Its bytes.
    pub blob: BlobRef,
    /// Its media type (RFC 6838).
    pub media_type: String,
    /// Who put it in.
    pub created_by: PrincipalName,
    /// When.
    pub created_at: Micros,
}

/// A shared limit that tasks draw on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The name.
    pub pool: PoolName,
    /// How many slots it has; 0 lets nothing through.
    pub slots: u32,
    /// What it stands for, in a sentence.
    pub description: String,
    /// When it was last changed.
    pub updated_at: Micros,
}

/// A run on the day it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct RunNew {
    /// Its first state.
    pub row: RunRow,
    /// What it will do.
    pub plan: Arc<RunPlan>,
    /// The key under which a repeated submission finds it.
    pub idempotency: Option<Idempotency>,
    /// The request it serves.
    pub request: Option<RequestRow>,
}

/// A submission's key: the same again gives the same run.
///
/// Unique for (tenant, principal, route, key); lives as long as the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Who submitted.
    pub principal: PrincipalName,
    /// The route's name, for example `run_create`.
    pub route: String,
    /// What the client sent.
    pub key: String,
}

/// An idempotency key with what was submitted under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key.
    pub key: IdempotencyKey,
    /// SHA-256 of the submission, so that another one under the same key is refused.
    pub fingerprint: Digest,
}

/// A requester's order; its state is its run's.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The request.
    pub request: RequestId,
    /// The run it became.
    pub run: RunId,
    /// The analysis asked for.
    pub analysis: AnalysisName,
    /// The version that was chosen.
    pub analysis_digest: Digest,
    /// The inputs as given: input name to dataset reference.
    pub inputs: Value,
    /// The parameters as given.
    pub params: Value,
    /// For what, in the requester's words; empty where not said.
    pub purpose: String,
    /// Who asked.
    pub principal: PrincipalName,
    /// When.
    pub created_at: Micros,
}

/// A run's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// The DAG.
    pub dag: DagName,
    /// The DAG's version.
    pub dag_version: Digest,
    /// Where it stands.
    pub state: RunState,
    /// The request it serves.
    pub request: Option<RequestId>,
    /// Who started it.
    pub principal: PrincipalName,
    /// When it was made.
    pub created_at: Micros,
    /// When it left `queued`.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub ended_at: Option<Micros>,
}

/// A task instance's state.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub key: InstanceKey,
    /// Where it stands.
    pub state: TaskState,
    /// Why it did not succeed, or why its last attempt did not.
    pub cause: Option<Cause>,
    /// One sentence on that, for people; safe to show as text only.
    pub message: Option<String>,
    /// The fence of its newest lease; 0 where it was never leased.
    pub fence: Fence,
    /// Tries spent.
    pub tries: u32,
    /// Losses by the infrastructure so far.
    pub losses: u32,
    /// Since when it has been ready without a break.
    pub ready_at: Option<Micros>,
    /// When its retry delay ends.
    pub due_at: Option<Micros>,
    /// When its newest attempt started.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub ended_at: Option<Micros>,
    /// What its accepted attempt produced.
    pub outputs: Option<Outputs>,
}

/// An attempt. `live` exactly while its lease is: at most one of an instance is.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub key: InstanceKey,
    /// The lease's fence.
    pub fence: Fence,
    /// Which try this is, from 1; a try that the infrastructure lost counts again.
    pub try_number: u32,
    /// Whether the lease is alive.
    pub live: bool,
    /// The executor.
    pub executor: ExecutorId,
    /// The executor's incarnation.
    pub executor_epoch: Epoch,
    /// SHA-256 of the lease's token.
    pub token_hash: Digest,
    /// When the lease was granted.
    pub granted_at: Micros,
    /// When the container started.
    pub started_at: Option<Micros>,
    /// When the attempt ended.
    pub ended_at: Option<Micros>,
    /// How it ended: `succeeded`, `failed`, `timed_out`, `crashed`, `cancelled`.
    pub outcome: Option<TaskState>,
    /// Why it did not succeed.
    pub cause: Option<Cause>,
    /// One sentence on that.
    pub message: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// Digest of the accepted report, by which an identical one is known.
    pub report_digest: Option<Digest>,
    /// Peaks, timings, what was dropped, sizes and digests of the logs: as reported.
    pub report: Option<Value>,
    /// The receipt.
    pub receipt: Option<BlobRef>,
}

/// A report that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub key: InstanceKey,
    /// The fence it came under.
    pub fence: Fence,
    /// The report's digest.
    pub report_digest: Digest,
    /// Why it was not accepted: `stale_fence`, `digest_mismatch`, `replay` …
    pub verdict: String,
    /// When it came.
    pub received_at: Micros,
}

/// An executor.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutorRow {
    /// The tenant whose installation it serves.
    pub tenant: TenantId,
    /// The executor.
    pub executor: ExecutorId,
    /// What its operator calls it.
    pub name: String,
    /// Its incarnation.
    pub epoch: Epoch,
    /// How many task instances it runs at once.
    pub slots: u32,
    /// Versions, runtimes, self-test, labels: as it registered.
    pub info: Value,
    /// When this incarnation registered.
    pub registered_at: Micros,
}

/// An access token of a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The token's public half.
    pub token: TokenId,
    /// Who it stands for.
    pub principal: PrincipalName,
    /// What it may do: `admin` is the one role there is.
    pub role: String,
    /// SHA-256 of the secret half.
    pub secret_hash: Digest,
    /// When it was made.
    pub created_at: Micros,
    /// When it stopped counting.
    pub revoked_at: Option<Micros>,
}

/// A message to somebody outside.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The event it tells of; with `channel` the key.
    pub seq: EventSeq,
    /// By what it is delivered, for example `webhook`.
    pub channel: String,
    /// Where to, and what.
    pub payload: Value,
    /// When it was made.
    pub created_at: Micros,
    /// Attempts to deliver it so far.
    pub attempts: u32,
    /// When it was delivered.
    pub delivered_at: Option<Micros>,
}

/// Something that happened, for the UI, the audit and the trace: the attributes of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The tenant.
    pub tenant: TenantId,
    /// Its place in the installation's one log, from 1, without gaps.
    pub seq: EventSeq,
    /// What happened, for example `task.running`.
    pub kind: String,
    /// To what: `run_…/task`, `dag/name`, `dataset/name`.
    pub subject: String,
    /// The run it belongs to, if any.
    pub run: Option<RunId>,
    /// When.
    pub time: Micros,
    /// The details; an object.
    pub data: Value,
}

/// Everything that a new leader's engine starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The newest event's place; 0 where there is none.
    pub last_seq: EventSeq,
    /// All DAGs.
    pub dags: Vec<DagRow>,
    /// All analysis versions.
    pub analyses: Vec<AnalysisRow>,
    /// All datasets.
    pub datasets: Vec<DatasetRow>,
    /// The newest version of each.
    pub dataset_versions: Vec<DatasetVersionRow>,
    /// All pools.
    pub pools: Vec<PoolRow>,
    /// All executors' newest registrations.
    pub executors: Vec<ExecutorRow>,
    /// The runs that are `running` or `cancelling`.
    pub runs: Vec<StoredRun>,
    /// For each DAG with queued runs, how many there are.
    pub queued: Vec<(TenantId, DagName, u64)>,
}

/// A run with all that the engine needs of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// Its state.
    pub row: RunRow,
    /// What it does.
    pub plan: Arc<RunPlan>,
    /// Its idempotency key.
    pub idempotency: Option<Idempotency>,
    /// Its task instances.
    pub tasks: Vec<TaskRow>,
    /// Its live attempts.
    pub attempts: Vec<AttemptRow>,
}
