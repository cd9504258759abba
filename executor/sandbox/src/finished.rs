//! How an attempt ended: the facts and the verdict over them.
//!
//! Owns: the outcome types. Leaves to others: what a verdict does to a task instance (engine).

use crate::outputs::Outputs;
use crate::receipt::Receipt;
use belljar_ids::Micros;
use serde::{Deserialize, Serialize};

/// What a container's end looked like to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code. 0 to 255 from an honest container; anything else is tampering.
    pub code: i64,
    /// Whether the kernel killed any process of it for memory.
    pub oom: bool,
    /// When the container started.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub finished_at: Option<Micros>,
    /// What the engine says went wrong; empty where nothing did.
    pub error: String,
}

/// Why [`crate::Runtime::wait`] returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The program ended by itself.
    Exited(Exit),
    /// The attempt's time is over; the program still runs.
    TimedOut,
}

/// Why an attempt is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// [`crate::Runtime::wait`] said that it had ended.
    Exited,
    /// [`crate::Runtime::wait`] said that its time was over.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The executor lost its right to it (self-fence, lease gone).
    LeaseLost,
}

/// The whole judgement over an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Exit 0, nothing killed, every limit kept, every output there and valid.
    Succeeded,
    /// The attempt failed; `cause` says how and whether trying again may help.
    Failed {
        /// Why.
        cause: Cause,
    },
    /// It ran out of time and was killed.
    TimedOut,
    /// It was killed because of a cancel or a lost lease, before it ended by itself.
    Cancelled,
    /// Nothing can be said about the program: the engine was restarted, the container vanished.
    Lost {
        /// What happened, one sentence.
        detail: String,
    },
}

/// Why an attempt failed: a closed list of kinds, a sentence and a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Which kind.
    pub kind: CauseKind,
    /// What happened, for the developer of the analysis; holds nothing of the data.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The program exited with another code than 0, or by a signal.
    ExitCode,
    /// The program could not be started: no such file, not executable, wrong format.
    ProgramNotStarted,
    /// The memory limit was reached, whatever the exit code.
    MemoryLimit,
    /// The limit on processes and threads was reached and the program failed.
    PidsLimit,
    /// `/out` was full and the program failed, or an output is too large.
    OutputLimit,
    /// A link, device, FIFO, socket, setuid file or an unacceptable name in `/out`.
    OutputForbidden,
    /// No `/out/result.json` at exit 0.
    ResultMissing,
    /// `/out/result.json` is not JSON, too deep, or not valid against the manifest's schema.
    ResultInvalid,
    /// A declared artifact is not there at exit 0.
    ArtifactMissing,
    /// The container did something that an honest one cannot: an impossible exit code.
    Tampering,
    /// The sandbox in force was not the one ordered.
    SandboxUnverified,
    /// The order or the image was refused.
    Refused,
}

impl CauseKind {
    /// Whether trying again is pointless or dangerous.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Tampering | Self::SandboxUnverified | Self::Refused
        )
    }
}

/// What an attempt used. Zero where a figure could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The most memory at once, in bytes, the sandbox's own included.
    pub memory_peak_bytes: u64,
    /// CPU time, in microseconds.
    pub cpu_micros: u64,
    /// The most processes and threads at once, the sandbox's own included.
    pub pids_peak: u64,
    /// How often a new process or thread was refused.
    pub pids_refused: u64,
    /// How many processes the kernel killed for memory.
    pub oom_kills: u64,
    /// How often memory hit its limit.
    pub memory_limit_hits: u64,
    /// Bytes used on `/out`.
    pub out_bytes: u64,
    /// Inodes used on `/out`.
    pub out_inodes: u64,
    /// Wall clock from start to end, in microseconds; 0 where it ended before the engine noted
    /// that it had started.
    pub wall_micros: u64,
}

/// A finished attempt. Nothing of it runs any more; its `/out` is still there until
/// [`crate::Runtime::discard`].
#[derive(Debug, Clone)]
pub struct Finished {
    /// The judgement.
    pub verdict: Verdict,
    /// How the container ended, where the engine could say.
    pub exit: Option<Exit>,
    /// Whether the program had ended by itself before it was killed. A completion in
    /// `cancelling` is a success only then.
    pub ended_by_itself: bool,
    /// What it used.
    pub usage: Usage,
    /// The outputs, staged; `None` where there was nothing to collect or they were not accepted.
    pub outputs: Option<Outputs>,
    /// The record of what ran.
    pub receipt: Receipt,
}
