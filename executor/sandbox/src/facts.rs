//! What the host is and has, as plain data; collected by [`crate::DockerRuntime::facts`].
//!
//! Owns: the facts. Leaves to others: what they must be ([`crate::Policy`], [`crate::plan`]).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which kernel interface holds cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupVersion {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy.
    V2,
}

/// Who makes cgroups for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupDriver {
    /// The engine itself, by paths.
    Cgroupfs,
    /// systemd, by slices.
    Systemd,
}

/// A gVisor build on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GvisorFacts {
    /// Where its `runsc` is, as registered in the engine.
    pub path: PathBuf,
    /// The arguments registered with it.
    pub args: Vec<String>,
    /// What `runsc --version` says, for example `0.0~20221219.0`.
    pub version: String,
    /// The date in the version as `YYYYMMDD`, 0 where there is none.
    pub build: u32,
    /// How it intercepts system calls: the `--platform` registered, else `default`.
    pub platform: String,
}

/// What this host is and has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The engine's version, for example `20.10.24+dfsg1`.
    pub engine_version: String,
    /// The engine's API version that is spoken, for example `1.41`.
    pub engine_api: String,
    /// Where the engine keeps its data.
    pub engine_root: PathBuf,
    /// Whether containers outlive a restart of the engine.
    pub live_restore: bool,
    /// The runtimes registered in the engine, with the path of each.
    pub runtimes: BTreeMap<String, String>,
    /// The gVisor build behind the policy's runtime, where it could be asked.
    pub gvisor: Option<GvisorFacts>,
    /// The version of `runc`, as the engine tells it.
    pub runc_version: String,
    /// The version of `containerd`, as the engine tells it.
    pub containerd_version: String,
    /// Which cgroups.
    pub cgroup_version: CgroupVersion,
    /// Who makes them.
    pub cgroup_driver: CgroupDriver,
    /// Whether the engine confines containers with AppArmor.
    pub apparmor: bool,
    /// Whether the engine can apply seccomp profiles.
    pub seccomp: bool,
    /// The kernel's release.
    pub kernel: String,
    /// `linux/amd64` and the like: what an image must be built for.
    pub platform: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Whether this process is root.
    pub root: bool,
    /// Whether loop devices can be had.
    pub loop_devices: bool,
    /// Where `mkfs.ext4` is.
    pub mkfs: Option<PathBuf>,
    /// The folder of our own state: `/out` images, parameters, plans.
    pub state_dir: PathBuf,
    /// Bytes free for us on the filesystem of `state_dir`.
    pub state_free_bytes: u64,
    /// The folders below which inputs may be.
    pub input_roots: Vec<PathBuf>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Good,
    /// Works, with a risk or a cost.
    Warning,
    /// No attempt can start.
    Fatal,
}

/// One thing that was looked at, for `doctor` and the executor's registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at: a stable word such as `gvisor_version`.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, one sentence.
    pub found: String,
    /// What to do; empty where it is good.
    pub advice: String,
}
