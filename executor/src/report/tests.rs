//! The mapping as tables.

use super::*;
use belljar_sandbox::Cause as SandboxCause;

fn failed_with(kind: CauseKind) -> Verdict {
    Verdict::Failed {
        cause: SandboxCause {
            kind,
            message: "what".to_owned(),
            hint: "do".to_owned(),
        },
    }
}

#[test]
fn verdicts_become_causes() {
    use StopReason::{Cancelled, Exited, LeaseLost, TimedOut};
    let lost = Verdict::Lost {
        detail: "gone".to_owned(),
    };
    for (verdict, reason, continuous, wanted) in [
        (Verdict::Succeeded, Exited, true, None),
        // Ended while the cancel was on its way: it is its own outcome.
        (Verdict::Succeeded, Cancelled, true, None),
        (
            Verdict::Succeeded,
            Exited,
            false,
            Some(Cause::EngineRestarted),
        ),
        (
            failed_with(CauseKind::ExitCode),
            Exited,
            true,
            Some(Cause::ExitCode),
        ),
        (
            failed_with(CauseKind::ExitCode),
            Exited,
            false,
            Some(Cause::EngineRestarted),
        ),
        (
            failed_with(CauseKind::ProgramNotStarted),
            Exited,
            true,
            Some(Cause::ExitCode),
        ),
        (
            failed_with(CauseKind::MemoryLimit),
            Exited,
            true,
            Some(Cause::Memory),
        ),
        (
            failed_with(CauseKind::PidsLimit),
            Exited,
            true,
            Some(Cause::Pids),
        ),
        (
            failed_with(CauseKind::OutputLimit),
            Exited,
            true,
            Some(Cause::OutputLimit),
        ),
        (
            failed_with(CauseKind::OutputForbidden),
            Exited,
            true,
            Some(Cause::OutputRefused),
        ),
        (
            failed_with(CauseKind::ResultMissing),
            Exited,
            true,
            Some(Cause::ResultMissing),
        ),
        (
            failed_with(CauseKind::ArtifactMissing),
            Exited,
            true,
            Some(Cause::ResultMissing),
        ),
        (
            failed_with(CauseKind::ResultInvalid),
            Exited,
            true,
            Some(Cause::ResultInvalid),
        ),
        (
            failed_with(CauseKind::Tampering),
            Exited,
            true,
            Some(Cause::Tampering),
        ),
        (
            failed_with(CauseKind::SandboxUnverified),
            Exited,
            true,
            Some(Cause::SandboxUnverified),
        ),
        (
            failed_with(CauseKind::Refused),
            Exited,
            true,
            Some(Cause::ImageRefused),
        ),
        (
            Verdict::TimedOut,
            TimedOut,
            true,
            Some(Cause::AttemptTimeout),
        ),
        (Verdict::Cancelled, Cancelled, true, Some(Cause::Cancelled)),
        (
            Verdict::Cancelled,
            LeaseLost,
            true,
            Some(Cause::ExecutorLost),
        ),
        (lost.clone(), Exited, true, Some(Cause::ExecutorError)),
        (lost, Exited, false, Some(Cause::EngineRestarted)),
    ] {
        let cause = failure(&verdict, reason, continuous).map(|failure| failure.cause);
        assert_eq!(cause, wanted, "{verdict:?} {reason:?} {continuous}");
    }
}

#[test]
fn refusals_are_final_only_where_no_other_host_could_help() {
    for (refusal, wanted) in [
        (Refusal::NoProgram, Cause::ImageRefused),
        (
            Refusal::Volume {
                path: "/in".to_owned(),
            },
            Cause::ImageRefused,
        ),
        (
            Refusal::RuntimeMissing {
                runtime: "belljar-runsc".to_owned(),
            },
            Cause::ExecutorError,
        ),
        (
            Refusal::HostUnfit {
                problem: "no loop devices".to_owned(),
            },
            Cause::ExecutorError,
        ),
        (
            Refusal::Readback {
                field: "pids".to_owned(),
                wanted: "64".to_owned(),
                found: "max".to_owned(),
                from: "cgroup".to_owned(),
            },
            Cause::SandboxUnverified,
        ),
    ] {
        let code = refusal.code();
        let failure = failure_of_error(&SandboxError::from(refusal));
        assert_eq!(failure.cause, wanted);
        assert!(failure.message.contains(code), "{}", failure.message);
    }
}

#[test]
fn unread_figures_are_not_zero() {
    let usage = Usage {
        cpu_micros: 1,
        ..Usage::default()
    };
    let peaks = peaks(&usage);
    assert_eq!((peaks.memory_bytes, peaks.cpu_ms), (None, Some(1)));
}
