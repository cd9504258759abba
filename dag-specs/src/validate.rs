//! The rules that a spec must keep in itself, for YAML and JSON alike.
//!
//! Problems name their place by JSON Pointer; who has the text locates them.

use crate::code;
use crate::expression;
use crate::graph::{Graph, TaskIndex};
use crate::names::{InputSource, TaskName};
use crate::spec::{Retries, Spec, TaskSpec};
use belljar_manifest::canonical::canonical_json;
use belljar_manifest::code::{Code, OUT_OF_RANGE, TOO_LONG};
use belljar_manifest::diagnostic::{Problems, Target, join_pointer, nearest};
use belljar_manifest::{Diagnostic, DurationMs, Resources, Severity, schema};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The most tasks of a DAG.
pub const MAX_TASKS: usize = 2_000;
/// The most edges between the tasks of a DAG.
pub const MAX_EDGES: usize = 20_000;
/// The most pools of a task.
const MAX_POOLS: usize = 8;
/// The priorities that a task can have.
pub(crate) const PRIORITY: RangeInclusive<i32> = -1_000..=1_000;
/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 2_000;
/// The largest `params` of a task, in bytes of canonical JSON.
const MAX_PARAMS: usize = 64 << 10;

/// The diagnostic for a text that is not a spec in JSON.
pub(crate) fn not_canonical(problem: &str) -> Diagnostic {
    Diagnostic::error(
        &code::NOT_A_SPEC,
        "",
        format!("this is not a DAG spec in JSON: {problem}"),
    )
}

/// Checks `spec` and builds its graph.
pub(crate) fn validate(spec: &Spec) -> Result<Graph, Vec<Diagnostic>> {
    match check(spec) {
        (problems, Some(graph)) if problems.iter().all(|p| p.severity != Severity::Error) => {
            Ok(graph)
        }
        (problems, _) => Err(problems),
    }
}

/// All problems of `spec`, warnings included, and its graph where it has one.
pub(crate) fn check(spec: &Spec) -> (Vec<Diagnostic>, Option<Graph>) {
    let mut problems = Problems::default();
    dag_fields(spec, &mut problems);
    for (name, task) in &spec.tasks {
        task_fields(&join_pointer("/tasks", name.as_str()), task, &mut problems);
    }
    problems.extend(expression::check_tasks(spec));
    let graph = graph(spec, &mut problems);
    (problems.into_vec(), graph)
}

fn within<T: PartialOrd + Display>(
    pointer: &str,
    value: Option<T>,
    range: &RangeInclusive<T>,
    problems: &mut Problems,
) {
    if let Some(value) = value.filter(|value| !range.contains(value)) {
        let message = format!(
            "{value} is not between {} and {}",
            range.start(),
            range.end()
        );
        problems.push(Diagnostic::error(&OUT_OF_RANGE, pointer, message));
    }
}

fn no_longer(
    code: &Code,
    pointer: &str,
    what: &str,
    length: usize,
    max: usize,
    problems: &mut Problems,
) {
    if length > max {
        let message = format!("{what}: {length}; at most {max} are allowed");
        problems.push(Diagnostic::error(code, pointer, message));
    }
}

fn dag_fields(spec: &Spec, problems: &mut Problems) {
    description("", spec.description.as_deref(), problems);
    within(
        "/limits/active_runs",
        spec.limits.active_runs,
        &(1..=10_000),
        problems,
    );
    within(
        "/limits/active_tasks",
        spec.limits.active_tasks,
        &(1..=100_000),
        problems,
    );
    let defaults = &spec.defaults;
    settings(
        "/defaults",
        &defaults.retries,
        defaults.timeout,
        defaults.queue_timeout,
        defaults.priority,
        problems,
    );
    if let Some(params) = &spec.params {
        problems.extend(
            schema::compile_params(params, "/params")
                .err()
                .into_iter()
                .flatten(),
        );
    }
}

fn description(pointer: &str, text: Option<&str>, problems: &mut Problems) {
    let length = text.map_or(0, |text| text.chars().count());
    no_longer(
        &TOO_LONG,
        &format!("{pointer}/description"),
        "characters",
        length,
        MAX_DESCRIPTION,
        problems,
    );
}

fn settings(
    pointer: &str,
    retries: &Retries,
    timeout: Option<DurationMs>,
    queue_timeout: Option<DurationMs>,
    priority: Option<i32>,
    problems: &mut Problems,
) {
    let days = |days: u64| DurationMs::from_secs(days * 86_400);
    let (zero, second) = (DurationMs::from_millis(0), DurationMs::from_secs(1));
    within(
        &format!("{pointer}/priority"),
        priority,
        &PRIORITY,
        problems,
    );
    within(
        &format!("{pointer}/timeout"),
        timeout,
        &(second..=Resources::CEILING.timeout),
        problems,
    );
    within(
        &format!("{pointer}/queue_timeout"),
        queue_timeout,
        &(second..=days(30)),
        problems,
    );
    let pointer = format!("{pointer}/retries");
    within(
        &format!("{pointer}/max_attempts"),
        retries.max_attempts,
        &(1..=100),
        problems,
    );
    within(
        &format!("{pointer}/initial"),
        retries.initial,
        &(zero..=days(1)),
        problems,
    );
    within(
        &format!("{pointer}/max_interval"),
        retries.max_interval,
        &(zero..=days(1)),
        problems,
    );
    if let (Some(initial), Some(max)) = (retries.initial, retries.max_interval)
        && max < initial
    {
        let message = format!("`max_interval` is {max}, less than `initial`, {initial}");
        problems.push(Diagnostic::error(
            &code::INTERVALS_CONTRADICT,
            format!("{pointer}/max_interval"),
            message,
        ));
    }
}

fn task_fields(pointer: &str, task: &TaskSpec, problems: &mut Problems) {
    description(pointer, task.description.as_deref(), problems);
    settings(
        pointer,
        &task.retries,
        task.timeout,
        task.queue_timeout,
        task.priority,
        problems,
    );
    no_longer(
        &TOO_LONG,
        &format!("{pointer}/inputs"),
        "inputs",
        task.inputs.len(),
        64,
        problems,
    );
    pools(pointer, task, problems);
    resources(pointer, task, problems);
    let place = format!("{pointer}/params");
    let size = match task.params.is_empty() {
        true => 0,
        false => canonical_json(&Value::from(task.params.clone())).len(),
    };
    no_longer(
        &TOO_LONG,
        &place,
        "bytes of parameters",
        size,
        MAX_PARAMS,
        problems,
    );
}

fn pools(pointer: &str, task: &TaskSpec, problems: &mut Problems) {
    no_longer(
        &TOO_LONG,
        &format!("{pointer}/pool"),
        "pools",
        task.pool.len(),
        MAX_POOLS,
        problems,
    );
    let mut seen = BTreeSet::new();
    for (index, pool) in task.pool.iter().enumerate() {
        within(
            &format!("{pointer}/pool/{index}/slots"),
            Some(pool.slots),
            &(1..=10_000),
            problems,
        );
        if !seen.insert(&pool.name) {
            let message = format!("the pool `{}` is named twice", pool.name);
            problems.push(Diagnostic::error(
                &code::DUPLICATE_POOL,
                format!("{pointer}/pool/{index}/name"),
                message,
            ));
        }
    }
}

fn resources(pointer: &str, task: &TaskSpec, problems: &mut Problems) {
    let (own, floor, ceiling) = (&task.resources, Resources::FLOOR, Resources::CEILING);
    let place = |name: &str| format!("{pointer}/resources/{name}");
    within(&place("cpu"), own.cpu, &(floor.cpu..=ceiling.cpu), problems);
    within(
        &place("memory"),
        own.memory,
        &(floor.memory..=ceiling.memory),
        problems,
    );
    within(
        &place("disk"),
        own.disk,
        &(floor.disk..=ceiling.disk),
        problems,
    );
    within(&place("tmp"), own.tmp, &(floor.tmp..=ceiling.tmp), problems);
    within(
        &place("pids"),
        own.pids,
        &(floor.pids..=ceiling.pids),
        problems,
    );
}

fn graph(spec: &Spec, problems: &mut Problems) -> Option<Graph> {
    let count = spec.tasks.len();
    if count == 0 {
        problems.push(Diagnostic::error(
            &code::TASK_COUNT,
            "/tasks",
            "the DAG has no tasks",
        ));
        return None;
    }
    if count > MAX_TASKS {
        let message = format!("the DAG has {count} tasks; at most {MAX_TASKS} are allowed");
        problems.push(Diagnostic::error(&code::TASK_COUNT, "/tasks", message));
        return None;
    }
    let edges = edges(spec, problems);
    if edges.len() > MAX_EDGES {
        let message = format!(
            "the DAG has {} edges; at most {MAX_EDGES} are allowed",
            edges.len()
        );
        problems.push(Diagnostic::error(&code::TASK_COUNT, "/tasks", message));
        return None;
    }
    let names: Vec<_> = spec.tasks.keys().collect();
    match Graph::new(count, edges) {
        Ok(graph) => Some(graph),
        Err(cycles) => {
            cycles
                .iter()
                .for_each(|cycle| problems.push(cycle_diagnostic(cycle, &names)));
            None
        }
    }
}

/// The edges, each once; problems for those that are none.
fn edges(spec: &Spec, problems: &mut Problems) -> BTreeSet<(TaskIndex, TaskIndex)> {
    let names: Vec<_> = spec.tasks.keys().collect();
    let mut edges = BTreeSet::new();
    for (place, (name, task)) in spec.tasks.iter().enumerate() {
        let pointer = join_pointer("/tasks", name.as_str());
        let to = TaskIndex::new(place);
        let inputs = task
            .inputs
            .iter()
            .filter_map(|(input, source)| match source {
                InputSource::Task { task, .. } => Some((format!("{pointer}/inputs/{input}"), task)),
                InputSource::Dataset { .. } => None,
            });
        let mut edge =
            |pointer: String, target: Target, needed: &TaskName, problems: &mut Problems| {
                match names.binary_search(&needed) {
                    Ok(from) if from == place => {
                        let message = format!("the task `{name}` needs itself");
                        problems
                            .push(Diagnostic::error(&code::SELF_EDGE, pointer, message).at(target));
                    }
                    Ok(from) => {
                        edges.insert((TaskIndex::new(from), to));
                    }
                    Err(_) => problems.push(unknown_task(pointer, needed, &names).at(target)),
                }
            };
        inputs.for_each(|(pointer, needed)| edge(pointer, Target::Value, needed, problems));
        for needed in &task.needs {
            // The set is sorted, the file's list is not: the name finds the item, no index would.
            let target = Target::Item(needed.to_string());
            edge(format!("{pointer}/needs"), target, needed, problems);
        }
        implied_needs(&pointer, task, problems);
    }
    edges
}

fn unknown_task(pointer: String, needed: &TaskName, names: &[&TaskName]) -> Diagnostic {
    let problem = Diagnostic::error(
        &code::UNKNOWN_TASK,
        pointer,
        format!("there is no task `{needed}`"),
    );
    match nearest(needed.as_str(), names.iter().map(|name| name.as_str())) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn implied_needs(pointer: &str, task: &TaskSpec, problems: &mut Problems) {
    for needed in &task.needs {
        let implied = task
            .inputs
            .iter()
            .find(|(_, source)| matches!(source, InputSource::Task { task, .. } if task == needed));
        if let Some((input, _)) = implied {
            let message =
                format!("the input `{input}` already makes this task wait for `{needed}`");
            let problem =
                Diagnostic::warning(&code::IMPLIED_NEED, format!("{pointer}/needs"), message);
            problems.push(problem.at(Target::Item(needed.to_string())));
        }
    }
}

fn cycle_diagnostic(cycle: &[TaskIndex], names: &[&TaskName]) -> Diagnostic {
    const SHOWN: usize = 12;
    let name = |index: &TaskIndex| names[index.get()].as_str();
    let mut way: Vec<_> = cycle.iter().take(SHOWN).map(name).collect();
    if cycle.len() > SHOWN {
        way.push("…");
    }
    let first = cycle.first().map_or("", name);
    way.push(first);
    let message = format!("{} tasks form a cycle: {}", cycle.len(), way.join(" → "));
    Diagnostic::error(&code::CYCLE, join_pointer("/tasks", first), message).at(Target::Key)
}
