//! YAML to a [`Spec`].
//!
//! Shape first, then the rules, and all problems of both together: what cannot be read is replaced
//! by a placeholder so that the rest can still be checked; a spec with a placeholder is never
//! given out.

use crate::code;
use crate::names::{AnalysisRef, InputSource, TaskName};
use crate::spec::{
    Defaults, Factor, Jitter, Limits, PoolUse, ResourceOverrides, Retries, Spec, TaskSpec,
};
use crate::validate;
use belljar_manifest::code::{INVALID_AMOUNT, INVALID_NAME, OUT_OF_RANGE, WRONG_TYPE};
use belljar_manifest::diagnostic::Problems;
use belljar_manifest::read::{Cursor, Fields, Unsupported};
use belljar_manifest::{Diagnostic, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

/// A spec that was read, with its source for later diagnostics.
#[derive(Debug, Clone)]
pub struct ParsedSpec {
    /// The spec, which keeps every rule.
    pub spec: Spec,
    /// The text it was read from.
    pub source: Source,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a DAG spec; `file` is its name in diagnostics.
///
/// # Errors
///
/// Every problem of the file at once, sorted by place.
pub fn parse(text: &str, file: &str) -> Result<ParsedSpec, Vec<Diagnostic>> {
    let source = Source::parse(text, file)?;
    let mut problems = Problems::default();
    let spec = spec(&Cursor::root(source.root()), &mut problems);
    if let Some(spec) = &spec {
        // Where `tasks` is missing, that it is empty is no news.
        let no_tasks = problems.has_errors() && spec.tasks.is_empty();
        let found = validate::check(spec).0.into_iter();
        problems.extend(found.filter(|problem| !no_tasks || problem.code != code::TASK_COUNT.id));
    }
    let failed = problems.has_errors();
    let diagnostics = source.locate(problems.into_vec());
    match spec {
        Some(spec) if !failed => Ok(ParsedSpec {
            spec,
            source,
            warnings: diagnostics,
        }),
        _ => Err(diagnostics),
    }
}

const fn later(names: &'static [&'static str]) -> Unsupported {
    Unsupported {
        names,
        code: &code::NOT_SUPPORTED,
    }
}

/// Fields of a DAG whose features are not built yet.
const LATER_IN_DAG: Unsupported = later(&[
    "approvals",
    "backfill",
    "band",
    "cache",
    "calendars",
    "catchup",
    "deadline",
    "dst",
    "events",
    "groups",
    "jitter",
    "labels",
    "map",
    "missed",
    "notifications",
    "notify",
    "on_exhausted",
    "on_failure",
    "on_success",
    "outputs",
    "overlap",
    "owner",
    "pool",
    "priority",
    "retries",
    "schedule",
    "schedules",
    "setup",
    "tags",
    "teardown",
    "timeout",
    "timezone",
    "total_timeout",
    "trigger_rule",
    "triggers",
    "weight_rule",
    "when",
]);
/// Fields of `limits` whose features are not built yet.
const LATER_IN_LIMITS: Unsupported = later(&[
    "groups",
    "key",
    "keys",
    "rate",
    "run_tasks",
    "tasks_per_run",
    "task_instances",
    "tenant",
]);
/// Fields of `defaults` whose features are not built yet.
const LATER_IN_DEFAULTS: Unsupported = later(&[
    "band",
    "cache",
    "heartbeat_timeout",
    "labels",
    "on_exhausted",
    "pool",
    "resources",
    "total_timeout",
    "trigger_rule",
    "weight_rule",
]);
/// Fields of a task whose features are not built yet.
const LATER_IN_TASK: Unsupported = later(&[
    "approval",
    "avoid_same_executor",
    "band",
    "branch",
    "cache",
    "dag",
    "deadline",
    "event",
    "executor",
    "group",
    "heartbeat_timeout",
    "key",
    "labels",
    "limit",
    "limits",
    "map",
    "on_exhausted",
    "on_failure",
    "optional",
    "outputs",
    "preemptible",
    "retry_on",
    "setup",
    "short_circuit",
    "teardown",
    "timer",
    "total_timeout",
    "trigger_rule",
    "wait",
    "weight_rule",
    "when",
]);
/// Fields of `retries` whose features are not built yet.
const LATER_IN_RETRIES: Unsupported = later(&[
    "avoid_same_executor",
    "crash_attempts",
    "on_exhausted",
    "retry_on",
    "total_timeout",
]);
/// Fields of a pool's use whose features are not built yet.
const LATER_IN_POOL: Unsupported = later(&["key", "rate", "tokens"]);
/// Fields of `resources` whose features are not built yet, or that stand elsewhere.
const LATER_IN_RESOURCES: Unsupported = later(&["gpu", "labels"]);

fn spec(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Spec> {
    let known = [
        "dag",
        "description",
        "params",
        "limits",
        "defaults",
        "tasks",
    ];
    let fields = cursor.fields(&known, LATER_IN_DAG, problems)?;
    let dag = fields
        .required("dag", problems)
        .and_then(|c| c.parse(&INVALID_NAME, problems));
    let tasks = fields.required("tasks", problems);
    Some(Spec {
        dag: dag.or_else(|| "unreadable".parse().ok())?,
        description: description(&fields, problems),
        params: fields.optional("params").map(|c| c.json(problems)),
        limits: fields
            .optional("limits")
            .and_then(|c| limits(&c, problems))
            .unwrap_or_default(),
        defaults: fields
            .optional("defaults")
            .and_then(|c| defaults(&c, problems))
            .unwrap_or_default(),
        tasks: tasks.map(|c| self::tasks(&c, problems)).unwrap_or_default(),
    })
}

fn description(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    fields
        .optional("description")?
        .text_up_to(validate::MAX_DESCRIPTION, problems)
}

fn count(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<u32> {
    let number = fields
        .optional(name)?
        .integer(0..=i64::from(u32::MAX), problems)?;
    u32::try_from(number).ok()
}

fn priority(fields: &Fields<'_>, problems: &mut Problems) -> Option<i32> {
    let range = i64::from(*validate::PRIORITY.start())..=i64::from(*validate::PRIORITY.end());
    let number = fields.optional("priority")?.integer(range, problems)?;
    i32::try_from(number).ok()
}

fn amount<T: FromStr<Err: Display>>(
    fields: &Fields<'_>,
    name: &str,
    problems: &mut Problems,
) -> Option<T> {
    fields.optional(name)?.parse(&INVALID_AMOUNT, problems)
}

fn limits(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Limits> {
    let fields = cursor.fields(&["active_runs", "active_tasks"], LATER_IN_LIMITS, problems)?;
    Some(Limits {
        active_runs: count(&fields, "active_runs", problems),
        active_tasks: count(&fields, "active_tasks", problems),
    })
}

fn defaults(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Defaults> {
    let known = ["retries", "timeout", "queue_timeout", "priority"];
    let fields = cursor.fields(&known, LATER_IN_DEFAULTS, problems)?;
    Some(Defaults {
        retries: retries(&fields, problems),
        timeout: amount(&fields, "timeout", problems),
        queue_timeout: amount(&fields, "queue_timeout", problems),
        priority: priority(&fields, problems),
    })
}

fn retries(fields: &Fields<'_>, problems: &mut Problems) -> Retries {
    let Some(cursor) = fields.optional("retries") else {
        return Retries::default();
    };
    let known = [
        "max_attempts",
        "initial",
        "factor",
        "max_interval",
        "jitter",
    ];
    let Some(fields) = cursor.fields(&known, LATER_IN_RETRIES, problems) else {
        return Retries::default();
    };
    Retries {
        max_attempts: count(&fields, "max_attempts", problems),
        initial: amount(&fields, "initial", problems),
        factor: fields.optional("factor").and_then(|c| factor(&c, problems)),
        max_interval: amount(&fields, "max_interval", problems),
        jitter: fields.optional("jitter").and_then(|c| jitter(&c, problems)),
    }
}

fn factor(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Factor> {
    let factor = Factor::try_from(cursor.number(problems)?);
    factor
        .map_err(|error| {
            problems.push(Diagnostic::error(
                &OUT_OF_RANGE,
                cursor.pointer(),
                error.to_string(),
            ))
        })
        .ok()
}

fn jitter(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Jitter> {
    match cursor.text(problems)? {
        "full" => Some(Jitter::Full),
        "none" => Some(Jitter::None),
        _ => {
            let problem = Diagnostic::error(
                &OUT_OF_RANGE,
                cursor.pointer(),
                "`jitter` is `full` or `none`",
            );
            problems.push(problem);
            None
        }
    }
}

fn tasks(cursor: &Cursor<'_>, problems: &mut Problems) -> BTreeMap<TaskName, TaskSpec> {
    // More would be refused anyway; the limit itself is a rule, so that it has one code.
    let named = cursor.named::<TaskName>(100_000, problems);
    named
        .into_iter()
        .filter_map(|(name, task)| Some((name, self::task(&task, problems)?)))
        .collect()
}

fn task(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<TaskSpec> {
    let known = [
        "analysis",
        "description",
        "inputs",
        "params",
        "needs",
        "priority",
        "pool",
        "retries",
        "timeout",
        "queue_timeout",
        "resources",
    ];
    let Some(fields) = cursor.fields(&known, LATER_IN_TASK, problems) else {
        return Some(TaskSpec::new(unreadable()?));
    };
    let analysis = fields.required("analysis", problems);
    let analysis = analysis.and_then(|c| c.parse(&code::INVALID_ANALYSIS, problems));
    Some(TaskSpec {
        description: description(&fields, problems),
        inputs: fields
            .optional("inputs")
            .map(|c| inputs(&c, problems))
            .unwrap_or_default(),
        params: fields
            .optional("params")
            .and_then(|c| params(&c, problems))
            .unwrap_or_default(),
        needs: fields
            .optional("needs")
            .and_then(|c| needs(&c, problems))
            .unwrap_or_default(),
        priority: priority(&fields, problems),
        pool: fields
            .optional("pool")
            .and_then(|c| pools(&c, problems))
            .unwrap_or_default(),
        retries: retries(&fields, problems),
        timeout: amount(&fields, "timeout", problems),
        queue_timeout: amount(&fields, "queue_timeout", problems),
        resources: fields
            .optional("resources")
            .and_then(|c| resources(&c, problems))
            .unwrap_or_default(),
        ..TaskSpec::new(analysis.or_else(unreadable)?)
    })
}

/// Stands for a reference that could not be read.
fn unreadable() -> Option<AnalysisRef> {
    "unreadable@*".parse().ok()
}

fn inputs(
    cursor: &Cursor<'_>,
    problems: &mut Problems,
) -> BTreeMap<belljar_manifest::InputName, InputSource> {
    let mut inputs = BTreeMap::new();
    for (name, source) in cursor.named(64, problems) {
        if source.is_mapping() {
            let problem = Diagnostic::error(
                &code::NOT_SUPPORTED,
                source.pointer(),
                "the long form of an input, with `optional`, is not supported yet",
            );
            problems.push(problem.help("write `task:<task>/<path>` or `dataset:<name>`"));
        } else if let Some(source) = source.parse(&code::INVALID_INPUT, problems) {
            inputs.insert(name, source);
        }
    }
    inputs
}

fn params(
    cursor: &Cursor<'_>,
    problems: &mut Problems,
) -> Option<serde_json::Map<String, serde_json::Value>> {
    if !cursor.is_mapping() {
        let problem = Diagnostic::error(
            &WRONG_TYPE,
            cursor.pointer(),
            "a task's `params` are a mapping",
        );
        problems.push(problem);
        return None;
    }
    match cursor.json(problems) {
        serde_json::Value::Object(params) => Some(params),
        _ => None,
    }
}

fn needs(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<BTreeSet<TaskName>> {
    let mut needs = BTreeSet::new();
    for item in cursor.list(2_000, problems)? {
        let Some(name) = item.parse::<TaskName>(&INVALID_NAME, problems) else {
            continue;
        };
        if !needs.insert(name.clone()) {
            let message = format!("`{name}` is needed twice");
            problems.push(Diagnostic::error(
                &code::DUPLICATE_NEED,
                item.pointer(),
                message,
            ));
        }
    }
    Some(needs)
}

fn pools(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Vec<PoolUse>> {
    let items = cursor.list(64, problems)?;
    Some(
        items
            .iter()
            .filter_map(|item| pool(item, problems))
            .collect(),
    )
}

fn pool(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<PoolUse> {
    let fields = cursor.fields(&["name", "slots"], LATER_IN_POOL, problems)?;
    let name = fields
        .required("name", problems)
        .and_then(|c| c.parse(&INVALID_NAME, problems));
    Some(PoolUse {
        slots: count(&fields, "slots", problems).unwrap_or(1),
        name: name?,
    })
}

fn resources(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<ResourceOverrides> {
    let fields = cursor.fields(
        &["cpu", "memory", "disk", "tmp", "pids"],
        LATER_IN_RESOURCES,
        problems,
    )?;
    Some(ResourceOverrides {
        cpu: amount(&fields, "cpu", problems),
        memory: amount(&fields, "memory", problems),
        disk: amount(&fields, "disk", problems),
        tmp: amount(&fields, "tmp", problems),
        pids: count(&fields, "pids", problems),
    })
}
