//! What the engine stored of a created container (`GET /containers/{name}/json`).

use super::{Comparison, Setting, in_order};
use crate::image::ImageFacts;
use crate::plan::ContainerPlan;
use crate::refusal::Refusal;
use serde_json::{Value, json};

/// Fields that must be absent, empty or false: each would open something.
const EMPTY: &[&str] = &[
    "/HostConfig/AutoRemove",
    "/HostConfig/Binds",
    "/HostConfig/CapAdd",
    "/HostConfig/ContainerIDFile",
    "/HostConfig/DeviceCgroupRules",
    "/HostConfig/DeviceRequests",
    "/HostConfig/Devices",
    "/HostConfig/ExtraHosts",
    "/HostConfig/GroupAdd",
    "/HostConfig/Links",
    "/HostConfig/OomKillDisable",
    "/HostConfig/PidMode",
    "/HostConfig/PortBindings",
    "/HostConfig/Privileged",
    "/HostConfig/PublishAllPorts",
    "/HostConfig/UTSMode",
    "/HostConfig/UsernsMode",
    "/HostConfig/VolumeDriver",
    "/HostConfig/VolumesFrom",
    "/Config/AttachStdin",
    "/Config/Domainname",
    "/Config/OpenStdin",
    "/Config/Tty",
];

/// Compares the engine's record of a container with the plan.
///
/// # Errors
/// The first field that differs.
pub(crate) fn check_engine(
    plan: &ContainerPlan,
    image: &ImageFacts,
    security_opt: &[String],
    inspect: &Value,
    cgroup_v2: bool,
) -> Result<Vec<Setting>, Refusal> {
    let mut comparison = Comparison::new("engine");
    for pointer in EMPTY {
        comparison.same(&field(pointer), &Value::Null, inspect.pointer(pointer))?;
    }
    for (pointer, wanted) in wanted(plan, image, security_opt) {
        if cgroup_v2 && pointer == "/HostConfig/MemorySwappiness" {
            continue;
        }
        comparison.same(&field(pointer), &wanted, inspect.pointer(pointer))?;
    }
    for (pointer, argv) in [
        ("/Config/Entrypoint", &plan.process.entrypoint),
        ("/Config/Cmd", &plan.process.cmd),
    ] {
        let found = inspect.pointer(pointer).map(strings).unwrap_or_default();
        comparison.same(&field(pointer), &in_order(argv), Some(&in_order(&found)))?;
    }
    mounts(plan, inspect, &mut comparison)?;
    Ok(comparison.settings)
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

pub(super) fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .map(|item| item.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn wanted(
    plan: &ContainerPlan,
    image: &ImageFacts,
    security_opt: &[String],
) -> Vec<(&'static str, Value)> {
    let (process, limits, mounts, walls) =
        (&plan.process, &plan.limits, &plan.mounts, &plan.confinement);
    let env: Vec<String> = process
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .chain(process.dropped_env.iter().cloned())
        .collect();
    let mut labels = image.config.labels.clone();
    labels.extend(process.labels.clone());
    let ulimits: Vec<Value> = limits
        .ulimits
        .iter()
        .map(|(name, value)| json!({"Name": name, "Hard": value, "Soft": value}))
        .collect();
    let log = json!({
        "compress": "false",
        "max-file": plan.log.max_files.to_string(),
        "max-size": plan.log.max_size_bytes.to_string(),
    });
    vec![
        ("/Name", json!(format!("/{}", plan.name))),
        ("/Image", json!(process.image)),
        ("/AppArmorProfile", json!(walls.apparmor)),
        ("/Config/Env", json!(env)),
        ("/Config/Healthcheck/Test", json!(process.healthcheck)),
        ("/Config/Hostname", json!(process.hostname)),
        ("/Config/Labels", json!(labels)),
        ("/Config/NetworkDisabled", json!(true)),
        ("/Config/StopSignal", json!(process.stop_signal)),
        ("/Config/User", json!(process.user)),
        ("/Config/WorkingDir", json!(process.working_dir)),
        ("/HostConfig/CapDrop", json!(walls.cap_drop)),
        ("/HostConfig/CgroupParent", json!(plan.cgroup.parent)),
        ("/HostConfig/CgroupnsMode", json!(walls.cgroupns_mode)),
        ("/HostConfig/Dns", json!(walls.dns)),
        ("/HostConfig/Init", json!(process.init)),
        ("/HostConfig/IpcMode", json!(walls.ipc_mode)),
        ("/HostConfig/LogConfig/Config", log),
        ("/HostConfig/LogConfig/Type", json!(plan.log.driver)),
        ("/HostConfig/MaskedPaths", json!(mounts.masked_paths)),
        ("/HostConfig/Memory", json!(limits.memory_bytes)),
        ("/HostConfig/MemorySwap", json!(limits.memory_swap_bytes)),
        (
            "/HostConfig/MemorySwappiness",
            json!(limits.memory_swappiness),
        ),
        ("/HostConfig/NanoCpus", json!(limits.nano_cpus)),
        ("/HostConfig/NetworkMode", json!(walls.network_mode)),
        ("/HostConfig/OomScoreAdj", json!(limits.oom_score_adj)),
        ("/HostConfig/PidsLimit", json!(limits.pids)),
        ("/HostConfig/ReadonlyPaths", json!(mounts.readonly_paths)),
        ("/HostConfig/ReadonlyRootfs", json!(mounts.readonly_rootfs)),
        (
            "/HostConfig/RestartPolicy/Name",
            json!(walls.restart_policy),
        ),
        ("/HostConfig/Runtime", json!(walls.runtime)),
        ("/HostConfig/SecurityOpt", json!(security_opt)),
        ("/HostConfig/ShmSize", json!(mounts.shm_bytes)),
        ("/HostConfig/Sysctls", json!(walls.sysctls)),
        ("/HostConfig/Tmpfs", json!(mounts.tmpfs)),
        ("/HostConfig/Ulimits", json!(ulimits)),
    ]
}

/// The mounts that the engine will make: ours and no other, above all no volume of the image.
fn mounts(
    plan: &ContainerPlan,
    inspect: &Value,
    comparison: &mut Comparison,
) -> Result<(), Refusal> {
    let found = inspect.pointer("/Mounts").and_then(Value::as_array);
    let found: Vec<Value> = found
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|mount| {
            let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
            json!(format!(
                "{} {} at {} rw={} {}",
                text("Type"),
                text("Source"),
                text("Destination"),
                mount.get("RW") == Some(&Value::Bool(true)),
                text("Propagation"),
            ))
        })
        .collect();
    let wanted: Vec<Value> = plan
        .mounts
        .binds
        .iter()
        .map(|bind| {
            let source = bind.source.display();
            json!(format!(
                "bind {source} at {} rw={} rprivate",
                bind.target, !bind.read_only
            ))
        })
        .collect();
    comparison.same("Mounts", &json!(wanted), Some(&json!(found)))?;
    let flags = inspect
        .pointer("/HostConfig/Mounts")
        .and_then(Value::as_array);
    let recursive = flags.map(Vec::as_slice).unwrap_or_default().iter();
    let recursive = recursive
        .filter(|mount| mount.pointer("/BindOptions/NonRecursive") != Some(&Value::Bool(true)))
        .count();
    comparison.text("Mounts.recursive", "0", recursive.to_string())
}
