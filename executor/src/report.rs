//! From what happened to what is reported.
//!
//! Owns: the mapping to causes, as pure functions; success is decided here and by the sandbox's
//! verdict together. Leaves to others: sending it ([`crate::reporter`]).
//!
//! A success needs all of: exit 0, no memory kill, nothing killed by us, one life of the container
//! engine from start to end, an empty cgroup, and outputs that were collected and are valid.

use crate::clock::millis;
use belljar_api::executor::{
    BlobEntry, LogEnds, Outcome, Peaks, WorkArtifact, WorkOutputs, WorkResult,
};
use belljar_ids::Cause;
use belljar_sandbox::image::ArchiveError;
use belljar_sandbox::{
    CauseKind, Finished, Outputs, Refusal, SandboxError, StopReason, Usage, Verdict,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Results of at most this many bytes travel in the report itself.
pub const INLINE_RESULT_BYTES: u64 = 16 << 10;

/// Why an attempt did not succeed, and one sentence on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// For people.
    pub message: String,
}

impl Failure {
    /// This cause with this sentence.
    #[must_use]
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
        }
    }
}

/// What is known of an attempt besides the sandbox's judgement.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Whether the container engine lived from the program's start to its end.
    pub engine_continuous: bool,
    /// How long ago the program started.
    pub started_ago: Option<Duration>,
    /// The ends of its logs.
    pub logs: LogEnds,
    /// Where the time went, by step.
    pub timings: BTreeMap<&'static str, Duration>,
}

/// The outcome of an attempt that the sandbox finished. `inline` is the text of a small result,
/// `receipt` the receipt's bytes in the blob store.
#[must_use]
pub fn outcome(
    finished: &Finished,
    reason: StopReason,
    circumstances: &Circumstances,
    inline: Option<String>,
    receipt: Option<BlobEntry>,
) -> Outcome {
    let failure =
        failure(&finished.verdict, reason, circumstances.engine_continuous).or_else(|| {
            // The verdict says success; it must also say of what.
            finished.outputs.is_none().then(|| {
                Failure::new(
                    Cause::ExecutorError,
                    "the sandbox accepted the attempt and gave no outputs",
                )
            })
        });
    let exit_code = finished
        .exit
        .as_ref()
        .and_then(|exit| i32::try_from(exit.code).ok());
    let dropped_files = finished.receipt.dropped.files;
    let outputs = match (&failure, &finished.outputs) {
        (None, Some(outputs)) => Some(work_outputs(outputs, inline)),
        _ => None,
    };
    Outcome {
        ended_by_itself: finished.ended_by_itself,
        exit_code,
        outputs,
        peaks: peaks(&finished.usage),
        dropped_files,
        receipt,
        ..bare(failure, circumstances)
    }
}

/// The outcome of an attempt of which there is nothing but the failure.
#[must_use]
pub fn failed(failure: Failure, circumstances: &Circumstances) -> Outcome {
    bare(Some(failure), circumstances)
}

fn bare(failure: Option<Failure>, circumstances: &Circumstances) -> Outcome {
    let (cause, message) = failure.map_or((None, None), |f| (Some(f.cause), Some(f.message)));
    Outcome {
        cause,
        message,
        ended_by_itself: false,
        exit_code: None,
        started_ms_ago: circumstances.started_ago.map(millis),
        outputs: None,
        logs: circumstances.logs.clone(),
        peaks: Peaks::default(),
        timings_ms: circumstances
            .timings
            .iter()
            .map(|(step, time)| ((*step).to_owned(), millis(*time)))
            .collect(),
        dropped_files: 0,
        receipt: None,
    }
}

/// Why an attempt did not succeed; none where it did.
#[must_use]
pub fn failure(verdict: &Verdict, reason: StopReason, engine_continuous: bool) -> Option<Failure> {
    match verdict {
        // A program that traps the signal of a stopping engine ends with 0 as if it were done.
        Verdict::Succeeded | Verdict::Failed { .. } if !engine_continuous => Some(Failure::new(
            Cause::EngineRestarted,
            "the container engine was restarted while the program ran",
        )),
        Verdict::Succeeded => None,
        Verdict::Failed { cause } => Some(Failure::new(
            cause_of(cause.kind),
            joined(&cause.message, &cause.hint),
        )),
        Verdict::TimedOut => Some(Failure::new(
            Cause::AttemptTimeout,
            "the attempt's time was over; it was killed",
        )),
        Verdict::Cancelled if reason == StopReason::LeaseLost => Some(Failure::new(
            Cause::ExecutorLost,
            "the scheduler was out of reach for too long, and the attempt was killed so that it cannot run twice",
        )),
        Verdict::Cancelled => Some(Failure::new(Cause::Cancelled, "cancelled")),
        Verdict::Lost { detail } => {
            let cause = if engine_continuous {
                Cause::ExecutorError
            } else {
                Cause::EngineRestarted
            };
            Some(Failure::new(cause, detail.clone()))
        }
    }
}

fn cause_of(kind: CauseKind) -> Cause {
    match kind {
        CauseKind::ExitCode | CauseKind::ProgramNotStarted => Cause::ExitCode,
        CauseKind::MemoryLimit => Cause::Memory,
        CauseKind::PidsLimit => Cause::Pids,
        CauseKind::OutputLimit => Cause::OutputLimit,
        CauseKind::OutputForbidden => Cause::OutputRefused,
        CauseKind::ResultMissing | CauseKind::ArtifactMissing => Cause::ResultMissing,
        CauseKind::ResultInvalid => Cause::ResultInvalid,
        CauseKind::Tampering => Cause::Tampering,
        CauseKind::SandboxUnverified => Cause::SandboxUnverified,
        CauseKind::Refused => Cause::ImageRefused,
    }
}

/// What an error of the sandbox means for the attempt it happened to.
#[must_use]
pub fn failure_of_error(error: &SandboxError) -> Failure {
    let cause = match error {
        SandboxError::Refused(refusal) => cause_of_refusal(refusal),
        SandboxError::EngineUnavailable { .. } => Cause::EngineRestarted,
        SandboxError::ImageMissing(_) => Cause::ImageUnavailable,
        SandboxError::Archive(error) => cause_of_archive(error),
        SandboxError::Engine { .. }
        | SandboxError::EngineSlow { .. }
        | SandboxError::NotFound(_)
        | SandboxError::Unkillable { .. }
        | SandboxError::DiskFull { .. }
        | SandboxError::Host { .. }
        | SandboxError::Helper { .. }
        | SandboxError::Confused(_) => Cause::ExecutorError,
    };
    let message = match error.refusal() {
        Some(refusal) => joined(&format!("{}: {refusal}", refusal.code()), refusal.hint()),
        None => error.to_string(),
    };
    Failure::new(cause, message)
}

/// A refusal is final where it is about the image or the order, an infrastructure loss where
/// another host could do better.
fn cause_of_refusal(refusal: &Refusal) -> Cause {
    match refusal {
        Refusal::Readback { .. } => Cause::SandboxUnverified,
        Refusal::RuntimeMissing { .. }
        | Refusal::TooOld { .. }
        | Refusal::Slot { .. }
        | Refusal::Input { .. }
        | Refusal::HostUnfit { .. } => Cause::ExecutorError,
        _ => Cause::ImageRefused,
    }
}

fn cause_of_archive(error: &ArchiveError) -> Cause {
    match error {
        ArchiveError::Io(_) | ArchiveError::Digest { .. } | ArchiveError::WrongImage { .. } => {
            Cause::ImageUnavailable
        }
        _ => Cause::ImageRefused,
    }
}

/// A sentence and what to do about it.
fn joined(message: &str, hint: &str) -> String {
    if hint.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({hint})")
    }
}

fn work_outputs(outputs: &Outputs, inline: Option<String>) -> WorkOutputs {
    let entry = |file: &belljar_sandbox::outputs::OutputFile| BlobEntry {
        digest: file.digest,
        size: file.bytes,
    };
    WorkOutputs {
        result: WorkResult {
            blob: entry(&outputs.result),
            inline,
        },
        artifacts: outputs
            .artifacts
            .iter()
            .map(|(name, file)| {
                let artifact = WorkArtifact {
                    path: file.path.clone(),
                    media_type: file.media_type.clone(),
                    blob: entry(file),
                };
                (name.clone(), artifact)
            })
            .collect(),
    }
}

/// Zero stands in the sandbox's usage for a figure that could not be read.
fn peaks(usage: &Usage) -> Peaks {
    let known = |figure: u64| (figure > 0).then_some(figure);
    Peaks {
        memory_bytes: known(usage.memory_peak_bytes),
        cpu_ms: known(usage.cpu_micros).map(|micros| micros.div_ceil(1000)),
        pids: known(usage.pids_peak),
    }
}

#[cfg(test)]
mod tests;
