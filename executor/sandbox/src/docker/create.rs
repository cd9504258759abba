//! A plan in the words of the Docker Engine API, version 1.41.
//!
//! Owns: the translation, field by field; no decision is made here.

use crate::error::{Result, SandboxError};
use crate::plan::{BindMount, ContainerPlan, LimitPlan, SECCOMP};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;

/// The options of `SecurityOpt`, the seccomp profile as compact JSON.
pub(crate) fn security_opt(plan: &ContainerPlan) -> Result<Vec<String>> {
    let profile: serde_json::Value = serde_json::from_str(SECCOMP)
        .map_err(|error| SandboxError::Confused(format!("the seccomp profile: {error}")))?;
    let mut options = vec!["no-new-privileges".to_owned(), format!("seccomp={profile}")];
    if let Some(profile) = &plan.confinement.apparmor {
        options.push(format!("apparmor={profile}"));
    }
    Ok(options)
}

/// The body of the create call.
pub(super) fn body(plan: &ContainerPlan, cgroup_v2: bool) -> Result<ContainerCreateBody> {
    let process = &plan.process;
    let env = process
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        // A name alone takes the image's variable out.
        .chain(process.dropped_env.iter().cloned())
        .collect();
    Ok(ContainerCreateBody {
        hostname: Some(process.hostname.clone()),
        domainname: Some(String::new()),
        user: Some(process.user.clone()),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        tty: Some(process.tty),
        open_stdin: Some(process.open_stdin),
        env: Some(env),
        entrypoint: Some(process.entrypoint.clone()),
        cmd: Some(process.cmd.clone()),
        image: Some(process.image.to_string()),
        working_dir: Some(process.working_dir.clone()),
        labels: Some(process.labels.clone().into_iter().collect()),
        network_disabled: Some(true),
        stop_signal: Some(process.stop_signal.clone()),
        stop_timeout: Some(0),
        healthcheck: Some(HealthConfig {
            test: Some(process.healthcheck.clone()),
            ..HealthConfig::default()
        }),
        host_config: Some(host_config(plan, cgroup_v2)?),
        ..ContainerCreateBody::default()
    })
}

fn host_config(plan: &ContainerPlan, cgroup_v2: bool) -> Result<HostConfig> {
    let (limits, mounts, walls) = (&plan.limits, &plan.mounts, &plan.confinement);
    Ok(HostConfig {
        runtime: Some(walls.runtime.clone()),
        privileged: Some(walls.privileged),
        cap_add: Some(walls.cap_add.clone()),
        cap_drop: Some(walls.cap_drop.clone()),
        security_opt: Some(security_opt(plan)?),
        network_mode: Some(walls.network_mode.clone()),
        dns: Some(walls.dns.clone()),
        ipc_mode: Some(walls.ipc_mode.clone()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        sysctls: Some(walls.sysctls.clone().into_iter().collect()),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        init: Some(plan.process.init),
        cgroup_parent: Some(plan.cgroup.parent.clone()),
        readonly_rootfs: Some(mounts.readonly_rootfs),
        mounts: Some(mounts.binds.iter().map(bind).collect()),
        tmpfs: Some(mounts.tmpfs.clone().into_iter().collect()),
        shm_size: Some(signed(mounts.shm_bytes)),
        masked_paths: Some(mounts.masked_paths.clone()),
        readonly_paths: Some(mounts.readonly_paths.clone()),
        memory: Some(signed(limits.memory_bytes)),
        memory_swap: Some(signed(limits.memory_swap_bytes)),
        // Version 2 has no such file; the engine refuses the field there.
        memory_swappiness: (!cgroup_v2).then(|| i64::from(limits.memory_swappiness)),
        oom_kill_disable: Some(false),
        oom_score_adj: Some(i64::from(limits.oom_score_adj)),
        nano_cpus: Some(signed(limits.nano_cpus)),
        pids_limit: Some(i64::from(limits.pids)),
        ulimits: Some(ulimits(limits)),
        log_config: Some(log_config(plan)),
        ..HostConfig::default()
    })
}

fn log_config(plan: &ContainerPlan) -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some(plan.log.driver.clone()),
        config: Some(HashMap::from([
            ("max-size".to_owned(), plan.log.max_size_bytes.to_string()),
            ("max-file".to_owned(), plan.log.max_files.to_string()),
            // Compressing takes CPU from the engine and hides how much was rotated.
            ("compress".to_owned(), "false".to_owned()),
        ])),
    }
}

fn bind(mount: &BindMount) -> Mount {
    Mount {
        target: Some(mount.target.clone()),
        source: Some(mount.source.to_string_lossy().into_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(mount.read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            non_recursive: Some(true),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn ulimits(limits: &LimitPlan) -> Vec<ResourcesUlimits> {
    let ulimit = |(name, value): (&String, &u64)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(signed(*value)),
        hard: Some(signed(*value)),
    };
    limits.ulimits.iter().map(ulimit).collect()
}

/// The API's numbers are signed; ours are far below 2⁶³ by the policy's ceilings.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
