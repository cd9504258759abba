//! The self-test: what a host must be, and a canary inside that says what it is.
//!
//! Owns: the findings over [`HostFacts`], and the expectations on the canary's answers. Fails
//! closed: whatever was not seen to be right is a finding that keeps attempts from starting.
//! Leaves to others: explaining and repairing (`doctor`).

use crate::attempt::{AttemptSpec, Identity, Limits, Tier};
use crate::docker::DockerRuntime;
use crate::error::{Result, SandboxError};
use crate::facts::{CgroupVersion, Finding, HostFacts, Severity};
use crate::finished::{StopReason, Verdict};
use crate::image::{ArchiveLimits, ImageId, write_archive};
use crate::outputs::Declared;
use crate::plan::digest_of;
use crate::policy::{MIB, Policy};
use crate::runtime::{Collect, LogEvent, LogOffsets, Runtime as _};
use belljar_ids::{Digest, Epoch, ExecutorId, Fence, MapIndex};
use futures::StreamExt as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The canary program; empty where there is none for this platform.
const CANARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/canary"));
/// Where it is in its image.
const PROGRAM: &str = "/canary";

/// What is wrong with a host, from facts alone; the good is named as well.
#[must_use]
pub fn host_findings(facts: &HostFacts, policy: &Policy) -> Vec<Finding> {
    let mut findings = vec![
        needed("root", facts.root, "the executor must be started as root"),
        needed(
            "loop_devices",
            facts.loop_devices,
            "load the kernel module `loop`",
        ),
        needed(
            "mkfs_ext4",
            facts.mkfs.is_some(),
            "install the package e2fsprogs",
        ),
        needed(
            "seccomp",
            facts.seccomp,
            "use an engine and kernel with seccomp",
        ),
    ];
    findings.push(gvisor_finding(facts, policy));
    findings.push(finding(
        "apparmor",
        if facts.apparmor {
            Severity::Good
        } else {
            Severity::Warning
        },
        if facts.apparmor {
            "the engine confines with AppArmor"
        } else {
            "no AppArmor"
        },
        "a host with AppArmor has one more wall",
    ));
    let old_cgroups = facts.cgroup_version == CgroupVersion::V1;
    findings.push(finding(
        "cgroup",
        if old_cgroups {
            Severity::Warning
        } else {
            Severity::Good
        },
        if old_cgroups {
            "cgroup version 1"
        } else {
            "cgroup version 2"
        },
        "version 2 keeps every counter until the end",
    ));
    findings.push(finding(
        "live_restore",
        if facts.live_restore {
            Severity::Good
        } else {
            Severity::Warning
        },
        if facts.live_restore {
            "containers outlive a restart of the engine"
        } else {
            "a restart of the engine kills running attempts"
        },
        "set `live-restore: true` in daemon.json",
    ));
    let room = facts.state_free_bytes > policy.disk_reserve_bytes;
    findings.push(finding(
        "disk",
        if room {
            Severity::Good
        } else {
            Severity::Fatal
        },
        &format!(
            "{} MiB are free in the state folder and {} MiB are kept in reserve",
            facts.state_free_bytes >> 20,
            policy.disk_reserve_bytes >> 20
        ),
        "free some disk there",
    ));
    findings
}

fn gvisor_finding(facts: &HostFacts, policy: &Policy) -> Finding {
    let advice = "install a current runsc and register it in daemon.json";
    match &facts.gvisor {
        None => finding(
            "gvisor",
            Severity::Fatal,
            "no gVisor behind the runtime",
            advice,
        ),
        Some(gvisor) => {
            let severity = if gvisor.build < policy.gvisor_floor {
                Severity::Fatal
            } else if gvisor.build < policy.gvisor_advised {
                Severity::Warning
            } else {
                Severity::Good
            };
            let found = format!("runsc {}, platform {}", gvisor.version, gvisor.platform);
            finding("gvisor", severity, &found, advice)
        }
    }
}

fn finding(check: &str, severity: Severity, found: &str, advice: &str) -> Finding {
    let advice = if severity == Severity::Good {
        ""
    } else {
        advice
    };
    Finding {
        check: check.to_owned(),
        severity,
        found: found.to_owned(),
        advice: advice.to_owned(),
    }
}

fn needed(check: &str, there: bool, advice: &str) -> Finding {
    let severity = if there {
        Severity::Good
    } else {
        Severity::Fatal
    };
    finding(
        check,
        severity,
        if there { "there" } else { "missing" },
        advice,
    )
}

impl DockerRuntime {
    /// Runs the canary through the same path as every attempt and judges what it saw.
    ///
    /// # Errors
    /// As for any attempt; a canary that saw something wrong is no error but a `Fatal` finding.
    pub async fn self_test(&self, executor: ExecutorId, tier: Tier) -> Result<Vec<Finding>> {
        if CANARY.is_empty() {
            let advice = "run on x86-64";
            return Ok(vec![finding(
                "canary",
                Severity::Fatal,
                "no canary for this platform",
                advice,
            )]);
        }
        let image = self.canary_image().await?;
        let spec = order(executor, image, tier, self.policy());
        let name = spec.name();
        let run = self.canary_run(&spec).await;
        let cleaned = match self.remove(&name).await {
            Ok(()) => self.discard(&name).await,
            error => error,
        };
        let (log, verdict) = run?;
        cleaned?;
        let host = std::fs::read_to_string("/proc/version").unwrap_or_default();
        Ok(judge(&log, &verdict, &host, tier, self.policy()))
    }

    async fn canary_image(&self) -> Result<ImageId> {
        let file = tempfile::NamedTempFile::new()
            .map_err(SandboxError::host("create a file in", std::env::temp_dir()))?;
        let (config, layer) = canary_parts()?;
        let facts = write_archive(&config, &[layer], file.as_file())?;
        self.image_load(file.path(), facts.id, &ArchiveLimits::default())
            .await?;
        Ok(facts.id)
    }

    async fn canary_run(&self, spec: &AttemptSpec) -> Result<(String, Verdict)> {
        let name = spec.name();
        self.prepare(spec).await?;
        self.start(&name).await?;
        let mut follower = self.attach(&name, LogOffsets::default()).await?;
        let mut log = Vec::new();
        while let Some(event) = follower.next().await {
            if let LogEvent::Frame(frame) = event? {
                log.extend_from_slice(&frame.bytes);
            }
        }
        self.wait(&name).await?;
        let staging = tempfile::tempdir().map_err(SandboxError::host(
            "create a folder in",
            std::env::temp_dir(),
        ))?;
        let collect = Collect {
            staging: staging.path().to_owned(),
            declared: Declared {
                result_schema: json!({"type": "object"}),
                artifacts: BTreeMap::new(),
            },
        };
        let finished = self.finish(&name, StopReason::Exited, &collect).await?;
        Ok((String::from_utf8_lossy(&log).into_owned(), finished.verdict))
    }
}

/// The canary's image: its configuration and its one layer.
fn canary_parts() -> Result<(Vec<u8>, Vec<u8>)> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o555);
    header.set_size(CANARY.len() as u64);
    let layer = layer
        .append_data(&mut header, PROGRAM.trim_start_matches('/'), CANARY)
        .and_then(|()| layer.into_inner())
        .map_err(SandboxError::host("write the layer of", PROGRAM))?;
    let config = json!({
        "os": "linux",
        "architecture": "amd64",
        "author": "belljar canary",
        "config": {"Entrypoint": [PROGRAM]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(&layer)]},
    });
    Ok((crate::receipt::canonical_json(&config), layer))
}

fn order(executor: ExecutorId, image: ImageId, tier: Tier, policy: &Policy) -> AttemptSpec {
    // Two tests at once must not meet in one name.
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let run = format!("run_{nanos:032x}").parse();
    // 32 hexadecimal digits are a run id.
    #[expect(
        clippy::expect_used,
        reason = "the text is made to be one on the line above"
    )]
    let run = run.expect("32 hexadecimal digits");
    #[expect(clippy::expect_used, reason = "a constant that is a task's name")]
    let task = "canary".parse().expect("a task's name");
    AttemptSpec {
        identity: Identity {
            executor,
            epoch: Epoch(0),
            run,
            task,
            map_index: MapIndex::NONE,
            fence: Fence(0),
            spec_digest: Digest::from_bytes([0; 32]),
        },
        image,
        argv: Some(vec![PROGRAM.to_owned()]),
        env: BTreeMap::new(),
        inputs: Vec::new(),
        params: json!({}),
        limits: Limits {
            cpu_millis: 1000,
            memory_bytes: 16 * MIB,
            disk_bytes: MIB,
            tmp_bytes: MIB,
            pids: 8,
            timeout: Duration::from_secs(60),
            log_bytes: 64 << 10,
        },
        slot: policy.slots.saturating_sub(1),
        tier,
        trusted: tier == Tier::TrustedRunc,
        tmp_exec: false,
    }
}

/// What the canary must not have been able to do.
const FORBIDDEN: &[(&str, &str)] = &[
    ("write_root", "write to the root folder"),
    ("write_input", "write to an input"),
    ("vsock", "make a vsock socket"),
    ("connect", "connect to the network"),
    ("setuid", "become root"),
    ("mount", "mount something"),
];

/// Judges the canary's lines.
fn judge(log: &str, verdict: &Verdict, host: &str, tier: Tier, policy: &Policy) -> Vec<Finding> {
    let value = |name: &str| {
        let mut lines = log.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let check = |name: &str, good: bool, found: String| {
        let severity = if good {
            Severity::Good
        } else {
            Severity::Fatal
        };
        let advice = "this host must not run analyses of others";
        finding(&format!("canary_{name}"), severity, &found, advice)
    };
    let mut findings = vec![check(
        "end",
        *verdict == Verdict::Succeeded,
        format!("the canary ended as {verdict:?}"),
    )];
    for (name, what) in FORBIDDEN {
        // Absent counts as wrong: what was not seen refused was not refused.
        let refused = value(name).is_some_and(|errno| errno.starts_with('-'));
        let answer = if refused { "cannot" } else { "can" };
        findings.push(check(name, refused, format!("it {answer} {what}")));
    }
    let uid = (policy.uid_base + u32::from(policy.slots.saturating_sub(1))).to_string();
    let found = value("uid").unwrap_or("unknown").to_owned();
    findings.push(check(
        "uid",
        found == uid,
        format!("it runs as uid {found}"),
    ));
    let version = value("version").unwrap_or_default();
    if tier == Tier::Gvisor {
        let other = !version.is_empty() && version.trim() != host.trim();
        let named = log.contains("gVisor");
        findings.push(check(
            "kernel",
            other && named,
            format!("the kernel inside calls itself `{}`", version.trim()),
        ));
    } else {
        let traced = value("ptrace").is_some_and(|errno| errno.starts_with('-'));
        findings.push(check("ptrace", traced, format!("ptrace refused: {traced}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{host, policy};

    const GOOD: &str = "version=Linux version 4.4.0\nuid=61023\nwrite_root=-30\nwrite_input=-13\n\
        vsock=-97\nconnect=-101\nsetuid=-1\nmount=-1\nptrace=0\nsyslog=50\nStarting gVisor...\n";

    fn fatal(log: &str, tier: Tier) -> Vec<String> {
        judge(
            log,
            &Verdict::Succeeded,
            "Linux version 6.18\n",
            tier,
            &policy(),
        )
        .into_iter()
        .filter(|finding| finding.severity == Severity::Fatal)
        .map(|finding| finding.check)
        .collect()
    }

    #[test]
    fn whatever_was_not_seen_to_be_right_is_fatal() {
        assert_eq!(fatal(GOOD, Tier::Gvisor), Vec::<String>::new());
        assert_eq!(fatal(GOOD, Tier::TrustedRunc), ["canary_ptrace"]);
        assert_eq!(fatal("", Tier::Gvisor).len(), FORBIDDEN.len() + 2);
        assert_eq!(
            fatal(&GOOD.replace("4.4.0", "6.18"), Tier::Gvisor),
            ["canary_kernel"]
        );
        assert_eq!(
            fatal(&GOOD.replace("gVisor", "Linux"), Tier::Gvisor),
            ["canary_kernel"]
        );
        for (name, _) in FORBIDDEN {
            let line = GOOD.lines().find(|line| line.starts_with(name)).unwrap();
            let log = GOOD.replace(line, &format!("{name}=0"));
            assert_eq!(fatal(&log, Tier::Gvisor), [format!("canary_{name}")]);
        }
        let failed = Verdict::TimedOut;
        let findings = judge(GOOD, &failed, "x", Tier::Gvisor, &policy());
        assert!(
            findings
                .iter()
                .any(|f| f.check == "canary_end" && f.severity == Severity::Fatal)
        );
    }

    #[test]
    fn host_findings_name_what_is_missing() {
        let severities = |facts: &HostFacts| -> BTreeMap<String, Severity> {
            let findings = host_findings(facts, &policy());
            assert!(
                findings
                    .iter()
                    .all(|f| (f.severity == Severity::Good) == f.advice.is_empty())
            );
            findings
                .into_iter()
                .map(|f| (f.check, f.severity))
                .collect()
        };
        let good = severities(&host());
        assert_eq!(good["gvisor"], Severity::Warning, "Debian's build is old");
        assert_eq!(good["root"], Severity::Good);
        let mut bad = host();
        (bad.root, bad.gvisor, bad.mkfs, bad.state_free_bytes) = (false, None, None, 0);
        let bad = severities(&bad);
        for check in ["root", "gvisor", "mkfs_ext4", "disk"] {
            assert_eq!(bad[check], Severity::Fatal, "{check}");
        }
    }
}
