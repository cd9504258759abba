//! A DAG: a valid spec with its graph and with the settings that hold for each task.
//!
//! A `Dag` can only be made from a spec that keeps every rule; nothing in it has to be checked
//! again. What must hold against published analyses and datasets is `check_against`'s.

use crate::graph::{Graph, TaskIndex};
use crate::names::{AnalysisRef, DagName, DagVersion, InputSource, TaskName};
use crate::spec::{Factor, Jitter, PoolUse, ResourceOverrides, Retries, Spec, TaskSpec};
use crate::validate;
use belljar_manifest::{Diagnostic, DurationMs, InputName, Resources};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A workflow of tasks, valid in itself.
#[derive(Debug, Clone)]
pub struct Dag {
    spec: Arc<Spec>,
    version: DagVersion,
    tasks: Arc<[Task]>,
    graph: Arc<Graph>,
}

/// One task with the settings that hold for it: its own, else the DAG's defaults, else the
/// built-in ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The task.
    pub name: TaskName,
    /// The analysis it runs.
    pub analysis: AnalysisRef,
    /// Where each input comes from.
    pub inputs: BTreeMap<InputName, InputSource>,
    /// The analysis's parameters, with their expressions.
    pub params: Map<String, Value>,
    /// Higher goes first among ready tasks; −1,000 to 1,000.
    pub priority: i32,
    /// The pools it draws on, sorted by name.
    pub pools: Vec<PoolUse>,
    /// When it is tried again.
    pub retries: RetryPolicy,
    /// The longest that one attempt may run, where the spec says so.
    pub timeout: Option<TaskTimeout>,
    /// The longest that it may wait, ready; `None` is for ever.
    pub queue_timeout: Option<DurationMs>,
    /// Less of a resource than the manifest asks for.
    pub resources: ResourceOverrides,
}

/// An attempt time-out and where it was written, which decides what happens when it is above the
/// manifest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskTimeout {
    /// Written at the task: above the manifest's is an error when the DAG is applied.
    Own(DurationMs),
    /// From `defaults`: cut to the manifest's.
    Default(DurationMs),
}

/// When a task is tried again, complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often the task is tried, the first time included; at least 1.
    pub max_attempts: u32,
    /// The delay before the second try.
    pub initial: DurationMs,
    /// What the delay is multiplied with after each try.
    pub factor: Factor,
    /// The longest delay.
    pub max_interval: DurationMs,
    /// Whether the delay is random.
    pub jitter: Jitter,
}

/// Runs of a DAG that may be active together where the spec does not say.
pub const DEFAULT_ACTIVE_RUNS: u32 = 16;
/// Tasks of a DAG that may hold a lease together where the spec does not say.
pub const DEFAULT_ACTIVE_TASKS: u32 = 16;
/// A task's priority where the spec does not say.
pub const DEFAULT_PRIORITY: i32 = 1;

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::of(&Retries::default(), &Retries::default())
    }
}

impl RetryPolicy {
    /// The policy that a task's own fields and the DAG's defaults give together.
    #[must_use]
    pub fn of(own: &Retries, defaults: &Retries) -> Self {
        let initial = own
            .initial
            .or(defaults.initial)
            .unwrap_or(DurationMs::from_secs(1));
        let day = DurationMs::from_secs(86_400);
        let hundredfold = DurationMs::from_millis(initial.as_millis().saturating_mul(100)).min(day);
        Self {
            max_attempts: own.max_attempts.or(defaults.max_attempts).unwrap_or(1),
            initial,
            factor: own.factor.or(defaults.factor).unwrap_or(Factor::TWO),
            max_interval: own
                .max_interval
                .or(defaults.max_interval)
                .unwrap_or(hundredfold)
                .max(initial),
            jitter: own.jitter.or(defaults.jitter).unwrap_or_default(),
        }
    }

    /// The delay after `tries` tries (at least 1), before jitter:
    /// `initial · factor^(tries−1)`, at most `max_interval`, each step rounded down to a
    /// millisecond; it never overflows.
    #[must_use]
    pub fn delay(&self, tries: u32) -> DurationMs {
        let mut millis = u128::from(self.initial.as_millis());
        let max = u128::from(self.max_interval.as_millis());
        for _ in 1..tries.max(1) {
            if millis >= max || millis == 0 {
                break;
            }
            millis = millis * u128::from(self.factor.thousandths()) / 1_000;
            if self.factor.thousandths() == 1_000 {
                break;
            }
        }
        DurationMs::from_millis(u64::try_from(millis.min(max)).unwrap_or(u64::MAX))
    }
}

impl Task {
    fn new(name: &TaskName, task: &TaskSpec, spec: &Spec) -> Self {
        let mut pools = task.pool.clone();
        pools.sort();
        Self {
            name: name.clone(),
            analysis: task.analysis.clone(),
            inputs: task.inputs.clone(),
            params: task.params.clone(),
            priority: task
                .priority
                .or(spec.defaults.priority)
                .unwrap_or(DEFAULT_PRIORITY),
            pools,
            retries: RetryPolicy::of(&task.retries, &spec.defaults.retries),
            timeout: task
                .timeout
                .map(TaskTimeout::Own)
                .or(spec.defaults.timeout.map(TaskTimeout::Default)),
            queue_timeout: task.queue_timeout.or(spec.defaults.queue_timeout),
            resources: task.resources,
        }
    }

    /// What one attempt may use, given what the manifest asks for: never more than the manifest.
    #[must_use]
    pub fn effective_resources(&self, manifest: &Resources) -> Resources {
        let timeout = match self.timeout {
            Some(TaskTimeout::Own(timeout) | TaskTimeout::Default(timeout)) => {
                timeout.min(manifest.timeout)
            }
            None => manifest.timeout,
        };
        Resources {
            timeout,
            ..self.resources.apply(manifest)
        }
    }
}

impl Dag {
    /// Makes the DAG of a spec.
    ///
    /// # Errors
    ///
    /// Every rule that the spec breaks, each with the JSON Pointer of its place and no span; give
    /// them to [`belljar_manifest::Source::locate`] where the text is at hand.
    pub fn from_spec(spec: Spec) -> Result<Self, Vec<Diagnostic>> {
        let graph = validate::validate(&spec)?;
        let tasks = spec
            .tasks
            .iter()
            .map(|(name, task)| Task::new(name, task, &spec))
            .collect();
        Ok(Self {
            version: spec.version(),
            spec: Arc::new(spec),
            tasks,
            graph: Arc::new(graph),
        })
    }

    /// Makes the DAG again from what [`Self::canonical_json`] gave.
    ///
    /// # Errors
    ///
    /// As [`Self::from_spec`]; a text that is not a spec in JSON is one diagnostic.
    pub fn from_canonical_json(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let spec = serde_json::from_str(text)
            .map_err(|error| vec![validate::not_canonical(&error.to_string())])?;
        Self::from_spec(spec)
    }

    /// The name of the DAG.
    #[must_use]
    pub fn name(&self) -> &DagName {
        &self.spec.dag
    }

    /// The spec as it was written.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The version's identity.
    #[must_use]
    pub const fn version(&self) -> DagVersion {
        self.version
    }

    /// See [`Spec::canonical_json`].
    #[must_use]
    pub fn canonical_json(&self) -> String {
        self.spec.canonical_json()
    }

    /// Runs that may be active together.
    #[must_use]
    pub fn active_runs(&self) -> u32 {
        self.spec.limits.active_runs.unwrap_or(DEFAULT_ACTIVE_RUNS)
    }

    /// Tasks that may hold a lease together, over all runs.
    #[must_use]
    pub fn active_tasks(&self) -> u32 {
        self.spec
            .limits
            .active_tasks
            .unwrap_or(DEFAULT_ACTIVE_TASKS)
    }

    /// All tasks, sorted by name; a [`TaskIndex`] is the place in this list.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The task at `index`.
    ///
    /// # Panics
    ///
    /// Where `index` is of another DAG with more tasks.
    #[must_use]
    pub fn task(&self, index: TaskIndex) -> &Task {
        &self.tasks[index.get()]
    }

    /// The place of the task with this name.
    #[must_use]
    pub fn index_of(&self, name: &TaskName) -> Option<TaskIndex> {
        let place = self
            .tasks
            .binary_search_by(|task| task.name.cmp(name))
            .ok()?;
        Some(TaskIndex::new(place))
    }

    /// The edges between the tasks.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(text: &str) -> Dag {
        Dag::from_spec(crate::parse(text, "test.yaml").unwrap().spec).unwrap()
    }

    #[test]
    fn a_spec_that_breaks_a_rule_makes_no_dag() {
        for (json, code) in [
            ("", "BJ0200"),
            ("[]", "BJ0200"),
            (r#"{"dag":"a","tasks":{},"schedule":{}}"#, "BJ0200"),
            (r#"{"dag":"A","tasks":{}}"#, "BJ0200"),
            (r#"{"dag":"a","tasks":{}}"#, "BJ0201"),
            (
                r#"{"dag":"a","tasks":{"x":{"analysis":"n@1","needs":["y"]}}}"#,
                "BJ0204",
            ),
            (
                r#"{"dag":"a","tasks":{"x":{"analysis":"n@1","needs":["x"]}}}"#,
                "BJ0205",
            ),
            (
                r#"{"dag":"a","tasks":{"x":{"analysis":"n@1","priority":1001}}}"#,
                "BJ0023",
            ),
            (
                r#"{"dag":"a","tasks":{"x":{"analysis":"n@1","params":{"p":"${{ q }}"}}}}"#,
                "BJ0302",
            ),
        ] {
            let problems = Dag::from_canonical_json(json).unwrap_err();
            assert_eq!(problems[0].code, code, "{json}: {problems:?}");
        }
    }

    #[test]
    fn delays_grow_to_their_limit_and_never_overflow() {
        let policy = |retries: Retries| RetryPolicy::of(&retries, &Retries::default());
        let delays =
            |policy: RetryPolicy, tries: [u32; 5]| tries.map(|n| policy.delay(n).to_string());
        assert_eq!(
            delays(policy(Retries::default()), [0, 1, 2, 3, 100]),
            ["1s", "1s", "2s", "4s", "1m40s"]
        );
        let slow = Retries {
            factor: Factor::try_from(1.5).ok(),
            max_interval: "10s".parse().ok(),
            ..Retries::default()
        };
        assert_eq!(
            delays(policy(slow), [1, 2, 3, 7, 100]),
            ["1s", "1s500ms", "2s250ms", "10s", "10s"]
        );
        let day: Option<DurationMs> = "1d".parse().ok();
        let steep = Retries {
            initial: day,
            factor: Factor::try_from(100.0).ok(),
            max_interval: day,
            ..Retries::default()
        };
        assert_eq!(policy(steep).delay(u32::MAX).to_string(), "1d");
        let none = Retries {
            initial: "0s".parse().ok(),
            ..Retries::default()
        };
        assert_eq!(policy(none).delay(u32::MAX).to_string(), "0s");
        let even = Retries {
            factor: Factor::try_from(1.0).ok(),
            ..Retries::default()
        };
        assert_eq!(policy(even).delay(u32::MAX).to_string(), "1s");
    }

    #[test]
    fn own_settings_come_before_defaults_and_those_before_built_in_ones() {
        let dag = dag("
dag: a
defaults: { retries: { max_attempts: 3, initial: 5s }, timeout: 1m, priority: 7 }
tasks:
  own: { analysis: n@1, retries: { max_attempts: 2 }, timeout: 2m, priority: -7, resources: { memory: 64MiB } }
  default: { analysis: n@1 }
");
        let task = |name: &str| {
            dag.task(dag.index_of(&name.parse().unwrap()).unwrap())
                .clone()
        };
        let (own, default) = (task("own"), task("default"));
        assert_eq!(
            (
                own.retries.max_attempts,
                own.retries.initial.to_string().as_str()
            ),
            (2, "5s")
        );
        assert_eq!(
            (default.retries.max_attempts, default.priority, own.priority),
            (3, 7, -7)
        );
        assert_eq!(default.retries.max_interval.to_string(), "8m20s");
        assert_eq!(
            (own.queue_timeout, dag.active_runs(), dag.active_tasks()),
            (None, 16, 16)
        );
        let manifest = Resources {
            timeout: DurationMs::from_secs(30),
            ..Resources::default()
        };
        assert_eq!(default.effective_resources(&manifest), manifest);
        let lowered = own.effective_resources(&Resources::default());
        assert_eq!(
            (
                lowered.memory.to_string().as_str(),
                lowered.timeout.to_string().as_str()
            ),
            ("64MiB", "2m")
        );
        assert_eq!(dag.index_of(&"other".parse().unwrap()), None);
    }
}
