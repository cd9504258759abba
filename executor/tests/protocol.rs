//! Lost answers, refusals, cancellations and outages, with real containers and the stand-in
//! scheduler.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use belljar_api::executor::{Phase, Stream};
use belljar_executor::{ExecutorConfig, ExecutorError, SelfFence};
use belljar_ids::Cause;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Standin, traces};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An executor in this process and the scheduler that it talks to.
struct Bench {
    standin: Arc<Standin>,
    data: tempfile::TempDir,
    stop: CancellationToken,
    executor: JoinHandle<Result<(), ExecutorError>>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ExecutorConfig)) -> Self {
        let data = tempfile::Builder::new()
            .prefix("belljar-executor-")
            .tempdir()
            .unwrap();
        let standin = Standin::start().await;
        let mut config = standin.config(data.path());
        change(&mut config);
        let stop = CancellationToken::new();
        let executor = tokio::spawn(belljar_executor::run(config, stop.clone()));
        Self {
            standin,
            data,
            stop,
            executor,
        }
    }

    /// Checks that nothing is left and ends the executor in good order.
    async fn close(self) {
        let executor = self.standin.world().executor.unwrap();
        traces::assert_none(executor, self.data.path()).await;
        self.stop.cancel();
        self.executor.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_succeeds_and_its_log_is_there_while_it_runs() {
    // The first address answers to nobody.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let bench = Bench::with(|config| config.schedulers.insert(0, address)).await;
    let key = bench.standin.offer("ok", 1, &["lines", "150"]);
    bench.standin.running(&key).await;
    let running = Instant::now();
    bench
        .standin
        .until("the first line", |world| {
            world
                .logs
                .get(&(key.0.clone(), key.1, Stream::Stdout))
                .map(|_| ())
        })
        .await;
    assert!(
        running.elapsed() < Duration::from_secs(1),
        "{:?}",
        running.elapsed()
    );
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(
        (outcome.cause, outcome.exit_code),
        (None, Some(0)),
        "{outcome:?}"
    );
    assert!(outcome.peaks.memory_bytes.unwrap() > 0);
    for step in ["fetch", "create", "start", "run", "collect"] {
        assert!(
            outcome.timings_ms.contains_key(step),
            "{:?}",
            outcome.timings_ms
        );
    }
    println!("timings {:?}", outcome.timings_ms);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_change_nothing() {
    let bench = Bench::new().await;
    // Only once it takes work: a claim that its first capacity supersedes is not asked again, and a lease
    // in its lost answer comes back by the heartbeats, which this scheduler does not count.
    let first = bench.standin.offer("first", 1, &["ok"]);
    assert_eq!(bench.standin.outcome(&first).await.cause, None);
    bench
        .standin
        .until("an executor without leases", |world| {
            let last = world.heartbeats.last()?;
            (last.unavailable.is_none() && last.leases.is_empty()).then_some(())
        })
        .await;
    bench.standin.change(|world| {
        for call in ["claim", "heartbeat", "complete", "logs"] {
            world.faults.lose_answer.insert(call, 2);
        }
    });
    let key = bench.standin.offer("lossy", 1, &["lines", "40"]);
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(bench.standin.log(&key, Stream::Stdout).lines().count(), 26);
    bench
        .standin
        .until("the report to come again", |world| {
            (world.reports_seen.len() >= 4).then_some(())
        })
        .await;
    {
        let world = bench.standin.world();
        // The first is that of the attempt before.
        assert!(
            world.reports_seen[1..]
                .windows(2)
                .all(|pair| pair[0] == pair[1])
        );
        assert!(world.faults.lose_answer.values().all(|left| *left == 0));
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_that_is_away_delays_the_report_and_nothing_else() {
    let bench = Bench::new().await;
    let key = bench.standin.offer("patient", 1, &["lines", "20"]);
    bench.standin.running(&key).await;
    bench.standin.change(|world| world.faults.away = true);
    // Longer than a lease lives; the policy is to continue.
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.standin.change(|world| world.faults.away = false);
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_executor_kills_what_it_may_have_lost() {
    let bench = Bench::with(|config| config.self_fence = SelfFence::Strict).await;
    let key = bench.standin.offer("strict", 1, &["sleep", "60"]);
    bench.standin.running(&key).await;
    bench.standin.change(|world| world.faults.away = true);
    let executor = bench.standin.world().executor.unwrap();
    let begun = Instant::now();
    while traces::containers(executor)
        .iter()
        .any(|line| line.contains("-strict-"))
    {
        assert!(begun.elapsed() < Duration::from_secs(10), "still running");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "not before the deadline"
    );
    bench.standin.change(|world| world.faults.away = false);
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, Some(Cause::ExecutorLost), "{outcome:?}");
    assert!(!outcome.ended_by_itself);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_kills_and_is_reported_and_a_lost_lease_is_not() {
    let bench = Bench::new().await;
    let cancelled = bench.standin.offer("cancelled", 1, &["sleep", "60"]);
    let gone = bench.standin.offer("gone", 1, &["sleep", "60"]);
    bench.standin.running(&cancelled).await;
    bench.standin.running(&gone).await;
    let begun = Instant::now();
    bench.standin.change(|world| {
        world.cancel.insert(cancelled.clone());
        world.live.remove(&gone);
    });
    let outcome = bench.standin.outcome(&cancelled).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(outcome.cause, Some(Cause::Cancelled), "{outcome:?}");
    assert!(!outcome.ended_by_itself);
    let standin = Arc::clone(&bench.standin);
    bench.close().await;
    let world = standin.world();
    assert!(!world.accepted.contains_key(&gone));
    assert_eq!(world.reports_seen.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_have_their_causes() {
    let bench = Bench::new().await;
    for (task, args, cause) in [
        ("exit", &["exit", "3"][..], Cause::ExitCode),
        ("nothing", &["nothing"], Cause::ResultMissing),
        ("eater", &["eat", "500"], Cause::Memory),
        ("filler", &["fill"], Cause::OutputLimit),
        ("linker", &["special", "symlink"], Cause::OutputRefused),
    ] {
        let key = bench.standin.offer(task, 1, args);
        let outcome = bench.standin.outcome(&key).await;
        assert_eq!(outcome.cause, Some(cause), "{task}: {outcome:?}");
        assert!(outcome.outputs.is_none());
        assert!(outcome.receipt.is_some(), "{task}");
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_up_and_broken_orders_are_told() {
    let bench = Bench::new().await;
    let mut slow = support::lease("slow", 1, &["sleep", "60"]);
    slow.work.resources.timeout_ms = 1000;
    let mut wrong = support::lease("wrong-input", 1, &["ok"]);
    for input in wrong.work.inputs.values_mut() {
        if let belljar_api::executor::WorkInput::Blob(blob) = input {
            // What comes from the address is something else.
            blob.digest = support::image::sha256(b"not what is sent");
        }
    }
    let mut greedy = support::lease("greedy", 1, &["ok"]);
    greedy.work.resources.pids = 1_000_000;
    for (lease, cause) in [
        (slow, Cause::AttemptTimeout),
        (wrong, Cause::InputUnavailable),
        (greedy, Cause::ImageRefused),
    ] {
        let key = (lease.lease.key.clone(), lease.lease.fence);
        bench.standin.change(|world| world.ready.push(lease));
        let outcome = bench.standin.outcome(&key).await;
        assert_eq!(outcome.cause, Some(cause), "{outcome:?}");
        // Every attempt leaves a receipt, also one that never got a container.
        let receipt = outcome.receipt.unwrap().digest;
        let world = bench.standin.world();
        let receipt: serde_json::Value = serde_json::from_slice(&world.blobs[&receipt]).unwrap();
        if cause != Cause::AttemptTimeout {
            assert_eq!(receipt["receipt"], "belljar-receipt-bare/1");
            assert_eq!(receipt["cause"], cause.as_str());
            assert_eq!(receipt["program_started"], false);
        }
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_is_told_who_we_are_and_a_later_incarnation_ends_us() {
    let bench = Bench::new().await;
    let key = bench.standin.offer("known", 1, &["lines", "100"]);
    bench.standin.running(&key).await;
    bench.standin.change(|world| world.known = false);
    bench
        .standin
        .until("a second registration", |world| {
            let held = &world.registered.get(1)?.held;
            assert_eq!((held.len(), held[0].phase), (1, Phase::Running));
            Some(())
        })
        .await;
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    let executor = bench.standin.world().executor.unwrap();
    traces::assert_none(executor, bench.data.path()).await;
    bench.standin.change(|world| world.faults.fenced = true);
    let ended = tokio::time::timeout(Duration::from_secs(10), bench.executor).await;
    assert!(matches!(
        ended.unwrap().unwrap(),
        Err(ExecutorError::Fenced)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_its_slots_run_at_once_and_none_is_idle() {
    let bench = Bench::with(|config| config.slots = 1).await;
    let keys: Vec<_> = (0..4)
        .map(|i| {
            bench
                .standin
                .offer(&format!("many-{i}"), 1, &["lines", "5"])
        })
        .collect();
    for key in &keys {
        let outcome = bench.standin.outcome(key).await;
        assert_eq!(outcome.cause, None, "{outcome:?}");
    }
    assert_eq!(
        bench.standin.world().max_held,
        2,
        "one runs, one is prepared"
    );
    {
        let world = bench.standin.world();
        let registered = &world.registered[0];
        assert_eq!(
            (registered.slots, &registered.info["runs_at_once"]),
            (2, &1.into())
        );
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_disk_takes_no_work_and_says_so() {
    let bench = Bench::with(|config| config.disk_reserve_bytes = u64::MAX).await;
    bench.standin.offer("never", 1, &["ok"]);
    let reason = bench
        .standin
        .until("a reason", |world| {
            let mut reasons = world
                .heartbeats
                .iter()
                .filter_map(|h| h.unavailable.clone());
            reasons.find(|reason| reason.contains("reserve"))
        })
        .await;
    assert!(reason.contains("MiB are free"), "{reason}");
    assert!(bench.standin.world().live.is_empty());
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_engine_it_registers_and_says_what_is_missing() {
    let bench =
        Bench::with(|config| config.engine_socket = "/nonexistent/docker.sock".into()).await;
    bench.standin.offer("never", 1, &["ok"]);
    let reason = bench
        .standin
        .until("a reason", |world| {
            let registered = world.registered.first()?;
            assert!(!registered.gvisor);
            world.heartbeats.iter().find_map(|h| h.unavailable.clone())
        })
        .await;
    assert!(reason.contains("engine"), "{reason}");
    assert!(bench.standin.world().live.is_empty());
    bench.stop.cancel();
    bench.executor.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_waits_for_what_runs_and_takes_nothing_new() {
    let bench = Bench::with(|config| config.drain = true).await;
    let key = bench.standin.offer("drained", 1, &["lines", "100"]);
    bench.standin.running(&key).await;
    bench.stop.cancel();
    bench
        .standin
        .until("a heartbeat that says so", |world| {
            let reason = world.heartbeats.last()?.unavailable.clone()?;
            reason.contains("stopping").then_some(())
        })
        .await;
    bench.standin.offer("late", 1, &["ok"]);
    bench.executor.await.unwrap().unwrap();
    let world = bench.standin.world();
    assert_eq!(world.accepted[&key].outcome.cause, None);
    assert_eq!((world.accepted.len(), world.ready.len()), (1, 1));
    let executor = world.executor.unwrap();
    assert_eq!(
        traces::all(executor, bench.data.path()),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_over_its_cap_is_marked_and_artifacts_are_stored() {
    let bench = Bench::with(|config| config.log_bytes = 64 << 10).await;
    let key = bench.standin.offer("flood", 1, &["flood", "300000"]);
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(
        outcome.cause, None,
        "a log over its cap is no failure: {outcome:?}"
    );
    let ends = [outcome.logs.stdout, outcome.logs.stderr];
    assert!(ends.iter().all(|end| end.truncated), "{ends:?}");
    assert_eq!(ends.iter().map(|end| end.size).sum::<u64>(), 64 << 10);
    for (end, stream) in ends.into_iter().zip([Stream::Stdout, Stream::Stderr]) {
        let log = bench.standin.log(&key, stream);
        assert_eq!(log.len() as u64, end.size);
        assert_eq!(
            end.digest,
            (!log.is_empty()).then(|| support::image::sha256(log.as_bytes()))
        );
    }
    let key = bench
        .standin
        .offer("artifact", 1, &["special", "undeclared"]);
    let outcome = bench.standin.outcome(&key).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    let outputs = outcome.outputs.unwrap();
    let artifact = &outputs.artifacts[&"art".parse::<belljar_ids::ArtifactName>().unwrap()];
    assert_eq!(artifact.path, "art");
    assert_eq!(bench.standin.world().blobs[&artifact.blob.digest], b"x");
    assert_eq!(outcome.dropped_files, 2);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_the_disk_is_a_loss_and_keeps_nobody_else_from_work() {
    // Beside what other tests write meanwhile.
    let margin = 4u64 << 30;
    let free = rustix::fs::statvfs("/tmp").unwrap();
    let free = free.f_bavail * free.f_frsize;
    let bench = Bench::with(|config| config.policy.ceilings.disk_bytes = 1 << 60).await;
    let mut out = support::lease("huge-out", 1, &["ok"]);
    out.work.resources.disk_bytes = free + margin;
    let mut input = support::lease("huge-input", 1, &["ok"]);
    for of in input.work.inputs.values_mut() {
        if let belljar_api::executor::WorkInput::Blob(blob) = of {
            blob.digest = support::image::sha256(b"never sent");
            blob.size = free + margin;
        }
    }
    for lease in [out, input] {
        let key = (lease.lease.key.clone(), lease.lease.fence);
        bench.standin.change(|world| world.ready.push(lease));
        let outcome = bench.standin.outcome(&key).await;
        assert_eq!(outcome.cause, Some(Cause::ExecutorError), "{outcome:?}");
        assert_eq!(outcome.started_ms_ago, None);
        let message = outcome.message.unwrap();
        assert!(message.contains("bytes are needed"), "{message}");
        assert!(message.contains("are free above the reserve"), "{message}");
    }
    let small = bench.standin.offer("small", 1, &["ok"]);
    assert_eq!(bench.standin.outcome(&small).await.cause, None);
    {
        let world = bench.standin.world();
        assert!(world.released.is_empty());
        let reasons = world
            .heartbeats
            .iter()
            .filter_map(|h| h.unavailable.clone());
        let paused: Vec<_> = reasons.filter(|r| r.contains("bytes")).collect();
        assert_eq!(paused, Vec::<String>::new());
    }
    bench.close().await;
}

/// Whether a report is of the task that the next two tests have trouble with.
fn is_culprit(report: &belljar_api::executor::Report) -> bool {
    report.lease.key.task.as_str() == "culprit"
}

/// Three attempts; the reports of two wait until that of the first is answered, and go together.
async fn reports_together(bench: &Bench) -> [(belljar_ids::InstanceKey, belljar_ids::Fence); 3] {
    let blobs = bench.standin.change(|world| {
        world.faults.hold_reports = true;
        world.blobs.len()
    });
    let first = bench.standin.offer("first", 1, &["ok"]);
    let held = |world: &support::World| (world.reports_held > 0).then_some(());
    bench.standin.until("the first report", held).await;
    let [culprit, last] = ["culprit", "last"].map(|task| bench.standin.offer(task, 1, &["ok"]));
    let stored = |world: &support::World| (world.blobs.len() >= blobs + 3).then_some(());
    bench.standin.until("their receipts", stored).await;
    let heartbeats = bench.standin.world().heartbeats.len();
    let beats = |world: &support::World| (world.heartbeats.len() >= heartbeats + 3).then_some(());
    bench.standin.until("three heartbeats", beats).await;
    bench
        .standin
        .change(|world| world.faults.hold_reports = false);
    let together = |world: &support::World| world.reports_refused.first().copied();
    let together = bench.standin.until("a refusal", together).await;
    assert!(together > 1, "together with others");
    [first, culprit, last]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_report_that_the_scheduler_fails_at_does_not_hold_up_the_others() {
    let bench = Bench::with(|config| config.slots = 3).await;
    bench.standin.change(|world| {
        world.faults.refuse_report = Some((500, is_culprit));
    });
    let [first, culprit, last] = reports_together(&bench).await;
    for key in [&first, &last] {
        assert_eq!(bench.standin.outcome(key).await.cause, None);
    }
    bench
        .standin
        .until("the culprit to be sent again alone", |world| {
            let alone = world.reports_refused.iter().filter(|count| **count == 1);
            (alone.count() >= 3).then_some(())
        })
        .await;
    // New work runs beside it, in the slot that it has left.
    let next = bench.standin.offer("next", 1, &["ok"]);
    assert_eq!(bench.standin.outcome(&next).await.cause, None);
    assert!(!bench.standin.world().accepted.contains_key(&culprit));
    bench
        .standin
        .change(|world| world.faults.refuse_report = None);
    assert_eq!(
        bench.standin.outcome(&culprit).await.cause,
        None,
        "as it was"
    );
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_not_understood_becomes_a_loss_or_gives_its_lease_back() {
    let bench = Bench::with(|config| config.slots = 3).await;
    bench.standin.change(|world| {
        world.faults.refuse_report = Some((422, |report| {
            is_culprit(report) && report.outcome.cause.is_none()
        }));
    });
    let [first, culprit, last] = reports_together(&bench).await;
    for key in [&first, &last] {
        assert_eq!(bench.standin.outcome(key).await.cause, None);
    }
    let outcome = bench.standin.outcome(&culprit).await;
    assert_eq!(outcome.cause, Some(Cause::ExecutorError), "{outcome:?}");
    let message = outcome.message.unwrap();
    assert!(message.contains("a test wants it"), "{message}");
    assert!(bench.standin.world().released.is_empty());

    bench.standin.change(|world| {
        world.faults.refuse_report = Some((413, |report| report.lease.fence.0 == 7));
    });
    let hopeless = bench.standin.offer("hopeless", 7, &["ok"]);
    // It is given back and comes again under the next fence.
    let again = (hopeless.0.clone(), hopeless.1.next());
    assert_eq!(bench.standin.outcome(&again).await.cause, None);
    assert_eq!(bench.standin.world().released.len(), 1);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_report_ends_its_attempt() {
    let bench = Bench::new().await;
    bench
        .standin
        .change(|world| world.faults.invalid = Some("invalid"));
    let key = bench.standin.offer("invalid", 1, &["ok"]);
    bench
        .standin
        .until("an executor that holds nothing any more", |world| {
            let seen = world.reports_seen.iter().any(|(seen, _)| *seen == key.0);
            (seen && world.heartbeats.last()?.leases.is_empty()).then_some(())
        })
        .await;
    let next = bench.standin.offer("next", 1, &["ok"]);
    assert_eq!(bench.standin.outcome(&next).await.cause, None);
    assert_eq!(
        bench.standin.world().reports_seen.len(),
        2,
        "sent once each"
    );
    bench.close().await;
}
