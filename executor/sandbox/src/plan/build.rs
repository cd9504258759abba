//! The function that makes a plan.

use super::settings::{
    ENV_DEFAULTS, ENV_FIXED, HOSTNAME, INIT_PIDS, LOG_BYTES_PER_FRAME, MASKED_PATHS, MAX_VOLUMES,
    READONLY_PATHS,
};
use super::{
    BindMount, CgroupPlan, Confinement, ContainerPlan, LABEL_PREFIX, LimitPlan, LogPlan, MountPlan,
    OUT_TARGET, OutPlan, PARAMS_TARGET, ProcessPlan, SECCOMP, checks, digest_of,
};
use crate::attempt::{AttemptSpec, Identity, InputSource, Tier};
use crate::facts::HostFacts;
use crate::image::ImageFacts;
use crate::policy::{MIB, Policy};
use crate::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};

/// See [`ContainerPlan::build`].
pub(super) fn plan(
    policy: &Policy,
    host: &HostFacts,
    image: &ImageFacts,
    spec: &AttemptSpec,
) -> Result<ContainerPlan, Refusal> {
    checks::host(policy, host)?;
    checks::tier(policy, host, spec)?;
    checks::limits(policy, spec)?;
    checks::image(host, image, spec)?;
    let name = spec.name();
    let uid = policy.uid_base + u32::from(spec.slot);
    Ok(ContainerPlan {
        tier: spec.tier,
        process: process(image, spec, uid)?,
        mounts: mounts(policy, host, image, spec, uid)?,
        limits: limits(policy, spec),
        confinement: confinement(policy, host, spec),
        cgroup: CgroupPlan::of(host.cgroup_driver, &name),
        log: log(spec),
        name,
    })
}

fn process(image: &ImageFacts, spec: &AttemptSpec, uid: u32) -> Result<ProcessPlan, Refusal> {
    let working_dir = checks::working_dir(image)?;
    let mut argv = checks::argv(image, spec, &working_dir)?;
    let cmd = argv.split_off(1);
    let (env, dropped_env) = environment(image, spec)?;
    Ok(ProcessPlan {
        image: spec.image,
        entrypoint: argv,
        cmd,
        working_dir,
        user: format!("{uid}:{uid}"),
        env,
        dropped_env,
        labels: labels(&spec.identity),
        hostname: HOSTNAME.to_owned(),
        init: true,
        stop_signal: "SIGKILL".to_owned(),
        tty: false,
        open_stdin: false,
        healthcheck: vec!["NONE".to_owned()],
    })
}

/// The image's variables less the refused ones, then the order's, then ours.
fn environment(
    image: &ImageFacts,
    spec: &AttemptSpec,
) -> Result<(BTreeMap<String, String>, Vec<String>), Refusal> {
    let mut env = BTreeMap::new();
    let mut dropped = BTreeSet::new();
    for (name, value) in ENV_DEFAULTS {
        env.insert((*name).to_owned(), (*value).to_owned());
    }
    for entry in &image.config.env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        if checks::env_is_refused(name) || !checks::env_name_is_valid(name) {
            dropped.insert(name.to_owned());
        } else {
            env.insert(name.to_owned(), value.to_owned());
        }
    }
    for (name, value) in &spec.env {
        if checks::env_is_refused(name) || !checks::env_name_is_valid(name) {
            return Err(Refusal::Env {
                name: checks::shown(name),
            });
        }
        env.insert(name.clone(), value.clone());
    }
    for (name, value) in ENV_FIXED {
        env.insert((*name).to_owned(), (*value).to_owned());
    }
    checks::passable("the environment", env.values().map(String::as_str))?;
    Ok((env, dropped.into_iter().collect()))
}

/// By these an attempt is found again; by name and our own records too, never by label alone.
fn labels(identity: &Identity) -> BTreeMap<String, String> {
    [
        ("executor", identity.executor.to_string()),
        ("epoch", identity.epoch.to_string()),
        ("run", identity.run.to_string()),
        ("task", identity.task.to_string()),
        ("map_index", identity.map_index.to_string()),
        ("fence", identity.fence.to_string()),
        ("spec_digest", identity.spec_digest.to_string()),
    ]
    .map(|(key, value)| (format!("{LABEL_PREFIX}{key}"), value))
    .into()
}

fn mounts(
    policy: &Policy,
    host: &HostFacts,
    image: &ImageFacts,
    spec: &AttemptSpec,
    uid: u32,
) -> Result<MountPlan, Refusal> {
    let dir = ContainerPlan::attempt_dir(&host.state_dir, &spec.name());
    let out = OutPlan {
        image: dir.join("out.img"),
        mount: dir.join("out"),
        image_bytes: out_image_bytes(spec.limits.disk_bytes, policy.out_inodes),
        inodes: policy.out_inodes,
        uid,
    };
    let binds = binds(host, spec, &out)?;
    Ok(MountPlan {
        readonly_rootfs: true,
        tmpfs: tmpfs(image, spec, &binds)?,
        binds,
        shm_bytes: policy.shm_bytes,
        masked_paths: MASKED_PATHS.iter().map(|&path| path.to_owned()).collect(),
        readonly_paths: READONLY_PATHS.iter().map(|&path| path.to_owned()).collect(),
        out,
    })
}

/// Room for the tables of ext4 on top of what was asked for: 256 bytes an inode, and one part in
/// 64 with 1 MiB for bitmaps, superblocks and rounding.
fn out_image_bytes(disk_bytes: u64, inodes: u32) -> u64 {
    let tables = u64::from(inodes) * 256 + disk_bytes / 64 + MIB;
    (disk_bytes + tables).next_multiple_of(MIB)
}

fn binds(host: &HostFacts, spec: &AttemptSpec, out: &OutPlan) -> Result<Vec<BindMount>, Refusal> {
    let mut by_target = BTreeMap::new();
    for input in &spec.inputs {
        let refuse = |problem: &str| Refusal::Input {
            input: input.name.to_string(),
            problem: problem.to_owned(),
        };
        let InputSource::HostPath(source) = &input.source;
        let plain = source.is_absolute()
            && !source
                .components()
                .any(|part| part == std::path::Component::ParentDir)
            && source.to_str().is_some_and(|text| !text.contains('\0'));
        if !plain {
            return Err(refuse("its path is not absolute and plain"));
        }
        if !host.input_roots.iter().any(|root| source.starts_with(root)) {
            return Err(refuse("its path is outside of the folders for inputs"));
        }
        let target = format!("/in/{}", input.name);
        if by_target.insert(target, (source.clone(), true)).is_some() {
            return Err(refuse("another input has the same name"));
        }
    }
    let params = ContainerPlan::params_file(&host.state_dir, &spec.name());
    by_target.insert(PARAMS_TARGET.to_owned(), (params, true));
    by_target.insert(OUT_TARGET.to_owned(), (out.mount.clone(), false));
    Ok(by_target
        .into_iter()
        .map(|(target, (source, read_only))| BindMount {
            source,
            target,
            read_only,
        })
        .collect())
}

/// `/tmp`, and an empty one over each volume that is not covered already: the engine would make
/// an unlimited one on its own disk.
fn tmpfs(
    image: &ImageFacts,
    spec: &AttemptSpec,
    binds: &[BindMount],
) -> Result<BTreeMap<String, String>, Refusal> {
    let exec = if spec.tmp_exec { "exec" } else { "noexec" };
    // A size of 0 would mean no limit; one page is the least.
    let size = spec.limits.tmp_bytes.max(4096);
    // One inode for 4 KiB, so that many empty files end where full ones would.
    let inodes = (size / 4096).clamp(64, 1 << 20);
    let options = format!("rw,nosuid,nodev,{exec},size={size},nr_inodes={inodes},mode=1777");
    let mut tmpfs = BTreeMap::from([("/tmp".to_owned(), options)]);
    for volume in &image.config.volumes {
        let refuse = || Refusal::Volume {
            path: checks::shown(volume),
        };
        let path = checks::normal(volume).ok_or_else(refuse)?;
        let strange = path != *volume || volume.contains(['\0', ',', ':']) || path.len() > 1024;
        if strange || path == "/" || checks::is_kernel_path(&path) || tmpfs.len() > MAX_VOLUMES {
            return Err(refuse());
        }
        if !binds.iter().any(|bind| bind.target == path) {
            tmpfs.entry(path).or_insert_with(|| {
                "rw,nosuid,nodev,noexec,size=1048576,nr_inodes=64,mode=1777".to_owned()
            });
        }
    }
    Ok(tmpfs)
}

fn limits(policy: &Policy, spec: &AttemptSpec) -> LimitPlan {
    let limits = &spec.limits;
    let (memory, pids) = match spec.tier {
        Tier::Gvisor => (
            policy.gvisor_memory_overhead_bytes,
            policy.gvisor_pids_overhead,
        ),
        Tier::TrustedRunc | Tier::WeakerSandbox => (0, INIT_PIDS),
    };
    let memory_bytes = limits.memory_bytes + memory;
    let millis = limits.timeout.as_millis();
    LimitPlan {
        memory_bytes,
        memory_swap_bytes: memory_bytes,
        memory_swappiness: 0,
        nano_cpus: u64::from(limits.cpu_millis) * 1_000_000,
        pids: limits.pids + pids,
        ulimits: BTreeMap::from([
            ("core".to_owned(), 0),
            ("fsize".to_owned(), limits.disk_bytes.max(limits.tmp_bytes)),
            ("memlock".to_owned(), 64 << 10),
            ("msgqueue".to_owned(), 0),
            ("nofile".to_owned(), u64::from(policy.open_files)),
        ]),
        oom_score_adj: 800,
        timeout_millis: u64::try_from(millis).unwrap_or(u64::MAX),
    }
}

fn confinement(policy: &Policy, host: &HostFacts, spec: &AttemptSpec) -> Confinement {
    Confinement {
        runtime: policy.runtime(spec.tier).to_owned(),
        cap_drop: vec!["ALL".to_owned()],
        cap_add: Vec::new(),
        privileged: false,
        no_new_privileges: true,
        seccomp_digest: digest_of(SECCOMP.as_bytes()),
        apparmor: host.apparmor.then(|| "docker-default".to_owned()),
        network_mode: "none".to_owned(),
        dns: vec!["127.0.0.1".to_owned()],
        ipc_mode: "private".to_owned(),
        cgroupns_mode: "private".to_owned(),
        sysctls: BTreeMap::from([("net.ipv4.ping_group_range".to_owned(), "1 0".to_owned())]),
        restart_policy: "no".to_owned(),
    }
}

/// The engine's files hold twice the cap, so that nothing is rotated away before it is reached
/// even by lines of one byte, and the reader never needs more than the first two.
fn log(spec: &AttemptSpec) -> LogPlan {
    let cap = spec.limits.log_bytes;
    LogPlan {
        driver: "local".to_owned(),
        max_size_bytes: 3 * cap + MIB,
        max_files: 2,
        cap_bytes: cap,
        cap_frames: (cap / LOG_BYTES_PER_FRAME).max(64),
    }
}
