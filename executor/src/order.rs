//! From a lease to the sandbox's order.
//!
//! Owns: the translation, as a pure function. Leaves to others: whether the order is allowed (the
//! sandbox's policy) and fetching what it names ([`crate::inputs`], [`crate::images`]).

use belljar_api::executor::{Lease, WorkInput, WorkOrder};
use belljar_ids::{Digest, Epoch, ExecutorId, InputName};
use belljar_manifest::{InputKind as DeclaredKind, Manifest};
use belljar_sandbox::{
    AttemptName, AttemptSpec, Declared, Identity, ImageId, InputKind, InputMount, InputSource,
    Limits, Tier,
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Why a lease cannot be turned into an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The manifest in it is none.
    #[error("the manifest in the lease is not understood: {0}")]
    Manifest(#[source] serde_json::Error),
    /// It gives something to an input that the manifest does not declare.
    #[error("the lease gives an input `{0}` that the manifest does not declare")]
    UndeclaredInput(InputName),
    /// An input that is a folder; they do not travel yet.
    #[error("input `{0}` is a folder; this executor takes files only")]
    FolderInput(InputName),
    /// An artifact's name that is none.
    #[error("the manifest's artifact has no valid name: {0}")]
    ArtifactName(#[source] belljar_ids::InvalidId),
}

/// What stays the same for an attempt whoever prepares it.
#[derive(Debug, Clone, Copy)]
pub struct Taker {
    /// Who.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// The slot.
    pub slot: u16,
    /// Bytes of logs that are kept.
    pub log_bytes: u64,
}

/// The name of the attempt under `lease`.
#[must_use]
pub fn attempt_name(executor: ExecutorId, lease: &Lease) -> AttemptName {
    // Neither the incarnation nor what is run is part of the name.
    identity(executor, Epoch(0), lease).name()
}

fn identity(executor: ExecutorId, epoch: Epoch, lease: &Lease) -> Identity {
    let key = &lease.lease.key;
    Identity {
        executor,
        epoch,
        run: key.run,
        task: key.task.clone(),
        map_index: key.map_index,
        fence: lease.lease.fence,
        spec_digest: spec_digest(&lease.work),
    }
}

/// The sandbox's order. `inputs` says where the bytes of each input are.
///
/// # Errors
///
/// [`OrderError`]: the lease contradicts itself, and no other executor could make sense of it.
pub fn attempt_spec(
    lease: &Lease,
    taker: Taker,
    inputs: &BTreeMap<InputName, PathBuf>,
) -> Result<AttemptSpec, OrderError> {
    let work = &lease.work;
    let manifest = manifest(work)?;
    let resources = work.resources;
    Ok(AttemptSpec {
        identity: identity(taker.executor, taker.epoch, lease),
        image: ImageId(work.image.config),
        argv: manifest.command,
        env: BTreeMap::new(),
        inputs: mounts(work, inputs),
        params: work.params.clone(),
        limits: Limits {
            cpu_millis: resources.cpu_millis,
            memory_bytes: resources.memory_bytes,
            disk_bytes: resources.disk_bytes,
            tmp_bytes: resources.tmp_bytes,
            pids: resources.pids,
            timeout: Duration::from_millis(resources.timeout_ms),
            log_bytes: taker.log_bytes,
        },
        slot: taker.slot,
        tier: if work.trusted {
            Tier::TrustedRunc
        } else {
            Tier::Gvisor
        },
        trusted: work.trusted,
        tmp_exec: false,
    })
}

fn mounts(work: &WorkOrder, inputs: &BTreeMap<InputName, PathBuf>) -> Vec<InputMount> {
    inputs
        .iter()
        .map(|(name, path)| InputMount {
            name: name.clone(),
            source: InputSource::HostPath(path.clone()),
            kind: InputKind::File,
            digest: work.inputs.get(name).map(input_digest),
        })
        .collect()
}

/// Checks that every input of the lease is declared and can be given, before anything is fetched.
///
/// # Errors
///
/// `Manifest`, `UndeclaredInput`, `FolderInput`.
pub fn check_inputs(work: &WorkOrder) -> Result<(), OrderError> {
    let manifest = manifest(work)?;
    for name in work.inputs.keys() {
        let declared = manifest
            .inputs
            .iter()
            .find(|(declared, _)| declared.as_str() == name.as_str());
        match declared {
            None => return Err(OrderError::UndeclaredInput(name.clone())),
            Some((_, spec)) if spec.kind == DeclaredKind::Folder => {
                return Err(OrderError::FolderInput(name.clone()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What the manifest declares as outputs.
///
/// # Errors
///
/// `Manifest`, `ArtifactName`.
pub fn declared(work: &WorkOrder) -> Result<Declared, OrderError> {
    let mut declared = Declared::of(&manifest(work)?).map_err(OrderError::ArtifactName)?;
    // The task may have lowered what the manifest asks for.
    for artifact in declared.artifacts.values_mut() {
        artifact.max_bytes = artifact.max_bytes.min(work.resources.disk_bytes);
    }
    Ok(declared)
}

fn manifest(work: &WorkOrder) -> Result<Manifest, OrderError> {
    serde_json::from_value(work.manifest.clone()).map_err(OrderError::Manifest)
}

/// What an input hashes to.
#[must_use]
pub fn input_digest(input: &WorkInput) -> Digest {
    match input {
        WorkInput::Blob(blob) => blob.digest,
        WorkInput::Inline { digest, .. } => *digest,
    }
}

/// The digest of what was leased, for the receipt: SHA-256 of the canonical JSON (RFC 8785 for the
/// values that occur here) of the analysis, the DAG version, the inputs' digests, the parameters and
/// the limits. Where the bytes can be had is not part of it.
#[must_use]
pub fn spec_digest(work: &WorkOrder) -> Digest {
    let inputs: BTreeMap<_, _> = work
        .inputs
        .iter()
        .map(|(name, input)| (name.as_str().to_owned(), input_digest(input)))
        .collect();
    let spec = serde_json::json!({
        "analysis": work.analysis_digest,
        "dag_version": work.dag_version,
        "image": work.image.config,
        "inputs": inputs,
        "params": work.params,
        "resources": work.resources,
        "trusted": work.trusted,
    });
    let text = belljar_manifest::canonical::canonical_json(&spec);
    Digest::from_bytes(Sha256::digest(text.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lease;

    fn taker(epoch: i64) -> Taker {
        Taker {
            executor: "exe_0000000000000000000000000000e0e1".parse().unwrap(),
            epoch: Epoch(epoch),
            slot: 3,
            log_bytes: 1 << 20,
        }
    }

    #[test]
    fn a_lease_becomes_an_order_of_the_same_name_in_every_incarnation() {
        let lease = lease("clean", 7);
        let inputs = BTreeMap::from([("posts".parse().unwrap(), PathBuf::from("/cache/05"))]);
        let spec = attempt_spec(&lease, taker(2), &inputs).unwrap();
        let again = attempt_spec(&lease, taker(3), &inputs).unwrap();
        assert_eq!(spec.name(), again.name());
        assert_eq!(spec.name(), attempt_name(taker(1).executor, &lease));
        assert_eq!(spec.tier, Tier::Gvisor);
        assert_eq!(spec.argv, Some(vec!["/noop".to_owned()]));
        assert_eq!(spec.slot, 3);
        assert_eq!(spec.inputs.len(), 1);
        assert_eq!(spec.inputs[0].digest, Some(Digest::from_bytes([5; 32])));
        assert_eq!(spec.limits.timeout, Duration::from_secs(60));
    }

    #[test]
    fn declared_outputs_never_exceed_the_disk() {
        let mut work = lease("clean", 1).work;
        work.resources.disk_bytes = 1000;
        let declared = declared(&work).unwrap();
        let chart = &declared.artifacts[&"chart".parse::<belljar_ids::ArtifactName>().unwrap()];
        assert_eq!((chart.path.as_str(), chart.max_bytes), ("chart.svg", 1000));
    }

    #[test]
    fn leases_that_contradict_themselves_are_refused() {
        let mut work = lease("clean", 1).work;
        assert!(check_inputs(&work).is_ok());
        let stray = work.inputs.values().next().unwrap().clone();
        work.inputs.insert("stray".parse().unwrap(), stray);
        assert!(matches!(
            check_inputs(&work),
            Err(OrderError::UndeclaredInput(_))
        ));
        work.inputs.remove("stray");
        work.manifest["inputs"]["posts"]["kind"] = "folder".into();
        assert!(matches!(
            check_inputs(&work),
            Err(OrderError::FolderInput(_))
        ));
        work.manifest = serde_json::json!([]);
        assert!(matches!(declared(&work), Err(OrderError::Manifest(_))));
    }

    #[test]
    fn the_spec_digest_is_of_what_runs_not_of_where_it_comes_from() {
        let work = lease("clean", 1).work;
        let mut moved = work.clone();
        if let Some(WorkInput::Blob(blob)) = moved.inputs.values_mut().next() {
            blob.url = "http://elsewhere/".to_owned();
        }
        assert_eq!(spec_digest(&work), spec_digest(&moved));
        let mut other = work.clone();
        other.params = serde_json::json!({ "timezone": "Europe/Prague" });
        assert_ne!(spec_digest(&work), spec_digest(&other));
    }
}
