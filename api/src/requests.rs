//! Requests: one analysis, on given data, ordered by somebody.

use crate::runs::RunStateSchema;
use crate::time::Time;
use belljar_ids::{
    AnalysisName, Cause, Digest, PrincipalName, RequestId, RunId, RunState, TaskName,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A request to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestCreate {
    /// The analysis: `name@range`, `name@sha256:…`, or `name` for its newest version.
    pub analysis: String,
    /// Which dataset is which input: `posts`, `posts@3` or `dataset:posts@3`.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The parameters; what is not given takes its default from the manifest's schema.
    #[serde(default)]
    pub params: serde_json::Map<String, Value>,
    /// For what, in the requester's words; at most 500 characters.
    #[serde(default)]
    pub purpose: String,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Its id, `req_…`.
    #[schema(value_type = String)]
    pub request: RequestId,
    /// The run it became.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The run's only task, under which attempts, logs and artifacts are found.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// Where its run stands.
    #[schema(value_type = RunStateSchema)]
    pub state: RunState,
    /// Why it did not succeed.
    #[schema(value_type = Option<String>)]
    pub cause: Option<Cause>,
    /// One sentence on that; show it as text only.
    pub message: Option<String>,
    /// The analysis.
    #[schema(value_type = String)]
    pub analysis: AnalysisName,
    /// The identity of the version that was chosen.
    #[schema(value_type = String)]
    pub analysis_digest: Digest,
    /// The inputs, resolved: `dataset:posts@3`.
    pub inputs: BTreeMap<String, String>,
    /// The parameters as given.
    pub params: Value,
    /// For what, in the requester's words.
    pub purpose: String,
    /// Who asked.
    #[schema(value_type = String)]
    pub principal: PrincipalName,
    /// When.
    pub created_at: Time,
    /// When its run started.
    pub started_at: Option<Time>,
    /// When its run ended.
    pub ended_at: Option<Time>,
}
