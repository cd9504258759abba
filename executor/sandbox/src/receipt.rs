//! The receipt: the record of what ran, for the data's owner.
//!
//! Owns: its shape and its canonical bytes. Leaves to others: signing and storing it.

use crate::attempt::{AttemptName, Identity, InputKind, Limits, Tier};
use crate::finished::{Exit, Usage, Verdict};
use crate::image::ImageId;
use crate::outputs::{Dropped, OutputFile};
use crate::readback::Setting;
use belljar_ids::{Digest, InputName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One input of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptInput {
    /// Its name.
    pub name: InputName,
    /// One file or a folder.
    pub kind: InputKind,
    /// The digest the caller gave for its content.
    pub digest: Option<Digest>,
    /// Regular files in it.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// What carried the attempt out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRuntime {
    /// The runtime's name in the engine.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How gVisor intercepts system calls; empty for plain `runc`.
    pub platform: String,
    /// The engine's version.
    pub engine: String,
    /// The host kernel's release.
    pub kernel: String,
}

/// One check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which: a stable word such as `cgroup_empty`.
    pub check: String,
    /// Whether it held.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// The statement about one attempt. Unsigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of this document's shape: `belljar-receipt/1`.
    pub receipt: String,
    /// The attempt.
    pub attempt: AttemptName,
    /// Whose it was.
    pub identity: Identity,
    /// How strong the walls were.
    pub tier: Tier,
    /// What a reader must know about the tier; empty for the production sandbox.
    pub warning: String,
    /// The image that ran.
    pub image: ImageId,
    /// The SHA-256 of the canonical JSON of the whole container plan.
    pub plan_digest: Digest,
    /// The SHA-256 of `/in/params.json`.
    pub params_digest: Digest,
    /// The inputs.
    pub inputs: Vec<ReceiptInput>,
    /// The accepted outputs: `result.json` under `result`, artifacts under `artifact:<name>`.
    pub outputs: BTreeMap<String, OutputFile>,
    /// What was in `/out` besides.
    pub dropped: Dropped,
    /// What carried it out.
    pub runtime: ReceiptRuntime,
    /// Every setting with its source, `requested` where there is no independent one.
    pub settings: Vec<Setting>,
    /// What it was allowed to use.
    pub limits: Limits,
    /// What it used.
    pub usage: Usage,
    /// The checks made on the way.
    pub checks: Vec<Check>,
    /// How the container ended.
    pub exit: Option<Exit>,
    /// The judgement.
    pub verdict: Verdict,
}

impl Receipt {
    /// The one byte form: JSON without spaces, the keys of every object sorted (RFC 8785 for the
    /// values that occur here: no floating-point numbers).
    #[must_use]
    pub fn canonical_json(&self) -> Vec<u8> {
        canonical_json(self)
    }
}

/// JSON without spaces and with sorted keys.
pub(crate) fn canonical_json<T: Serialize>(value: &T) -> Vec<u8> {
    // serde_json's map is a BTreeMap, so going through a Value sorts the keys. Serialising our
    // own plain types cannot fail: no map has keys other than strings.
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_vec(&sorted(value)))
        .unwrap_or_default()
}

/// The same value with the keys of every object sorted, whatever map serde_json was built with.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let by_key: BTreeMap<_, _> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            serde_json::Value::Object(by_key.into_iter().collect())
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
