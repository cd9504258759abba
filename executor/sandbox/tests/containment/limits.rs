//! What a program may use, and what it says when that is not enough.

use crate::harness::{Bench, TIERS, cause};
use belljar_sandbox::{
    CauseKind, LogEvent, LogOffsets, LogStream, Runtime as _, StopReason, Tier, Verdict,
};
use futures::StreamExt as _;
use std::time::{Duration, Instant};

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
