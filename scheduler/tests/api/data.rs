//! Results, artifacts, logs, receipts, and who used what.

use crate::harness::{Answer, Node, Server};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn finished(server: &Server) -> String {
    server.demo().await;
    let run = server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let node = Node::register(server).await;
    for _ in 0..2 {
        let lease = node.claim(1).await.remove(0);
        node.succeed(&lease, &json!({ "n": 1 })).await;
    }
    run["run"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn artifacts_cannot_do_anything_in_a_browser() {
    let server = Server::start().await;
    let run = finished(&server).await;
    let path = format!("/runs/{run}/tasks/clean");
    let list = server.get(&format!("{path}/artifacts")).await.expect(200);
    assert_eq!(list["items"][0]["path"], "plots/a b.svg");
    assert_eq!(
        (&list["items"][0]["inline"], &list["items"][1]["inline"]),
        (&json!(true), &json!(false))
    );
    for name in ["plot", "plots%2Fa%20b.svg"] {
        let saved = server.get(&format!("{path}/artifacts/{name}")).await;
        assert_eq!(saved.status, 200, "{name}");
        assert_eq!(
            saved.header("content-disposition"),
            "attachment; filename*=UTF-8''a%20b.svg"
        );
        assert!(
            saved
                .header("content-security-policy")
                .starts_with("sandbox; default-src 'none'")
        );
        assert_eq!(saved.header("x-content-type-options"), "nosniff");
        assert!(saved.text().contains("<script>"));
    }
    let shown = server.get(&format!("{path}/artifacts/plot?inline=1")).await;
    assert_eq!(shown.header("content-disposition"), "inline");
    assert_eq!(shown.header("content-type"), "image/svg+xml");
    assert_eq!(
        shown.header("content-security-policy"),
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    );
    // A type that cannot be shown is saved, whatever is asked for.
    let posts = server
        .get(&format!("{path}/artifacts/posts?inline=1"))
        .await;
    assert!(
        posts
            .header("content-disposition")
            .starts_with("attachment")
    );
    for name in ["none", "..%2f..%2fetc%2fpasswd", "%00"] {
        server
            .get(&format!("{path}/artifacts/{name}"))
            .await
            .problem(404, "not_found");
    }
    server
        .get(&format!("{path}/artifacts/plot?inline=1&x=1"))
        .await
        .problem(400, "bad_request");
    assert_eq!(
        server.get(&format!("{path}/result")).await.text(),
        r#"{"n":1}"#
    );
    let detail = server.get(&path).await.expect(200);
    let fence = &detail["attempts"][0]["fence"];
    let receipt = server
        .get(&format!("{path}/attempts/{fence}/receipt"))
        .await;
    assert_eq!(receipt.expect(200), json!({ "receipt": 1 }));
    server
        .get(&format!("{path}/attempts/77/receipt"))
        .await
        .problem(404, "not_found");
}

/// Damaged bytes break the answer off rather than arrive whole.
#[tokio::test]
async fn damaged_artifacts_do_not_arrive() {
    let server = Server::start().await;
    let run = finished(&server).await;
    let list = server
        .get(&format!("/runs/{run}/tasks/clean/artifacts"))
        .await
        .expect(200);
    let digest = list["items"][1]["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let file = server
        .data("blobs/default")
        .join(&digest[..2])
        .join(&digest);
    std::fs::write(file, "{]\n{}\n").unwrap();
    let call = server.call(
        Method::GET,
        &format!("/runs/{run}/tasks/clean/artifacts/posts"),
    );
    let whole = async { call.send().await?.bytes().await };
    assert!(whole.await.is_err());
    let again = server
        .get(&format!("/runs/{run}/tasks/clean/artifacts/posts"))
        .await;
    again.problem(404, "not_found");
}

async fn log(server: &Server, run: &str, query: &str) -> Answer {
    server
        .get(&format!("/runs/{run}/tasks/clean/logs?{query}"))
        .await
}

#[tokio::test]
async fn a_line_is_readable_as_soon_as_it_arrives() {
    let server = Server::start().await;
    server.demo().await;
    let run = server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let run = run["run"].as_str().unwrap().to_owned();
    log(&server, &run, "").await.problem(404, "not_found");
    let node = Node::register(&server).await;
    let lease = node.claim(1).await.remove(0);
    node.start(&lease).await;
    let empty = log(&server, &run, "follow=100ms").await;
    assert_eq!(
        (empty.text().as_str(), empty.header("belljar-log-complete")),
        ("", "false")
    );
    let reader = |offset: usize| {
        let path = format!("/runs/{run}/tasks/clean/logs?offset={offset}&follow=30s");
        let call = server.call(Method::GET, &path);
        tokio::spawn(async move {
            let answer = Answer::of(call.send().await.unwrap()).await;
            (answer, std::time::Instant::now())
        })
    };
    let following = reader(0);
    tokio::task::yield_now().await;
    assert_eq!(node.log(&lease, 0, "one\n").await.expect(200)["size"], 4);
    let written = std::time::Instant::now();
    let (answer, read) = following.await.unwrap();
    assert_eq!(answer.text(), "one\n");
    assert_eq!(answer.header("belljar-log-next-offset"), "4");
    assert!(read.saturating_duration_since(written) < Duration::from_secs(1));
    // The same chunk, one that overlaps, and one that begins beyond the end.
    assert_eq!(node.log(&lease, 0, "one\n").await.expect(200)["size"], 4);
    assert_eq!(node.log(&lease, 2, "e\ntwo\n").await.expect(200)["size"], 8);
    assert_eq!(node.log(&lease, 99, "x").await.expect(200)["size"], 8);
    assert_eq!(log(&server, &run, "offset=4&limit=3").await.text(), "two");
    let following = reader(8);
    let outcome = json!({
        "cause": "exit_code", "message": "exit code 3", "ended_by_itself": true, "exit_code": 3,
        "started_ms_ago": 1, "outputs": null,
        "logs": { "stdout": { "size": 8, "digest": null, "truncated": true }, "stderr": { "size": 0, "digest": null, "truncated": false } },
        "peaks": { "memory_bytes": null, "cpu_ms": null, "pids": null },
        "timings_ms": {}, "dropped_files": 0, "receipt": null,
    });
    assert_eq!(node.complete(&lease, &outcome).await, "accepted");
    let (answer, _) = following.await.unwrap();
    assert_eq!(
        (
            answer.text().as_str(),
            answer.header("belljar-log-complete")
        ),
        ("", "true")
    );
    let whole = log(&server, &run, "").await;
    assert_eq!(
        (whole.text().as_str(), whole.header("belljar-log-complete")),
        ("one\ntwo\n", "true")
    );
    assert_eq!(
        log(&server, &run, "stream=stderr")
            .await
            .header("belljar-log-complete"),
        "true"
    );
    for query in [
        "stream=both",
        "limit=0",
        "limit=99999999",
        "offset=18446744073709551616",
        "offset=-1",
        "x=1",
    ] {
        log(&server, &run, query).await.problem(400, "bad_request");
    }
    log(&server, &run, "attempt=77")
        .await
        .problem(404, "not_found");
    let task = server
        .get(&format!("/runs/{run}/tasks/clean"))
        .await
        .expect(200);
    assert_eq!(task["task"]["state"], "failed");
    assert_eq!(task["attempts"][0]["message"], "exit code 3");
    assert_eq!(task["attempts"][0]["logs"]["stdout"]["truncated"], true);
}

#[tokio::test]
async fn a_dataset_knows_who_used_it_for_what() {
    let server = Server::start().await;
    let run = finished(&server).await;
    let body =
        json!({ "analysis": "count", "inputs": { "posts": "posts@1" }, "purpose": "to know" });
    let request = server.post("/requests", &body).await.expect(202);
    let uses = server.get("/datasets/posts/uses").await.expect(200);
    let uses: Vec<Value> = uses["items"].as_array().unwrap().clone();
    assert_eq!(uses.len(), 2);
    assert_eq!(uses[0]["request"], request["request"]);
    assert_eq!(uses[0]["purpose"], "to know");
    assert_eq!(uses[0]["attempts"], json!([]));
    assert_eq!(
        (&uses[1]["run"], &uses[1]["task"]),
        (&json!(run), &json!("clean"))
    );
    assert_eq!(uses[1]["analysis_version"], "1.0.0");
    assert_eq!(uses[1]["state"], "succeeded");
    assert_eq!(
        uses[1]["attempts"][0]["receipt"],
        crate::harness::digest(b"{\"receipt\":1}")
    );
    let none = server
        .get("/datasets/posts/uses?version=2")
        .await
        .expect(200);
    assert_eq!(none["items"], json!([]));
}
