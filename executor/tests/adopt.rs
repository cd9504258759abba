//! An executor process that is killed in the middle of its work, and the one that comes after it.
//!
//! This program starts itself again as the executor, so that there is a process to kill. The engine
//! and gVisor are real; the scheduler is the stand-in of `support`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use belljar_api::executor::{Outcome, Phase, Stream};
use belljar_executor::ExecutorError;
use belljar_ids::Cause;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use support::{Standin, config, traces};
use tokio_util::sync::CancellationToken;

/// Tells this program to be an executor: the scheduler's address and the data folder.
const BE_EXECUTOR: &str = "BELLJAR_TEST_BE_EXECUTOR";
/// How an executor ends that was fenced.
const FENCED: u8 = 7;

fn main() -> ExitCode {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    if let Ok(settings) = std::env::var(BE_EXECUTOR) {
        return runtime().block_on(be_executor(&settings));
    }
    let wanted = names_wanted();
    let only_list = std::env::args().any(|argument| argument == "--list");
    macro_rules! run {
        ($($test:ident),+ $(,)?) => {$(
            let name = stringify!($test);
            if only_list {
                println!("{name}: test");
            } else if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
                // A panic ends the program with its code.
                runtime().block_on($test());
                println!("test {name} ... ok");
            }
        )+};
    }
    run!(
        a_running_container_is_adopted_and_reported_once,
        killed_at_any_moment_an_attempt_is_accepted_once,
        a_finished_outcome_is_reported_by_the_next_process,
        a_plain_stop_leaves_containers_to_the_next_process,
        what_ended_while_nobody_watched_is_collected,
        what_was_cancelled_or_lost_meanwhile_is_killed,
        two_executors_cannot_share_a_folder,
    );
    ExitCode::SUCCESS
}

/// The names in the arguments, as the usual test harness takes them; its options are passed over.
fn names_wanted() -> Vec<String> {
    let with_value = [
        "--test-threads",
        "--skip",
        "--format",
        "--color",
        "--logfile",
        "-Z",
    ];
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if with_value.contains(&argument.as_str()) {
            arguments.next();
        } else if !argument.starts_with('-') {
            wanted.push(argument);
        }
    }
    wanted
}

async fn be_executor(settings: &str) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .init();
    let (url, data_dir) = settings.split_once('|').unwrap();
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let mut term =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        term.recv().await;
        told.cancel();
    });
    match belljar_executor::run(config(url, Path::new(data_dir)), stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(ExecutorError::Fenced) => ExitCode::from(FENCED),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// An executor process; killed at the end, whatever happens.
struct Process(Child);

impl Process {
    fn start(standin: &Standin, data_dir: &Path) -> Self {
        let url = format!("http://{}", standin.address);
        let child = Command::new(std::env::current_exe().unwrap())
            .env(BE_EXECUTOR, format!("{url}|{}", data_dir.display()))
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(mut self) {
        // SIGKILL.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends it in good order.
    async fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = tokio::task::spawn_blocking(move || self.0.wait().unwrap())
            .await
            .unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Bench {
    standin: Arc<Standin>,
    data: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let data = tempfile::Builder::new()
            .prefix("belljar-executor-")
            .tempdir()
            .unwrap();
        Self {
            standin: Standin::start().await,
            data,
        }
    }

    fn start(&self) -> Process {
        Process::start(&self.standin, self.data.path())
    }

    fn containers(&self, task: &str) -> Vec<String> {
        let executor = self.standin.world().executor.unwrap();
        let mut found = traces::containers(executor);
        found.retain(|line| line.contains(&format!("-{task}-n-")));
        found
    }

    async fn assert_nothing_left(&self) {
        let executor = self.standin.world().executor.unwrap();
        traces::assert_none(executor, self.data.path()).await;
    }
}

/// What the probe's `lines n` writes to a stream: every third line to standard error.
fn lines(n: usize, stream: Stream) -> String {
    (0..n)
        .filter(|i| (i % 3 == 0) == (stream == Stream::Stderr))
        .map(|i| format!("line {i}\n"))
        .collect()
}

async fn a_running_container_is_adopted_and_reported_once() {
    let bench = Bench::new().await;
    let key = bench.standin.offer("adopted", 1, &["lines", "200"]);
    let first = bench.start();
    let seen = |at_least: usize| {
        let key = &key;
        move |world: &support::World| {
            let log = world.logs.get(&(key.0.clone(), key.1, Stream::Stdout))?;
            (log.len() >= at_least).then_some(log.len())
        }
    };
    bench.standin.until("a line of the log", seen(1)).await;
    let before = bench.containers("adopted");
    assert_eq!(before.len(), 1, "{before:?}");
    first.kill();
    let sent = bench.standin.log(&key, Stream::Stdout).len();
    let second = bench.start();
    bench.standin.until("more of the log", seen(sent + 1)).await;
    assert_eq!(
        bench.containers("adopted"),
        before,
        "the same container and program"
    );
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(
        (outcome.cause, outcome.exit_code),
        (None, Some(0)),
        "{outcome:?}"
    );
    assert!(outcome.ended_by_itself);
    let outputs = outcome.outputs.unwrap();
    assert_eq!(outputs.result.inline.as_deref(), Some("{}"));
    for stream in [Stream::Stdout, Stream::Stderr] {
        assert_eq!(
            bench.standin.log(&key, stream),
            lines(200, stream),
            "{stream:?}"
        );
    }
    let stdout = lines(200, Stream::Stdout);
    assert_eq!(outcome.logs.stdout.size, stdout.len() as u64);
    assert_eq!(
        outcome.logs.stdout.digest,
        Some(support::image::sha256(stdout.as_bytes()))
    );
    assert!(
        outcome.started_ms_ago.unwrap() >= 4000,
        "counted from the first start"
    );
    {
        let world = bench.standin.world();
        assert_eq!(world.reports_seen.len(), 1);
        assert_eq!(world.registered.len(), 2);
        let held = &world.registered[1].held;
        assert_eq!((held.len(), held[0].phase), (1, Phase::Running));
        let receipt = &world.blobs[&outcome.receipt.unwrap().digest];
        let receipt: belljar_sandbox::Receipt = serde_json::from_slice(receipt).unwrap();
        assert!(receipt.checks.iter().all(|check| check.passed));
    }
    bench.assert_nothing_left().await;
    second.stop().await;
}

async fn killed_at_any_moment_an_attempt_is_accepted_once() {
    let bench = Bench::new().await;
    let mut process = bench.start();
    bench.standin.change(|world| world.faults.retry_lost = true);
    // Once without a kill, so that the self-test and the image are behind us.
    let key = bench.standin.offer("first", 1, &["ok"]);
    bench.standin.outcome(&key).await;
    for (round, delay) in [0u64, 20, 60, 120, 200, 300, 450, 700, 1000]
        .into_iter()
        .enumerate()
    {
        let task = format!("round-{round}");
        bench.standin.offer(&task, 1, &["lines", "10"]);
        bench
            .standin
            .until("the lease is granted", |world| {
                world
                    .live
                    .keys()
                    .any(|(key, _)| key.task.as_str() == task)
                    .then_some(())
            })
            .await;
        // Not for luck: each moment is one to be killed at.
        tokio::time::sleep(Duration::from_millis(delay)).await;
        process.kill();
        process = bench.start();
        // A program that ended before its sandbox was verified does not count, and runs again.
        let key = bench
            .standin
            .until("an accepted success", |world| {
                let mut accepted = world.accepted.iter();
                let mine = accepted.find(|((key, _), report)| {
                    key.task.as_str() == task && report.outcome.cause.is_none()
                });
                mine.map(|(key, _)| key.clone())
            })
            .await;
        for stream in [Stream::Stdout, Stream::Stderr] {
            assert_eq!(bench.standin.log(&key, stream), lines(10, stream));
        }
    }
    {
        let world = bench.standin.world();
        let outcomes = world.accepted.values().map(|report| &report.outcome);
        let (good, lost): (Vec<_>, Vec<_>) = outcomes.partition(|o| o.cause.is_none());
        assert_eq!(good.len(), 10, "one success for each");
        let unverified = |outcome: &&Outcome| {
            let message = outcome.message.as_deref().unwrap_or_default();
            message.contains("before its sandbox could be verified")
        };
        assert!(lost.iter().all(unverified), "{lost:#?}");
        let mut digests: Vec<_> = world.reports_seen.clone();
        digests.sort();
        digests.dedup();
        assert_eq!(
            digests.len(),
            world.accepted.len(),
            "none was reported in two ways"
        );
    }
    bench.assert_nothing_left().await;
    process.stop().await;
}

async fn a_finished_outcome_is_reported_by_the_next_process() {
    let bench = Bench::new().await;
    let first = bench.start();
    let key = bench.standin.offer("held", 1, &["lines", "30"]);
    bench.standin.running(&key).await;
    bench.standin.change(|world| world.faults.away = true);
    // The journal says when the outcome is fixed.
    let journal = bench.data.path().join("journal");
    let fixed = async {
        while !std::fs::read_to_string(&journal)
            .unwrap()
            .contains(r#""record":"collected""#)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), fixed)
        .await
        .unwrap();
    first.kill();
    let second = bench.start();
    bench.standin.change(|world| world.faults.away = false);
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    for stream in [Stream::Stdout, Stream::Stderr] {
        assert_eq!(bench.standin.log(&key, stream), lines(30, stream));
    }
    {
        let world = bench.standin.world();
        assert!(world.blobs.contains_key(&outcome.receipt.unwrap().digest));
    }
    bench.assert_nothing_left().await;
    second.stop().await;
}

async fn a_plain_stop_leaves_containers_to_the_next_process() {
    let bench = Bench::new().await;
    let first = bench.start();
    let key = bench.standin.offer("left", 1, &["lines", "150"]);
    bench.standin.running(&key).await;
    let before = bench.containers("left");
    first.stop().await;
    assert_eq!(bench.containers("left"), before);
    let second = bench.start();
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(
        bench.standin.log(&key, Stream::Stdout),
        lines(150, Stream::Stdout)
    );
    bench.assert_nothing_left().await;
    second.stop().await;
}

async fn what_ended_while_nobody_watched_is_collected() {
    let bench = Bench::new().await;
    let first = bench.start();
    let key = bench.standin.offer("alone", 1, &["lines", "60"]);
    bench.standin.running(&key).await;
    first.kill();
    let ended = async {
        // The pid is 0 once the program has ended.
        while !bench
            .containers("alone")
            .iter()
            .all(|line| line.contains(" 0 "))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    let second = bench.start();
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(
        bench.standin.log(&key, Stream::Stdout),
        lines(60, Stream::Stdout)
    );
    bench.assert_nothing_left().await;
    second.stop().await;
}

async fn what_was_cancelled_or_lost_meanwhile_is_killed() {
    let bench = Bench::new().await;
    let first = bench.start();
    let cancelled = bench.standin.offer("cancelled", 1, &["sleep", "600"]);
    let lost = bench.standin.offer("lost", 1, &["sleep", "600"]);
    bench.standin.running(&cancelled).await;
    bench.standin.running(&lost).await;
    first.kill();
    bench.standin.change(|world| {
        world.cancel.insert(cancelled.clone());
        world.live.remove(&lost);
    });
    let second = bench.start();
    let outcome = bench.standin.outcome(&cancelled).await;
    assert_eq!(outcome.cause, Some(Cause::Cancelled), "{outcome:?}");
    assert!(!outcome.ended_by_itself);
    bench.assert_nothing_left().await;
    second.stop().await;
    assert_eq!(bench.standin.world().reports_seen.len(), 1);
}

async fn two_executors_cannot_share_a_folder() {
    let bench = Bench::new().await;
    let first = bench.start();
    bench
        .standin
        .until("a registration", |world| {
            (!world.registered.is_empty()).then_some(())
        })
        .await;
    let second = belljar_executor::run(
        bench.standin.config(bench.data.path()),
        CancellationToken::new(),
    )
    .await;
    let error = second.unwrap_err().to_string();
    assert!(
        error.contains("another executor uses the data folder"),
        "{error}"
    );
    first.stop().await;
}
