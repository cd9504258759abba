//! The executor protocol's messages and the engine's commands, one as the other.

use belljar_api::executor as wire;
use belljar_engine::command;
use belljar_engine::plan::{
    Artifact, BlobRef, ImageSource, OutputRef, Outputs, Payload, PlannedInput,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest that a claim is parked, milliseconds.
const CLAIM_WAIT_MS: u64 = 60_000;

pub(super) fn output_blob<'a>(outputs: &'a Outputs, output: &OutputRef) -> Option<&'a BlobRef> {
    match output {
        OutputRef::Result => Some(&outputs.result.blob),
        OutputRef::Artifact(name) => outputs.artifacts.get(name).map(|found| &found.blob),
    }
}

pub(super) fn lease_of(lease: wire::LeaseRef) -> command::LeaseRef {
    command::LeaseRef {
        key: lease.key,
        fence: lease.fence,
        token: lease.token,
    }
}

pub(super) fn held(held: wire::HeldLease) -> command::HeldLease {
    command::HeldLease {
        lease: lease_of(held.lease),
        started: held.phase != wire::Phase::Preparing,
    }
}

pub(super) fn claim_of(claim: wire::Claim) -> command::Claim {
    command::Claim {
        claim: claim.claim,
        executor: claim.executor,
        epoch: claim.epoch,
        free_slots: claim.free_slots,
        wait_ms: claim.wait_ms.min(CLAIM_WAIT_MS),
    }
}

pub(super) fn verdict(verdict: command::LeaseVerdict) -> wire::LeaseVerdict {
    match verdict {
        command::LeaseVerdict::Ok => wire::LeaseVerdict::Ok,
        command::LeaseVerdict::Cancel => wire::LeaseVerdict::Cancel,
        command::LeaseVerdict::Gone => wire::LeaseVerdict::Gone,
    }
}

pub(super) fn report_verdict(verdict: command::ReportVerdict) -> wire::ReportVerdict {
    match verdict {
        command::ReportVerdict::Accepted => wire::ReportVerdict::Accepted,
        command::ReportVerdict::StaleFence => wire::ReportVerdict::StaleFence,
        command::ReportVerdict::DigestMismatch => wire::ReportVerdict::DigestMismatch,
        command::ReportVerdict::Invalid => wire::ReportVerdict::Invalid,
    }
}

pub(super) fn blob_ref(entry: wire::BlobEntry) -> BlobRef {
    BlobRef {
        digest: entry.digest,
        size: entry.size,
    }
}

pub(super) fn outputs_of(outputs: wire::WorkOutputs) -> Outputs {
    Outputs {
        result: Payload {
            blob: blob_ref(outputs.result.blob),
            inline: outputs.result.inline,
        },
        artifacts: outputs
            .artifacts
            .into_iter()
            .map(|(name, artifact)| {
                let artifact = Artifact {
                    path: artifact.path,
                    media_type: artifact.media_type,
                    blob: blob_ref(artifact.blob),
                };
                (name, artifact)
            })
            .collect(),
    }
}

pub(super) fn claimed_of(claimed: command::Claimed) -> wire::Claimed {
    let cancel = claimed.cancel.into_iter();
    wire::Claimed {
        leases: claimed.leases.into_iter().map(granted).collect(),
        cancel: cancel
            .map(|(key, fence)| wire::CancelRef { key, fence })
            .collect(),
    }
}

/// A lease as it is sent: the plan's work, with every input found.
///
/// An artifact that its task was free to leave out, and did, is simply absent: `dag apply` sees to it that
/// only an input that may be absent reads it. Nothing here can fail, because one lease must never
/// keep an executor from all the others in the same answer.
fn granted(granted: command::Granted) -> wire::Lease {
    let work = granted.work();
    let inputs = work
        .inputs
        .iter()
        .filter_map(|(name, input)| Some((name.clone(), input_of(input, &granted.upstream)?)));
    let inputs: BTreeMap<_, _> = inputs.collect();
    let limits = work.resources;
    let from = work.image.from.iter().map(|source| match source {
        ImageSource::Blob(blob) => wire::WorkImageSource::Blob(work_blob(blob)),
        ImageSource::Registry(reference) => wire::WorkImageSource::Registry(reference.clone()),
    });
    let order = wire::WorkOrder {
        dag: granted.plan.dag.to_string(),
        dag_version: granted.plan.dag_version,
        analysis: work.analysis.clone(),
        analysis_version: work.analysis_version.clone(),
        analysis_digest: work.analysis_digest,
        manifest: work.manifest.clone(),
        image: wire::WorkImage {
            digest: work.image.digest,
            config: work.image.config,
            from: from.collect(),
        },
        inputs,
        params: work.params.clone(),
        resources: wire::WorkResources {
            cpu_millis: limits.cpu_millis,
            memory_bytes: limits.memory_bytes,
            disk_bytes: limits.disk_bytes,
            tmp_bytes: limits.tmp_bytes,
            pids: limits.pids,
            timeout_ms: limits.timeout_ms,
        },
        trusted: work.trusted,
    };
    wire::Lease {
        try_number: granted.try_number,
        work: order,
        lease: wire::LeaseRef {
            key: granted.lease.key,
            fence: granted.lease.fence,
            token: granted.lease.token,
        },
    }
}

fn input_of(
    input: &PlannedInput,
    upstream: &BTreeMap<belljar_ids::TaskName, Arc<Outputs>>,
) -> Option<wire::WorkInput> {
    match input {
        PlannedInput::Dataset { blob, .. } => Some(wire::WorkInput::Blob(work_blob(blob))),
        PlannedInput::Task { task, output } => {
            let outputs = upstream.get(task)?;
            match (output, &outputs.result) {
                (
                    OutputRef::Result,
                    Payload {
                        inline: Some(text),
                        blob,
                    },
                ) => Some(wire::WorkInput::Inline {
                    text: text.clone(),
                    digest: blob.digest,
                }),
                _ => {
                    output_blob(outputs, output).map(|blob| wire::WorkInput::Blob(work_blob(blob)))
                }
            }
        }
    }
}

fn work_blob(blob: &BlobRef) -> wire::WorkBlob {
    wire::WorkBlob {
        digest: blob.digest,
        size: blob.size,
        url: format!("{}/blobs/{}", super::EXECUTOR, blob.digest),
    }
}
