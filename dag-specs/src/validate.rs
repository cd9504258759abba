//! The rules that a spec must keep in itself.

use crate::graph::{Graph, TaskIndex};
use crate::names::InputSource;
use crate::spec::Spec;
use belljar_manifest::{Diagnostic, Severity};
use std::collections::BTreeSet;

fn error(code: &str, pointer: String, message: String) -> Diagnostic {
    Diagnostic {
        code: code.to_owned(),
        severity: Severity::Error,
        message,
        file: String::new(),
        pointer,
        span: None,
        labels: Vec::new(),
        help: None,
        docs_url: None,
    }
}

/// The diagnostic for a text that is not a spec in JSON.
pub(crate) fn not_canonical(problem: &str) -> Diagnostic {
    error(
        "BJ0100",
        String::new(),
        format!("this is not a DAG spec in JSON: {problem}"),
    )
}

/// Checks `spec` and builds its graph.
pub(crate) fn validate(spec: &Spec) -> Result<Graph, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let names: Vec<_> = spec.tasks.keys().collect();
    let mut edges = BTreeSet::new();
    for (place, (name, task)) in spec.tasks.iter().enumerate() {
        let from_inputs = task.inputs.values().filter_map(|source| match source {
            InputSource::Task { task, .. } => Some(task),
            InputSource::Dataset { .. } => None,
        });
        for needed in task.needs.iter().chain(from_inputs) {
            match names.binary_search(&needed) {
                Ok(from) => {
                    edges.insert((TaskIndex::new(from), TaskIndex::new(place)));
                }
                Err(_) => problems.push(error(
                    "BJ0200",
                    format!("/tasks/{name}"),
                    format!("there is no task `{needed}`"),
                )),
            }
        }
    }
    let graph = Graph::new(spec.tasks.len(), edges).map_err(|cycles| {
        cycles
            .iter()
            .map(|_| {
                error(
                    "BJ0201",
                    "/tasks".to_owned(),
                    "the tasks form a cycle".to_owned(),
                )
            })
            .collect()
    });
    if problems.is_empty() {
        graph
    } else {
        Err(problems)
    }
}
