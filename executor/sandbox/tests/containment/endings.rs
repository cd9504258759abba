//! How attempts end, and what is taken of them.

use crate::harness::{Bench, TIERS, cause};
use belljar_sandbox::{CauseKind, Runtime as _, SandboxError, StopReason, Tier, Verdict};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_honest_program_succeeds_and_leaves_nothing() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let finished = bench.run(tier, &["ok"]).await;
        assert_eq!(
            finished.verdict,
            Verdict::Succeeded,
            "{tier:?}: {:?}",
            finished.exit
        );
        assert!(finished.ended_by_itself);
        assert_eq!(bench.result(&finished), json!({"ok": "yes"}));
        let usage = &finished.usage;
        assert!(usage.memory_peak_bytes > 0 && usage.cpu_micros > 0);
        let receipt = &finished.receipt;
        assert!(
            receipt.checks.iter().all(|check| check.passed),
            "{:?}",
            receipt.checks
        );
        for source in ["engine", "spec", "cgroup", "mount", "requested"] {
            assert!(
                receipt.settings.iter().any(|s| s.source == source),
                "{tier:?} {source}"
            );
        }
        assert_eq!(receipt.warning.is_empty(), tier == Tier::Gvisor);
        let json = receipt.canonical_json();
        let back: belljar_sandbox::Receipt = serde_json::from_slice(&json).unwrap();
        assert_eq!(back.canonical_json(), json);
    }
    bench.close().await;
}

#[tokio::test]
async fn exit_0_without_a_result_fails_and_codes_are_told() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        assert_eq!(
            cause(&bench.run(tier, &["nothing"]).await),
            CauseKind::ResultMissing
        );
        let finished = bench.run(tier, &["exit", "3"]).await;
        assert_eq!(cause(&finished), CauseKind::ExitCode);
        assert_eq!(finished.exit.unwrap().code, 3);
        let mut spec = bench.spec(tier, &[]);
        spec.argv = Some(vec!["/app/none".to_owned()]);
        assert_eq!(
            cause(&bench.run_spec(&spec).await),
            CauseKind::ProgramNotStarted
        );
    }
    bench.close().await;
}

#[tokio::test]
async fn hostile_outputs_fail_the_task_and_undeclared_ones_are_dropped() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        for kind in ["symlink", "fifo", "setuid", "socket", "hardlink", "device"] {
            let finished = bench.run(tier, &["special", kind]).await;
            if tier == Tier::Gvisor && ["fifo", "socket", "device"].contains(&kind) {
                // gVisor's kernel keeps such nodes to itself or refuses to make them (exit 40):
                // either way none reaches the host.
                let code = finished.exit.as_ref().unwrap().code;
                let inside = finished.verdict == Verdict::Succeeded;
                assert!(inside || code == 40 || cause(&finished) == CauseKind::OutputForbidden);
                continue;
            }
            // What plain runc does not let happen (exit code 40) is as good, but only for devices.
            let refused = finished.exit.as_ref().unwrap().code == 40;
            assert!(
                !refused || kind == "device",
                "{tier:?} {kind} must be tried for real"
            );
            let wanted = if refused {
                CauseKind::ExitCode
            } else {
                CauseKind::OutputForbidden
            };
            assert_eq!(cause(&finished), wanted, "{tier:?} {kind}");
        }
        let finished = bench.run(tier, &["special", "sparse"]).await;
        assert_eq!(cause(&finished), CauseKind::OutputLimit, "{tier:?}");
        let finished = bench.run(tier, &["special", "undeclared"]).await;
        assert_eq!(finished.verdict, Verdict::Succeeded);
        let outputs = finished.outputs.unwrap();
        assert_eq!((outputs.dropped.files, outputs.dropped.folders), (2, 1));
        assert_eq!(outputs.artifacts.len(), 1);
    }
    bench.close().await;
}

#[tokio::test]
async fn a_cancelled_attempt_is_killed_unless_it_had_ended() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let spec = bench.spec(tier, &["sleep", "60"]);
        let name = spec.name();
        bench.runtime.prepare(&spec).await.unwrap();
        bench.runtime.start(&name).await.unwrap();
        let finished = bench.end(&name, StopReason::Cancelled).await;
        assert_eq!(finished.verdict, Verdict::Cancelled);
        let spec = bench.spec(tier, &["ok"]);
        let name = spec.name();
        bench.runtime.prepare(&spec).await.unwrap();
        bench.runtime.start(&name).await.unwrap();
        bench.runtime.wait(&name).await.unwrap();
        let finished = bench.end(&name, StopReason::Cancelled).await;
        assert_eq!(
            finished.verdict,
            Verdict::Succeeded,
            "it had ended by itself"
        );
    }
    // Killed first and finished later, as by an executor that died in between.
    let spec = bench.spec(Tier::TrustedRunc, &["sleep", "60"]);
    let name = spec.name();
    bench.runtime.prepare(&spec).await.unwrap();
    bench.runtime.start(&name).await.unwrap();
    bench.runtime.kill(&name).await.unwrap();
    let finished = bench.end(&name, StopReason::Cancelled).await;
    assert_eq!(finished.verdict, Verdict::Cancelled, "it was killed by us");
    assert!(!finished.ended_by_itself);
    let spec = bench.spec(Tier::Gvisor, &["ok"]);
    bench.runtime.prepare(&spec).await.unwrap();
    let finished = bench.end(&spec.name(), StopReason::Cancelled).await;
    assert_eq!(finished.verdict, Verdict::Cancelled, "it never started");
    bench.close().await;
}

#[tokio::test]
async fn nothing_lives_on_after_the_end() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        for act in ["ghost", "daemon"] {
            let spec = bench.spec(tier, &[act]);
            let name = spec.name();
            bench.runtime.prepare(&spec).await.unwrap();
            bench.runtime.start(&name).await.unwrap();
            let waited =
                tokio::time::timeout(Duration::from_secs(20), bench.runtime.wait(&name)).await;
            waited.expect("it must end").unwrap();
            let collect = bench.collect();
            let finish = bench.runtime.finish(&name, StopReason::Exited, &collect);
            let finished = finish.await.unwrap();
            if tier == Tier::TrustedRunc && act == "ghost" {
                assert_eq!(bench.result(&finished)["traceme"], "EPERM");
            }
            let beat = bench
                .dir
                .path()
                .join("state/attempts")
                .join(name.as_str())
                .join("out/beat");
            let size = || beat.metadata().map_or(0, |meta| meta.len());
            let before = size();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(size(), before, "{tier:?} {act}: somebody still writes");
            let empty = finished
                .receipt
                .checks
                .iter()
                .find(|c| c.check == "cgroup_empty")
                .unwrap();
            assert!(empty.passed);
            bench.runtime.discard(&name).await.unwrap();
        }
    }
    bench.close().await;
}

/// The engine calls the container ended, and a process in its cgroup lives on: a ghost.
#[tokio::test]
async fn a_ghost_is_killed_and_counts_as_tampering() {
    let mut bench = Bench::new().await;
    let spec = bench.spec(Tier::TrustedRunc, &["ok"]);
    let name = spec.name();
    bench.runtime.prepare(&spec).await.unwrap();
    bench.runtime.start(&name).await.unwrap();
    bench.runtime.wait(&name).await.unwrap();
    let mut ghost = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let group = format!("/sys/fs/cgroup/freezer/belljar/{name}/cgroup.procs");
    std::fs::write(group, ghost.id().to_string()).expect("cgroup version 1 at /sys/fs/cgroup");
    let finished = bench.end(&name, StopReason::Exited).await;
    assert_eq!(cause(&finished), CauseKind::Tampering);
    assert!(finished.outputs.is_none());
    assert!(!ghost.wait().unwrap().success(), "it was killed");
    bench.close().await;
}

#[tokio::test]
async fn a_container_taken_away_is_lost_and_not_a_success() {
    let mut bench = Bench::new().await;
    let spec = bench.spec(Tier::TrustedRunc, &["sleep", "60"]);
    let name = spec.name();
    bench.runtime.prepare(&spec).await.unwrap();
    bench.runtime.start(&name).await.unwrap();
    let removed = std::process::Command::new("docker")
        .args(["rm", "-f", name.as_str()])
        .output()
        .unwrap();
    assert!(removed.status.success());
    assert!(matches!(
        bench.runtime.wait(&name).await,
        Err(SandboxError::NotFound(_))
    ));
    let finished = bench.end(&name, StopReason::Exited).await;
    assert!(
        matches!(finished.verdict, Verdict::Lost { .. }),
        "{:?}",
        finished.verdict
    );
    bench.close().await;
}

/// The executor died between the engine's start and its own note of it.
#[tokio::test]
async fn what_ended_before_it_was_verified_is_lost() {
    let mut bench = Bench::new().await;
    for (act, seconds, lost) in [("ok", "0", true), ("sleep", "5", false)] {
        let spec = bench.spec(Tier::TrustedRunc, &[act, seconds]);
        let name = spec.name();
        bench.runtime.prepare(&spec).await.unwrap();
        for command in ["start", "wait"].iter().take(if lost { 2 } else { 1 }) {
            let done = std::process::Command::new("docker")
                .args([*command, name.as_str()])
                .output()
                .unwrap();
            assert!(done.status.success());
        }
        let started = bench.runtime.start(&name).await.unwrap();
        assert_eq!(started.settings.iter().any(|s| s.source == "proc"), !lost);
        bench.runtime.wait(&name).await.unwrap();
        let finished = bench.end(&name, StopReason::Exited).await;
        match finished.verdict {
            Verdict::Lost { .. } if lost => {}
            Verdict::Succeeded if !lost => {}
            other => panic!("{act}: {other:?}"),
        }
    }
    bench.close().await;
}
