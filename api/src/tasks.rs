//! Task instances, their attempts and what they gave out.

use crate::runs::{ExecutorRef, RunTask, TaskStateSchema};
use crate::time::Time;
use belljar_ids::{Cause, Digest, Fence, RunId, TaskState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Which instance of a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InstanceQuery {
    /// Which mapped instance, from 0; not given where the task is not mapped.
    pub index: Option<i32>,
}

/// How an artifact is to be sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ArtifactQuery {
    /// Which mapped instance, from 0; not given where the task is not mapped.
    pub index: Option<i32>,
    /// `1` to be shown rather than saved; only for types that can be shown safely.
    pub inline: Option<u8>,
}

/// Which part of which log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Which mapped instance, from 0; not given where the task is not mapped.
    pub index: Option<i32>,
    /// The fence of the attempt; the newest attempt's where not given.
    pub attempt: Option<i64>,
    /// `stdout` (default) or `stderr`.
    pub stream: Option<String>,
    /// Bytes before the first that is wanted; default 0.
    pub offset: Option<u64>,
    /// The most bytes to send: 1 to 4,194,304, default 1,048,576.
    pub limit: Option<u64>,
    /// Where nothing is there yet, answer when something is, but after at most this long: `30s`.
    pub follow: Option<String>,
}

/// A task instance with its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The instance.
    pub task: RunTask,
    /// The analysis's identity.
    #[schema(value_type = String)]
    pub analysis_digest: Digest,
    /// Where each input comes from: `dataset:<name>@<version>` or `task:<task>/<output>`.
    pub inputs: BTreeMap<String, String>,
    /// The content of `/in/params.json`.
    pub params: serde_json::Value,
    /// The limits in force.
    pub resources: Resources,
    /// Its attempts, the newest first.
    pub attempts: Vec<Attempt>,
    /// Its result, where it succeeded.
    pub result: Option<BlobInfo>,
    /// Its artifacts, where it succeeded.
    pub artifacts: Vec<Artifact>,
    /// The moment for which a wait reason holds.
    pub as_of: Time,
}

/// The limits of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// One try of a task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Its fence, by which it is named: grows from lease to lease.
    #[schema(value_type = i64)]
    pub fence: Fence,
    /// Which try, from 1; a try lost by the infrastructure counts again.
    pub try_number: u32,
    /// Whether its lease is alive.
    pub live: bool,
    /// Where it runs or ran.
    pub executor: ExecutorRef,
    /// When the lease was granted.
    pub granted_at: Time,
    /// When the program started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// How it ended.
    #[schema(value_type = Option<TaskStateSchema>)]
    pub outcome: Option<TaskState>,
    /// Why it did not succeed.
    #[schema(value_type = Option<String>)]
    pub cause: Option<Cause>,
    /// One sentence on that; show it as text only.
    pub message: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// What it used at most.
    pub peaks: Peaks,
    /// Where the time went, milliseconds by step.
    pub timings_ms: BTreeMap<String, u64>,
    /// Its two logs; while it lives, what has arrived so far.
    pub logs: Logs,
    /// Files in `/out` that nothing declared: counted and dropped.
    pub dropped_files: u64,
    /// The record of what ran; fetch it at `…/attempts/{fence}/receipt`.
    pub receipt: Option<BlobInfo>,
}

/// What an attempt used at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peaks {
    /// Memory, bytes, the sandbox's own included.
    pub memory_bytes: Option<u64>,
    /// Processor time, milliseconds, the sandbox's own included.
    pub cpu_ms: Option<u64>,
    /// Processes and threads, the sandbox's own included.
    pub pids: Option<u64>,
}

/// An attempt's two logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Logs {
    /// Standard output.
    pub stdout: Log,
    /// Standard error.
    pub stderr: Log,
}

/// One log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// Bytes that can be read.
    pub size: u64,
    /// Whether nothing will follow.
    pub complete: bool,
    /// Whether the program wrote more than is kept.
    pub truncated: bool,
}

/// Bytes by their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobInfo {
    /// What they hash to.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// A declared output file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    /// Its key in the manifest.
    pub name: String,
    /// Its path below `/out`.
    pub path: String,
    /// Its media type as the manifest declares it (RFC 6838).
    pub media_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// What they hash to.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// Whether `?inline=1` shows it.
    pub inline: bool,
}

/// Every artifact of a task instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Artifacts {
    /// The artifacts, by name.
    pub items: Vec<Artifact>,
}

/// Every task instance of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunTasks {
    /// The instances, every one after all it depends on.
    pub items: Vec<RunTask>,
    /// The moment for which the wait reasons hold.
    pub as_of: Time,
}
