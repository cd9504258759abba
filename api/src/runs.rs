//! Runs, and why what is in them waits.

use crate::dags::{Edge, PoolNeed};
use crate::time::Time;
use belljar_ids::{
    Cause, DagName, Digest, ExecutorId, MapIndex, PrincipalName, RequestId, RunId, RunState,
    TaskName, TaskState,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Where a run stands, for the OpenAPI document: the names of [`RunState`].
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = RunState)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "documented at RunState; a test compares the names"
)]
pub enum RunStateSchema {
    Queued,
    Running,
    Cancelling,
    Succeeded,
    Failed,
    Cancelled,
}

/// Where a task instance stands, for the OpenAPI document: the names of [`TaskState`].
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = TaskState)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "documented at TaskState; a test compares the names"
)]
pub enum TaskStateSchema {
    Pending,
    Ready,
    Leased,
    Running,
    Waiting,
    RetryWait,
    Cancelling,
    Succeeded,
    Failed,
    TimedOut,
    Crashed,
    Skipped,
    UpstreamFailed,
    Cancelled,
    Removed,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RunListQuery {
    /// Only runs of this DAG.
    pub dag: Option<String>,
    /// Only runs in this state.
    #[param(value_type = Option<String>)]
    pub state: Option<RunState>,
    /// The most items on a page: 1 to 200, default 50.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How long an answer may be held back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Answer when the run has ended, but after at most this long: `30s`, `500ms` or `1m`, at most 60 s.
    pub wait: Option<String>,
}

/// One execution of a DAG version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id, `run_…`.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The DAG; for a request the analysis's name.
    #[schema(value_type = String)]
    pub dag: DagName,
    /// The DAG's version; for a request the hash of its plan.
    #[schema(value_type = String)]
    pub dag_version: Digest,
    /// Where it stands.
    #[schema(value_type = RunStateSchema)]
    pub state: RunState,
    /// The request it serves.
    #[schema(value_type = Option<String>)]
    pub request: Option<RequestId>,
    /// Who started it.
    #[schema(value_type = String)]
    pub principal: PrincipalName,
    /// When it was made.
    pub created_at: Time,
    /// When it left `queued`.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// A run with its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its parameters after defaults.
    pub params: Value,
    /// Its task instances, every one after all it depends on.
    pub tasks: Vec<RunTask>,
    /// What has to succeed before what.
    pub edges: Vec<Edge>,
    /// Why the run itself waits, where it is `queued`.
    pub wait: Option<Wait>,
    /// The moment for which the wait reasons hold.
    pub as_of: Time,
}

/// One task instance of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunTask {
    /// The task.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// Which mapped instance; -1 where the task is not mapped.
    #[schema(value_type = i32)]
    pub map_index: MapIndex,
    /// The analysis.
    pub analysis: String,
    /// Its version.
    pub analysis_version: String,
    /// Where it stands.
    #[schema(value_type = TaskStateSchema)]
    pub state: TaskState,
    /// Why it, or its last attempt, did not succeed.
    #[schema(value_type = Option<String>)]
    pub cause: Option<Cause>,
    /// One sentence on that; show it as text only.
    pub message: Option<String>,
    /// Tries spent.
    pub tries: u32,
    /// Tries it has in all.
    pub max_attempts: u32,
    /// Losses by the infrastructure, which cost no try.
    pub losses: u32,
    /// Larger runs first among ready tasks.
    pub priority: i32,
    /// The pools it draws on.
    pub pools: Vec<PoolNeed>,
    /// Since when it has been ready.
    pub ready_at: Option<Time>,
    /// When its retry delay ends.
    pub due_at: Option<Time>,
    /// When its newest attempt started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Why it does not run now; none where it runs or has ended.
    pub wait: Option<Wait>,
}

/// Why something unfinished does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// The reason.
    pub reason: WaitReason,
    /// What stands in the way: a task, a pool, a DAG, an executor; empty where nothing single does.
    pub blocked_by: Vec<String>,
    /// The same in a sentence, for people.
    pub message: String,
}

/// Why something unfinished does not run: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Something upstream has not succeeded yet.
    Upstream,
    /// The delay before the next try.
    RetryDelay,
    /// A timer.
    Timer,
    /// An event.
    Event,
    /// A person's approval.
    Approval,
    /// The DAG is paused.
    DagPaused,
    /// The installation's limit of leases.
    GlobalLimit,
    /// The tenant's limit.
    TenantLimit,
    /// The run's limit.
    RunLimit,
    /// The DAG's limit of active runs or tasks.
    DagLimit,
    /// A group's limit.
    GroupLimit,
    /// The task's limit over all runs.
    TaskLimit,
    /// The run before has not ended.
    PreviousRun,
    /// No tries are left.
    RetriesExhausted,
    /// A pool has too few free slots.
    PoolSlots,
    /// A pool's rate.
    PoolRate,
    /// A limit by key.
    KeyLimit,
    /// Other tenants are due first.
    TenantShare,
    /// Others are ahead in order.
    Behind,
    /// Slots are being kept free for somebody who has waited too long.
    Reservation,
    /// No executor matches what it needs.
    NoExecutor,
    /// Every executor that matches is full.
    ExecutorsFull,
    /// A grant is missing.
    GrantMissing,
    /// The image is not ready.
    ImageNotReady,
    /// The scheduler has just started.
    SchedulerStarting,
}

/// Why everything unfinished in a run waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunWhy {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Why the run itself waits, where it is `queued`.
    pub wait: Option<Wait>,
    /// Every task instance that waits.
    pub tasks: Vec<TaskWhy>,
    /// The moment for which this holds.
    pub as_of: Time,
}

/// Why one task instance waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskWhy {
    /// The task.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// Which mapped instance; -1 where the task is not mapped.
    #[schema(value_type = i32)]
    pub map_index: MapIndex,
    /// Why.
    pub wait: Wait,
}

/// What a cancel did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunCancelled {
    /// The run as it is now; it may be `cancelling` until its containers are gone.
    pub run: Run,
    /// Whether it had already ended, and so nothing was changed.
    pub ended_before: bool,
}

/// An executor, as the holder of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutorRef {
    /// Its id, `exe_…`.
    #[schema(value_type = String)]
    pub executor: ExecutorId,
    /// What its operator calls it; none where it is not known any more.
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::PartialSchema;

    fn names<T: PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        serde_json::from_value(schema["enum"].clone()).unwrap()
    }

    #[test]
    fn the_document_names_every_state() {
        let states: Vec<_> = RunState::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(names::<RunStateSchema>(), states);
        let states: Vec<_> = TaskState::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(names::<TaskStateSchema>(), states);
    }
}
