//! What goes wrong between here and the server: each fault has its exit code and says what to do.

mod support;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::User;
use tokio::net::TcpListener;
use tokio::sync::Notify;

const TOKEN: &str = "bj_0192_secret";
const RUN: &str = "run_0192f00d00007000800000000000abcd";

/// Serves `router` under `/api/v1` on a port of its own; the address.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().nest("/api/v1", router);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

async fn user_of(router: Router) -> User {
    User::new(&serve(router).await).var("BELLJAR_TOKEN", TOKEN)
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({
        "type": format!("urn:belljar:problem:{code}"), "title": "t", "status": status.as_u16(),
        "detail": detail, "instance": "/", "code": code, "errors": [], "request_id": "r-7",
    });
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}

fn no_pools() -> Json<Value> {
    Json(json!({ "items": [], "next_cursor": null }))
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ended = User::new(&url).types(&["pool", "list"]).await.code(7);
    assert!(ended.stdout.is_empty());
    ended
        .says("does not answer: connection refused")
        .says("the address came from BELLJAR_SERVER")
        .says("sudo belljar standalone");
}

#[tokio::test]
async fn the_token_does_not_count() {
    let refuse = || async {
        problem(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "the token does not count",
        )
    };
    let user = user_of(Router::new().route("/pools", get(refuse))).await;
    let ended = user.types(&["pool", "list"]).await.code(6);
    let ended = ended
        .says("the token does not count")
        .says("the token came from BELLJAR_TOKEN");
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);

    let file = user.file("my-token", TOKEN);
    user.types(&["pool", "list", "--token-file", &file])
        .await
        .code(6)
        .says(&format!(
            "the token came from the file {file} (--token-file)"
        ));

    let nobody = User::new(&serve(Router::new().route("/pools", get(refuse))).await);
    nobody
        .types(&["pool", "list"])
        .await
        .code(6)
        .says("no token was given")
        .says("data/token cannot be read")
        .says("belljar login");
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let busy = |until: usize| {
        let calls = Arc::clone(&calls);
        move || {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                if call >= until {
                    return no_pools().into_response();
                }
                let mut refused =
                    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "starting");
                refused
                    .headers_mut()
                    .insert(header::RETRY_AFTER, "0".parse().unwrap());
                refused
            }
        }
    };
    let user = user_of(Router::new().route("/pools", get(busy(2)))).await;
    user.types(&["pool", "list"]).await.code(0);
    assert_eq!(calls.swap(0, Ordering::SeqCst), 3);
    // It is not asked for ever.
    let user = user_of(Router::new().route("/pools", get(busy(usize::MAX)))).await;
    user.types(&["pool", "list"])
        .await
        .code(7)
        .says("starting")
        .says("try again in a moment");
    assert_eq!(calls.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_repeated_submission_keeps_its_key() {
    let keys = Arc::new(Mutex::new(Vec::<String>::new()));
    let seen = Arc::clone(&keys);
    let start = move |headers: HeaderMap| {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let mut seen = seen.lock().unwrap();
        seen.push(key);
        let first = seen.len() == 1;
        async move {
            let mut refused = if first {
                problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "no leader")
            } else {
                problem(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "idempotency_mismatch",
                    "used before",
                )
            };
            refused
                .headers_mut()
                .insert(header::RETRY_AFTER, "0".parse().unwrap());
            refused
        }
    };
    let user = user_of(Router::new().route("/dags/a/runs", axum::routing::post(start))).await;
    user.types(&["dag", "run", "a"])
        .await
        .code(5)
        .says("take a new --idempotency-key");
    let keys = keys.lock().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn something_else_listens_there() {
    let router = Router::new()
        .route(
            "/pools",
            get(|| async {
                (
                    [(header::CONTENT_TYPE, "text/html")],
                    "<html>router setup</html>",
                )
            }),
        )
        .route(
            "/dags",
            get(|| async { (StatusCode::NOT_FOUND, "no such page") }),
        )
        .route(
            "/datasets",
            get(|| async { (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>") }),
        );
    let user = user_of(router).await;
    user.types(&["pool", "list"])
        .await
        .code(7)
        .says("does not answer as a Belljar server");
    user.types(&["dag", "list"])
        .await
        .code(7)
        .says("404")
        .says("is it Belljar's?");
    user.types(&["dataset", "list"]).await.code(7).says("502");
}

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

fn task_detail(artifacts: Value) -> Value {
    let time = "2026-11-20T13:00:00Z";
    json!({
        "run": RUN, "analysis_digest": format!("sha256:{}", "0".repeat(64)), "inputs": {}, "params": {},
        "resources": { "cpu_millis": 1000, "memory_bytes": 1, "disk_bytes": 1, "tmp_bytes": 1, "pids": 1, "timeout_ms": 1 },
        "attempts": [], "result": null, "artifacts": artifacts, "as_of": time,
        "task": {
            "task": "t", "map_index": -1, "analysis": "a", "analysis_version": "1.0.0", "state": "succeeded", "cause": null,
            "message": "\u{1b}]52;c;ZXZpbA==\u{7}done", "tries": 1, "max_attempts": 1, "losses": 0, "priority": 1, "pools": [],
            "ready_at": null, "due_at": null, "started_at": null, "ended_at": null, "wait": null,
        },
    })
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
async fn what_others_wrote_reaches_no_terminal_unfiltered() {
    let hostile = "\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J";
    let log = move || async move {
        let headers = [
            ("belljar-log-next-offset", "20"),
            ("belljar-log-complete", "true"),
        ];
        (headers, "ok\n\u{1b}[2J\u{1b}]0;t\u{7}\u{9d}x\n")
    };
    let mut task = task_detail(json!([]));
    task["attempts"] = json!([{
        "fence": 1, "try_number": 1, "live": false, "executor": { "executor": "exe_0192f00d00007000800000000000abcd", "name": hostile },
        "granted_at": "2026-11-20T13:00:00Z", "started_at": null, "ended_at": null, "outcome": "succeeded", "cause": null,
        "message": null, "exit_code": 0, "peaks": { "memory_bytes": null, "cpu_ms": null, "pids": null, "disk_bytes": null },
        "timings_ms": {}, "logs": { "stdout": { "size": 20, "complete": true, "truncated": true }, "stderr": { "size": 0, "complete": true, "truncated": false } },
        "dropped_files": 0, "receipt": null,
    }]);
    let result = format!("{{\"a\": \"{}\"}}\n", "\u{9b}2J");
    let router = Router::new()
        .route(&format!("/runs/{RUN}/tasks/t"), get(move || async move { Json(task) }))
        .route(&format!("/runs/{RUN}/tasks/t/logs"), get(log))
        .route(&format!("/runs/{RUN}/tasks/t/result"), get(move || async move { result }))
        .route("/pools", get(move || async move {
            Json(json!({ "items": [{ "pool": "a", "slots": 1, "used": 0, "description": hostile, "updated_at": "2026-11-20T13:00:00Z" }], "next_cursor": null }))
        }))
        .route("/dags", get(move || async move { problem(StatusCode::CONFLICT, "conflict", hostile) }));
    let mut user = user_of(router).await;
    user.terminal = true;
    let safe = |ended: &support::Ended| {
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(all.chars().all(|c| !c.is_control() || c == '\n'), "{all:?}");
    };
    for words in [
        vec!["pool", "list"],
        vec!["--output", "json", "pool", "list"],
        vec!["run", "show", RUN, "t"],
        vec!["--output", "json", "run", "show", RUN, "t"],
        vec!["run", "result", RUN, "t"],
        vec!["run", "logs", RUN, "t", "--stream", "stdout"],
    ] {
        safe(&user.types(&words).await.code(0));
    }
    safe(&user.types(&["dag", "list"]).await.code(5));
    let shown = user
        .types(&["run", "logs", RUN, "t", "--stream", "stdout"])
        .await;
    assert_eq!(shown.stdout, "ok\n␛[2J␛]0;t␇\\u{9d}x\n");
    assert!(shown.stderr.contains("the log was cut"));
    // Asked for, or into a file, the bytes are exact.
    let raw = "ok\n\u{1b}[2J\u{1b}]0;t\u{7}\u{9d}x\n";
    assert_eq!(
        user.types(&["run", "logs", RUN, "t", "--stream", "stdout", "--raw"])
            .await
            .stdout,
        raw
    );
    user.terminal = false;
    assert_eq!(
        user.types(&["run", "logs", RUN, "t", "--stream", "stdout"])
            .await
            .stdout,
        raw
    );
    assert_eq!(
        user.types(&["run", "result", RUN, "t"]).await.stdout,
        "{\"a\": \"\u{9b}2J\"}\n"
    );
}

fn run_json(state: &str) -> Value {
    json!({
        "run": RUN, "dag": "a", "dag_version": format!("sha256:{}", "0".repeat(64)), "state": state, "request": null,
        "principal": "me", "created_at": "2026-11-20T13:00:00Z", "started_at": "2026-11-20T13:00:00Z",
        "ended_at": if state == "running" { Value::Null } else { json!("2026-11-20T13:00:05Z") },
    })
}

/// A server whose event stream breaks off once.
#[derive(Clone, Default)]
struct Breaking {
    after: Arc<Mutex<Vec<Option<String>>>>,
    ended: Arc<AtomicUsize>,
}

fn sse(seq: i64, kind: &str, subject: &str) -> String {
    let event = json!({ "seq": seq, "kind": kind, "subject": subject, "run": RUN, "time": "2026-11-20T13:00:01Z", "data": {} });
    format!("id: {seq}\nevent: {kind}\ndata: {event}\n\n")
}

async fn breaking_events(
    State(server): State<Breaking>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut connections = server.after.lock().unwrap();
    connections.push(query.get("after").cloned());
    let text = match connections.len() {
        1 => format!(
            ": open\n\n{}{}",
            sse(6, "task.leased", &format!("{RUN}/t")),
            sse(7, "task.running", &format!("{RUN}/t"))
        ),
        2 => return StatusCode::BAD_GATEWAY.into_response(),
        _ => {
            server.ended.store(1, Ordering::SeqCst);
            let text = format!(
                "{}{}",
                sse(8, "task.failed", &format!("{RUN}/t")),
                sse(9, "run.failed", RUN)
            );
            let rest =
                futures::stream::once(async move { Ok::<_, std::io::Error>(Bytes::from(text)) });
            let open = futures::StreamExt::chain(rest, futures::stream::pending());
            return Body::from_stream(open).into_response();
        }
    };
    text.into_response()
}

async fn breaking_run(State(server): State<Breaking>) -> Json<Value> {
    let ended = server.ended.load(Ordering::SeqCst) == 1;
    let (state, task_state) = if ended {
        ("failed", "failed")
    } else {
        ("running", "ready")
    };
    let mut task = task_detail(json!([]))["task"].clone();
    task["state"] = task_state.into();
    task["cause"] = if ended {
        "exit_code".into()
    } else {
        Value::Null
    };
    Json(
        json!({ "run": run_json(state), "params": {}, "tasks": [task], "edges": [], "wait": null, "as_of": "2026-11-20T13:00:00Z" }),
    )
}

#[tokio::test]
async fn a_watch_outlives_a_lost_connection() {
    let server = Breaking::default();
    let router = Router::new()
        .route("/events", get(breaking_events))
        .route(&format!("/runs/{RUN}"), get(breaking_run))
        .with_state(server.clone());
    let user = user_of(router).await;
    let ended = user.types(&["run", "watch", RUN]).await.code(1);
    let ended = ended.says("lost the server").says("the server is back");
    let states: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| line.split_once("Z  t ")?.1.split_whitespace().next())
        .collect();
    assert_eq!(
        states,
        ["ready", "leased", "running", "failed"],
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("failed after 5.0s"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("exit_code"), "{}", ended.stdout);
    // It went on after the last event seen, and did not miss or repeat any.
    let after = server.after.lock().unwrap().clone();
    assert_eq!(after, [None, Some("7".to_owned()), Some("7".to_owned())]);
}

#[tokio::test]
async fn ctrl_c_detaches_and_says_how_to_come_back() {
    let cancels = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cancels);
    let looked = Arc::new(Notify::new());
    let told = Arc::clone(&looked);
    let router = Router::new()
        .route(
            "/events",
            get(|| async {
                Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
            }),
        )
        .route(
            &format!("/runs/{RUN}"),
            get(move || {
                told.notify_one();
                breaking_run(State(Breaking::default()))
            }),
        )
        .route(
            &format!("/runs/{RUN}/cancel"),
            axum::routing::post(move || async move {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
        );
    let user = user_of(router).await;
    let ended = user
        .types_until(
            &["run", "watch", RUN],
            async move { looked.notified().await },
        )
        .await
        .code(130);
    ended
        .says("the run goes on")
        .says(&format!("belljar run watch {RUN}"))
        .says(&format!("belljar run cancel {RUN}"));
    assert_eq!(cancels.load(Ordering::SeqCst), 0);
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

#[tokio::test]
async fn a_closed_pipe_is_no_failure() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    use belljar_sdk_cli::{ClientArgs, CommandError, Io, Place};
    let io = Io::new(
        Box::new(Closed),
        Box::new(std::io::sink()),
        Place::default(),
        Place::default(),
        &ClientArgs::default(),
    );
    let error = CommandError::from(io.line("x").unwrap_err());
    assert_eq!(error.exit_code().code(), 0);
}
