//! Parameters: those of a run against its DAG, those of a task against its analysis.

use crate::code;
use crate::dag::{Dag, Task};
use crate::expression::{self, Context, has_expressions};
use belljar_manifest::diagnostic::join_pointer;
use belljar_manifest::schema::{self, CompiledSchema};
use belljar_manifest::{Diagnostic, InstanceProblem, Manifest};
use serde_json::Value;

/// The parameters of a run: `given`, an object, with the DAG's defaults put in and checked
/// against the DAG's schema.
///
/// # Errors
///
/// BJ0405 for each problem, with its pointer into the parameters.
pub fn run_params(dag: &Dag, given: Value) -> Result<Value, Vec<Diagnostic>> {
    let mut params = given;
    match &dag.spec().params {
        Some(schema) => {
            schema::apply_defaults(schema, &mut params);
            let compiled = schema::compile_params(schema, "")?;
            validate(&compiled, &params, "")?;
        }
        None if params.as_object().is_some_and(serde_json::Map::is_empty) => {}
        None => return Err(vec![error("", "the DAG has no parameters")]),
    }
    Ok(params)
}

/// The parameters of a task in a run: its expressions evaluated, the analysis's defaults put in,
/// and the whole checked against the analysis's schema. This is the content of `/in/params.json`.
///
/// # Errors
///
/// Every problem, with its pointer into the spec: BJ0305 and BJ0405.
pub fn task_params(
    task: &Task,
    manifest: &Manifest,
    context: &Context,
) -> Result<Value, Vec<Diagnostic>> {
    let pointer = pointer(task);
    let written = Value::from(task.params.clone());
    let mut params = expression::evaluate_value(&written, context, &pointer)?;
    match &manifest.params {
        Some(schema) => {
            schema::apply_defaults(schema, &mut params);
            let compiled = schema::compile_params(schema, "")?;
            validate(&compiled, &params, &pointer)?;
        }
        None if task.params.is_empty() => {}
        None => return Err(vec![error(&pointer, NO_PARAMS)]),
    }
    Ok(params)
}

const NO_PARAMS: &str = "the analysis has no parameters";

fn pointer(task: &Task) -> String {
    format!("{}/params", join_pointer("/tasks", task.name.as_str()))
}

fn error(pointer: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(&code::INVALID_PARAMS, pointer, message)
}

fn validate(schema: &CompiledSchema, params: &Value, pointer: &str) -> Result<(), Vec<Diagnostic>> {
    schema.validate(params).map_err(|problems| {
        problems
            .list
            .into_iter()
            .map(|problem| diagnostic(problem, pointer))
            .collect()
    })
}

fn diagnostic(problem: InstanceProblem, pointer: &str) -> Diagnostic {
    error(&format!("{pointer}{}", problem.pointer), problem.message)
}

/// What can be said about a task's parameters before a run gives its own.
pub(crate) fn check_static(task: &Task, manifest: &Manifest) -> Vec<Diagnostic> {
    let pointer = pointer(task);
    let Some(schema) = &manifest.params else {
        return if task.params.is_empty() {
            Vec::new()
        } else {
            vec![error(&pointer, NO_PARAMS)]
        };
    };
    let mut params = Value::from(task.params.clone());
    schema::apply_defaults(schema, &mut params);
    let compiled = match schema::compile_params(schema, "") {
        Ok(compiled) => compiled,
        // A published manifest was checked; this is one that was not.
        Err(problems) => return problems,
    };
    let found = compiled
        .validate(&params)
        .err()
        .into_iter()
        .flat_map(|problems| problems.list);
    let certain = found.filter(|problem| is_certain(problem, &params));
    certain
        .map(|problem| diagnostic(problem, &pointer))
        .collect()
}

/// Whether a problem stays whatever the expressions in `params` give: where there are none, or
/// where it only depends on which members there are.
fn is_certain(problem: &InstanceProblem, params: &Value) -> bool {
    match params.pointer(&problem.pointer) {
        Some(value) if has_expressions(value) => {
            value.is_object()
                && matches!(
                    problem.keyword.as_str(),
                    "required" | "additionalProperties" | "maxProperties" | "minProperties"
                )
        }
        _ => true,
    }
}
