//! Executors as an operator sees them.

use crate::time::Time;
use belljar_ids::{ExecutorId, Fence, MapIndex, RunId, TaskName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Executor {
    /// Its id, `exe_…`.
    #[schema(value_type = String)]
    pub executor: ExecutorId,
    /// What its operator calls it.
    pub name: String,
    /// Whether work can be given to it.
    pub state: ExecutorState,
    /// Why not, in its own words.
    pub unavailable: Option<String>,
    /// Its incarnation: grows with every restart.
    pub epoch: i64,
    /// How many task instances it runs at once.
    pub slots: u32,
    /// How many it holds.
    pub slots_used: u32,
    /// What it holds.
    pub leases: Vec<ExecutorLease>,
    /// How long ago it was last heard of, milliseconds; none where not since the scheduler started.
    pub last_heard_ms: Option<u64>,
    /// Whether it has gVisor.
    pub gvisor: bool,
    /// Versions, platform, cgroup version, self-test: as it registered.
    pub info: Value,
    /// When this incarnation registered.
    pub registered_at: Time,
}

/// Whether work can be given to an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorState {
    /// It is heard of and takes work.
    Online,
    /// It is heard of and takes no work; see `unavailable`.
    Unavailable,
    /// It has not been heard of for a lease's lifetime.
    Offline,
}

/// A lease that an executor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutorLease {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The task.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// Which mapped instance; -1 where the task is not mapped.
    #[schema(value_type = i32)]
    pub map_index: MapIndex,
    /// The lease's fence.
    #[schema(value_type = i64)]
    pub fence: Fence,
    /// When it was granted.
    pub granted_at: Time,
    /// When the program started.
    pub started_at: Option<Time>,
}
