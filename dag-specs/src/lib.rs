//! YAML to DAG, pure: text in, a valid [`Dag`] or all its problems out.
//!
//! This crate owns the DAG spec's format, its rules, its canonical form and hash, the expressions
//! in it and the check of a DAG against published analyses. It leaves to others what a run does
//! with a DAG (`scheduler/engine`) and does no I/O.

mod dag;
mod graph;
mod names;
mod spec;
mod validate;

pub use dag::{
    DEFAULT_ACTIVE_RUNS, DEFAULT_ACTIVE_TASKS, DEFAULT_PRIORITY, Dag, RetryPolicy, Task,
    TaskTimeout,
};
pub use graph::{Graph, TaskIndex};
pub use names::{
    AnalysisRef, AnalysisSelector, DagName, DagVersion, DatasetName, DatasetSelector, InputSource,
    InvalidReference, PoolName, TaskName,
};
pub use spec::{
    Defaults, Factor, InvalidFactor, Jitter, Limits, PoolUse, ResourceOverrides, Retries, Spec,
    TaskSpec,
};
