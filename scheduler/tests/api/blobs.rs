//! Bytes on their way in and out.

use crate::harness::{Answer, Server, digest};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn put_head_and_put_again() {
    let server = Server::start().await;
    let name = digest(b"hello");
    let path = format!("/blobs/{name}");
    let head = server.call(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.status(), 404);
    let put = || async {
        let call = server.call(Method::PUT, &path).body("hello");
        Answer::of(call.send().await.unwrap()).await
    };
    assert_eq!(put().await.expect(201)["size"], 5);
    assert_eq!(put().await.expect(200)["digest"], name);
    let head = server.call(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"5".parse().unwrap())
    );
}

/// The limit of other bodies is not one of blobs.
#[tokio::test]
async fn a_blob_may_be_larger_than_other_bodies() {
    let server = Server::start_with(|config| config.body_bytes = 1_000).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    assert_eq!(server.blob(&bytes).await["size"], 3_000_000);
}

#[tokio::test]
async fn other_bytes_than_announced_are_refused_and_not_kept() {
    let server = Server::start().await;
    let path = format!("/blobs/{}", digest(b"hello"));
    let call = server.call(Method::PUT, &path).body("hellO");
    let answer = Answer::of(call.send().await.unwrap()).await;
    answer.problem(422, "digest_mismatch");
    let head = server.call(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.status(), 404);
    for name in ["hello", "sha256:00", "sha256:../../etc/passwd", "%2e%2e"] {
        let call = server
            .call(Method::PUT, &format!("/blobs/{name}"))
            .body("x");
        let answer = Answer::of(call.send().await.unwrap()).await;
        assert!(
            [400, 404, 405].contains(&answer.status.as_u16()),
            "{name}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn too_large_is_refused_before_and_while_it_arrives() {
    let server = Server::start_with(|config| config.blob_bytes = 10).await;
    let bytes = vec![7_u8; 11];
    let path = format!("/blobs/{}", digest(&bytes));
    let call = server.call(Method::PUT, &path).body(bytes.clone());
    Answer::of(call.send().await.unwrap())
        .await
        .problem(413, "too_large");
    // In chunks, so that no length is announced.
    let chunks = futures::stream::iter(
        bytes
            .chunks(4)
            .map(|c| Ok::<_, String>(c.to_vec()))
            .collect::<Vec<_>>(),
    );
    let call = server
        .call(Method::PUT, &path)
        .body(reqwest::Body::wrap_stream(chunks));
    Answer::of(call.send().await.unwrap())
        .await
        .problem(413, "too_large");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = Server::start().await;
    let name = digest(b"hello");
    let address = server.base.trim_start_matches("http://").to_owned();
    let mut raw = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "PUT /api/v1/blobs/{name} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: 5\r\n\r\nhel",
        server.token
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    raw.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = raw.read_to_end(&mut rest).await;
    let head = server
        .call(Method::HEAD, &format!("/blobs/{name}"))
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 404);
    let incoming = server.data("blobs/default/incoming");
    let wait = async {
        while std::fs::read_dir(&incoming).is_ok_and(|entries| entries.count() > 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), wait)
        .await
        .unwrap();
}

#[tokio::test]
async fn bodies_that_are_no_blobs_are_bounded() {
    let server = Server::start_with(|config| config.body_bytes = 1_000).await;
    let answer = server.apply(&"#".repeat(1_001)).await;
    answer.problem(413, "too_large");
    let body = serde_json::json!({ "token": "x".repeat(1_000) });
    server
        .post("/session", &body)
        .await
        .problem(413, "too_large");
}
