//! Pages.

use crate::harness::Server;
use serde_json::json;

#[tokio::test]
async fn pages_join_to_the_whole_list() {
    let server = Server::start().await;
    for n in 0..5 {
        server
            .put(&format!("/pools/p{n}"), &json!({ "slots": n }))
            .await
            .expect(200);
    }
    let (mut names, mut path, mut pages) = (Vec::new(), "/pools?limit=2".to_owned(), 0);
    loop {
        let answer = server.get(&path).await;
        let page = answer.expect(200);
        pages += 1;
        for item in page["items"].as_array().unwrap() {
            names.push(item["pool"].as_str().unwrap().to_owned());
        }
        let link = answer.header("link").to_owned();
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(link, "");
            break;
        };
        let target = link
            .strip_prefix("</api/v1")
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap();
        assert!(target.contains(cursor));
        path = target.to_owned();
    }
    assert_eq!(
        (names, pages),
        (
            ["p0", "p1", "p2", "p3", "p4"].map(str::to_owned).to_vec(),
            3
        )
    );
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let server = Server::start().await;
    server.demo().await;
    for n in 0..2 {
        server
            .put(&format!("/pools/p{n}"), &json!({ "slots": n }))
            .await
            .expect(200);
        server.post("/dags/demo/runs", &json!({})).await.expect(201);
    }
    let cursor = |page: serde_json::Value| page["next_cursor"].as_str().unwrap().to_owned();
    let of_pools = cursor(server.get("/pools?limit=1").await.expect(200));
    let of_runs = cursor(server.get("/runs?limit=1&dag=demo").await.expect(200));
    let flipped = if of_pools.starts_with('A') { "B" } else { "A" };
    let tampered = format!("{flipped}{}", &of_pools[1..]);
    for path in [
        format!("/pools?cursor={tampered}"),
        format!("/pools?cursor={}", &of_pools[..of_pools.len() - 1]),
        format!("/pools?cursor={of_runs}"),
        format!("/runs?cursor={of_runs}"),
        format!("/runs?dag=demo&state=failed&cursor={of_runs}"),
        "/pools?cursor=".to_owned(),
        "/pools?cursor=p0".to_owned(),
    ] {
        server.get(&path).await.problem(400, "bad_cursor");
    }
    server
        .get(&format!("/runs?dag=demo&cursor={of_runs}"))
        .await
        .expect(200);
    for query in ["limit=0", "limit=201", "limit=x", "limit=-1", "page=2"] {
        server
            .get(&format!("/pools?{query}"))
            .await
            .problem(400, "bad_request");
    }
    server
        .get("/runs?state=done")
        .await
        .problem(400, "bad_request");
    server.get("/runs?dag=..").await.problem(400, "bad_request");
    // Another server has another key.
    let other = Server::start().await;
    other
        .get(&format!("/pools?cursor={of_pools}"))
        .await
        .problem(400, "bad_cursor");
}
