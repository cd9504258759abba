//! What the host's kernel says about the container's first process (proc(5)).
//!
//! Under plain `runc` that is the program's own init process, and everything about it is in
//! force for the program. Under gVisor it is the sandbox: an unprivileged process of the runtime,
//! in namespaces of its own.

use super::{Comparison, Setting};
use crate::attempt::Tier;
use crate::facts::HostFacts;
use crate::plan::ContainerPlan;
use crate::refusal::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The namespaces that must not be the host's.
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "uts"];

/// What was read of one process.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProcessFacts {
    /// `/proc/<pid>/exe`.
    pub exe: PathBuf,
    /// The fields of `/proc/<pid>/status`.
    pub status: BTreeMap<String, String>,
    /// The soft limits of `/proc/<pid>/limits` by name.
    pub limits: BTreeMap<String, String>,
    /// `/proc/<pid>/oom_score_adj`.
    pub oom_score_adj: String,
    /// The namespaces shared with us.
    pub shared_namespaces: Vec<String>,
    /// Options and device of each mount by mount point.
    pub mounts: BTreeMap<String, (String, String)>,
}

impl ProcessFacts {
    /// Reads a process; `None` where it is gone or still the runtime's own before it executes.
    pub(crate) fn read(pid: i64) -> Option<Self> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let text = |file: &str| std::fs::read_to_string(dir.join(file)).ok();
        let status = text("status")?
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| {
                let words: Vec<_> = value.split_whitespace().collect();
                (key.to_owned(), words.join(" "))
            })
            .collect();
        let limits = text("limits")?
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.split_at_checked(26)?;
                Some((
                    name.trim().to_owned(),
                    rest.split_whitespace().next()?.to_owned(),
                ))
            })
            .collect();
        let shared = NAMESPACES.iter().filter(|space| {
            let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{space}")).ok();
            link("self") == link(&pid.to_string())
        });
        let facts = Self {
            exe: std::fs::read_link(dir.join("exe")).ok()?,
            status,
            limits,
            oom_score_adj: text("oom_score_adj")?.trim().to_owned(),
            shared_namespaces: shared.map(|&space| space.to_owned()).collect(),
            mounts: mounts(&text("mountinfo")?),
        };
        // The runtime's own program runs until the very last step of starting.
        let starting = text("cmdline")?.split('\0').nth(1) == Some("init");
        (!starting).then_some(facts)
    }
}

/// Mount point → (options of the mount, `major:minor`), the last one where several lie on each
/// other.
fn mounts(mountinfo: &str) -> BTreeMap<String, (String, String)> {
    let line = |line: &str| {
        let mut words = line.split(' ').skip(2);
        let device = words.next()?.to_owned();
        let point = words.nth(1)?.to_owned();
        Some((point, (words.next()?.to_owned(), device)))
    };
    mountinfo.lines().filter_map(line).collect()
}

/// Compares a process with the plan.
///
/// # Errors
/// The first difference.
pub(crate) fn check_process(
    plan: &ContainerPlan,
    host: &HostFacts,
    out_device: &str,
    process: &ProcessFacts,
) -> Result<Vec<Setting>, Refusal> {
    let mut comparison = Comparison::new("proc");
    let status = |key: &str| process.status.get(key).cloned().unwrap_or_default();
    // gVisor hides pids and cgroups with its own kernel; its host process needs the rest.
    let may_share: &[&str] = match plan.tier {
        Tier::Gvisor => &["cgroup", "pid"],
        Tier::TrustedRunc | Tier::WeakerSandbox => &[],
    };
    let shared = process.shared_namespaces.iter();
    let shared: Vec<_> = shared
        .filter(|space| !may_share.contains(&space.as_str()))
        .collect();
    comparison.same("namespaces.shared", &Value::Null, Some(&json!(shared)))?;
    comparison.text("NoNewPrivs", "1", status("NoNewPrivs"))?;
    comparison.text("Seccomp", "2", status("Seccomp"))?;
    comparison.text(
        "oom_score_adj",
        plan.limits.oom_score_adj.to_string(),
        &process.oom_score_adj,
    )?;
    match plan.tier {
        Tier::Gvisor => sandbox(host, process, &mut comparison)?,
        Tier::TrustedRunc | Tier::WeakerSandbox => {
            program(plan, out_device, process, &mut comparison)?;
        }
    }
    Ok(comparison.settings)
}

/// gVisor's sandbox process: its program and that it is not root.
fn sandbox(host: &HostFacts, process: &ProcessFacts, to: &mut Comparison) -> Result<(), Refusal> {
    let wanted = host.gvisor.as_ref().map(|gvisor| {
        let path = gvisor.path.canonicalize();
        path.unwrap_or_else(|_| gvisor.path.clone())
    });
    let wanted = wanted.unwrap_or_default();
    to.text(
        "exe",
        wanted.to_string_lossy(),
        process.exe.to_string_lossy(),
    )?;
    let uids = process.status.get("Uid").cloned().unwrap_or_default();
    let root = uids.split(' ').any(|uid| uid == "0");
    to.text("sandbox runs as root", "false", root.to_string())
}

/// The init process of a plain container.
fn program(
    plan: &ContainerPlan,
    out_device: &str,
    process: &ProcessFacts,
    to: &mut Comparison,
) -> Result<(), Refusal> {
    let status = |key: &str| process.status.get(key).cloned().unwrap_or_default();
    let uid = plan.mounts.out.uid;
    for key in ["Uid", "Gid"] {
        to.text(key, format!("{uid} {uid} {uid} {uid}"), status(key))?;
    }
    to.text("Groups", uid.to_string(), status("Groups"))?;
    for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        to.text(key, "0000000000000000", status(key))?;
    }
    for (name, label) in [
        ("core", "Max core file size"),
        ("fsize", "Max file size"),
        ("memlock", "Max locked memory"),
        ("msgqueue", "Max msgqueue size"),
        ("nofile", "Max open files"),
    ] {
        let wanted = plan.limits.ulimits.get(name).map(u64::to_string);
        let found = process.limits.get(label).cloned();
        to.text(label, wanted.unwrap_or_default(), found.unwrap_or_default())?;
    }
    let mount = |target: &str| process.mounts.get(target).cloned().unwrap_or_default();
    let read_only = |target: &str| mount(target).0.split(',').any(|option| option == "ro");
    to.text("/ ro", "true", read_only("/").to_string())?;
    for bind in &plan.mounts.binds {
        let field = format!("{} ro", bind.target);
        let known = process.mounts.contains_key(&bind.target);
        let found = if known {
            read_only(&bind.target).to_string()
        } else {
            "absent".to_owned()
        };
        to.text(&field, bind.read_only.to_string(), found)?;
    }
    to.text("/out device", out_device, mount("/out").1)?;
    for flag in ["nosuid", "nodev", "noexec"] {
        let found = mount("/out").0.split(',').any(|option| option == flag);
        to.text(&format!("/out {flag}"), "true", found.to_string())?;
    }
    Ok(())
}
