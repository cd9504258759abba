//! What the engine handed to the runtime: the `config.json` of the bundle (OCI runtime
//! specification 1.0), read while the container is being started.

use super::engine::strings;
use super::{Comparison, Setting, in_order};
use crate::plan::{ContainerPlan, SECCOMP};
use crate::refusal::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Files that the engine itself binds into every container, read-only.
const ENGINE_BINDS: &[&str] = &[
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/sbin/docker-init",
];

/// Compares the runtime's specification with the plan.
///
/// # Errors
/// The first field that differs.
pub(crate) fn check_spec(plan: &ContainerPlan, spec: &Value) -> Result<Vec<Setting>, Refusal> {
    let mut comparison = Comparison::new("spec");
    process(plan, spec, &mut comparison)?;
    resources(plan, spec, &mut comparison)?;
    walls(plan, spec, &mut comparison)?;
    mounts(plan, spec, &mut comparison)?;
    Ok(comparison.settings)
}

fn process(plan: &ContainerPlan, spec: &Value, to: &mut Comparison) -> Result<(), Refusal> {
    let process = &plan.process;
    let uid = plan.mounts.out.uid;
    let mut argv = Vec::new();
    if process.init {
        argv.extend(["/sbin/docker-init".to_owned(), "--".to_owned()]);
    }
    argv.extend(process.entrypoint.iter().chain(&process.cmd).cloned());
    let found = spec
        .pointer("/process/args")
        .map(strings)
        .unwrap_or_default();
    to.same("process.args", &in_order(&argv), Some(&in_order(&found)))?;
    let env: Vec<_> = process
        .env
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    let groups = spec.pointer("/process/user/additionalGids");
    let others = groups
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let others: Vec<_> = others.iter().filter(|gid| **gid != json!(uid)).collect();
    to.same(
        "process.user.additionalGids",
        &Value::Null,
        Some(&json!(others)),
    )?;
    let capabilities = spec
        .pointer("/process/capabilities")
        .and_then(Value::as_object);
    let held: BTreeSet<_> = capabilities
        .into_iter()
        .flat_map(|sets| sets.values().flat_map(strings))
        .collect();
    to.same("process.capabilities", &Value::Null, Some(&json!(held)))?;
    let rlimits: Vec<_> = plan
        .limits
        .ulimits
        .iter()
        .map(|(name, value)| {
            let name = format!("RLIMIT_{}", name.to_uppercase());
            json!({"type": name, "hard": value, "soft": value})
        })
        .collect();
    for (pointer, wanted) in [
        ("/process/user/uid", json!(uid)),
        ("/process/user/gid", json!(uid)),
        ("/process/cwd", json!(process.working_dir)),
        ("/process/env", json!(env)),
        ("/process/noNewPrivileges", json!(true)),
        ("/process/terminal", json!(false)),
        ("/process/rlimits", json!(rlimits)),
        ("/process/oomScoreAdj", json!(plan.limits.oom_score_adj)),
        ("/process/apparmorProfile", json!(plan.confinement.apparmor)),
        ("/hostname", json!(process.hostname)),
        ("/root/readonly", json!(true)),
    ] {
        to.same(&field(pointer), &wanted, spec.pointer(pointer))?;
    }
    Ok(())
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn resources(plan: &ContainerPlan, spec: &Value, to: &mut Comparison) -> Result<(), Refusal> {
    let limits = &plan.limits;
    let at = |pointer: &str| spec.pointer(&format!("/linux/resources/{pointer}"));
    to.same(
        "memory.limit",
        &json!(limits.memory_bytes),
        at("memory/limit"),
    )?;
    to.same(
        "memory.swap",
        &json!(limits.memory_swap_bytes),
        at("memory/swap"),
    )?;
    to.same("pids.limit", &json!(limits.pids), at("pids/limit"))?;
    let number = |pointer: &str| at(pointer).and_then(Value::as_u64).unwrap_or(0);
    let period = number("cpu/period").max(1);
    let nano_cpus = number("cpu/quota") * 1_000_000_000 / period;
    to.text(
        "cpu.quota",
        limits.nano_cpus.to_string(),
        nano_cpus.to_string(),
    )?;
    let path = spec
        .pointer("/linux/cgroupsPath")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // `<parent>/<id>`, or `<slice>:docker:<id>` under systemd.
    let parent = path.rsplit_once('/').or_else(|| path.split_once(':'));
    let parent = parent.map_or("", |(parent, _)| parent);
    to.text("cgroupsPath", &plan.cgroup.parent, parent)
}

fn walls(plan: &ContainerPlan, spec: &Value, to: &mut Comparison) -> Result<(), Refusal> {
    let spaces = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    let spaces = spaces.map(Vec::as_slice).unwrap_or_default();
    let kind = |space: &Value| space["type"].as_str().unwrap_or_default().to_owned();
    let kinds: BTreeSet<_> = spaces.iter().map(kind).collect();
    let wanted = ["cgroup", "ipc", "mount", "network", "pid", "uts"];
    to.same("linux.namespaces", &json!(wanted), Some(&json!(kinds)))?;
    // A path would join an existing one; newer engines name the one they made for the network.
    let joined: Vec<_> = spaces
        .iter()
        .filter(|space| space.get("path").is_some() && kind(space) != "network")
        .collect();
    to.same(
        "linux.namespaces.joined",
        &Value::Null,
        Some(&json!(joined)),
    )?;
    let mounts = &plan.mounts;
    let paths = |pointer| spec.pointer(pointer);
    to.same(
        "linux.maskedPaths",
        &json!(mounts.masked_paths),
        paths("/linux/maskedPaths"),
    )?;
    to.same(
        "linux.readonlyPaths",
        &json!(mounts.readonly_paths),
        paths("/linux/readonlyPaths"),
    )?;
    for (name, value) in &plan.confinement.sysctls {
        let found = spec.pointer("/linux/sysctl").and_then(|all| all.get(name));
        to.same(&format!("linux.sysctl.{name}"), &json!(value), found)?;
    }
    let action = spec.pointer("/linux/seccomp/defaultAction");
    to.same(
        "linux.seccomp.defaultAction",
        &json!("SCMP_ACT_ERRNO"),
        action,
    )?;
    let profile: Value = serde_json::from_str(SECCOMP).unwrap_or_default();
    let wanted = seccomp_rules(profile.pointer("/syscalls"));
    let found = seccomp_rules(spec.pointer("/linux/seccomp/syscalls"));
    to.same(
        "linux.seccomp.syscalls",
        &json!(wanted),
        Some(&json!(found)),
    )
}

/// One text for each call and condition, so that grouping does not matter.
fn seccomp_rules(rules: Option<&Value>) -> BTreeSet<String> {
    let rules = rules
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut texts = BTreeSet::new();
    for rule in rules {
        let args = rule.get("args").and_then(Value::as_array);
        let args: Vec<String> = args
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(|arg| format!("{} {} {}", arg["index"], arg["op"], arg["value"]))
            .collect();
        for name in rule.get("names").map(strings).unwrap_or_default() {
            texts.insert(format!("{name} {} {args:?}", rule["action"]));
        }
    }
    texts
}

fn mounts(plan: &ContainerPlan, spec: &Value, to: &mut Comparison) -> Result<(), Refusal> {
    let found = spec.pointer("/mounts").and_then(Value::as_array);
    let found = found.map(Vec::as_slice).unwrap_or_default();
    let at = |mount: &Value, key: &str| mount[key].as_str().unwrap_or_default().to_owned();
    for bind in &plan.mounts.binds {
        let mount = found
            .iter()
            .find(|mount| at(mount, "destination") == bind.target);
        let mount = mount.unwrap_or(&Value::Null);
        let options = mount.get("options").map(strings).unwrap_or_default();
        let has = |option: &str| options.iter().any(|found| found == option);
        let shown = format!(
            "{} {} bind={} rbind={} ro={} rprivate={}",
            at(mount, "type"),
            at(mount, "source"),
            has("bind"),
            has("rbind"),
            has("ro"),
            has("rprivate"),
        );
        let source = bind.source.display();
        let ro = bind.read_only;
        let wanted = format!("bind {source} bind=true rbind=false ro={ro} rprivate=true");
        to.text(&format!("mounts.{}", bind.target), wanted, shown)?;
    }
    for (target, wanted) in &plan.mounts.tmpfs {
        let mount = found
            .iter()
            .find(|mount| at(mount, "destination") == *target);
        let options = mount
            .and_then(|mount| mount.get("options"))
            .map(strings)
            .unwrap_or_default();
        let missing: Vec<_> = wanted
            .split(',')
            .filter(|option| !options.iter().any(|found| found == option))
            .collect();
        to.same(
            &format!("mounts.{target}.missing"),
            &Value::Null,
            Some(&json!(missing)),
        )?;
    }
    let ours = |target: &String| plan.mounts.binds.iter().any(|bind| bind.target == *target);
    let others: Vec<_> = found
        .iter()
        .filter(|mount| at(mount, "type") == "bind")
        .map(|mount| at(mount, "destination"))
        .filter(|target| !ours(target) && !ENGINE_BINDS.contains(&target.as_str()))
        .collect();
    to.same("mounts.others", &Value::Null, Some(&json!(others)))
}
