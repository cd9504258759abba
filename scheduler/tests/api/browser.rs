//! What a browser may do: hosts, origins, cookies, the page itself.

use crate::harness::{Answer, Server};
use reqwest::Method;
use serde_json::json;

async fn with(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut call = server.bare(method, path);
    for (name, value) in headers {
        call = call.header(*name, *value);
    }
    Answer::of(call.send().await.unwrap()).await
}

#[tokio::test]
async fn only_our_own_hosts_and_origins() {
    let server =
        Server::start_with(|config| config.allowed_hosts = vec!["bell.example".into()]).await;
    let token = format!("Bearer {}", server.token);
    let whoami = |headers: Vec<(&'static str, String)>| {
        let (server, token) = (&server, token.clone());
        async move {
            let mut call = server
                .bare(Method::GET, "/api/v1/whoami")
                .header("authorization", token);
            for (name, value) in headers {
                call = call.header(name, value);
            }
            Answer::of(call.send().await.unwrap()).await
        }
    };
    whoami(vec![]).await.expect(200);
    whoami(vec![("host", "bell.example".into())])
        .await
        .expect(200);
    for host in ["evil.example", "bell.example.evil.example"] {
        let answer = whoami(vec![("host", host.into())]).await;
        answer.problem(403, "origin_refused");
    }
    whoami(vec![("origin", server.base.clone())])
        .await
        .expect(200);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let answer = whoami(vec![("origin", origin.into())]).await;
        answer.problem(403, "origin_refused");
    }
    // The page too: a rebound name must not load it.
    let answer = with(
        &server,
        Method::GET,
        "/",
        &[("host", "evil.example"), ("accept", "text/html")],
    )
    .await;
    answer.problem(403, "origin_refused");
}

#[tokio::test]
async fn a_session_reads_anywhere_and_writes_from_our_page_only() {
    let server = Server::start().await;
    let body = json!({ "token": server.token });
    let answer = Answer::of(
        server
            .bare(Method::POST, "/api/v1/session")
            .json(&body)
            .send()
            .await
            .unwrap(),
    )
    .await;
    answer.expect(204);
    let set = answer.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(&server.token));
    let cookie = set.split(';').next().unwrap();
    let who = with(
        &server,
        Method::GET,
        "/api/v1/whoami",
        &[("cookie", cookie)],
    )
    .await;
    assert_eq!(who.expect(200)["principal"], "admin");
    let write = |extra: Vec<(&'static str, String)>| {
        let mut call = server
            .bare(Method::PUT, "/api/v1/pools/heavy")
            .header("cookie", cookie);
        for (name, value) in extra {
            call = call.header(name, value);
        }
        let call = call.json(&json!({ "slots": 2 }));
        async move { Answer::of(call.send().await.unwrap()).await }
    };
    write(vec![("sec-fetch-site", "same-origin".into())])
        .await
        .expect(200);
    write(vec![("origin", server.base.clone())])
        .await
        .expect(200);
    write(vec![]).await.problem(403, "origin_refused");
    for site in ["cross-site", "same-site", "none"] {
        let answer = write(vec![("sec-fetch-site", site.into())]).await;
        answer.problem(403, "origin_refused");
    }
    // A changed cookie is none.
    let forged = cookie.replace('.', "x.");
    with(
        &server,
        Method::GET,
        "/api/v1/whoami",
        &[("cookie", &forged)],
    )
    .await
    .problem(401, "unauthenticated");
    let out = with(
        &server,
        Method::DELETE,
        "/api/v1/session",
        &[("cookie", cookie), ("sec-fetch-site", "same-origin")],
    )
    .await;
    out.expect(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn a_wrong_token_signs_nobody_in() {
    let server = Server::start().await;
    for token in ["", "nonsense", "bj_0_0"] {
        let answer = server.post("/session", &json!({ "token": token })).await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.header("set-cookie"), "");
    }
    server
        .post("/session", &json!({}))
        .await
        .problem(422, "invalid");
    server
        .post("/session", &json!({ "token": "", "more": 1 }))
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn the_page_has_a_policy_with_a_fresh_nonce() {
    let server = Server::start().await;
    let html = [("accept", "text/html")];
    let page = with(&server, Method::GET, "/", &html).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").to_owned();
    for part in [
        "default-src 'self'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "'nonce-",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script-src 'self' 'unsafe"), "{policy}");
    assert!(!page.text().contains("__CSP_NONCE__"));
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let again = with(&server, Method::GET, "/runs/run_x", &html).await;
    assert_eq!(again.status, 200, "a path of the page's own");
    assert!(!again.header("content-security-policy").contains(nonce));
    for (path, accept) in [
        ("/nothing.js", "*/*"),
        ("/api/v2/x", "text/html"),
        ("/api", "text/html"),
    ] {
        let answer = with(&server, Method::GET, path, &[("accept", accept)]).await;
        answer.problem(404, "not_found");
    }
    with(&server, Method::POST, "/", &html)
        .await
        .problem(405, "method_not_allowed");
    for path in [
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../Cargo.toml",
    ] {
        let answer = with(&server, Method::GET, path, &[("accept", "*/*")]).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn every_answer_of_the_api_has_its_headers() {
    let server = Server::start().await;
    for answer in [
        server.get("/whoami").await,
        server.get("/nothing").await,
        server.post("/version", &json!({})).await,
    ] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(answer.header("x-request-id").len(), 32);
    }
    server.get("/nothing").await.problem(404, "not_found");
    server
        .post("/version", &json!({}))
        .await
        .problem(405, "method_not_allowed");
}
