//! What can be asked of the engine, and what it answers.

use crate::plan::{Outputs, RunPlan, Work};
use crate::rows::{
    AnalysisRow, AttemptRow, DagRow, DatasetVersionRow, Idempotency, IdempotencyKey, PoolRow,
    RequestRow, RunRow, StoredRun, TokenRow,
};
use belljar_ids::{
    AnalysisName, Cause, ClaimId, DagName, DatasetName, Digest, Epoch, ExecutorId, Fence,
    InstanceKey, PoolName, PrincipalName, RunId, TenantId, TokenId,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A change asked for. Every state change is one of these.
#[derive(Debug, Clone)]
pub enum Command {
    /// Makes a DAG, or gives it a new version. Answer: [`Reply::Dag`].
    DagApply(DagApply),
    /// Pauses or unpauses a DAG. Answer: [`Reply::Dag`].
    DagPause {
        /// The tenant.
        tenant: TenantId,
        /// The DAG.
        dag: DagName,
        /// Whether its queued runs are to stay queued.
        paused: bool,
        /// Who asks.
        principal: PrincipalName,
    },
    /// Publishes a version of an analysis. Answer: [`Reply::Analysis`]; refused with `conflict`
    /// where the version exists with another digest.
    AnalysisPut(Box<AnalysisRow>),
    /// Lets an analysis version run under plain `runc`, or takes that back. Answer: [`Reply::Analysis`].
    AnalysisTrust {
        /// The tenant.
        tenant: TenantId,
        /// The analysis.
        analysis: AnalysisName,
        /// The version.
        version: String,
        /// Whether it may.
        trusted: bool,
        /// The operator who says so.
        principal: PrincipalName,
    },
    /// Adds a version to a dataset, making the dataset where needed. Answer: [`Reply::Dataset`]; the
    /// number and times in the row are filled in. The same bytes as the newest version add nothing.
    DatasetPut {
        /// The version; `number` and `created_at` are ignored.
        version: DatasetVersionRow,
        /// What the dataset is; none leaves it as it was.
        description: Option<String>,
    },
    /// Makes or changes a pool. Answer: [`Reply::Pool`].
    PoolPut {
        /// The tenant.
        tenant: TenantId,
        /// The pool.
        pool: PoolName,
        /// Its slots.
        slots: u32,
        /// What it stands for; none leaves it as it was.
        description: Option<String>,
        /// Who asks.
        principal: PrincipalName,
    },
    /// Makes an access token. Answer: [`Reply::Done`].
    TokenPut(TokenRow),
    /// Revokes an access token. Answer: [`Reply::Done`].
    TokenRevoke(TokenRow),
    /// Makes a run. Answer: [`Reply::Run`].
    RunCreate(Box<RunCreate>),
    /// Brings in a queued run that may start now. For the leader alone. Answer: [`Reply::Done`].
    RunAdmit(Box<StoredRun>),
    /// Cancels a run. Answer: [`Reply::Cancel`]; a run that has ended stays as it ended.
    RunCancel {
        /// The tenant.
        tenant: TenantId,
        /// The run.
        run: RunId,
        /// Who asks.
        principal: PrincipalName,
    },
    /// An executor begins. Answer: [`Reply::Registered`].
    ExecutorRegister(Box<Register>),
    /// An executor asks for work. Answer: [`Reply::Claimed`], perhaps much later.
    Claim(Claim),
    /// The caller of a claim went away; what it would have got goes to others.
    ClaimAbandon {
        /// The executor.
        executor: ExecutorId,
        /// The claim.
        claim: ClaimId,
    },
    /// An executor lists its leases. Answer: [`Reply::Heartbeat`].
    Heartbeat(Heartbeat),
    /// Attempts ended. Answer: [`Reply::Completed`].
    Complete(Complete),
    /// Leases come back unused. Answer: [`Reply::Done`].
    Release {
        /// The executor.
        executor: ExecutorId,
        /// Its incarnation.
        epoch: Epoch,
        /// The leases.
        leases: Vec<LeaseRef>,
    },
    /// Time has passed. Answer: [`Reply::Done`].
    Tick,
}

/// A DAG's new version.
#[derive(Debug, Clone)]
pub struct DagApply {
    /// The tenant.
    pub tenant: TenantId,
    /// The DAG.
    pub dag: DagName,
    /// The canonical hash of the spec.
    pub version: Digest,
    /// The YAML.
    pub source: String,
    /// The canonical JSON.
    pub spec: Value,
    /// Whether it is to be paused; none leaves it as it was, and a new one unpaused.
    pub paused: Option<bool>,
    /// Who applies it.
    pub principal: PrincipalName,
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct RunCreate {
    /// The tenant.
    pub tenant: TenantId,
    /// Its id, drawn by the caller.
    pub run: RunId,
    /// What it will do; for a DAG's run, made from the version that is the DAG's head.
    pub plan: Arc<RunPlan>,
    /// Who asks.
    pub principal: PrincipalName,
    /// The submission's key.
    pub idempotency: Option<Idempotency>,
    /// The request it serves; its `run` and `created_at` are filled in.
    pub request: Option<RequestRow>,
}

/// A lease as its holder names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRef {
    /// The task instance.
    pub key: InstanceKey,
    /// The fence.
    pub fence: Fence,
    /// The token's text.
    pub token: String,
}

/// How far a held lease has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLease {
    /// The lease.
    pub lease: LeaseRef,
    /// Whether its program was started.
    pub started: bool,
}

/// An executor begins.
#[derive(Debug, Clone)]
pub struct Register {
    /// The tenant whose installation it serves.
    pub tenant: TenantId,
    /// The executor.
    pub executor: ExecutorId,
    /// What its operator calls it.
    pub name: String,
    /// How many task instances it runs at once.
    pub slots: u32,
    /// Whether it has gVisor.
    pub gvisor: bool,
    /// What else it says of itself.
    pub info: Value,
    /// The leases in its journal.
    pub held: Vec<HeldLease>,
}

/// An executor asks for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The claim.
    pub claim: ClaimId,
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// How many leases it can take.
    pub free_slots: u32,
    /// How long the answer may wait, milliseconds.
    pub wait_ms: u64,
}

/// An executor lists its leases.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// All it holds.
    pub leases: Vec<HeldLease>,
    /// Why it takes no work.
    pub unavailable: Option<String>,
}

/// Attempts ended.
#[derive(Debug, Clone)]
pub struct Complete {
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// What ended.
    pub reports: Vec<Report>,
    /// The next claim, answered with this.
    pub claim: Option<Claim>,
}

/// How one attempt ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which.
    pub lease: LeaseRef,
    /// What the report hashes to.
    pub digest: Digest,
    /// Why it did not succeed; none where it did.
    pub cause: Option<Cause>,
    /// One sentence on that.
    pub message: Option<String>,
    /// Whether the program ended before anything was killed.
    pub ended_by_itself: bool,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// How long before the report the program started, milliseconds.
    pub started_ms_ago: Option<u64>,
    /// What it produced; there exactly where `cause` is not.
    pub outputs: Option<Outputs>,
    /// Peaks, timings, logs: kept as they are.
    pub detail: Value,
    /// The receipt.
    pub receipt: Option<crate::plan::BlobRef>,
}

/// What the leader looked up in the database before it applied a batch. It is the only writer, so
/// these facts hold until the batch is applied.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Keys already used, with what was submitted under them.
    pub idempotency: HashMap<IdempotencyKey, (Digest, RunId)>,
    /// Runs that are not in the engine.
    pub runs: HashMap<RunId, RunRow>,
    /// Queued runs that a command is about.
    pub queued: HashMap<RunId, StoredRun>,
    /// Attempts that a report is about and whose lease is not alive.
    pub attempts: HashMap<(InstanceKey, Fence), AttemptRow>,
}

/// What [`Facts`] a command needs; asked by [`crate::Engine::wanted`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Keys to be looked up.
    pub idempotency: Vec<IdempotencyKey>,
    /// Runs to be looked up; queued ones with their plan and tasks.
    pub runs: Vec<RunId>,
    /// Attempts to be looked up.
    pub attempts: Vec<(InstanceKey, Fence)>,
}

/// A right answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Done, and nothing to tell.
    Done,
    /// The DAG as it is now.
    Dag {
        /// Its head.
        dag: DagRow,
        /// Whether the command made a new version.
        changed: bool,
    },
    /// The analysis version as it is now.
    Analysis {
        /// The row.
        analysis: Box<AnalysisRow>,
        /// Whether the command made it.
        created: bool,
    },
    /// The dataset version.
    Dataset {
        /// The row.
        version: DatasetVersionRow,
        /// Whether the command made it.
        created: bool,
    },
    /// The pool as it is now.
    Pool(PoolRow),
    /// The run.
    Run {
        /// Its state.
        row: RunRow,
        /// Whether the command made it; false for a repeated submission.
        created: bool,
    },
    /// The run after a cancel.
    Cancel {
        /// Its state.
        row: RunRow,
        /// Whether it had already ended.
        ended: bool,
    },
    /// An executor's incarnation, and one verdict for each lease held.
    Registered {
        /// The incarnation.
        epoch: Epoch,
        /// The verdicts.
        verdicts: Vec<LeaseVerdict>,
    },
    /// Leases, and leases to be stopped.
    Claimed(Claimed),
    /// One verdict for each lease listed.
    Heartbeat(Vec<LeaseVerdict>),
    /// One verdict for each report, and the claim's answer.
    Completed {
        /// The verdicts.
        verdicts: Vec<ReportVerdict>,
        /// The answer to the claim that came along.
        claimed: Claimed,
    },
}

/// The answer to a claim.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// New leases.
    pub leases: Vec<Granted>,
    /// Leases to be stopped.
    pub cancel: Vec<(InstanceKey, Fence)>,
}

/// A new lease.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The tenant.
    pub tenant: TenantId,
    /// The lease.
    pub lease: LeaseRef,
    /// Which try, from 1.
    pub try_number: u32,
    /// The plan it belongs to.
    pub plan: Arc<RunPlan>,
    /// The task's place in the plan.
    pub index: usize,
    /// The outputs of the tasks upstream that it reads from, by task name.
    pub upstream: BTreeMap<belljar_ids::TaskName, Arc<Outputs>>,
}

impl Granted {
    /// What is to be run.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.plan.tasks[self.index].work
    }
}

/// What the engine says of one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseVerdict {
    /// Renewed.
    Ok,
    /// To be stopped and reported.
    Cancel,
    /// Not the caller's any more.
    Gone,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportVerdict {
    /// It is the outcome, or already was.
    Accepted,
    /// Its lease is not the current one.
    StaleFence,
    /// Another report was accepted under its lease.
    DigestMismatch,
    /// It contradicts itself.
    Invalid,
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing for this tenant.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It is there already, and differs.
    #[error("{0}")]
    Conflict(String),
    /// The idempotency key was used for something else.
    #[error("this idempotency key was used for another submission; take a new key")]
    IdempotencyMismatch,
    /// The DAG got a new version while the run was being planned: plan it again.
    #[error("DAG `{0}` got a new version meanwhile; try again")]
    PlanOutdated(DagName),
    /// Only the owner may do this.
    #[error("dataset `{0}` belongs to somebody else")]
    NotOwner(DatasetName),
    /// A newer incarnation of the executor has registered.
    #[error("executor {0} registered again since; this incarnation must stop")]
    ExecutorFenced(ExecutorId),
    /// The executor never registered here.
    #[error("executor {0} is not registered; register first")]
    ExecutorUnknown(ExecutorId),
    /// The token exists already.
    #[error("token {0} exists already")]
    TokenExists(TokenId),
}
