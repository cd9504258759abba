//! What an operator sets. The documentation of each field is its help text.

use crate::self_fence::SelfFence;
use belljar_sandbox::Policy;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of one executor.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// Addresses of schedulers, for example `http://127.0.0.1:7780`. The first that answers as the
    /// leader is used; the others are tried when it stops doing so.
    pub schedulers: Vec<String>,
    /// The secret by which this executor is known to the scheduler. Not a user's token.
    pub credential: Credential,
    /// The name under which people see this executor; default: the host's name.
    pub name: String,
    /// How many task instances run at once; default: one for each processor.
    pub slots: u32,
    /// How many more leases are taken and prepared while all slots are busy, so that the next
    /// container starts as soon as a slot is free; default 1.
    pub prepare_ahead: u32,
    /// The folder for the journal, cached inputs, logs and outputs on their way. Only one executor
    /// can use it at a time.
    pub data_dir: PathBuf,
    /// The container engine's socket.
    pub engine_socket: PathBuf,
    /// The rules for sandboxes.
    pub policy: Policy,
    /// What becomes of a running attempt when the scheduler has not answered for so long that it
    /// may have given the task instance to somebody else; default `continue`.
    pub self_fence: SelfFence,
    /// Bytes of standard output and standard error together that are kept of one attempt; default
    /// 16 MiB. What comes after is dropped and the log marked as truncated.
    pub log_bytes: u64,
    /// Bytes of fetched inputs kept for later attempts; default 10 GiB. What a live attempt reads
    /// is kept whatever the size.
    pub cache_bytes: u64,
    /// Bytes that must be free in the data folder; below it no work is taken. Default 1 GiB.
    pub disk_reserve_bytes: u64,
    /// How long a call for work may be held by the scheduler; default 30 s, at most 60 s.
    pub claim_wait: Duration,
    /// Whether a stop waits until every attempt has ended and was reported. Without it, running
    /// containers are left to the next start, which adopts them.
    pub drain: bool,
}

impl ExecutorConfig {
    /// The defaults, with the three settings that have none.
    #[must_use]
    pub fn new(schedulers: Vec<String>, credential: Credential, data_dir: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            schedulers,
            credential,
            name: host_name(),
            slots: u32::try_from(cores).unwrap_or(1),
            prepare_ahead: 1,
            data_dir,
            engine_socket: PathBuf::from("/var/run/docker.sock"),
            policy: Policy::default(),
            self_fence: SelfFence::Continue,
            log_bytes: 16 << 20,
            cache_bytes: 10 << 30,
            disk_reserve_bytes: 1 << 30,
            claim_wait: Duration::from_secs(30),
            drain: false,
        }
    }

    /// How many leases are held at most: those that run and those being prepared.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.slots.max(1).saturating_add(self.prepare_ahead)
    }
}

/// What the host calls itself.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "executor".to_owned())
}

/// A secret that never appears in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    /// The secret with this text; white space around it is not part of it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}
