//! A container engine that stops while attempts run and comes back later: one of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use belljar_ids::Cause;
use std::time::{Duration, Instant};
use support::engine::{OwnEngine, socket};
use support::{Standin, traces};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_engine_costs_its_attempts_nothing_but_time() {
    let dir = tempfile::Builder::new()
        .prefix("belljar-engine-")
        .tempdir()
        .unwrap();
    let data = dir.path().join("executor");
    let start = || {
        let dir = dir.path().to_owned();
        tokio::task::spawn_blocking(move || OwnEngine::start(&dir))
    };
    let engine = start().await.unwrap();
    let standin = Standin::start().await;
    let mut config = standin.config(&data);
    config.engine_socket = socket(dir.path());
    let stop = CancellationToken::new();
    let executor = tokio::spawn(belljar_executor::run(config, stop.clone()));
    let running = standin.offer("running", 1, &["sleep", "600"]);
    standin.running(&running).await;

    tokio::task::spawn_blocking(move || drop(engine))
        .await
        .unwrap();
    standin
        .until("a heartbeat that says so", |world| {
            let heartbeat = world.heartbeats.last()?;
            assert_eq!(heartbeat.leases.len(), 1, "the lease is held");
            heartbeat
                .unavailable
                .clone()
                .filter(|reason| reason.contains("engine"))
        })
        .await;
    let waiting = standin.offer("waiting", 1, &["ok"]);
    // Two heartbeats later it still takes nothing.
    let heartbeats = standin.world().heartbeats.len();
    standin
        .until("two heartbeats", |world| {
            (world.heartbeats.len() >= heartbeats + 2).then_some(())
        })
        .await;
    assert!(!standin.world().live.contains_key(&waiting));

    let engine = start().await.unwrap();
    let outcome = standin.outcome(&running).await;
    assert_eq!(outcome.cause, Some(Cause::EngineRestarted), "{outcome:?}");
    let outcome = standin.outcome(&waiting).await;
    assert_eq!(outcome.cause, None, "it recovers by itself: {outcome:?}");
    let id = standin.world().executor.unwrap();
    traces::assert_none(id, &data).await;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), executor).await;
    ended.unwrap().unwrap().unwrap();
    tokio::task::spawn_blocking(move || drop(engine))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_looked_after_while_the_scheduler_is_away() {
    let dir = tempfile::Builder::new()
        .prefix("belljar-engine-")
        .tempdir()
        .unwrap();
    let data = dir.path().join("executor");
    let start = |gvisor| {
        let dir = dir.path().to_owned();
        tokio::task::spawn_blocking(move || OwnEngine::start_with(&dir, gvisor))
    };
    let end = |engine| tokio::task::spawn_blocking(move || drop::<OwnEngine>(engine));
    let engine = start(true).await.unwrap();
    let standin = Standin::start().await;
    let mut config = standin.config(&data);
    config.engine_socket = socket(dir.path());
    let stop = CancellationToken::new();
    let executor = tokio::spawn(belljar_executor::run(config, stop.clone()));
    let running = standin.offer("running", 1, &["sleep", "600"]);
    standin.running(&running).await;
    let passed = || std::fs::read_to_string(data.join("self-test")).unwrap();
    let first = passed();

    standin.change(|world| world.faults.away = true);
    end(engine).await.unwrap();
    let engine = start(false).await.unwrap();
    standin
        .until(
            "an executor that wants to tell of another engine",
            |world| world.turned_away.iter().find(|told| !told.gvisor).map(drop),
        )
        .await;
    end(engine).await.unwrap();
    let engine = start(true).await.unwrap();
    // Nobody has heard of the second engine yet, and the third is found and tried all the same.
    let begun = Instant::now();
    while passed() == first {
        assert!(begun.elapsed() < Duration::from_secs(60), "never looked at");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(standin.world().registered.len(), 1);
    standin.change(|world| world.faults.away = false);
    let outcome = standin.outcome(&running).await;
    assert_eq!(outcome.cause, Some(Cause::EngineRestarted), "{outcome:?}");
    standin
        .until("the last word on the engine", |world| {
            let last = world.registered.last()?;
            (world.registered.len() > 1 && last.gvisor).then_some(())
        })
        .await;
    let id = standin.world().executor.unwrap();
    traces::assert_none(id, &data).await;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), executor).await;
    ended.unwrap().unwrap().unwrap();
    end(engine).await.unwrap();
}
