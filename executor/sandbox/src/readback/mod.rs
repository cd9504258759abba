//! Read-back: is what is in force what was ordered?
//!
//! Owns: the comparison, field by field, each with the source it was read from. Leaves to others:
//! reading the sources ([`crate::docker`]).
//!
//! The sources, from the weakest to the strongest: `engine` (what the engine stored of our
//! request), `spec` (what the engine handed to the runtime), `cgroup`, `proc` and `mount` (what the
//! host's kernel does). A setting that only the runtime inside could confirm is `requested`.

mod engine;
mod process;
mod spec;
#[cfg(test)]
mod tests;

pub(crate) use engine::check_engine;
pub(crate) use process::{ProcessFacts, check_process};
pub(crate) use spec::check_spec;

use crate::attempt::Tier;
use crate::plan::ContainerPlan;
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// One setting of the sandbox and who confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The field, in the words of its source.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Where it was read: `engine`, `spec`, `cgroup`, `proc`, `mount`; `requested` where there is
    /// no source independent of the request.
    pub source: String,
}

/// Collects confirmed settings and stops at the first difference.
pub(crate) struct Comparison {
    source: &'static str,
    pub(crate) settings: Vec<Setting>,
}

impl Comparison {
    pub(crate) fn new(source: &'static str) -> Self {
        Self {
            source,
            settings: Vec::new(),
        }
    }

    /// Compares two values; lists of plain values as sets.
    pub(crate) fn same(
        &mut self,
        field: &str,
        wanted: &Value,
        found: Option<&Value>,
    ) -> Result<(), Refusal> {
        let found = found.unwrap_or(&Value::Null);
        if normal(found) != normal(wanted) {
            return Err(Refusal::Readback {
                field: field.to_owned(),
                wanted: shown(wanted),
                found: shown(found),
                from: self.source.to_owned(),
            });
        }
        self.settings.push(Setting {
            field: field.to_owned(),
            value: shown(wanted),
            source: self.source.to_owned(),
        });
        Ok(())
    }

    /// Compares something that is a text on both sides.
    pub(crate) fn text(
        &mut self,
        field: &str,
        wanted: impl Into<String>,
        found: impl Into<String>,
    ) -> Result<(), Refusal> {
        let (wanted, found) = (Value::String(wanted.into()), Value::String(found.into()));
        self.same(field, &wanted, Some(&found))
    }
}

/// The form in which absent, empty and `false` are alike, and sets are sorted.
fn normal(value: &Value) -> Value {
    match value {
        Value::Bool(false) => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Object(map) if map.is_empty() => Value::Null,
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(normal).collect();
            // Argument vectors are compared as one text each, so sorting loses nothing.
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// A value short enough to show and to keep.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    };
    if text.len() <= 300 {
        return text;
    }
    crate::plan::digest_of(text.as_bytes()).to_string()
}

/// An argument vector as one value in which order counts.
pub(crate) fn in_order(items: &[String]) -> Value {
    Value::String(serde_json::json!(items).to_string())
}

/// The limits on our own cgroup, as the kernel holds them.
///
/// # Errors
/// The first that differs.
pub(crate) fn check_cgroup(files: &[(PathBuf, String)]) -> Result<Vec<Setting>, Refusal> {
    let mut comparison = Comparison::new("cgroup");
    for (file, wanted) in files {
        let field = file.file_name().unwrap_or_default().to_string_lossy();
        // Without swap accounting in the kernel there is no such file and nothing to limit.
        if field == "memory.memsw.limit_in_bytes" && !file.exists() {
            continue;
        }
        let found = std::fs::read_to_string(file).unwrap_or_default();
        comparison.text(&field, wanted, found.trim())?;
    }
    Ok(comparison.settings)
}

/// What was asked for and only the runtime inside could confirm.
pub(crate) fn requested(plan: &ContainerPlan) -> Vec<Setting> {
    let setting = |field: &str, value: String| Setting {
        field: field.to_owned(),
        value,
        source: "requested".to_owned(),
    };
    let mut settings = vec![setting("log.cap_bytes", plan.log.cap_bytes.to_string())];
    if plan.tier == Tier::Gvisor {
        // gVisor's own kernel answers inside: the host sees neither.
        settings.extend([
            setting("inside.user", plan.process.user.clone()),
            setting("inside.capabilities", "none".to_owned()),
            setting("inside.readonly_rootfs", "true".to_owned()),
            setting("inside.ulimits", format!("{:?}", plan.limits.ulimits)),
            setting("inside.tmpfs", format!("{:?}", plan.mounts.tmpfs)),
        ]);
    }
    settings
}
