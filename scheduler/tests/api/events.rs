//! The event stream.

use crate::harness::Server;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Somebody who reads the stream.
struct Reader {
    body: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

/// One event as it came.
#[derive(Debug)]
struct Frame {
    id: Option<i64>,
    event: String,
    data: Value,
}

impl Reader {
    async fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        let mut call = server.call(Method::GET, &format!("/events{query}"));
        if let Some(last) = last {
            call = call.header("last-event-id", last);
        }
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut reader = Self {
            body: Box::pin(response.bytes_stream()),
            text: String::new(),
        };
        // The comment that says that it is open: from here on nothing is missed.
        assert_eq!(reader.block().await.unwrap(), ": open");
        reader
    }

    /// The text up to the next empty line; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
            let chunk = next.expect("nothing came").and_then(Result::ok)?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()))
            };
            if let Some(event) = field("event:") {
                return Some(Frame {
                    id: field("id:").map(|id| id.parse().unwrap()),
                    event,
                    data: serde_json::from_str(&field("data:").unwrap()).unwrap(),
                });
            }
        }
    }
}

#[tokio::test]
async fn events_come_live_and_a_reader_resumes_where_it_stopped() {
    let server = Server::start().await;
    let mut live = Reader::open(&server, "", None).await;
    server
        .put("/pools/a", &json!({ "slots": 1 }))
        .await
        .expect(200);
    let first = live.next().await.unwrap();
    assert_eq!(first.data["seq"].as_i64(), first.id);
    assert_eq!(first.event, first.data["kind"].as_str().unwrap());
    server
        .put("/pools/b", &json!({ "slots": 1 }))
        .await
        .expect(200);
    let second = live.next().await.unwrap();
    assert_eq!(second.id, first.id.map(|id| id + 1));
    drop(live);
    server
        .put("/pools/c", &json!({ "slots": 1 }))
        .await
        .expect(200);
    let last = first.id.unwrap().to_string();
    let mut resumed = Reader::open(&server, "", Some(&last)).await;
    assert_eq!(resumed.next().await.unwrap().id, second.id);
    assert_eq!(resumed.next().await.unwrap().id, second.id.map(|id| id + 1));
    let mut by_query = Reader::open(&server, &format!("?after={last}"), None).await;
    assert_eq!(by_query.next().await.unwrap().id, second.id);
}

#[tokio::test]
async fn a_place_that_is_not_kept_or_not_there_yet_is_reset() {
    let server = Server::start().await;
    server
        .put("/pools/a", &json!({ "slots": 1 }))
        .await
        .expect(200);
    for place in ["999999", "9223372036854775807", "-7"] {
        let mut reader = Reader::open(&server, "", Some(place)).await;
        let reset = reader.next().await.unwrap();
        assert_eq!((reset.event.as_str(), reset.id), ("reset", None), "{place}");
        server
            .put("/pools/a", &json!({ "slots": 2 }))
            .await
            .expect(200);
        let next = reader.next().await.unwrap();
        assert_eq!(
            next.id,
            reset.data["seq"].as_i64().map(|seq| seq + 1),
            "{place}"
        );
        server
            .put("/pools/a", &json!({ "slots": 1 }))
            .await
            .expect(200);
    }
    let call = server
        .call(Method::GET, "/events")
        .header("last-event-id", "x");
    assert_eq!(call.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn one_runs_events_alone_and_the_end_with_the_server() {
    let server = Server::start().await;
    server.demo().await;
    let run = server.post("/dags/demo/runs", &json!({})).await.expect(201);
    let run = run["run"].as_str().unwrap();
    let mut reader = Reader::open(&server, &format!("?run={run}"), None).await;
    server
        .put("/pools/a", &json!({ "slots": 1 }))
        .await
        .expect(200);
    server.post("/dags/demo/runs", &json!({})).await.expect(201);
    server
        .post(&format!("/runs/{run}/cancel"), &json!({}))
        .await;
    let frame = reader.next().await.unwrap();
    assert_eq!(frame.data["run"], run);
    server.stop.cancel();
    while let Some(frame) = reader.next().await {
        assert_eq!(frame.data["run"], run);
    }
}
