//! What each cause costs: the table of `docs/states.md` as code.

use belljar_ids::{Cause, TaskState};

/// What a cause spends, and whether the task instance may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spends {
    /// One of the task's tries.
    Try,
    /// One of the losses that the infrastructure is allowed.
    Infrastructure,
    /// Nothing; the instance ends.
    Final,
}

impl Spends {
    /// What an attempt that ended by `cause` spends.
    #[must_use]
    pub const fn of(cause: Cause) -> Self {
        match cause {
            Cause::ExitCode
            | Cause::ResultMissing
            | Cause::ResultInvalid
            | Cause::Memory
            | Cause::Pids
            | Cause::OutputLimit
            | Cause::OutputRefused
            | Cause::AttemptTimeout => Self::Try,
            Cause::ExecutorLost
            | Cause::EngineRestarted
            | Cause::ImageUnavailable
            | Cause::InputUnavailable
            | Cause::HostRebooted
            | Cause::ExecutorError => Self::Infrastructure,
            Cause::QueueTimeout
            | Cause::ImageRefused
            | Cause::Tampering
            | Cause::SandboxUnverified
            | Cause::Cancelled
            | Cause::Upstream => Self::Final,
        }
    }
}

/// The state in which an instance ends by `cause`.
#[must_use]
pub const fn final_state(cause: Cause) -> TaskState {
    match cause {
        Cause::AttemptTimeout | Cause::QueueTimeout => TaskState::TimedOut,
        Cause::Cancelled => TaskState::Cancelled,
        Cause::Upstream => TaskState::UpstreamFailed,
        _ => match Spends::of(cause) {
            Spends::Infrastructure => TaskState::Crashed,
            Spends::Try | Spends::Final => TaskState::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in `docs/states.md` says exactly what the code does.
    #[test]
    fn the_documented_costs_are_the_real_ones() {
        let page = include_str!("../../../docs/states.md");
        for cause in Cause::ALL {
            let spends = match Spends::of(*cause) {
                Spends::Try => "a try",
                Spends::Infrastructure => "infrastructure",
                Spends::Final => "nothing",
            };
            let row = format!("| `{cause}` | {spends} | `{}` |", final_state(*cause));
            assert!(
                page.lines().any(|line| line == row),
                "docs/states.md lacks: {row}"
            );
        }
        for state in TaskState::ALL {
            assert!(
                page.contains(&format!("`{state}`")),
                "docs/states.md lacks `{state}`"
            );
        }
    }
}
