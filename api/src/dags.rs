//! DAGs and their versions.

use crate::problem::Diagnostic;
use crate::runs::Run;
use crate::time::Time;
use belljar_ids::{DagName, Digest, PrincipalName, TaskName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A DAG to be applied or validated, as JSON; the YAML itself may be sent as `text/yaml` instead.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DagSource {
    /// The YAML.
    pub source: String,
    /// The file's name, for the diagnostics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// How a DAG is applied.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DagApplyQuery {
    /// Whether it is to be paused; where not said, a known DAG stays as it was and a new one runs.
    pub paused: Option<bool>,
    /// Checks everything and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The file's name, for the diagnostics.
    pub file: Option<String>,
}

/// What applying a DAG did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DagApplied {
    /// The DAG as it is now; in a dry run, as it would be. None in a dry run of a new DAG.
    pub dag: Option<Dag>,
    /// The canonical hash of the spec.
    #[schema(value_type = String)]
    pub version: Digest,
    /// Whether this made (in a dry run: would make) a new version.
    pub created: bool,
    /// Things that are allowed and should be looked at.
    pub warnings: Vec<Diagnostic>,
}

/// What a check of a DAG found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DagValidation {
    /// Whether it could be applied.
    pub valid: bool,
    /// The DAG's name, where it could be read.
    #[schema(value_type = Option<String>)]
    pub dag: Option<DagName>,
    /// The canonical hash of the spec, where it is valid.
    #[schema(value_type = Option<String>)]
    pub version: Option<Digest>,
    /// Errors and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// A DAG as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dag {
    /// The name.
    #[schema(value_type = String)]
    pub dag: DagName,
    /// What it is for.
    pub description: Option<String>,
    /// The version that a new run takes.
    #[schema(value_type = String)]
    pub version: Digest,
    /// That version's number, from 1.
    pub number: u32,
    /// Whether queued runs stay queued.
    pub paused: bool,
    /// Who applied it first.
    #[schema(value_type = String)]
    pub owner: PrincipalName,
    /// When it was applied first.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// Its newest run.
    pub last_run: Option<Run>,
}

/// A DAG with what is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DagDetail {
    /// The DAG.
    pub dag: Dag,
    /// The YAML as it was applied.
    pub source: String,
    /// JSON Schema (draft 2020-12) of a run's parameters; none where it takes none.
    pub params_schema: Option<Value>,
    /// Its tasks, by name.
    pub tasks: Vec<DagTask>,
    /// What has to succeed before what.
    pub edges: Vec<Edge>,
    /// Its newest runs, at most 20, the newest first.
    pub recent_runs: Vec<Run>,
}

/// One task of a DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DagTask {
    /// The name.
    #[schema(value_type = String)]
    pub task: TaskName,
    /// The analysis, as written: `name@range` or `name@sha256:…`.
    pub analysis: String,
    /// What it does here.
    pub description: Option<String>,
    /// Where its inputs come from, as written.
    pub inputs: BTreeMap<String, String>,
    /// Larger runs first among ready tasks.
    pub priority: i32,
    /// The pools it draws on.
    pub pools: Vec<PoolNeed>,
    /// How often it is tried, the first time included.
    pub max_attempts: u32,
}

/// Slots of a pool that a task holds while it is leased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolNeed {
    /// The pool.
    pub pool: String,
    /// How many of its slots.
    pub slots: u32,
}

/// `from` has to succeed before `to` may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// The task upstream.
    #[schema(value_type = String)]
    pub from: TaskName,
    /// The task downstream.
    #[schema(value_type = String)]
    pub to: TaskName,
}

/// One version of a DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DagVersion {
    /// The DAG.
    #[schema(value_type = String)]
    pub dag: DagName,
    /// The canonical hash of the spec.
    #[schema(value_type = String)]
    pub version: Digest,
    /// Its number, from 1.
    pub number: u32,
    /// Whether a new run takes it.
    pub head: bool,
    /// The YAML as it was applied.
    pub source: String,
    /// Who applied it.
    #[schema(value_type = String)]
    pub created_by: PrincipalName,
    /// When.
    pub created_at: Time,
}

/// A run to be started.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunStart {
    /// The run's parameters; what is not given takes its default from the schema.
    #[serde(default)]
    pub params: serde_json::Map<String, Value>,
}
