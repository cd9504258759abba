//! The types of a DAG spec, as written: nothing resolved, no default filled in.
//!
//! This module owns the shape. Reading the YAML is `parse`'s work, the rules are `validate`'s, and
//! what holds once defaults are applied is [`crate::Dag`]'s.

use crate::names::{AnalysisRef, DagName, DagVersion, InputSource, PoolName, TaskName};
use belljar_manifest::canonical::canonical_json;
use belljar_manifest::{Bytes, CpuMillis, DurationMs, InputName, Resources, Sha256Digest};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A DAG spec.
///
/// A value from [`crate::parse`] keeps every rule of the format. One that was deserialised keeps
/// those of its fields only; [`crate::Dag::from_spec`] checks the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Belljar DAG")]
pub struct Spec {
    /// The name of the DAG.
    pub dag: DagName,
    /// What the DAG is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A JSON Schema (draft 2020-12) of the parameters of a run, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// How much of the DAG may be active at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Settings of every task that does not have its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// The tasks: at least 1, at most 2,000.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 2_000))]
    pub tasks: BTreeMap<TaskName, TaskSpec>,
}

/// How much of a DAG may be active at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Runs that may be active together; 1 to 10,000, default 16. Further ones stay queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub active_runs: Option<u32>,
    /// Tasks that may hold a lease together, over all runs of the DAG; 1 to 100,000, default 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub active_tasks: Option<u32>,
}

/// Settings of every task that does not have its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// See the task's `retries`; a task's own replaces this field by field.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Retries,
    /// See the task's `timeout`. Where it is above what the manifest allows, the manifest's holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// See the task's `queue_timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<DurationMs>,
    /// See the task's `priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1_000, max = 1_000))]
    pub priority: Option<i32>,
}

/// One task: an analysis with its inputs and settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The analysis: `name@range` or `name@sha256:…`.
    pub analysis: AnalysisRef,
    /// What the task does in this DAG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where each of the analysis's inputs comes from: `task:<task>/<path>` or `dataset:<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<InputName, InputSource>,
    /// The analysis's parameters. `${{ … }}` in a string is CEL over the run's `params`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Tasks that must have succeeded first, besides those that `inputs` names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<TaskName>,
    /// Higher goes first among ready tasks; −1,000 to 1,000, default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1_000, max = 1_000))]
    pub priority: Option<i32>,
    /// The pools that the task draws on, at most 8, each at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<PoolUse>,
    /// When the task is tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Retries,
    /// The longest that one attempt may run, 1s to 7d; the manifest's unless this is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// The longest that the task may wait, ready, for an executor, 1s to 30d; default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<DurationMs>,
    /// Less of a resource than the manifest asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: ResourceOverrides,
}

impl TaskSpec {
    /// A task that runs `analysis` and has no other field.
    #[must_use]
    pub fn new(analysis: AnalysisRef) -> Self {
        Self {
            analysis,
            description: None,
            inputs: BTreeMap::new(),
            params: Map::new(),
            needs: BTreeSet::new(),
            priority: None,
            pool: Vec::new(),
            retries: Retries::default(),
            timeout: None,
            queue_timeout: None,
            resources: ResourceOverrides::default(),
        }
    }
}

/// Slots of one pool that a task holds while it has a lease.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct PoolUse {
    /// The pool.
    pub name: PoolName,
    /// How many of its slots; 1 to 10,000, default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub slots: u32,
}

/// When a task is tried again. Delay before try n+1: `initial · factor^(n−1)`, at most
/// `max_interval`, then jitter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often the task is tried, the first time included; 1 to 100, default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: Option<u32>,
    /// The delay before the second try; 0s to 1d, default 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<DurationMs>,
    /// What the delay is multiplied with after each try; 1 to 100, default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Factor>,
    /// The longest delay; 0s to 1d, default 100 times `initial`, at most 1d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<DurationMs>,
    /// `full` (default): a random delay between 0 and the computed one. `none`: the computed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
}

/// Whether a retry's delay is random.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// Uniform between 0 and the computed delay ("full jitter", AWS Architecture Blog, 2015).
    #[default]
    Full,
    /// Exactly the computed delay.
    None,
}

/// A factor in thousandths, from 1 to 100, so that it compares and hashes exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Factor(u32);

/// A number that is not a factor.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is not a factor: write a number from 1 to 100 with at most three decimals")]
pub struct InvalidFactor(pub f64);

impl Factor {
    /// Twice.
    pub const TWO: Self = Self(2_000);

    /// The factor in thousandths, 1,000 to 100,000.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl TryFrom<f64> for Factor {
    type Error = InvalidFactor;

    fn try_from(number: f64) -> Result<Self, InvalidFactor> {
        let thousandths = number * 1_000.0;
        let exact = (thousandths - thousandths.round()).abs() < 1e-6;
        if !exact || !(1_000.0..=100_000.0).contains(&thousandths) {
            return Err(InvalidFactor(number));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within 1,000 to 100,000"
        )]
        Ok(Self(thousandths.round() as u32))
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1_000.0)
    }
}

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1_000.0)
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?
            .try_into()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Factor {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Factor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 1, "maximum": 100 })
    }
}

/// Less of a resource than the manifest asks for; each field in the manifest's units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceOverrides {
    /// Processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuMillis>,
    /// Memory of the program including its `/tmp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Size of `/out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Bytes>,
    /// Size of `/tmp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmp: Option<Bytes>,
    /// Threads of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

impl ResourceOverrides {
    /// The manifest's resources with these put in their place, never more than the manifest's.
    /// Where `memory` falls below `/tmp`, `/tmp` shrinks with it.
    #[must_use]
    pub fn apply(&self, manifest: &Resources) -> Resources {
        let memory = self
            .memory
            .map_or(manifest.memory, |m| m.min(manifest.memory));
        Resources {
            cpu: self.cpu.map_or(manifest.cpu, |c| c.min(manifest.cpu)),
            memory,
            disk: self.disk.map_or(manifest.disk, |d| d.min(manifest.disk)),
            tmp: self
                .tmp
                .map_or(manifest.tmp, |t| t.min(manifest.tmp))
                .min(memory),
            pids: self.pids.map_or(manifest.pids, |p| p.min(manifest.pids)),
            timeout: manifest.timeout,
        }
    }
}

impl Spec {
    /// The spec in canonical JSON (see [`belljar_manifest::canonical`]): only the fields that the
    /// author wrote, each amount in one form, `needs` sorted, `pool` sorted by name.
    ///
    /// Built-in defaults are not folded in, so that a later release that changes one does not
    /// change the version of a spec that never mentioned it; writing a default out makes a new
    /// version. An empty `inputs`, `needs`, `pool`, `limits`, … is the same as none. Keys' order,
    /// quoting, comments, anchors and line ends make no difference.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let mut spec = self.clone();
        for task in spec.tasks.values_mut() {
            task.pool.sort();
        }
        // Every field serialises to JSON without a failing case: no map has keys other than text.
        canonical_json(&serde_json::to_value(&spec).unwrap_or_default())
    }

    /// The version's identity: SHA-256 of [`Self::canonical_json`].
    #[must_use]
    pub fn version(&self) -> DagVersion {
        DagVersion(Sha256Digest::of(self.canonical_json().as_bytes()))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn one() -> u32 {
    1
}
