//! `${{ … }}`: CEL in the parameters of tasks.
//!
//! CEL (the Common Expression Language) has no I/O and no recursion, but the `cel` crate bounds
//! neither time nor memory. So size and shape are bounded when a spec is read (`analyse`), and the
//! work with the parameters at hand is bounded before anything is evaluated (`cost`). Evaluation
//! is synchronous and belongs off the leader's loop; whoever calls it sets a deadline.
//!
//! A text that is one expression and nothing else keeps the expression's type; expressions inside
//! a text become part of it. `$${{` stands for the text `${{`.

mod analyse;
mod cost;
mod template;
mod value;

use crate::code;
use crate::spec::Spec;
use belljar_manifest::Diagnostic;
use belljar_manifest::diagnostic::{Target, join_pointer};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use template::{Part, Template};

/// The longest expression, in bytes.
pub const MAX_EXPRESSION: usize = 4 << 10;
/// The most that all parameters of a run may weigh in canonical JSON, in bytes.
pub const MAX_CONTEXT: usize = 64 << 10;

/// The most expressions in one DAG.
pub const MAX_EXPRESSIONS: usize = 10_000;

/// What the expressions of one run may read, and how much work they may do together.
#[derive(Debug, Clone)]
pub struct Context {
    params: Value,
    /// What was charged so far; clones of a context share it.
    spent: Arc<AtomicU64>,
}

/// Why an expression gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It cannot be read or uses what is not available.
    #[error("{0}")]
    Invalid(String),
    /// The parameters of the run are larger than [`MAX_CONTEXT`].
    #[error("the parameters have {0} bytes; expressions may read at most {MAX_CONTEXT} (64 KiB)")]
    ContextTooLarge(usize),
    /// It would take more work or memory than is allowed.
    #[error("the expression would do too much work with these parameters")]
    TooExpensive,
    /// It has no value with these parameters.
    #[error("{0}")]
    Failed(String),
    /// No thread could be started to evaluate it; trying again later may help.
    #[error("no thread could be started for the expression: {0}")]
    NoThread(String),
    /// Its value cannot be used where it stands.
    #[error("{0}")]
    NotUsable(String),
}

impl Context {
    /// The context of a run with these parameters, defaults already applied.
    ///
    /// # Errors
    ///
    /// [`ExpressionError::ContextTooLarge`].
    pub fn new(params: Value) -> Result<Self, ExpressionError> {
        let size = belljar_manifest::canonical::canonical_json(&params).len();
        if size > MAX_CONTEXT {
            return Err(ExpressionError::ContextTooLarge(size));
        }
        Ok(Self {
            params,
            spent: Arc::default(),
        })
    }
}

/// The value of one expression, without `${{` and `}}`. Blocks for as long as it takes: at most
/// some tens of milliseconds of work are let through.
///
/// # Errors
///
/// Why it has none.
pub fn evaluate(expression: &str, context: &Context) -> Result<Value, ExpressionError> {
    on_large_stack(|| evaluate_here(expression, context))?
}

fn evaluate_here(expression: &str, context: &Context) -> Result<Value, ExpressionError> {
    let program = analyse::compile(expression, None)
        .map_err(|problem| ExpressionError::Invalid(problem.message))?;
    let cost = cost::check(program.expression(), &context.params)?;
    if context.spent.fetch_add(cost, Ordering::Relaxed) > cost::RUN_LIMIT {
        return Err(ExpressionError::TooExpensive);
    }
    value::execute(&program, &context.params)
}

/// `value` with every expression in its texts replaced, at any depth.
///
/// # Errors
///
/// Every expression that has no value, with its pointer below `pointer`: BJ0305, or the code of
/// what is wrong with the expression itself.
pub fn evaluate_value(
    value: &Value,
    context: &Context,
    pointer: &str,
) -> Result<Value, Vec<Diagnostic>> {
    if !has_expressions(value) {
        return Ok(value.clone());
    }
    let fill_all = || {
        let mut problems = Vec::new();
        let result = fill(value, context, pointer, &mut problems);
        if problems.is_empty() {
            Ok(result)
        } else {
            Err(problems)
        }
    };
    on_large_stack(fill_all).unwrap_or_else(|error| {
        Err(vec![Diagnostic::error(
            &code::EXPRESSION_FAILED,
            pointer,
            error.to_string(),
        )])
    })
}

/// Whether there is an expression in `value`, at any depth.
#[must_use]
pub fn has_expressions(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${{"),
        Value::Array(items) => items.iter().any(has_expressions),
        Value::Object(members) => members.values().any(has_expressions),
        _ => false,
    }
}

fn fill(value: &Value, context: &Context, pointer: &str, problems: &mut Vec<Diagnostic>) -> Value {
    match value {
        Value::String(text) if text.contains("${{") => {
            fill_text(text, context).unwrap_or_else(|(part, error)| {
                let problem =
                    Diagnostic::error(&code::EXPRESSION_FAILED, pointer, error.to_string());
                problems.push(problem.at(Target::Part(part)));
                Value::Null
            })
        }
        Value::Array(items) => {
            let fill = |(index, item)| fill(item, context, &format!("{pointer}/{index}"), problems);
            items.iter().enumerate().map(fill).collect()
        }
        Value::Object(members) => {
            let fill = |(key, member): (&String, _)| {
                (
                    key.clone(),
                    fill(member, context, &join_pointer(pointer, key), problems),
                )
            };
            members
                .iter()
                .map(fill)
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        other => other.clone(),
    }
}

type Failure = (std::ops::Range<usize>, ExpressionError);

fn fill_text(text: &str, context: &Context) -> Result<Value, Failure> {
    let template = Template::parse(text)
        .map_err(|(part, message)| (part, ExpressionError::Invalid(message)))?;
    if let [Part::Expression(part)] = template.parts.as_slice() {
        return evaluate_here(&text[part.clone()], context).map_err(|error| (part.clone(), error));
    }
    let mut out = String::new();
    for part in template.parts {
        match part {
            Part::Text(part) => out.push_str(&part),
            Part::Expression(part) => {
                let value = evaluate_here(&text[part.clone()], context)
                    .map_err(|error| (part.clone(), error))?;
                let text = value::into_text(value).map_err(|error| (part, error))?;
                out.push_str(&text);
            }
        }
    }
    Ok(Value::String(out))
}

/// What is wrong with the expressions in the parameters of all tasks, without evaluating any.
pub(crate) fn check_tasks(spec: &Spec) -> Vec<Diagnostic> {
    let with_expressions = |params: &serde_json::Map<String, Value>| {
        params
            .iter()
            .any(|(key, value)| key.contains("${{") || has_expressions(value))
    };
    if !spec
        .tasks
        .values()
        .any(|task| with_expressions(&task.params))
    {
        return Vec::new();
    }
    let count: usize = spec
        .tasks
        .values()
        .map(|task| count_map(&task.params))
        .sum();
    if count > MAX_EXPRESSIONS {
        let message =
            format!("the DAG has about {count} expressions; at most {MAX_EXPRESSIONS} are allowed");
        return vec![Diagnostic::error(
            &code::EXPRESSION_TOO_LARGE,
            "/tasks",
            message,
        )];
    }
    let check = || {
        let tasks = spec
            .tasks
            .iter()
            .filter(|(_, task)| with_expressions(&task.params));
        tasks
            .flat_map(|(name, task)| {
                let pointer = format!("{}/params", join_pointer("/tasks", name.as_str()));
                check_value(&task.params.clone().into(), &pointer, spec.params.as_ref())
            })
            .collect()
    };
    on_large_stack(check).unwrap_or_else(|error| {
        vec![Diagnostic::error(
            &code::EXPRESSION_FAILED,
            "/tasks",
            error.to_string(),
        )]
    })
}

/// How often an expression starts in the texts of `value`.
fn count(value: &Value) -> usize {
    match value {
        Value::String(text) => text.matches("${{").count(),
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => count_map(members),
        _ => 0,
    }
}

fn count_map(members: &serde_json::Map<String, Value>) -> usize {
    members.values().map(count).sum()
}

/// Runs `work` on a thread of its own with a stack that the deepest expression within the limits
/// cannot exhaust: the parser takes more than 100 KiB for each level of brackets in an unoptimised
/// build, and callers run on threads of 2 MiB. The pages are only taken when touched.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, ExpressionError> {
    const STACK: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(STACK);
        let running = thread
            .spawn_scoped(scope, work)
            .map_err(|error| ExpressionError::NoThread(error.to_string()))?;
        running
            .join()
            .map_err(|_| ExpressionError::Failed("the interpreter panicked".to_owned()))
    })
}

/// What is wrong with the expressions in `value`. `params` is the DAG's parameter schema.
fn check_value(value: &Value, pointer: &str, params: Option<&Value>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    check_inside(value, pointer, params, &mut problems);
    problems
}

fn check_inside(
    value: &Value,
    pointer: &str,
    params: Option<&Value>,
    problems: &mut Vec<Diagnostic>,
) {
    match value {
        Value::String(text) if text.contains("${{") => check_text(text, pointer, params, problems),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_inside(item, &format!("{pointer}/{index}"), params, problems);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let pointer = join_pointer(pointer, key);
                if key.contains("${{") {
                    let problem = Diagnostic::error(
                        &code::EXPRESSION_SYNTAX,
                        &pointer,
                        "a key cannot have an expression",
                    );
                    problems.push(problem.at(Target::Key));
                }
                check_inside(member, &pointer, params, problems);
            }
        }
        _ => {}
    }
}

fn check_text(text: &str, pointer: &str, params: Option<&Value>, problems: &mut Vec<Diagnostic>) {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err((part, message)) => {
            let problem = Diagnostic::error(&code::EXPRESSION_SYNTAX, pointer, message);
            problems.push(problem.at(Target::Part(part)));
            return;
        }
    };
    for part in template.parts {
        let Part::Expression(part) = part else {
            continue;
        };
        let Err(problem) = analyse::compile(&text[part.clone()], Some(params)) else {
            continue;
        };
        let place = part.start + problem.at.start..part.start + problem.at.end;
        let diagnostic =
            Diagnostic::error(problem.code, pointer, problem.message).at(Target::Part(place));
        problems.push(match problem.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }
}

#[cfg(test)]
mod tests;
