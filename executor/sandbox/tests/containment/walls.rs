//! What a program sees and reaches.

use crate::harness::{Bench, TIERS};
use belljar_sandbox::{InputKind, InputMount, InputSource, Runtime as _, Severity, Tier, Verdict};
use serde_json::json;

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
async fn the_weaker_sandbox_says_so() {
    let mut bench = Bench::new().await;
    let finished = bench.run(Tier::WeakerSandbox, &["ok"]).await;
    assert_eq!(finished.verdict, Verdict::Succeeded);
    let warning = finished.receipt.warning;
    assert!(warning.contains("not the production sandbox"), "{warning}");
    bench.close().await;
}

#[tokio::test]
async fn many_inputs_files_and_folders_are_all_mounted() {
    let mut bench = Bench::new().await;
    let root = bench.input_root();
    for tier in TIERS {
        let mut spec = bench.spec(tier, &["facts"]);
        for n in 0..40 {
            let (path, kind) = (
                root.join(format!("{n}")),
                [InputKind::File, InputKind::Folder],
            );
            let kind = kind[n % 2];
            match kind {
                InputKind::File => std::fs::write(&path, "x").unwrap(),
                InputKind::Folder => std::fs::create_dir_all(&path).unwrap(),
            }
            spec.inputs.push(InputMount {
                name: format!("input-{n}").parse().unwrap(),
                source: InputSource::HostPath(path),
                kind,
                digest: None,
            });
        }
        let finished = bench.run_spec(&spec).await;
        assert_eq!(bench.result(&finished)["data"], "private");
        assert_eq!(finished.receipt.inputs.len(), 41);
    }
    bench.close().await;
}
