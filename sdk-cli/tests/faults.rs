//! What goes wrong between here and the server: each fault has its exit code and says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::User;
use support::fault_server::{RUN, TOKEN, problem, serve, task_detail, user_of};
use tokio::net::TcpListener;
use tokio::sync::Notify;

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
