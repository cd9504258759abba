//! What the operator of an executor allows: plain data with careful defaults.

use crate::attempt::Tier;
use serde::{Deserialize, Serialize};

/// One mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// The operator's rules for sandboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The name of the gVisor runtime in the container engine. Never `runsc`: a host's own entry
    /// of that name may have other flags.
    pub gvisor_runtime: String,
    /// The name of the plain runtime.
    pub plain_runtime: String,
    /// Whether [`Tier::TrustedRunc`] may be used for analyses marked trusted.
    pub allow_trusted_runc: bool,
    /// Whether [`Tier::WeakerSandbox`] may be used: only ever set by `analysis test`.
    pub allow_weaker_sandbox: bool,
    /// Added to the memory limit under gVisor for the sandbox itself, in bytes.
    pub gvisor_memory_overhead_bytes: u64,
    /// Added to the process limit under gVisor for the sandbox's own threads.
    pub gvisor_pids_overhead: u32,
    /// The uid (and gid) of slot 0; slot `n` has this plus `n`.
    pub uid_base: u32,
    /// How many slots have a uid.
    pub slots: u16,
    /// The oldest gVisor build accepted, as `YYYYMMDD`; below it nothing starts.
    pub gvisor_floor: u32,
    /// The gVisor build below which `doctor` warns, as `YYYYMMDD`.
    pub gvisor_advised: u32,
    /// The oldest container engine accepted, as major and minor version.
    pub engine_floor: (u32, u32),
    /// The largest value of each limit.
    pub ceilings: Ceilings,
    /// Inodes of `/out`: how many files and folders fit.
    pub out_inodes: u32,
    /// The largest `/out/result.json`, in bytes.
    pub result_bytes: u64,
    /// The deepest nesting of `/out/result.json`.
    pub result_depth: usize,
    /// Open files per process.
    pub open_files: u32,
    /// `/dev/shm`, in bytes; it counts as memory.
    pub shm_bytes: u64,
    /// Bytes of the host's disk that must stay free after an attempt's `/out` was reserved.
    pub disk_reserve_bytes: u64,
}

/// The largest limits that an attempt may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ceilings {
    /// In thousandths of one processor.
    pub cpu_millis: u32,
    /// In bytes.
    pub memory_bytes: u64,
    /// In bytes.
    pub disk_bytes: u64,
    /// In bytes.
    pub tmp_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// In seconds.
    pub timeout_secs: u64,
    /// In bytes.
    pub log_bytes: u64,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            cpu_millis: 64_000,
            memory_bytes: 1 << 40,
            disk_bytes: 1 << 40,
            tmp_bytes: 64 << 30,
            pids: 32_768,
            timeout_secs: 7 * 24 * 3600,
            log_bytes: 256 * MIB,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            gvisor_runtime: "belljar-runsc".to_owned(),
            plain_runtime: "runc".to_owned(),
            allow_trusted_runc: true,
            allow_weaker_sandbox: false,
            gvisor_memory_overhead_bytes: 128 * MIB,
            gvisor_pids_overhead: 256,
            uid_base: 60_000,
            slots: 1024,
            gvisor_floor: 20_221_219,
            gvisor_advised: 20_240_701,
            engine_floor: (20, 10),
            ceilings: Ceilings::default(),
            out_inodes: 4096,
            result_bytes: 4 * MIB,
            result_depth: 64,
            open_files: 1024,
            shm_bytes: 16 * MIB,
            disk_reserve_bytes: 512 * MIB,
        }
    }
}

impl Policy {
    /// The name of the runtime that a tier uses.
    #[must_use]
    pub fn runtime(&self, tier: Tier) -> &str {
        match tier {
            Tier::Gvisor => &self.gvisor_runtime,
            Tier::TrustedRunc | Tier::WeakerSandbox => &self.plain_runtime,
        }
    }
}
