//! Rows as they are sent.

mod catalogue;

pub use catalogue::{
    analysis, analysis_detail, dag, dag_tasks, dag_version, dataset, dataset_version, pool,
};

use super::requests::describe;
use belljar_api::dags::{Edge, PoolNeed};
use belljar_api::runs::{ExecutorRef, Run, RunTask, Wait, WaitReason};
use belljar_api::tasks::{Artifact, Attempt, BlobInfo, Log, Logs, Peaks, Resources, TaskDetail};
use belljar_api::{Time, requests};
use belljar_engine::plan::{BlobRef, PlannedTask, RunPlan};
use belljar_engine::rows::{AttemptRow, RunRow, TaskRow};
use belljar_engine::view;
use belljar_ids::{Cause, Digest, InstanceKey, MapIndex, Micros, RunId, TaskState};
use belljar_store::RequestView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Media types that a browser can show without running anything, under the artifact's own policy.
pub const INLINE_TYPES: [&str; 8] = [
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "text/html",
    "text/plain",
    "application/json",
];

/// What an attempt's report says beside its outcome; stored as it was reported.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportDetail {
    /// Bytes of the two logs.
    pub logs: belljar_api::executor::LogEnds,
    /// What it used at most.
    pub peaks: belljar_api::executor::Peaks,
    /// Where the time went, milliseconds by step.
    pub timings_ms: BTreeMap<String, u64>,
    /// Files that nothing declared.
    pub dropped_files: u64,
}

/// A run.
#[must_use]
pub fn run(row: RunRow) -> Run {
    Run {
        run: row.run,
        dag: row.dag,
        dag_version: row.dag_version,
        state: row.state,
        request: row.request,
        principal: row.principal,
        created_at: row.created_at.into(),
        started_at: row.started_at.map(Time::from),
        ended_at: row.ended_at.map(Time::from),
    }
}

/// The edges of a plan.
#[must_use]
pub fn edges(plan: &RunPlan) -> Vec<Edge> {
    let of_task = |task: &PlannedTask| {
        let ups = task
            .upstream
            .iter()
            .filter_map(|up| plan.tasks.get(*up as usize));
        let to = task.name.clone();
        ups.map(|up| Edge {
            from: up.name.clone(),
            to: to.clone(),
        })
        .collect::<Vec<_>>()
    };
    plan.tasks.iter().flat_map(of_task).collect()
}

/// The task instances of a run, every one after all it depends on. What has no row yet is pending.
#[must_use]
pub fn run_tasks(
    plan: &RunPlan,
    rows: &[TaskRow],
    waits: &[view::Wait],
    now: Micros,
) -> Vec<RunTask> {
    let rows: HashMap<_, _> = rows.iter().map(|row| (&row.key.task, row)).collect();
    let waits: HashMap<_, _> = waits.iter().map(|wait| (&wait.key.task, wait)).collect();
    let of_task = |planned: &PlannedTask| {
        let wait = waits.get(&planned.name);
        run_task(
            planned,
            rows.get(&planned.name).copied(),
            wait.map(|found| self::wait(&found.reason, now)),
        )
    };
    plan.tasks.iter().map(of_task).collect()
}

/// A task instance.
#[must_use]
pub fn run_task(planned: &PlannedTask, row: Option<&TaskRow>, wait: Option<Wait>) -> RunTask {
    let time = |of: fn(&TaskRow) -> Option<Micros>| row.and_then(of).map(Time::from);
    RunTask {
        task: planned.name.clone(),
        map_index: row.map_or(MapIndex::NONE, |row| row.key.map_index),
        analysis: planned.work.analysis.to_string(),
        analysis_version: planned.work.analysis_version.clone(),
        state: row.map_or(TaskState::Pending, |row| row.state),
        cause: row.and_then(|row| row.cause),
        message: row.and_then(|row| row.message.clone()),
        tries: row.map_or(0, |row| row.tries),
        max_attempts: planned.retries.max_attempts,
        losses: row.map_or(0, |row| row.losses),
        priority: planned.priority,
        pools: planned
            .pools
            .iter()
            .map(|need| PoolNeed {
                pool: need.pool.to_string(),
                slots: need.slots,
            })
            .collect(),
        ready_at: time(|row| row.ready_at),
        due_at: time(|row| row.due_at),
        started_at: time(|row| row.started_at),
        ended_at: time(|row| row.ended_at),
        wait,
    }
}

/// Why something waits.
#[must_use]
pub fn wait(reason: &view::WaitReason, now: Micros) -> Wait {
    use view::WaitReason as R;
    let (name, blocked_by) = match reason {
        R::Upstream(tasks) => (WaitReason::Upstream, tasks.clone()),
        R::RetryDelay(_) => (WaitReason::RetryDelay, Vec::new()),
        R::DagPaused(dag) => (WaitReason::DagPaused, vec![format!("dag/{dag}")]),
        R::RunLimit(dag) => (WaitReason::DagLimit, vec![format!("dag/{dag}")]),
        R::GlobalLimit(_) => (WaitReason::GlobalLimit, Vec::new()),
        R::DagLimit(dag, _) => (WaitReason::DagLimit, vec![format!("dag/{dag}")]),
        R::PoolSlots { pool, .. } => (WaitReason::PoolSlots, vec![format!("pool/{pool}")]),
        R::Behind(_) => (WaitReason::Behind, Vec::new()),
        R::NoExecutor { .. } => (WaitReason::NoExecutor, Vec::new()),
        R::ExecutorsFull(_) => (WaitReason::ExecutorsFull, Vec::new()),
    };
    Wait {
        reason: name,
        blocked_by,
        message: reason.sentence(now),
    }
}

/// A task instance with its attempts, which come the newest first.
#[must_use]
pub fn task_detail(
    run: RunId,
    planned: &PlannedTask,
    row: Option<&TaskRow>,
    wait: Option<Wait>,
    attempts: Vec<Attempt>,
    now: Micros,
) -> TaskDetail {
    let outputs = row.and_then(|row| row.outputs.as_ref());
    let limits = planned.work.resources;
    TaskDetail {
        run,
        task: run_task(planned, row, wait),
        analysis_digest: planned.work.analysis_digest,
        inputs: planned
            .work
            .inputs
            .iter()
            .map(|(name, input)| (name.to_string(), describe(input)))
            .collect(),
        params: planned.work.params.clone(),
        resources: Resources {
            cpu_millis: limits.cpu_millis,
            memory_bytes: limits.memory_bytes,
            disk_bytes: limits.disk_bytes,
            tmp_bytes: limits.tmp_bytes,
            pids: limits.pids,
            timeout_ms: limits.timeout_ms,
        },
        attempts,
        result: outputs.map(|outputs| blob(&outputs.result.blob)),
        artifacts: row.map_or_else(Vec::new, artifacts),
        as_of: now.into(),
    }
}

/// The artifacts of a task instance, by name.
#[must_use]
pub fn artifacts(row: &TaskRow) -> Vec<Artifact> {
    let of = row.outputs.iter().flat_map(|outputs| &outputs.artifacts);
    of.map(|(name, artifact)| Artifact {
        name: name.to_string(),
        path: artifact.path.clone(),
        media_type: artifact.media_type.clone(),
        size: artifact.blob.size,
        digest: artifact.blob.digest,
        inline: can_inline(&artifact.media_type),
    })
    .collect()
}

/// Whether a media type is one of [`INLINE_TYPES`], its parameters left aside.
#[must_use]
pub fn can_inline(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    INLINE_TYPES
        .iter()
        .any(|inline| inline.eq_ignore_ascii_case(essence))
}

/// An attempt. `sizes` are the bytes of its two logs that have arrived.
#[must_use]
pub fn attempt(row: AttemptRow, executor: Option<String>, sizes: [u64; 2]) -> Attempt {
    let detail = report_detail(&row);
    let log = |end: &belljar_api::executor::LogEnd, arrived: u64| Log {
        size: arrived,
        complete: !row.live && arrived >= end.size,
        truncated: end.truncated,
    };
    Attempt {
        fence: row.fence,
        try_number: row.try_number,
        live: row.live,
        executor: ExecutorRef {
            executor: row.executor,
            name: executor,
        },
        granted_at: row.granted_at.into(),
        started_at: row.started_at.map(Time::from),
        ended_at: row.ended_at.map(Time::from),
        outcome: row.outcome,
        cause: row.cause,
        message: row.message,
        exit_code: row.exit_code,
        logs: Logs {
            stdout: log(&detail.logs.stdout, sizes[0]),
            stderr: log(&detail.logs.stderr, sizes[1]),
        },
        peaks: Peaks {
            memory_bytes: detail.peaks.memory_bytes,
            cpu_ms: detail.peaks.cpu_ms,
            pids: detail.peaks.pids,
        },
        timings_ms: detail.timings_ms,
        dropped_files: detail.dropped_files,
        receipt: row.receipt.as_ref().map(blob),
    }
}

/// What the attempt's report said; nothing where there is none or it was stored by something older.
#[must_use]
pub fn report_detail(row: &AttemptRow) -> ReportDetail {
    let stored = row.report.clone().unwrap_or(Value::Null);
    serde_json::from_value(stored).unwrap_or_default()
}

/// Bytes by their digest.
#[must_use]
pub fn blob(blob: &BlobRef) -> BlobInfo {
    BlobInfo {
        digest: blob.digest,
        size: blob.size,
    }
}

/// A request. `failure` is its task's cause and message.
#[must_use]
pub fn request(found: RequestView, failure: (Option<Cause>, Option<String>)) -> requests::Request {
    let row = found.request;
    // The task has the analysis's name, and both names have the same rule.
    let task = row.analysis.as_str().parse();
    requests::Request {
        request: row.request,
        run: row.run,
        task: task.unwrap_or_else(|_| unreachable!("every analysis name is a task name")),
        state: found.state,
        cause: failure.0,
        message: failure.1,
        analysis: row.analysis,
        analysis_digest: row.analysis_digest,
        inputs: serde_json::from_value(row.inputs).unwrap_or_default(),
        params: row.params,
        purpose: row.purpose,
        principal: row.principal,
        created_at: row.created_at.into(),
        started_at: found.started_at.map(Time::from),
        ended_at: found.ended_at.map(Time::from),
    }
}

/// The key of a task's instance; the one there is where the task is not mapped.
///
/// # Errors
///
/// What is wrong with `index`.
pub fn instance(
    run: RunId,
    task: belljar_ids::TaskName,
    index: Option<i32>,
) -> Result<InstanceKey, &'static str> {
    match index {
        Some(index) if index < 0 => Err("`index` counts from 0"),
        index => Ok(InstanceKey {
            run,
            task,
            map_index: index.map_or(MapIndex::NONE, MapIndex),
        }),
    }
}

/// Whether `digest` is what these bytes hash to.
#[must_use]
pub fn hashes_to(bytes: &[u8], digest: &Digest) -> bool {
    use sha2::Digest as _;
    let found: [u8; 32] = sha2::Sha256::digest(bytes).into();
    found == *digest.as_bytes()
}
