//! Pools, and who holds their slots.

use crate::runs::ExecutorRef;
use crate::time::Time;
use belljar_ids::{MapIndex, PoolName, RunId, TaskName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A pool to be made or changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSet {
    /// How many slots it has: 0 (lets nothing through) to 1,000,000.
    pub slots: u32,
    /// What it stands for, in a sentence; left as it was where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A shared limit that tasks draw on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// The name.
    #[schema(value_type = String)]
    pub pool: PoolName,
    /// How many slots it has.
    pub slots: u32,
    /// How many of them live leases hold; more than `slots` for a while where it was made smaller.
    pub used: u32,
    /// What it stands for, in a sentence.
    pub description: String,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A pool with who holds its slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolDetail {
    /// The pool.
    pub pool: Pool,
    /// The task instances that hold slots.
    pub holders: Vec<PoolHolder>,
    /// The moment for which `used` and `holders` hold.
    pub as_of: Time,
}

/// A task instance that holds slots of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolHolder {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The task.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// Which mapped instance; -1 where the task is not mapped.
    #[schema(value_type = i32)]
    pub map_index: MapIndex,
    /// How many slots.
    pub slots: u32,
    /// Where it runs.
    pub executor: ExecutorRef,
    /// Since when.
    pub since: Time,
}
