//! A container engine that stops while attempts run and comes back later: one of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use belljar_ids::Cause;
use std::time::Duration;
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
