//! Bytes on their way here and there: whole with the right digest, or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::fault_server::{RUN, problem, task_detail, user_of};
use tokio::sync::Notify;

/// A body that breaks off in its middle; long enough that the server does not keep its beginning back.
fn truncated() -> Response {
    let pieces = futures::stream::iter([
        Ok(Bytes::from(vec![b'x'; 4 << 20])),
        Err(std::io::Error::other("cut")),
    ]);
    (
        [(header::CONTENT_LENGTH, (8 << 20).to_string())],
        Body::from_stream(pieces),
    )
        .into_response()
}

fn artifacts_router(fetch: axum::routing::MethodRouter, digest: String) -> Router {
    let artifacts = json!([{ "name": "report", "path": "sub/report.html", "media_type": "text/html", "size": 100,
        "digest": digest, "inline": true }]);
    Router::new()
        .route(
            &format!("/runs/{RUN}/tasks/t"),
            get(move || async move { Json(task_detail(artifacts)) }),
        )
        .route(&format!("/runs/{RUN}/tasks/t/artifacts/{{name}}"), fetch)
}

#[tokio::test]
async fn a_download_that_breaks_off_leaves_nothing() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let user = user_of(artifacts_router(get(|| async { truncated() }), zeros)).await;
    let goal = user.path("report.html").display().to_string();
    user.types(&["run", "artifact", RUN, "t", "report", "-o", &goal])
        .await
        .code(7)
        .says("is not whole");
    assert_eq!(user.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_download_with_another_digest_leaves_nothing() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let user = user_of(artifacts_router(get(|| async { "other bytes" }), zeros)).await;
    let goal = user.path("report.html").display().to_string();
    user.types(&["run", "artifact", RUN, "t", "report", "-o", &goal])
        .await
        .code(7)
        .says("its digest is");
    assert_eq!(user.files(), Vec::<String>::new());
}

#[tokio::test]
async fn an_artifact_by_its_path_appears_whole_and_is_not_overwritten() {
    let digest = belljar_manifest::Sha256Digest::of(b"hello").to_string();
    let fetch = |Path(name): Path<String>| async move {
        assert_eq!(name, "sub/report.html");
        "hello"
    };
    let user = user_of(artifacts_router(get(fetch), digest)).await;
    let goal = user.path("report.html").display().to_string();
    let words = ["run", "artifact", RUN, "t", "sub/report.html", "-o", &goal];
    user.types(&words).await.code(0);
    assert_eq!(std::fs::read_to_string(&goal).unwrap(), "hello");
    std::fs::write(&goal, "mine").unwrap();
    user.types(&words)
        .await
        .code(5)
        .says("is there already")
        .says("--force");
    assert_eq!(std::fs::read_to_string(&goal).unwrap(), "mine");
    user.types(&[&words[..], &["--force"]].concat())
        .await
        .code(0);
    assert_eq!(std::fs::read_to_string(&goal).unwrap(), "hello");
    user.types(&["run", "artifact", RUN, "t", "..", "-o", &goal])
        .await
        .code(2);
    user.types(&[
        "run",
        "artifact",
        RUN,
        "t",
        "sub/report.html",
        "-o",
        "/nowhere/x",
    ])
    .await
    .code(4);
}

#[tokio::test]
async fn ctrl_c_in_a_download_leaves_nothing() {
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let endless = move || {
        let told = Arc::clone(&told);
        async move {
            let pieces = futures::stream::unfold(0, move |count| {
                if count == 1 {
                    told.notify_one();
                }
                async move {
                    if count > 0 {
                        std::future::pending::<()>().await;
                    }
                    Some((
                        Ok::<_, std::io::Error>(Bytes::from_static(b"half")),
                        count + 1,
                    ))
                }
            });
            Body::from_stream(pieces).into_response()
        }
    };
    let zeros = format!("sha256:{}", "0".repeat(64));
    let user = user_of(artifacts_router(get(endless), zeros)).await;
    let goal = user.path("x").display().to_string();
    let words = ["run", "artifact", RUN, "t", "report", "-o", &goal];
    user.types_until(&words, async move { begun.notified().await })
        .await
        .code(130)
        .says("interrupted");
    assert_eq!(user.files(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_sent_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let there = Arc::clone(&tries);
    let blob = put(move |body: Body| {
        let tried = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if tried == 0 {
                return problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "restarting");
            }
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!(bytes.len(), 3 << 20);
            (StatusCode::CREATED, Json(json!({}))).into_response()
        }
    })
    .head(move || {
        let found = there.load(Ordering::SeqCst) > 1;
        async move {
            if found {
                StatusCode::OK
            } else {
                StatusCode::NOT_FOUND
            }
        }
    });
    let version = |Json(sent): Json<Value>| async move {
        let version = json!({ "dataset": "d", "number": 1, "digest": sent["digest"], "size": sent["size"],
            "media_type": sent["media_type"], "created_by": "me", "created_at": "2026-11-20T13:00:00Z" });
        (StatusCode::CREATED, Json(version))
    };
    let router = Router::new()
        .route("/blobs/{digest}", blob)
        .route("/datasets/d/versions", axum::routing::post(version));
    let user = user_of(router.layer(axum::extract::DefaultBodyLimit::disable())).await;
    let file = user.file("data.csv", vec![7; 3 << 20]);
    user.types(&["dataset", "put", "d", &file])
        .await
        .code(0)
        .says("sending it again")
        .says("sent 3.0 MiB")
        .prints("version 1 is stored");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}
