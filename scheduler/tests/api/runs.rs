//! Runs: starting, waiting for, cancelling.

use crate::harness::{Answer, Node, Server};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn start(server: &Server, key: Option<&str>, params: Value) -> Answer {
    let mut call = server
        .call(Method::POST, "/dags/demo/runs")
        .json(&json!({ "params": params }));
    if let Some(key) = key {
        call = call.header("idempotency-key", key);
    }
    Answer::of(call.send().await.unwrap()).await
}

#[tokio::test]
async fn a_run_goes_from_start_to_its_end() {
    let server = Server::start().await;
    server.demo().await;
    let answer = start(&server, None, json!({ "timezone": "Asia/Tokyo" })).await;
    let run = answer.expect(201)["run"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/v1/runs/{run}"));
    let detail = server.get(&format!("/runs/{run}")).await.expect(200);
    assert_eq!(detail["params"]["timezone"], "Asia/Tokyo");
    assert_eq!(detail["tasks"][0]["wait"]["reason"], "no_executor");
    assert_eq!(detail["tasks"][1]["wait"]["reason"], "upstream");
    assert_eq!(detail["tasks"][1]["wait"]["blocked_by"], json!(["clean"]));
    let node = Node::register(&server).await;
    let lease = node.claim(1).await.remove(0);
    assert_eq!(lease["work"]["params"], json!({ "timezone": "Asia/Tokyo" }));
    assert_eq!(lease["try_number"], 1);
    assert_eq!(node.succeed(&lease, &json!({ "n": 1 })).await, "accepted");
    let lease = node.claim(1).await.remove(0);
    assert_eq!(lease["task"], "count");
    let waiting = tokio::spawn({
        let call = server.call(Method::GET, &format!("/runs/{run}?wait=30s"));
        async move { (Answer::of(call.send().await.unwrap()).await, Instant::now()) }
    });
    assert_eq!(node.succeed(&lease, &json!({ "n": 2 })).await, "accepted");
    let done = Instant::now();
    let (answer, at) = waiting.await.unwrap();
    assert_eq!(answer.expect(200)["run"]["state"], "succeeded");
    assert!(
        at.saturating_duration_since(done) < Duration::from_secs(5),
        "it waited on"
    );
    let task = server
        .get(&format!("/runs/{run}/tasks/count"))
        .await
        .expect(200);
    let attempt = &task["attempts"][0];
    assert_eq!(attempt["executor"]["name"], "node-1");
    assert_eq!(attempt["outcome"], "succeeded");
    assert_eq!(
        (&attempt["exit_code"], &attempt["dropped_files"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(attempt["peaks"]["memory_bytes"], 1_000_000);
    assert_eq!(attempt["timings_ms"]["run"], 20);
    assert_eq!(
        attempt["logs"]["stdout"],
        json!({ "size": 17, "complete": true, "truncated": false })
    );
    assert_eq!(task["inputs"]["posts"], "task:clean/posts");
    let cancel = server
        .post(&format!("/runs/{run}/cancel"), &json!({}))
        .await;
    assert_eq!(cancel.expect(200)["ended_before"], true);
}

#[tokio::test]
async fn a_wait_ends_with_its_time_and_with_the_server() {
    let server = Server::start().await;
    server.demo().await;
    let run = start(&server, None, json!({})).await.expect(201)["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let began = Instant::now();
    let answer = server.get(&format!("/runs/{run}?wait=300ms")).await;
    assert_eq!(answer.expect(200)["run"]["state"], "running");
    assert!(began.elapsed() >= Duration::from_millis(300));
    server
        .get(&format!("/runs/{run}?wait=soon"))
        .await
        .problem(400, "bad_request");
    let call = server.call(Method::GET, &format!("/runs/{run}?wait=60s"));
    let waiting =
        tokio::spawn(async move { call.send().await.map(|answer| answer.status().as_u16()) });
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    // Answered, or not taken any more; but not held.
    drop(ended.unwrap().unwrap());
}

#[tokio::test]
async fn a_key_gives_the_same_run_again_and_no_other() {
    let server = Server::start().await;
    server.demo().await;
    let first = start(&server, Some("k1"), json!({ "timezone": "UTC" })).await;
    let again = start(&server, Some("k1"), json!({ "timezone": "UTC" })).await;
    assert_eq!(again.expect(200)["run"], first.expect(201)["run"]);
    assert_eq!(again.header("idempotency-replayed"), "true");
    start(&server, Some("k1"), json!({}))
        .await
        .problem(422, "idempotency_mismatch");
    start(&server, Some("k2"), json!({ "timezone": "UTC" }))
        .await
        .expect(201);
    for key in ["", "with space", &"x".repeat(256)] {
        start(&server, Some(key), json!({}))
            .await
            .problem(400, "bad_request");
    }
    // Both at once: one run.
    let (a, b) = tokio::join!(
        start(&server, Some("k3"), json!({})),
        start(&server, Some("k3"), json!({}))
    );
    assert_eq!(a.json()["run"], b.json()["run"]);
    let mut states = [a.status.as_u16(), b.status.as_u16()];
    states.sort_unstable();
    assert_eq!(states, [200, 201]);
    // A repeated submission finds its run, whatever became of the DAG's references.
    server
        .apply(&crate::harness::DEMO.replace("Counts posts", "Other"))
        .await
        .expect(201);
    let again = start(&server, Some("k1"), json!({ "timezone": "UTC" })).await;
    assert_eq!(again.expect(200)["run"], first.json()["run"]);
}

#[tokio::test]
async fn wrong_parameters_make_no_run() {
    let server = Server::start().await;
    server.demo().await;
    for params in [json!({ "timezone": 7 }), json!({ "zone": "UTC" })] {
        let problem = start(&server, None, params).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["code"], "BJ0405", "{problem}");
    }
    assert_eq!(server.get("/runs").await.expect(200)["items"], json!([]));
    server
        .post("/dags/none/runs", &json!({}))
        .await
        .problem(404, "not_found");
    server
        .post("/dags/demo/runs", &json!({ "when": 1 }))
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn a_cancel_waits_for_the_container() {
    let server = Server::start().await;
    server.demo().await;
    let run = start(&server, None, json!({})).await.expect(201)["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let node = Node::register(&server).await;
    let lease = node.claim(1).await.remove(0);
    node.start(&lease).await;
    let cancel = server
        .post(&format!("/runs/{run}/cancel"), &json!({}))
        .await
        .expect(202);
    assert_eq!(cancel["run"]["state"], "cancelling");
    let outcome = json!({
        "cause": "cancelled", "message": "killed", "ended_by_itself": false, "exit_code": null,
        "started_ms_ago": 5, "outputs": null,
        "logs": { "stdout": { "size": 0, "digest": null, "truncated": false }, "stderr": { "size": 0, "digest": null, "truncated": false } },
        "peaks": { "memory_bytes": null, "cpu_ms": null, "pids": null },
        "timings_ms": {}, "dropped_files": 0, "receipt": null,
    });
    assert_eq!(node.complete(&lease, &outcome).await, "accepted");
    let detail = server
        .get(&format!("/runs/{run}?wait=10s"))
        .await
        .expect(200);
    assert_eq!(detail["run"]["state"], "cancelled");
    assert_eq!(detail["tasks"][0]["cause"], "cancelled");
}

#[tokio::test]
async fn what_is_not_there() {
    let server = Server::start().await;
    let run = "run_0000000000000000000000000192f00d";
    for path in [
        format!("/runs/{run}"),
        format!("/runs/{run}/why"),
        format!("/runs/{run}/tasks/x"),
        format!("/runs/{run}/tasks/x/logs"),
        format!("/runs/{run}/tasks/x/result"),
    ] {
        server.get(&path).await.problem(404, "not_found");
    }
    server.get("/runs/run_1").await.problem(400, "bad_request");
    server
        .get(&format!("/runs/{run}/tasks/X"))
        .await
        .problem(400, "bad_request");
    server
        .post(&format!("/runs/{run}/cancel"), &json!({}))
        .await
        .problem(404, "not_found");
}
