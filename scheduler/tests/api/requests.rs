//! Requests: one analysis on given data.

use crate::harness::{Answer, Node, Server};
use reqwest::Method;
use serde_json::{Value, json};

async fn order(server: &Server, path: &str, body: &Value) -> Answer {
    let call = server
        .call(Method::POST, path)
        .json(body)
        .header("idempotency-key", "order-1");
    Answer::of(call.send().await.unwrap()).await
}

#[tokio::test]
async fn a_request_becomes_a_run_and_gives_its_result() {
    let server = Server::start().await;
    server.demo().await;
    let body = json!({
        "analysis": "count", "inputs": { "posts": "posts" },
        "params": { "timezone": "${{ not.evaluated }}" }, "purpose": "a <b>test</b>",
    });
    let answer = order(&server, "/requests", &body).await;
    let request = answer.expect(202);
    let id = request["request"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/v1/requests/{id}"));
    assert_eq!(request["inputs"]["posts"], "dataset:posts@1");
    assert_eq!(request["task"], "count");
    let again = order(&server, "/requests", &body).await;
    assert_eq!(again.expect(200)["request"], *id);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let mut other = body.clone();
    other["purpose"] = json!("another");
    order(&server, "/requests", &other)
        .await
        .problem(422, "idempotency_mismatch");
    let path = format!("/requests/{id}");
    server
        .get(&format!("{path}/result"))
        .await
        .problem(409, "conflict");
    let node = Node::register(&server).await;
    let lease = node.claim(1).await.remove(0);
    assert_eq!(lease["work"]["params"]["timezone"], "${{ not.evaluated }}");
    node.succeed(&lease, &json!({ "posts": 3 })).await;
    let done = server.get(&format!("{path}?wait=10s")).await.expect(200);
    assert_eq!(done["state"], "succeeded");
    let result = server.get(&format!("{path}/result")).await;
    assert_eq!(result.text(), r#"{"posts":3}"#);
    assert_eq!(result.header("content-type"), "application/json");
    let artifacts = server.get(&format!("{path}/artifacts")).await.expect(200);
    assert_eq!(artifacts["items"][1]["name"], "posts");
    let artifact = server.get(&format!("{path}/artifacts/posts")).await;
    assert_eq!(artifact.text(), "{}\n{}\n");
    assert_eq!(
        server.get("/requests").await.expect(200)["items"][0]["request"],
        *id
    );
    let cancel = server.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(cancel.expect(200)["ended_before"], true);
}

#[tokio::test]
async fn a_wrong_request_is_told_all_that_is_wrong_and_makes_nothing() {
    let server = Server::start().await;
    server.demo().await;
    let wrong = [
        json!({ "analysis": "none", "inputs": { "posts": "posts" } }),
        json!({ "analysis": "count@2", "inputs": { "posts": "posts" } }),
        json!({ "analysis": "count", "inputs": {} }),
        json!({ "analysis": "count", "inputs": { "posts": "none" } }),
        json!({ "analysis": "count", "inputs": { "posts": "posts@9" } }),
        json!({ "analysis": "count", "inputs": { "posts": "posts", "more": "posts" } }),
        json!({ "analysis": "count", "inputs": { "posts": "posts" }, "params": { "timezone": 1 } }),
        json!({ "analysis": "count", "inputs": { "posts": "posts" }, "params": { "x": 1 } }),
        json!({ "analysis": "count", "inputs": { "posts": "task:other/result.json" } }),
        json!({ "analysis": "../count", "inputs": { "posts": "posts" } }),
        json!({ "analysis": "count", "inputs": { "posts": "posts" }, "purpose": "x".repeat(501) }),
    ];
    for body in wrong {
        let problem = server
            .post("/requests", &body)
            .await
            .problem(422, "invalid");
        assert!(
            !problem["errors"].as_array().unwrap().is_empty(),
            "{body}: {problem}"
        );
    }
    server
        .post("/requests", &json!({ "analysis": "count", "more": 1 }))
        .await
        .problem(422, "invalid");
    assert_eq!(
        server.get("/requests").await.expect(200)["items"],
        json!([])
    );
    assert_eq!(server.get("/runs").await.expect(200)["items"], json!([]));
}

/// Only a dataset's owner may have it read, or see who did.
#[tokio::test]
async fn other_peoples_data_is_not_read() {
    use belljar_engine::command::Command;
    use belljar_ids::{Micros, TenantId};
    use belljar_scheduler::service::tokens::Token;
    let server = Server::start().await;
    server.demo().await;
    let token = Token::mint();
    let row = token.row(
        TenantId::default_tenant(),
        "mallory".parse().unwrap(),
        Micros(1),
    );
    server.leader.send(Command::TokenPut(row)).await.unwrap();
    let call = |method: Method, path: &str| {
        server
            .bare(method, &format!("/api/v1{path}"))
            .bearer_auth(token.expose())
    };
    let body = json!({ "analysis": "count", "inputs": { "posts": "posts" } });
    let answer = Answer::of(
        call(Method::POST, "/requests")
            .json(&body)
            .send()
            .await
            .unwrap(),
    )
    .await;
    answer.problem(403, "grant_missing");
    let answer = Answer::of(
        call(Method::POST, "/dags/demo/runs")
            .json(&json!({}))
            .send()
            .await
            .unwrap(),
    )
    .await;
    answer.problem(403, "grant_missing");
    let answer = Answer::of(
        call(Method::GET, "/datasets/posts/uses")
            .send()
            .await
            .unwrap(),
    )
    .await;
    answer.problem(403, "grant_missing");
    let blob = server.blob(b"poison").await;
    let version =
        json!({ "digest": blob["digest"], "size": 6, "media_type": "application/x-ndjson" });
    let answer = Answer::of(
        call(Method::POST, "/datasets/posts/versions")
            .json(&version)
            .send()
            .await
            .unwrap(),
    )
    .await;
    answer.problem(403, "forbidden");
    assert_eq!(server.get("/runs").await.expect(200)["items"], json!([]));
}
