//! The names of the states a run and a task instance can be in, and of the causes beside them.
//!
//! Owns: the words, the same in SQL, JSON, the CLI and the UI. Leaves to others: who moves what from
//! one state to the next (the engine, `docs/states.md`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that names no state or cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no {1}")]
pub struct UnknownName(pub String, pub &'static str);

macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $kind:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $type {
            $($(#[$vdoc])* $variant,)+
        }

        impl $type {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, the same in SQL, JSON and the UI.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName(text.to_owned(), $kind)),
                }
            }
        }
    };
}

names! {
    /// Where a task instance stands.
    TaskState, "task state" {
        /// Something upstream has not succeeded yet.
        Pending = "pending",
        /// May run as soon as its permits and an executor are free.
        Ready = "ready",
        /// Given to an executor, which has not started it yet. Holds its permits.
        Leased = "leased",
        /// The executor reported its start. Holds its permits.
        Running = "running",
        /// Parked on a timer, an event or a person. Reserved: no task can wait yet.
        Waiting = "waiting",
        /// Waits out the delay before its next try.
        RetryWait = "retry_wait",
        /// A cancel was accepted; the container may still be there. Holds its permits.
        Cancelling = "cancelling",
        /// Ended with an accepted result.
        Succeeded = "succeeded",
        /// Ended without a result and without tries left.
        Failed = "failed",
        /// A time-out ended it.
        TimedOut = "timed_out",
        /// Lost by the infrastructure more often than its budget allows.
        Crashed = "crashed",
        /// Not run because a rule said so. Reserved: no rule can skip yet.
        Skipped = "skipped",
        /// Not run because something upstream did not succeed.
        UpstreamFailed = "upstream_failed",
        /// A cancel took effect.
        Cancelled = "cancelled",
        /// A mapped instance that is no longer in the map. Reserved.
        Removed = "removed",
    }
}

names! {
    /// Where a run stands.
    RunState, "run state" {
        /// Waits for its DAG's limit of active runs, or for its DAG to be unpaused.
        Queued = "queued",
        /// At least one task instance has not ended.
        Running = "running",
        /// A cancel was accepted; some containers may still be there.
        Cancelling = "cancelling",
        /// Every leaf succeeded or was skipped.
        Succeeded = "succeeded",
        /// Ended without success and without a cancel.
        Failed = "failed",
        /// A cancel took effect.
        Cancelled = "cancelled",
    }
}

names! {
    /// Why an attempt or a task instance did not succeed.
    Cause, "cause" {
        /// The program ended with an exit code other than 0.
        ExitCode = "exit_code",
        /// Exit code 0 and no `/out/result.json`.
        ResultMissing = "result_missing",
        /// `/out/result.json` is not JSON or not valid against the manifest's schema.
        ResultInvalid = "result_invalid",
        /// The memory limit ended it.
        Memory = "memory",
        /// The limit on processes and threads ended it.
        Pids = "pids",
        /// `/out` was full, or a declared output is over its limit.
        OutputLimit = "output_limit",
        /// Something in `/out` that is not allowed there: a link, a device, a setuid file.
        OutputRefused = "output_refused",
        /// The wall-clock limit of one attempt.
        AttemptTimeout = "attempt_timeout",
        /// Ready for longer than the task's queue time-out.
        QueueTimeout = "queue_timeout",
        /// The image may not be run.
        ImageRefused = "image_refused",
        /// The container did what no honest program does.
        Tampering = "tampering",
        /// The settings in force could not be shown to be those that were asked for.
        SandboxUnverified = "sandbox_unverified",
        /// The executor was not heard of for the lease's lifetime.
        ExecutorLost = "executor_lost",
        /// The container engine stopped or restarted under the attempt.
        EngineRestarted = "engine_restarted",
        /// The image could not be loaded.
        ImageUnavailable = "image_unavailable",
        /// An input could not be fetched or did not match its digest.
        InputUnavailable = "input_unavailable",
        /// The host was rebooted under the attempt.
        HostRebooted = "host_rebooted",
        /// The executor could not do its part, for example because its disk was full.
        ExecutorError = "executor_error",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// Something upstream did not succeed.
        Upstream = "upstream",
    }
}

impl TaskState {
    /// Whether the instance has ended; only an explicit clear reopens it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed
                | Self::TimedOut
                | Self::Crashed
                | Self::Skipped
                | Self::UpstreamFailed
                | Self::Cancelled
                | Self::Removed
        )
    }

    /// Whether an executor holds a lease of the instance, and the instance therefore its permits.
    #[must_use]
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Leased | Self::Running | Self::Cancelling)
    }
}

impl RunState {
    /// Whether the run has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in TaskState::ALL {
            assert_eq!(state.as_str().parse::<TaskState>().unwrap(), *state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for state in RunState::ALL {
            assert_eq!(state.as_str().parse::<RunState>().unwrap(), *state);
        }
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse::<Cause>().unwrap(), *cause);
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
        assert!("success".parse::<TaskState>().is_err());
    }
}
