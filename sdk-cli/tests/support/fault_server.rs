//! A server that can be made to do anything wrong: for faults that a right one does not show.

use super::User;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const TOKEN: &str = "bj_0192_secret";

pub const RUN: &str = "run_0192f00d00007000800000000000abcd";

/// Serves `router` under `/api/v1` on a port of its own; the address.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().nest("/api/v1", router);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

pub async fn user_of(router: Router) -> User {
    User::new(&serve(router).await).var("BELLJAR_TOKEN", TOKEN)
}

pub fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
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

pub fn task_detail(artifacts: Value) -> Value {
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
