//! Datasets, their versions, and who used them for what.

use crate::runs::TaskStateSchema;
use crate::time::Time;
use belljar_ids::{
    AnalysisName, DagName, DatasetName, Digest, Fence, PrincipalName, RequestId, RunId, TaskName,
    TaskState,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A dataset version to be made of bytes that were put to `/blobs/{digest}` before.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetVersionCreate {
    /// What the bytes hash to.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// Their media type (RFC 6838), for example `text/csv`.
    pub media_type: String,
    /// What the dataset is, in a sentence; left as it was where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dataset {
    /// The name.
    #[schema(value_type = String)]
    pub dataset: DatasetName,
    /// Who may use it and give it to others.
    #[schema(value_type = String)]
    pub owner: PrincipalName,
    /// What it is, in a sentence.
    pub description: String,
    /// The number of its newest version.
    pub latest: u32,
    /// When its first version was put in.
    pub created_at: Time,
}

/// One version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetVersion {
    /// The dataset.
    #[schema(value_type = String)]
    pub dataset: DatasetName,
    /// Counts versions from 1.
    pub number: u32,
    /// What its bytes hash to.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// Who put it in.
    #[schema(value_type = String)]
    pub created_by: PrincipalName,
    /// When.
    pub created_at: Time,
}

/// A dataset with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetDetail {
    /// The dataset.
    pub dataset: Dataset,
    /// Its newest versions, at most 100, the newest first.
    pub versions: Vec<DatasetVersion>,
}

/// Which uses of a dataset.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DatasetUsesQuery {
    /// Only uses of this version.
    pub version: Option<u32>,
    /// The most items on a page: 1 to 200, default 50.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One use of a dataset version: a task that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetUse {
    /// The version that was read.
    pub version: u32,
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The DAG of the run.
    #[schema(value_type = String)]
    pub dag: DagName,
    /// The request that the run serves.
    #[schema(value_type = Option<String>)]
    pub request: Option<RequestId>,
    /// Who started it.
    #[schema(value_type = String)]
    pub principal: PrincipalName,
    /// For what, in the requester's words; empty where not said.
    pub purpose: String,
    /// The task that reads it.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// As which of the analysis's inputs.
    pub input: String,
    /// The analysis.
    #[schema(value_type = String)]
    pub analysis: AnalysisName,
    /// Its version.
    pub analysis_version: String,
    /// Its identity.
    #[schema(value_type = String)]
    pub analysis_digest: Digest,
    /// Where the task stands.
    #[schema(value_type = TaskStateSchema)]
    pub state: TaskState,
    /// Its attempts, the newest first.
    pub attempts: Vec<DatasetUseAttempt>,
    /// When the run was made.
    pub at: Time,
}

/// One attempt that read a dataset version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetUseAttempt {
    /// Its fence.
    #[schema(value_type = i64)]
    pub fence: Fence,
    /// When its lease, and with it the data, was given to an executor.
    pub granted_at: Time,
    /// How it ended; none while it runs.
    #[schema(value_type = Option<TaskStateSchema>)]
    pub outcome: Option<TaskState>,
    /// Digest of its receipt.
    #[schema(value_type = Option<String>)]
    pub receipt: Option<Digest>,
}
