//! One hostile container for each promise, under gVisor and under plain `runc`, on the real engine.

mod harness;

use belljar_sandbox::{
    CauseKind, LogEvent, LogOffsets, LogStream, Runtime, SandboxError, Severity, Stage, StopReason,
    Tier, Verdict,
};
use futures::StreamExt as _;
use harness::{Bench, TIERS, cause};
use serde_json::json;
use std::time::{Duration, Instant};

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
async fn it_sees_its_inputs_and_nothing_of_the_host() {
    let mut bench = Bench::with_image(json!({
        "Env": ["LD_PRELOAD=/x.so", "https_proxy=http://127.0.0.1", "KEPT=yes"],
        "User": "root",
    }))
    .await;
    for tier in TIERS {
        let finished = bench.run(tier, &["facts"]).await;
        let seen = bench.result(&finished);
        let text = |key: &str| {
            seen[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key}"))
                .to_owned()
        };
        assert_eq!(text("uid"), "60007", "USER is ignored");
        assert_eq!(text("gid"), "60007");
        assert!(
            ["0", "1"].contains(&text("groups").as_str()),
            "{}",
            text("groups")
        );
        assert_eq!(text("CapEff"), "0000000000000000");
        assert_eq!(text("hostname"), "belljar");
        assert_eq!(text("cwd"), "/app");
        assert_eq!(text("data"), "private");
        // Quotes are blanked by the probe.
        assert_eq!(text("params"), "{ a : x , b :1}");
        // The engine writes no name server at all without a network, or the one of the plan.
        let resolv = text("resolv").replace("127.0.0.1", "");
        assert!(!resolv.contains("nameserver 1"), "{resolv}");
        let env = text("env");
        assert!(
            env.contains("KEPT=yes") && env.contains("HOME=/tmp"),
            "{env}"
        );
        assert!(!env.contains("LD_") && !env.contains("proxy"), "{env}");
        for place in [
            "write /",
            "write /etc",
            "write /in",
            "write /in/data",
            "chmod /in/data",
            "unlink /in/data",
        ] {
            let answer = text(place);
            assert!(
                ["EROFS", "EACCES", "EPERM", "EBUSY"].contains(&answer.as_str()),
                "{place}: {answer}"
            );
        }
        assert_eq!(text("write /tmp"), "ok");
        for act in [
            "setuid",
            "mount",
            "remount /in/data",
            "chroot",
            "sethostname",
            "open node",
            "docker socket",
            "bpf",
            "keyctl",
        ] {
            assert_ne!(text(act), "ok", "{tier:?}: {act}");
        }
        assert_ne!(text("core_pattern"), "ok");
        assert_eq!(text("exec /tmp"), "8", "{tier:?}: /tmp is noexec");
        if tier == Tier::TrustedRunc {
            assert_eq!(text("NoNewPrivs"), "1");
            assert_eq!(text("Seccomp"), "2");
            assert_eq!(text("CapBnd"), "0000000000000000");
            assert_eq!(text("io_uring"), "EPERM");
            assert_eq!(text("userns"), "EPERM");
            assert!(
                finished
                    .receipt
                    .settings
                    .iter()
                    .any(|s| s.source == "proc" && s.field == "CapEff")
                    || finished.usage.wall_micros < 100_000
            );
        } else {
            let host = std::fs::read_to_string("/proc/version").unwrap();
            assert_ne!(
                text("version").trim(),
                host.trim(),
                "it must be gVisor's kernel"
            );
        }
        assert_eq!(
            std::fs::read_to_string(bench.input_root().join("data")).unwrap(),
            "private"
        );
    }
    bench.close().await;
}

#[tokio::test]
async fn there_is_no_network() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let finished = bench.run(tier, &["net"]).await;
        let seen = bench.result(&finished);
        let interfaces = seen["interfaces"].as_str().unwrap();
        assert_eq!(interfaces.matches(':').count(), 1, "{interfaces}");
        for way in [
            "vsock",
            "alg",
            "packet",
            "raw",
            "internet",
            "metadata",
            "bridge",
            "host loopback",
        ] {
            assert_ne!(seen[way], "ok", "{tier:?}: {way}");
        }
        if tier == Tier::TrustedRunc {
            assert_ne!(seen["ping"], "ok");
            assert_eq!(seen["vsock"], "EPERM");
            assert_eq!(seen["alg"], "EPERM");
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn memory_is_limited_and_an_oom_child_spoils_exit_0() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let finished = bench.run(tier, &["eat", "400"]).await;
        assert_eq!(
            cause(&finished),
            CauseKind::MemoryLimit,
            "{tier:?} {:?}",
            finished.exit
        );
    }
    let finished = bench.run(Tier::TrustedRunc, &["eat-child", "400"]).await;
    assert_eq!(
        finished.exit.as_ref().unwrap().code,
        0,
        "the parent says all is well"
    );
    assert_eq!(cause(&finished), CauseKind::MemoryLimit);
    let finished = bench.run(Tier::Gvisor, &["eat-child", "400"]).await;
    assert_eq!(cause(&finished), CauseKind::MemoryLimit);
    // What was asked for can be used.
    for tier in TIERS {
        let finished = bench.run(tier, &["eat", "48"]).await;
        assert_eq!(
            finished.verdict,
            Verdict::Succeeded,
            "{tier:?} {:?}",
            finished.exit
        );
    }
    bench.close().await;
}

#[tokio::test]
async fn processes_are_limited() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let finished = bench.run(tier, &["forks", "600"]).await;
        assert_eq!(
            cause(&finished),
            CauseKind::PidsLimit,
            "{tier:?} {:?} {:?}",
            finished.exit,
            finished.usage
        );
        let finished = bench.run(tier, &["forks", "28"]).await;
        assert_eq!(
            finished.verdict,
            Verdict::Succeeded,
            "{tier:?} {:?} {:?}",
            finished.exit,
            finished.usage
        );
    }
    bench.close().await;
}

#[tokio::test]
async fn a_full_out_is_an_output_limit() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        for act in ["fill", "many"] {
            let finished = bench.run(tier, &[act]).await;
            assert_eq!(
                cause(&finished),
                CauseKind::OutputLimit,
                "{tier:?} {act} {:?} {:?}",
                finished.exit,
                finished.usage
            );
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn time_is_limited_and_signals_cannot_be_ignored() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let mut spec = bench.spec(tier, &["sleep", "60"]);
        spec.limits.timeout = Duration::from_secs(2);
        let began = Instant::now();
        let finished = bench.run_spec(&spec).await;
        assert_eq!(finished.verdict, Verdict::TimedOut);
        assert!(!finished.ended_by_itself && finished.outputs.is_none());
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
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
async fn volumes_health_checks_and_forged_labels_have_no_effect() {
    let mut bench = Bench::with_image(json!({
        "Volumes": {"/vol": {}, "/out": {}, "/tmp": {}},
        "Healthcheck": {"Test": ["CMD", "/app/probe", "health"], "Interval": 1_000_000_000_i64},
        "StopSignal": "SIGCONT",
        "ExposedPorts": {"80/tcp": {}},
        "OnBuild": ["RUN x"],
    }))
    .await;
    for tier in TIERS {
        let finished = bench.run(tier, &["facts"]).await;
        let seen = bench.result(&finished);
        assert_eq!(seen["write /vol"], "ok", "an empty memory filesystem");
        let finished = bench.run(tier, &["sleep", "3"]).await;
        assert_eq!(finished.verdict, Verdict::Succeeded);
        assert_eq!(
            finished.outputs.unwrap().dropped.files,
            0,
            "the health check wrote nothing"
        );
    }
    let forged = bench
        .add_image(json!({"Labels": {"belljar.executor": "exe_x"}}))
        .await;
    let mut spec = bench.spec(Tier::Gvisor, &["ok"]);
    spec.image = forged;
    let error = bench.runtime.prepare(&spec).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code(), "BJ0702");
    bench.close().await;
}

#[tokio::test]
async fn a_log_is_followed_live_and_continued_at_any_byte() {
    let mut bench = Bench::new().await;
    for tier in TIERS {
        let spec = bench.spec(tier, &["lines", "30"]);
        let name = spec.name();
        bench.runtime.prepare(&spec).await.unwrap();
        bench.runtime.start(&name).await.unwrap();
        let mut follower = bench
            .runtime
            .attach(&name, LogOffsets::default())
            .await
            .unwrap();
        let first = follower.next().await.unwrap().unwrap();
        let LogEvent::Frame(first) = first else {
            panic!("{first:?}")
        };
        assert_eq!(
            (first.stream, first.offset, &first.bytes[..]),
            (LogStream::Stderr, 0, &b"line 0\n"[..])
        );
        assert!(first.at.0 > 0);
        drop(follower);
        // Another runtime, as after a restart, goes on in the middle of a line.
        let other = belljar_sandbox::DockerRuntime::connect(bench.config.clone())
            .await
            .unwrap();
        let from = LogOffsets {
            stdout: 3,
            stderr: 7,
        };
        let mut follower = other.attach(&name, from).await.unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(event) = follower.next().await {
            let LogEvent::Frame(frame) = event.unwrap() else {
                panic!("truncated")
            };
            let (text, from) = match frame.stream {
                LogStream::Stdout => (&mut stdout, from.stdout),
                LogStream::Stderr => (&mut stderr, from.stderr),
            };
            assert_eq!(frame.offset, from + text.len() as u64);
            text.extend_from_slice(&frame.bytes);
        }
        let lines = |mine: fn(&u32) -> bool| -> String {
            (0..30)
                .filter(mine)
                .map(|n| format!("line {n}\n"))
                .collect()
        };
        assert_eq!(
            String::from_utf8(stdout).unwrap(),
            lines(|n| n % 3 != 0)[3..]
        );
        assert_eq!(
            String::from_utf8(stderr).unwrap(),
            lines(|n| n % 3 == 0)[7..]
        );
        let finished = bench.end(&name, StopReason::Exited).await;
        assert_eq!(finished.verdict, Verdict::Succeeded);
    }
    bench.close().await;
}

#[tokio::test]
async fn a_flood_of_log_is_cut_and_marked_and_blocks_nobody() {
    let mut bench = Bench::new().await;
    for (tier, act) in [
        (Tier::Gvisor, "flood"),
        (Tier::TrustedRunc, "flood"),
        (Tier::TrustedRunc, "newlines"),
    ] {
        let spec = bench.spec(tier, &[act, "20000000"]);
        let name = spec.name();
        bench.runtime.prepare(&spec).await.unwrap();
        bench.runtime.start(&name).await.unwrap();
        let mut follower = bench
            .runtime
            .attach(&name, LogOffsets::default())
            .await
            .unwrap();
        let (mut bytes, mut cuts) = (0, 0);
        while let Some(event) = follower.next().await {
            match event.unwrap() {
                LogEvent::Frame(frame) => {
                    assert_eq!(cuts, 0, "nothing follows the cut");
                    bytes += frame.bytes.len() as u64;
                }
                LogEvent::Truncated(at) => {
                    cuts += 1;
                    assert_eq!(at.stdout + at.stderr, bytes);
                }
            }
        }
        assert_eq!(cuts, 1);
        assert!(bytes <= 64 << 10, "{bytes}");
        assert!(act == "newlines" || bytes == 64 << 10, "{bytes}");
        bench.runtime.wait(&name).await.unwrap();
        let finished = bench.end(&name, StopReason::Exited).await;
        assert_eq!(
            finished.verdict,
            Verdict::Succeeded,
            "a cut log is no failure"
        );
    }
    bench.close().await;
}

#[tokio::test]
async fn every_call_can_be_repeated_and_another_incarnation_adopts() {
    let mut bench = Bench::new().await;
    let spec = bench.spec(Tier::Gvisor, &["sleep", "2"]);
    let name = spec.name();
    let runtime = bench.runtime.clone();
    assert!(matches!(
        runtime.start(&name).await,
        Err(SandboxError::NotFound(_))
    ));
    assert!(matches!(
        runtime.adopt(&name).await,
        Err(SandboxError::NotFound(_))
    ));
    runtime.kill(&name).await.unwrap();
    runtime.remove(&name).await.unwrap();
    runtime.discard(&name).await.unwrap();
    runtime.prepare(&spec).await.unwrap();
    runtime.prepare(&spec).await.unwrap();
    assert_eq!(runtime.adopt(&name).await.unwrap().stage, Stage::Prepared);
    let mut other_order = spec.clone();
    other_order.params = json!({"changed": true});
    assert!(matches!(
        runtime.prepare(&other_order).await,
        Err(SandboxError::Confused(_))
    ));
    let first = runtime.start(&name).await.unwrap();
    let second = runtime.start(&name).await.unwrap();
    assert_eq!(
        (first.at, first.settings.len()),
        (second.at, second.settings.len())
    );

    let other = belljar_sandbox::DockerRuntime::connect(bench.config.clone())
        .await
        .unwrap();
    let found = other.list().await.unwrap();
    assert_eq!((found.len(), found[0].stage), (1, Stage::Running));
    let adopted = other.adopt(&name).await.unwrap();
    assert_eq!(
        (adopted.stage, adopted.spec, adopted.started_at),
        (Stage::Running, spec, Some(first.at))
    );
    let keep = std::iter::once(name.clone()).collect();
    assert_eq!(
        other.sweep(&keep).await.unwrap(),
        belljar_sandbox::Swept::default()
    );
    other.wait(&name).await.unwrap();
    other.wait(&name).await.unwrap();
    let collect = bench.collect();
    let finished = other
        .finish(&name, StopReason::Exited, &collect)
        .await
        .unwrap();
    let again = runtime
        .finish(&name, StopReason::Exited, &collect)
        .await
        .unwrap();
    assert_eq!(finished.verdict, Verdict::Succeeded);
    assert_eq!(again.verdict, finished.verdict);
    assert_eq!(again.outputs, finished.outputs);
    assert_eq!(
        again.receipt.canonical_json(),
        finished.receipt.canonical_json()
    );
    assert_eq!(runtime.adopt(&name).await.unwrap().stage, Stage::Remains);
    bench.close().await;
}

#[tokio::test]
async fn a_sweep_takes_down_every_stage() {
    let mut bench = Bench::new().await;
    let prepared = bench.spec(Tier::Gvisor, &["ok"]);
    let running = bench.spec(Tier::TrustedRunc, &["sleep", "60"]);
    let ended = bench.spec(Tier::TrustedRunc, &["ok"]);
    for spec in [&prepared, &running, &ended] {
        bench.runtime.prepare(spec).await.unwrap();
    }
    for spec in [&running, &ended] {
        bench.runtime.start(&spec.name()).await.unwrap();
    }
    bench.runtime.wait(&ended.name()).await.unwrap();
    let collect = bench.collect();
    bench
        .runtime
        .finish(&ended.name(), StopReason::Exited, &collect)
        .await
        .unwrap();
    let swept = bench.runtime.sweep(&Default::default()).await.unwrap();
    assert_eq!((swept.containers.len(), swept.remains.len()), (2, 1));
    bench.close().await;
}

#[tokio::test]
async fn what_is_missing_or_changed_is_said_before_anything_runs() {
    let mut bench = Bench::new().await;
    let mut spec = bench.spec(Tier::Gvisor, &["ok"]);
    spec.image = belljar_sandbox::ImageId(belljar_ids::Digest::from_bytes([9; 32]));
    assert!(matches!(
        bench.runtime.prepare(&spec).await,
        Err(SandboxError::ImageMissing(_))
    ));
    let spec = bench.spec(Tier::Gvisor, &["ok"]);
    let data = bench.input_root().join("data");
    std::fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", &data).unwrap();
    let error = bench.runtime.prepare(&spec).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code(), "BJ0714");
    assert_eq!(bench.runtime.list().await.unwrap(), vec![]);
    bench.assert_nothing_left();
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

#[tokio::test]
async fn the_weaker_sandbox_says_so() {
    let mut bench = Bench::new().await;
    let finished = bench.run(Tier::WeakerSandbox, &["ok"]).await;
    assert_eq!(finished.verdict, Verdict::Succeeded);
    let warning = finished.receipt.warning;
    assert!(warning.contains("not the production sandbox"), "{warning}");
    bench.close().await;
}

#[tokio::test]
async fn an_image_travels_as_the_same_bytes_and_can_be_loaded_again() {
    let mut bench = Bench::new().await;
    let reference = bench.image.to_string();
    let scratch = bench.dir.path().to_owned();
    let export = || bench.runtime.image_export(&reference, &scratch, Vec::new());
    let (facts, bytes) = export().await.unwrap();
    assert_eq!(export().await.unwrap().1, bytes);
    let limits = belljar_sandbox::image::ArchiveLimits::default();
    let inspected = belljar_sandbox::image::inspect_archive(&bytes[..], &limits).unwrap();
    assert_eq!((inspected.id, &inspected), (bench.image, &facts));
    let archive = scratch.join("travel.tar");
    std::fs::write(&archive, &bytes).unwrap();
    bench.runtime.image_remove(bench.image).await.unwrap();
    assert!(!bench.runtime.image_present(bench.image).await.unwrap());
    let wrong = belljar_sandbox::ImageId(belljar_ids::Digest::from_bytes([3; 32]));
    let error = bench
        .runtime
        .image_load(&archive, wrong, &limits)
        .await
        .unwrap_err();
    assert!(matches!(error, SandboxError::Archive(_)), "{error}");
    bench
        .runtime
        .image_load(&archive, bench.image, &limits)
        .await
        .unwrap();
    let finished = bench.run(Tier::Gvisor, &["ok"]).await;
    assert_eq!(finished.verdict, Verdict::Succeeded);
    let error = bench
        .runtime
        .image_export("no-such-image", &scratch, Vec::new())
        .await;
    assert!(matches!(
        error,
        Err(SandboxError::Engine { status: 404, .. })
    ));
    bench.close().await;
}

#[tokio::test]
async fn the_canary_sees_the_walls_from_inside() {
    let bench = Bench::new().await;
    for tier in TIERS {
        let findings = bench.runtime.self_test(bench.executor, tier).await.unwrap();
        assert!(findings.len() >= 9, "{findings:?}");
        for finding in findings {
            assert_eq!(finding.severity, Severity::Good, "{tier:?} {finding:?}");
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn a_stopped_engine_is_told_apart() {
    let bench = Bench::new().await;
    let mut config = bench.config.clone();
    config.socket = bench.dir.path().join("no.sock");
    let error = belljar_sandbox::DockerRuntime::connect(config)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, SandboxError::EngineUnavailable { .. }) && error.is_transient(),
        "{error}"
    );
    bench.close().await;
}
