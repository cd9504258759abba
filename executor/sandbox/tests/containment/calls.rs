//! The calls of the runtime: repeated, adopted, swept, refused.

use crate::harness::Bench;
use belljar_sandbox::{Runtime as _, SandboxError, Stage, StopReason, Tier, Verdict};
use serde_json::json;

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
