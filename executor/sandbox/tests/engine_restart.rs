//! An engine that stops in the middle of an attempt: on a second one of its own, with its own
//! folders and socket.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows helpers of tests not to be tests.

mod harness;

use belljar_sandbox::{Runtime as _, SandboxError, Stage, StopReason, Tier, Verdict};
use harness::Bench;
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Docker engine below a folder.
struct Engine {
    process: Child,
}

impl Engine {
    fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("daemon.json"), "{}").unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let process = Command::new("dockerd")
            .args([
                "--config-file",
                &at("daemon.json"),
                "--data-root",
                &at("data"),
            ])
            .args(["--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("sock"))])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("this test needs dockerd: apt-get install docker.io");
        let engine = Self { process };
        let until = Instant::now() + Duration::from_secs(60);
        while std::os::unix::net::UnixStream::connect(dir.join("sock")).is_err() {
            let log = || std::fs::read_to_string(dir.join("log")).unwrap();
            assert!(Instant::now() < until, "it does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        engine
    }

    /// Asks it to stop, as an init system does, and waits.
    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_engine_loses_the_attempt_and_says_so() {
    let dir = tempfile::Builder::new()
        .prefix("belljar-engine-")
        .tempdir()
        .unwrap();
    let mut engine = Engine::start(dir.path());
    let mut bench = Bench::at(&dir.path().join("sock"), json!({})).await;
    let spec = bench.spec(Tier::TrustedRunc, &["sleep", "600"]);
    let name = spec.name();
    bench.runtime.prepare(&spec).await.unwrap();
    bench.runtime.start(&name).await.unwrap();
    let (runtime, waited) = (bench.runtime.clone(), name.clone());
    let wait = tokio::spawn(async move { runtime.wait(&waited).await });
    tokio::task::spawn_blocking(move || {
        engine.stop();
        drop(engine);
    })
    .await
    .unwrap();
    // Whatever the answer, it must not be taken for an end of the program by itself.
    let answer = wait.await.unwrap();
    assert!(
        !matches!(answer, Ok(belljar_sandbox::Ended::TimedOut)),
        "{answer:?}"
    );
    let collect = bench.collect();
    let error = bench
        .runtime
        .finish(&name, StopReason::Exited, &collect)
        .await
        .unwrap_err();
    assert!(
        matches!(error, SandboxError::EngineUnavailable { .. }),
        "{error}"
    );
    let error = bench.runtime.list().await.unwrap_err();
    assert!(
        matches!(error, SandboxError::EngineUnavailable { .. }),
        "{error}"
    );

    let again = Engine::start(dir.path());
    assert_eq!(
        bench.runtime.adopt(&name).await.unwrap().stage,
        Stage::Exited
    );
    let finished = bench.end(&name, StopReason::Exited).await;
    assert!(
        matches!(finished.verdict, Verdict::Lost { .. }),
        "{:?}",
        finished.verdict
    );
    let finished = bench.run(Tier::TrustedRunc, &["ok"]).await;
    assert_eq!(finished.verdict, Verdict::Succeeded, "the next one works");
    bench.close().await;
    drop(again);
}
