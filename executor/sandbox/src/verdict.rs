//! The judgement over a finished attempt, from facts alone.
//!
//! Owns: which fact wins over which. Exit code 0 alone is not success: it is one of five conditions.

use crate::attempt::Tier;
use crate::finished::{Cause, CauseKind, StopReason, Usage, Verdict};
use crate::outputs::Outputs;
use crate::plan::LimitPlan;
use crate::record::{Record, Stopped};

/// How many bytes of `/out` may be free for it to count as full: a few blocks.
const FULL_WITHIN_BYTES: u64 = 64 << 10;
/// How many inodes of `/out` may be free for it to count as full.
const FULL_WITHIN_INODES: u64 = 1;
/// The exit code of a process killed by SIGKILL.
const KILLED: i64 = 137;
/// The exit code of gVisor when the sandbox itself dies.
const SANDBOX_DIED: i64 = 2;

/// What was free on `/out` at the end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutSpace {
    /// Free bytes.
    pub free_bytes: u64,
    /// Free inodes.
    pub free_inodes: u64,
}

/// What forbids to look at the outputs at all, if anything does.
pub(crate) fn before_collecting(
    record: &Record,
    stopped: &Stopped,
    out: OutSpace,
) -> Option<Verdict> {
    if let Some(difference) = &record.unverified {
        return Some(failed(
            CauseKind::SandboxUnverified,
            difference.clone(),
            "the executor's host needs attention: `belljar doctor`",
        ));
    }
    if let Some(code) = stopped.exit.as_ref().map(|exit| exit.code)
        && !(0..=255).contains(&code)
    {
        return Some(failed(
            CauseKind::Tampering,
            format!("the container ended with the impossible exit code {code}"),
            "it manipulated the runtime outside of it; this is never retried",
        ));
    }
    if let Some(check) = stopped.checks.iter().find(|check| !check.passed) {
        return Some(failed(
            CauseKind::Tampering,
            format!("after the container had ended: {}", check.detail),
            "it manipulated the runtime outside of it; this is never retried",
        ));
    }
    if !stopped.ended_by_itself {
        match stopped.reason {
            StopReason::TimedOut => return Some(Verdict::TimedOut),
            StopReason::Cancelled | StopReason::LeaseLost => return Some(Verdict::Cancelled),
            StopReason::Exited => {}
        }
    }
    if !stopped.lost.is_empty() {
        return Some(Verdict::Lost {
            detail: stopped.lost.clone(),
        });
    }
    let Some(exit) = &stopped.exit else {
        return Some(Verdict::Lost {
            detail: "the engine does not know how the container ended".to_owned(),
        });
    };
    let usage = &stopped.usage;
    let limits = &record.plan.limits;
    if memory_was_exceeded(record.plan.tier, limits, usage, exit.code, exit.oom) {
        return Some(failed(
            CauseKind::MemoryLimit,
            format!(
                "the memory limit was reached (exit code {}); the peak was {} MiB",
                exit.code,
                usage.memory_peak_bytes >> 20
            ),
            "use less memory, or raise `resources.memory`; /tmp counts as memory",
        ));
    }
    if exit.code == 0 {
        return None;
    }
    Some(nonzero(record, usage, out, exit.code))
}

fn nonzero(record: &Record, usage: &Usage, out: OutSpace, code: i64) -> Verdict {
    let limits = &record.plan.limits;
    if usage.pids_refused > 0 || usage.pids_peak >= u64::from(limits.pids) {
        return failed(
            CauseKind::PidsLimit,
            format!("the limit on processes and threads was reached (exit code {code})"),
            "start fewer processes and threads, or raise `resources.pids`",
        );
    }
    if out.free_bytes <= FULL_WITHIN_BYTES || out.free_inodes <= FULL_WITHIN_INODES {
        return failed(
            CauseKind::OutputLimit,
            format!("/out was full (exit code {code})"),
            "write less to /out, or raise `resources.disk`",
        );
    }
    let program = record.plan.process.entrypoint.first();
    let program = program.map(String::as_str).unwrap_or_default();
    if code == 127 || code == 126 {
        return failed(
            CauseKind::ProgramNotStarted,
            format!(
                "exit code {code}: `{program}`, or a program that it calls, cannot be executed"
            ),
            "check that it exists in the image, is executable and built for this platform",
        );
    }
    let message = match code {
        129..=192 => format!("the program was ended by signal {}", code - 128),
        _ => format!("the program exited with code {code}"),
    };
    failed(CauseKind::ExitCode, message, "its log says more")
}

/// Whether memory ran out: as the kernel counted it, else as it looks. gVisor dies without a word
/// when its host process is killed, so there a dead sandbox at the limit counts.
fn memory_was_exceeded(
    tier: Tier,
    limits: &LimitPlan,
    usage: &Usage,
    code: i64,
    engine_says: bool,
) -> bool {
    if engine_says || usage.oom_kills > 0 {
        return true;
    }
    let near_limit = usage.memory_peak_bytes >= limits.memory_bytes / 100 * 98;
    let sandbox_died = tier == Tier::Gvisor && code == SANDBOX_DIED;
    near_limit && usage.memory_limit_hits > 0 && (code == KILLED || sandbox_died)
}

fn failed(kind: CauseKind, message: String, hint: &str) -> Verdict {
    Verdict::Failed {
        cause: Cause::new(kind, message, hint),
    }
}

/// The judgement after collecting.
pub(crate) fn after_collecting(outputs: &Result<Outputs, Cause>) -> Verdict {
    match outputs {
        Ok(_) => Verdict::Succeeded,
        Err(cause) => Verdict::Failed {
            cause: cause.clone(),
        },
    }
}
