//! YAML to DAG, pure: text in, a valid [`Dag`] or all its problems out.
//!
//! This crate owns the DAG spec's format, its rules, its canonical form and hash, the expressions
//! in it and the check of a DAG against published analyses. It leaves to others what a run does
//! with a DAG (`scheduler/engine`) and does no I/O.

mod apply;
pub mod code;
mod dag;
pub mod expression;
mod graph;
mod names;
pub mod params;
mod parse;
mod spec;
mod validate;

pub use apply::{Catalogue, DatasetInfo, ResolvedAnalysis, check_against};
pub use code::explain;
pub use dag::{
    DEFAULT_ACTIVE_RUNS, DEFAULT_ACTIVE_TASKS, DEFAULT_PRIORITY, Dag, RetryPolicy, Task,
    TaskTimeout,
};
pub use graph::{Graph, TaskIndex};
pub use names::{
    AnalysisRef, AnalysisSelector, DagName, DagVersion, DatasetName, DatasetSelector, InputSource,
    InvalidReference, PoolName, TaskName,
};
pub use parse::{ParsedSpec, parse};
pub use spec::{
    Defaults, Factor, InvalidFactor, Jitter, Limits, PoolUse, ResourceOverrides, Retries, Spec,
    TaskSpec,
};
pub use validate::{MAX_EDGES, MAX_TASKS};

/// The machinery that manifests and DAG specs share.
pub use belljar_manifest as manifest;

/// The JSON Schema (draft 2020-12) of a DAG spec, for editors.
#[must_use]
pub fn dag_json_schema() -> serde_json::Value {
    belljar_manifest::editor_schema::<Spec>()
}
