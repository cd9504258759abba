//! DAGs, analyses, datasets and pools.

use crate::harness::{Answer, DEMO, Server, manifest};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_dag_is_applied_once_for_each_content() {
    let server = Server::start().await;
    server.demo().await;
    let again = server
        .apply(&format!("# a comment\n{DEMO}"))
        .await
        .expect(200);
    assert_eq!(
        (&again["created"], &again["dag"]["number"]),
        (&json!(false), &json!(1))
    );
    let other = DEMO.replace("Counts posts", "Counts more");
    let dry = Answer::of(
        server
            .call(Method::POST, "/dags?dry_run=true")
            .json(&json!({ "source": other }))
            .send()
            .await
            .unwrap(),
    )
    .await
    .expect(200);
    assert_eq!(
        (&dry["created"], &dry["dag"]["number"]),
        (&json!(true), &json!(1))
    );
    let new = server.apply(&other).await.expect(201);
    assert_eq!(new["dag"]["number"], 2);
    assert_eq!(new["dag"]["description"], "Counts more");
    assert_eq!(new["version"], dry["version"]);
    let detail = server.get("/dags/demo").await.expect(200);
    assert_eq!(detail["source"], other);
    assert_eq!(detail["params_schema"]["type"], "object");
    assert_eq!(detail["tasks"][0]["inputs"]["posts"], "dataset:posts");
    assert_eq!(detail["edges"], json!([{ "from": "clean", "to": "count" }]));
    let versions = server.get("/dags/demo/versions").await.expect(200);
    let heads: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["head"].clone())
        .collect();
    assert_eq!(heads, [json!(true), json!(false)]);
}

#[tokio::test]
async fn every_problem_of_a_dag_comes_at_once_with_its_place() {
    let server = Server::start().await;
    let yaml = "dag: demo\ntasks:\n  a:\n    analysis: nothing@1\n  b:\n    analysis: other@1\n    inputs: { x: dataset:none }\n";
    let problem = server.apply(yaml).await.problem(422, "invalid");
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 3, "{problem}");
    assert_eq!(errors[0]["code"], "BJ0400");
    assert_eq!(errors[0]["span"]["line"], 4);
    assert!(
        errors[2]["help"]
            .as_str()
            .unwrap()
            .contains("belljar dataset put")
    );
    server.get("/dags/demo").await.problem(404, "not_found");
    for yaml in [
        "",
        "a: [",
        "\u{0}",
        "dag: demo\nunknown: 1\ntasks: {}\n",
        "&a [*a]",
    ] {
        server.apply(yaml).await.problem(422, "invalid");
    }
    let check = server
        .post(
            "/dags/validate",
            &json!({ "source": yaml, "file": "x.yaml" }),
        )
        .await
        .expect(200);
    assert_eq!(
        (&check["valid"], &check["dag"]),
        (&json!(false), &json!("demo"))
    );
    assert_eq!(check["diagnostics"][0]["file"], "x.yaml");
    let call = server
        .call(Method::POST, "/dags")
        .header("content-type", "text/yaml")
        .body(vec![0xff, 0xfe]);
    let answer = Answer::of(call.send().await.unwrap()).await;
    assert_eq!(
        answer.problem(422, "invalid")["errors"][0]["code"],
        "BJ0002"
    );
    let call = server
        .call(Method::POST, "/dags")
        .header("content-type", "application/xml")
        .body("x");
    Answer::of(call.send().await.unwrap())
        .await
        .problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn pausing_a_dag() {
    let server = Server::start().await;
    server.demo().await;
    assert_eq!(
        server
            .post("/dags/demo/pause", &json!({}))
            .await
            .expect(200)["paused"],
        true
    );
    let run = server.post("/dags/demo/runs", &json!({})).await.expect(201);
    assert_eq!(run["state"], "queued");
    let why = server
        .get(&format!("/runs/{}/why", run["run"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(why["wait"]["reason"], "dag_paused");
    assert_eq!(why["wait"]["blocked_by"], json!(["dag/demo"]));
    assert_eq!(
        server
            .post("/dags/demo/unpause", &json!({}))
            .await
            .expect(200)["paused"],
        false
    );
    server
        .post("/dags/none/pause", &json!({}))
        .await
        .problem(404, "not_found");
    server
        .post("/dags/NONE/pause", &json!({}))
        .await
        .problem(400, "bad_request");
}

#[tokio::test]
async fn an_analysis_version_never_changes() {
    let server = Server::start().await;
    let first = server.analysis("count", "1.0.0", true).await;
    let submit = |manifest: Value, image: Value| json!({ "manifest": manifest, "image": { "digest": image["digest"], "config": image["digest"], "from": [{ "blob": image }] } });
    let image = server.blob(b"image of count 1.0.0").await;
    let same = submit(manifest("count", "1.0.0", true), image.clone());
    assert_eq!(
        server.post("/analyses", &same).await.expect(200)["digest"],
        first["digest"]
    );
    let other = submit(manifest("count", "1.0.0", false), image.clone());
    server
        .post("/analyses", &other)
        .await
        .problem(409, "conflict");
    server.analysis("count", "1.10.0", true).await;
    server.analysis("count", "1.9.0", true).await;
    let versions = server.get("/analyses/count").await.expect(200);
    let versions: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].clone())
        .collect();
    assert_eq!(versions, ["1.10.0", "1.9.0", "1.0.0"]);
    let detail = server.get("/analyses/count/1.9.0").await.expect(200);
    assert_eq!(detail["manifest"]["params"]["type"], "object");
    assert_eq!(detail["analysis"]["trusted"], false);
    assert_eq!(
        server
            .post("/analyses/count/1.9.0/trust", &json!({}))
            .await
            .expect(200)["trusted"],
        true
    );
    assert_eq!(
        server
            .post("/analyses/count/1.9.0/untrust", &json!({}))
            .await
            .expect(200)["trusted"],
        false
    );
    server
        .get("/analyses/count/7.0.0")
        .await
        .problem(404, "not_found");
    server
        .get("/analyses/count/latest")
        .await
        .problem(404, "not_found");
    let mut nowhere = same.clone();
    nowhere["image"]["from"] = json!([{ "blob": { "digest": crate::harness::digest(b"not here"), "size": 8 } }, { "registry": "r.example/x:latest" }]);
    let problem = server
        .post("/analyses", &nowhere)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    let mut wrong = same;
    wrong["manifest"]["resources"] = json!({ "memory": 1 });
    server
        .post("/analyses", &wrong)
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn datasets_count_their_versions() {
    let server = Server::start().await;
    assert_eq!(server.dataset("posts", b"1").await["number"], 1);
    assert_eq!(server.dataset("posts", b"1").await["number"], 1);
    assert_eq!(server.dataset("posts", b"2").await["number"], 2);
    let detail = server.get("/datasets/posts").await.expect(200);
    assert_eq!(detail["dataset"]["latest"], 2);
    assert_eq!(detail["dataset"]["description"], "some posts");
    assert_eq!(detail["versions"].as_array().unwrap().len(), 2);
    let body =
        json!({ "digest": crate::harness::digest(b"9"), "size": 1, "media_type": "nonsense" });
    let problem = server
        .post("/datasets/posts/versions", &body)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    server.get("/datasets/none").await.problem(404, "not_found");
    server
        .get("/datasets/none/uses")
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn pools_are_set() {
    let server = Server::start().await;
    let pool = server
        .put(
            "/pools/heavy",
            &json!({ "slots": 2, "description": "big ones" }),
        )
        .await
        .expect(200);
    assert_eq!((&pool["slots"], &pool["used"]), (&json!(2), &json!(0)));
    let pool = server
        .put("/pools/heavy", &json!({ "slots": 0 }))
        .await
        .expect(200);
    assert_eq!(pool["description"], "big ones");
    server
        .put("/pools/heavy", &json!({ "slots": -1 }))
        .await
        .problem(422, "invalid");
    server
        .put("/pools/heavy", &json!({ "slots": 1, "rate": 1 }))
        .await
        .problem(422, "invalid");
    server
        .put("/pools/Heavy", &json!({ "slots": 1 }))
        .await
        .problem(400, "bad_request");
    assert_eq!(
        server.get("/pools/heavy").await.expect(200)["holders"],
        json!([])
    );
}
