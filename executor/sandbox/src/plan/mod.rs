//! The plan: the whole configuration of one attempt as one plain value.
//!
//! Owns: every decision about a container. One pure function makes it; nothing that carries it
//! out has a choice left. Leaves to others: carrying it out ([`crate::docker`]) and checking that
//! it is in force (`readback`).
//!
//! The fields carry the names of the Docker Engine API (version 1.41), which is the oldest one
//! spoken; the reasons are in `docs/security/sandbox.md`.

mod build;
mod checks;
mod settings;
#[cfg(test)]
mod tests;

use crate::attempt::{AttemptName, AttemptSpec, Tier};
use crate::facts::{CgroupDriver, HostFacts};
use crate::image::{ImageFacts, ImageId};
use crate::policy::Policy;
use crate::receipt::canonical_json;
use crate::refusal::Refusal;
use belljar_ids::Digest;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What every label of ours begins with; an image may carry none such.
pub const LABEL_PREFIX: &str = "belljar.";
/// Where `/in/params.json` is.
pub const PARAMS_TARGET: &str = "/in/params.json";
/// Where outputs go.
pub const OUT_TARGET: &str = "/out";

/// The whole configuration of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// The container's name; the engine refuses a second one.
    pub name: AttemptName,
    /// How strong the walls are.
    pub tier: Tier,
    /// What of the image runs, and as whom.
    pub process: ProcessPlan,
    /// Everything the program can see.
    pub mounts: MountPlan,
    /// Everything the program may use.
    pub limits: LimitPlan,
    /// Everything that confines it.
    pub confinement: Confinement,
    /// Its cgroup, made by us around the runtime's.
    pub cgroup: CgroupPlan,
    /// How its stdout and stderr are kept.
    pub log: LogPlan,
}

/// What runs, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// The image by identity, never by tag.
    pub image: ImageId,
    /// The first items of the argument vector; never left to the image.
    pub entrypoint: Vec<String>,
    /// The rest of it.
    pub cmd: Vec<String>,
    /// The working directory.
    pub working_dir: String,
    /// `uid:gid`, numeric, one per slot.
    pub user: String,
    /// The whole environment that the program sees.
    pub env: BTreeMap<String, String>,
    /// Variables of the image that are taken out.
    pub dropped_env: Vec<String>,
    /// Our labels.
    pub labels: BTreeMap<String, String>,
    /// The same for everybody.
    pub hostname: String,
    /// A small first process that reaps and forwards signals.
    pub init: bool,
    /// What the engine sends to stop it; images may name a harmless one.
    pub stop_signal: String,
    /// A terminal: never.
    pub tty: bool,
    /// Standard input: never.
    pub open_stdin: bool,
    /// `["NONE"]`: an image's health check never runs.
    pub healthcheck: Vec<String>,
}

/// One bind mount, private and without the mounts below its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
    /// Whether it can be written.
    pub read_only: bool,
}

/// Everything the program can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// The image, read-only.
    pub readonly_rootfs: bool,
    /// Inputs, parameters and `/out`, sorted by target.
    pub binds: Vec<BindMount>,
    /// Memory filesystems by target, with their options: `/tmp`, and one over each `VOLUME`.
    pub tmpfs: BTreeMap<String, String>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_bytes: u64,
    /// Paths that are hidden.
    pub masked_paths: Vec<String>,
    /// Paths that are read-only although their filesystem is not.
    pub readonly_paths: Vec<String>,
    /// The filesystem behind `/out`.
    pub out: OutPlan,
}

/// The filesystem behind `/out`: an ext4 image of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutPlan {
    /// The image file, wholly reserved on disk.
    pub image: PathBuf,
    /// Where it is mounted on the host.
    pub mount: PathBuf,
    /// The size of the image file, in bytes: what was asked for and the filesystem's own tables.
    pub image_bytes: u64,
    /// How many files and folders fit.
    pub inodes: u32,
    /// Who owns its root.
    pub uid: u32,
}

/// Everything the program may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitPlan {
    /// Memory in bytes, with the sandbox's own.
    pub memory_bytes: u64,
    /// Memory and swap in bytes: the same, so no swap.
    pub memory_swap_bytes: u64,
    /// How eagerly to swap: not at all.
    pub memory_swappiness: u32,
    /// CPU in billionths of a processor.
    pub nano_cpus: u64,
    /// Processes and threads, with the sandbox's own.
    pub pids: u32,
    /// Resource limits of each process, by name: soft and hard alike.
    pub ulimits: BTreeMap<String, u64>,
    /// How soon the kernel picks it when the host is out of memory: 1000 is first.
    pub oom_score_adj: i32,
    /// Wall clock from its start, in milliseconds.
    pub timeout_millis: u64,
}

/// Everything that confines the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The runtime's name in the engine.
    pub runtime: String,
    /// Capabilities taken away: `ALL`.
    pub cap_drop: Vec<String>,
    /// Capabilities given: none.
    pub cap_add: Vec<String>,
    /// `true` would switch everything off.
    pub privileged: bool,
    /// No gain of privileges by executing anything.
    pub no_new_privileges: bool,
    /// The digest of the seccomp profile, which is compiled in.
    pub seccomp_digest: Digest,
    /// The AppArmor profile, where the host has AppArmor.
    pub apparmor: Option<String>,
    /// `none`: only a loopback of its own.
    pub network_mode: String,
    /// A name server that does not exist, so that the host's is not shown.
    pub dns: Vec<String>,
    /// `private`.
    pub ipc_mode: String,
    /// `private`.
    pub cgroupns_mode: String,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// `no`: whoever restarts is the scheduler.
    pub restart_policy: String,
}

/// The cgroup around the runtime's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// As the engine wants it: a path, or a slice's name under systemd.
    pub parent: String,
    /// Below the mount point of a cgroup hierarchy.
    pub path: PathBuf,
}

/// How stdout and stderr are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// The engine's driver: `local` keeps any bytes and can be followed again.
    pub driver: String,
    /// The size of one of its files, in bytes.
    pub max_size_bytes: u64,
    /// How many of them.
    pub max_files: u32,
    /// Bytes that are kept of both streams together.
    pub cap_bytes: u64,
    /// Pieces (lines, or 16 KiB of a long one) that are kept.
    pub cap_frames: u64,
}

/// The seccomp profile given to the engine.
pub(crate) const SECCOMP: &str = include_str!("../../seccomp/belljar.json");

/// The SHA-256 of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(sha2::Sha256::digest(bytes).into())
}

impl ContainerPlan {
    /// Makes the whole plan, or says why there is none.
    ///
    /// # Errors
    /// The first [`Refusal`]: the tier against policy and host, the limits against the policy's
    /// ceilings, the image's platform, labels, working directory, volumes and program, the
    /// environment, the inputs.
    pub fn build(
        policy: &Policy,
        host: &HostFacts,
        image: &ImageFacts,
        spec: &AttemptSpec,
    ) -> Result<Self, Refusal> {
        build::plan(policy, host, image, spec)
    }

    /// The SHA-256 of the plan's canonical JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(&canonical_json(self))
    }

    /// The file behind `/in/params.json`. Under plain `runc` a program can read the path of a
    /// mount's source, so this one says neither executor nor run.
    pub(crate) fn params_file(state_dir: &Path, name: &AttemptName) -> PathBuf {
        let hash = digest_of(name.as_str().as_bytes()).hex();
        state_dir
            .join("params")
            .join(format!("{}.json", &hash[..32]))
    }

    /// The folder of everything else that is kept for an attempt.
    pub(crate) fn attempt_dir(state_dir: &Path, name: &AttemptName) -> PathBuf {
        state_dir.join("attempts").join(name.as_str())
    }
}

impl CgroupPlan {
    /// The cgroup of an attempt.
    ///
    /// Under systemd a hyphen in a slice's name means a level, so the name is hashed.
    pub(crate) fn of(driver: CgroupDriver, name: &AttemptName) -> Self {
        match driver {
            CgroupDriver::Cgroupfs => Self {
                parent: format!("/belljar/{name}"),
                path: PathBuf::from("belljar").join(name.as_str()),
            },
            CgroupDriver::Systemd => {
                let hash = &digest_of(name.as_str().as_bytes()).hex()[..32];
                let slice = format!("belljar-{hash}.slice");
                Self {
                    path: PathBuf::from("belljar.slice").join(&slice),
                    parent: slice,
                }
            }
        }
    }
}
