//! The receipt of an attempt of which the sandbox has nothing to say: it never got a container, or what
//! became of its container cannot be told.
//!
//! Owns: that document. Leaves to others: the receipt of an attempt that ran, which the sandbox writes
//! from what it measured.

use crate::order::spec_digest;
use crate::report::Failure;
use belljar_api::executor::{Lease, WorkInput};
use belljar_ids::{Digest, Epoch, ExecutorId};
use belljar_sandbox::AttemptName;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What was ordered, that nothing more is known of it, and why. JSON without spaces, keys sorted.
pub(super) fn bare_receipt(
    lease: &Lease,
    name: &AttemptName,
    (executor, epoch): (ExecutorId, Epoch),
    failure: &Failure,
    started: bool,
) -> Vec<u8> {
    let (key, work) = (&lease.lease.key, &lease.work);
    let params = serde_json::to_vec(&work.params).unwrap_or_default();
    let inputs: BTreeMap<_, _> = work
        .inputs
        .iter()
        .map(|(name, input)| (name.as_str(), digest_of(input)))
        .collect();
    let document: BTreeMap<&str, Value> = BTreeMap::from([
        ("receipt", json!("belljar-receipt-bare/1")),
        ("attempt", json!(name)),
        ("executor", json!(executor)),
        ("epoch", json!(epoch)),
        ("run", json!(key.run)),
        ("task", json!(key.task)),
        ("map_index", json!(key.map_index)),
        ("fence", json!(lease.lease.fence)),
        ("analysis", json!(work.analysis)),
        ("analysis_digest", json!(work.analysis_digest)),
        ("image", json!(work.image.config)),
        ("spec_digest", json!(spec_digest(work))),
        ("params_digest", json!(sha256(&params))),
        ("inputs", json!(inputs)),
        ("program_started", json!(started)),
        ("cause", json!(failure.cause)),
        ("message", json!(failure.message)),
    ]);
    // Plain values under string keys: this cannot fail.
    serde_json::to_vec(&document).unwrap_or_default()
}

const fn digest_of(input: &WorkInput) -> Digest {
    match input {
        WorkInput::Blob(blob) => blob.digest,
        WorkInput::Inline { digest, .. } => *digest,
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}
