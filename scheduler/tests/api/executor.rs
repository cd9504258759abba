//! The executor protocol's server side.

use crate::harness::{Answer, LEASE_LESS, Node, Server, digest, register};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_lease_reads_its_own_bytes_and_no_others() {
    let server = Server::start().await;
    server.demo().await;
    let secret = server.blob(b"somebody else's").await;
    server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let node = Node::register(&server).await;
    let lease = node.claim(1).await.remove(0);
    let input = &lease["work"]["inputs"]["posts"]["blob"];
    let url = input["url"]
        .as_str()
        .unwrap()
        .trim_start_matches("/executor/v1/");
    let get = |path: String, lease: serde_json::Value| {
        let call = server.under(Method::GET, &path, &lease);
        async move { Answer::of(call.send().await.unwrap()).await }
    };
    let answer = get(url.to_owned(), lease.clone()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "{}\n".to_owned())
    );
    let image = lease["work"]["image"]["from"][0]["blob"]["digest"]
        .as_str()
        .unwrap();
    let answer = get(format!("blobs/{image}"), lease.clone()).await;
    assert_eq!(answer.text(), "image of clean 1.0.0");
    let other = format!("blobs/{}", secret["digest"].as_str().unwrap());
    get(other.clone(), lease.clone())
        .await
        .problem(403, "forbidden");
    for (field, value) in [
        ("token", json!("0".repeat(32))),
        ("fence", json!(99)),
        ("task", json!("count")),
        ("map_index", json!(0)),
    ] {
        let mut wrong = lease.clone();
        wrong[field] = value;
        get(url.to_owned(), wrong.clone())
            .await
            .problem(409, "lease_gone");
        let call = server.under(Method::PUT, &format!("blobs/{}", digest(b"x")), &wrong);
        Answer::of(call.body("x").send().await.unwrap())
            .await
            .problem(409, "lease_gone");
        let call = server.under(Method::PUT, "logs?stream=stdout&offset=0", &wrong);
        Answer::of(call.body("x").send().await.unwrap())
            .await
            .problem(409, "lease_gone");
    }
    let call = server.bare(Method::GET, &format!("/executor/v1/{url}?{LEASE_LESS}"));
    let answer = Answer::of(
        call.bearer_auth(crate::harness::CREDENTIAL)
            .send()
            .await
            .unwrap(),
    )
    .await;
    answer.problem(409, "lease_gone");
    // After the report the lease is over, and with it every right.
    node.succeed(&lease, &json!({})).await;
    get(url.to_owned(), lease.clone())
        .await
        .problem(409, "lease_gone");
    node.log(&lease, 0, "late").await.problem(409, "lease_gone");
    // The next task may read what this one wrote, through its own lease.
    let next = node.claim(1).await.remove(0);
    let input = next["work"]["inputs"]["posts"]["blob"]["url"]
        .as_str()
        .unwrap();
    let path = input.trim_start_matches("/executor/v1/").to_owned();
    assert_eq!(get(path, next.clone()).await.text(), "{}\n{}\n");
    get(other, next).await.problem(403, "forbidden");
}

#[tokio::test]
async fn reports_that_name_missing_bytes_are_not_accepted() {
    let server = Server::start().await;
    server.demo().await;
    server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let node = Node::register(&server).await;
    let mut outcome = json!({
        "cause": null, "message": null, "ended_by_itself": true, "exit_code": 0,
        "started_ms_ago": 1,
        "outputs": {
            "result": crate::harness::small("{}"),
            "artifacts": { "posts": { "path": "posts.jsonl", "media_type": "application/x-ndjson", "blob": { "digest": digest(b"never sent"), "size": 10 } } },
        },
        "logs": { "stdout": { "size": 0, "digest": null, "truncated": false }, "stderr": { "size": 0, "digest": null, "truncated": false } },
        "peaks": { "memory_bytes": null, "cpu_ms": null, "pids": null },
        "timings_ms": {}, "dropped_files": 0, "receipt": null,
    });
    let lease = node.claim(1).await.remove(0);
    assert_eq!(node.complete(&lease, &outcome).await, "invalid");
    // The lease is over with it; the task is given out again.
    let lease = node.claim(1).await.remove(0);
    outcome["outputs"]["artifacts"] = json!({});
    outcome["outputs"]["result"]["inline"] = json!("{\"other\":1}");
    assert_eq!(node.complete(&lease, &outcome).await, "invalid");
    let lease = node.claim(1).await.remove(0);
    outcome["outputs"]["result"]["inline"] = json!("{}");
    assert_eq!(node.complete(&lease, &outcome).await, "accepted");
    assert_eq!(
        node.complete(&lease, &outcome).await,
        "accepted",
        "the same again"
    );
    outcome["exit_code"] = json!(1);
    assert_eq!(node.complete(&lease, &outcome).await, "digest_mismatch");
}

#[tokio::test]
async fn other_versions_and_older_incarnations_are_refused() {
    let server = Server::start().await;
    let node = Node::register(&server).await;
    let mut message = register(&node.id);
    message["protocol"] = json!(2);
    server
        .executor("register", &message)
        .await
        .problem(400, "protocol_version");
    let newer = server
        .executor("register", &register(&node.id))
        .await
        .expect(200);
    assert!(newer["epoch"].as_i64() > node.epoch.as_i64());
    assert_eq!(newer["timing"]["ttl_ms"], 60_000);
    let beat =
        json!({ "executor": node.id, "epoch": node.epoch, "leases": [], "unavailable": null });
    server
        .executor("heartbeat", &beat)
        .await
        .problem(409, "executor_fenced");
    let stranger = format!("exe_{}", uuid::Uuid::now_v7().simple());
    let beat = json!({ "executor": stranger, "epoch": 1, "leases": [], "unavailable": null });
    server
        .executor("heartbeat", &beat)
        .await
        .problem(409, "executor_unknown");
    server
        .executor("heartbeat", &json!({ "executor": "exe_1" }))
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn a_claim_that_went_away_takes_nothing_with_it() {
    let server = Server::start().await;
    server.demo().await;
    let node = Node::register(&server).await;
    let body = json!({
        "claim": format!("clm_{}", uuid::Uuid::now_v7().simple()),
        "executor": node.id, "epoch": node.epoch, "free_slots": 1, "wait_ms": 60_000,
    });
    let call = server
        .bare(Method::POST, "/executor/v1/claim")
        .bearer_auth(crate::harness::CREDENTIAL)
        .json(&body);
    // The connection is dropped while the claim is parked.
    let parked = tokio::time::timeout(std::time::Duration::from_millis(300), call.send()).await;
    assert!(parked.is_err());
    server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let leases = tokio::time::timeout(std::time::Duration::from_secs(9), node.claim(1)).await;
    assert_eq!(leases.unwrap().len(), 1);
}

#[tokio::test]
async fn executors_and_pool_holders_are_shown() {
    let server = Server::start().await;
    server.demo().await;
    server
        .put("/pools/heavy", &json!({ "slots": 3 }))
        .await
        .expect(200);
    let yaml = crate::harness::DEMO.replace(
        "    params: {",
        "    pool: [{ name: heavy, slots: 2 }]\n    params: {",
    );
    server.apply(&yaml).await.expect(201);
    server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let second = server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let node = Node::register(&server).await;
    let lease = node.claim(4).await.remove(0);
    node.start(&lease).await;
    let pool = server.get("/pools/heavy").await.expect(200);
    assert_eq!(pool["pool"]["used"], 2);
    assert_eq!(pool["holders"][0]["executor"]["name"], "node-1");
    assert_eq!(pool["holders"][0]["run"], lease["run"]);
    let why = server
        .get(&format!("/runs/{}/why", second["run"].as_str().unwrap()))
        .await
        .expect(200);
    let clean = why["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["task"] == "clean")
        .unwrap();
    assert_eq!(clean["wait"]["reason"], "pool_slots");
    assert_eq!(clean["wait"]["blocked_by"], json!(["pool/heavy"]));
    let executors = server.get("/executors").await.expect(200);
    let executor = &executors["items"][0];
    assert_eq!(
        (&executor["state"], &executor["slots"]),
        (&json!("online"), &json!(4))
    );
    assert_eq!(executor["leases"][0]["task"], "clean");
    assert_eq!(executor["gvisor"], true);
    assert!(executor["last_heard_ms"].as_u64().unwrap() < 60_000);
}
