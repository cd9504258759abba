//! Nothing but health and sign-in answers without a credential.

use crate::harness::{Answer, CREDENTIAL, Server};
use belljar_engine::command::Command;
use belljar_ids::{Micros, TenantId};
use belljar_scheduler::http::all_routes;
use belljar_scheduler::http::table::{Permission, Route};
use belljar_scheduler::service::tokens::Token;
use reqwest::Method;
use serde_json::json;

/// A path of the route with something in the place of each parameter.
fn example(route: &Route) -> String {
    let part = |part: &str| match part {
        "{run}" => "run_0000000000000000000000000192f00d".to_owned(),
        "{id}" => "req_0000000000000000000000000192f00d".to_owned(),
        "{digest}" => format!("sha256:{}", "0".repeat(64)),
        "{fence}" => "1".to_owned(),
        "{version}" => "1.0.0".to_owned(),
        part if part.starts_with('{') => "name".to_owned(),
        part => part.to_owned(),
    };
    route
        .path
        .split('/')
        .map(part)
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn no_route_answers_a_stranger() {
    let server = Server::start().await;
    let routes = all_routes(server.app.clone());
    assert!(routes.len() > 50, "{}", routes.len());
    let open: Vec<_> = routes
        .iter()
        .filter(|route| route.permission == Permission::None)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(open, ["POST /api/v1/session", "GET /livez", "GET /readyz"]);
    let wrong_secret = {
        let (head, _) = server.token.rsplit_once('_').unwrap();
        format!("{head}_{}", "0".repeat(64))
    };
    let strangers = [
        None,
        Some("Bearer nonsense".to_owned()),
        Some(format!("Bearer {}", Token::mint().expose())),
        Some(format!("Bearer {wrong_secret}")),
        Some(format!("Basic {}", server.token)),
        Some("Bearer ".to_owned()),
    ];
    for route in routes
        .iter()
        .filter(|route| route.permission != Permission::None)
    {
        let method: Method = route.method.parse().unwrap();
        // A user is a stranger to the executors' routes, and an executor to the users'.
        let other = if route.permission == Permission::Executor {
            server.token.clone()
        } else {
            CREDENTIAL.to_owned()
        };
        for stranger in strangers
            .iter()
            .cloned()
            .chain([Some(format!("Bearer {other}"))])
        {
            let mut call = server.bare(method.clone(), &example(route));
            if let Some(stranger) = &stranger {
                call = call.header("authorization", stranger);
            }
            let answer = Answer::of(call.send().await.unwrap()).await;
            assert_eq!(answer.status, 401, "{route:?} as {stranger:?}");
            if method != Method::HEAD {
                answer.problem(401, "unauthenticated");
            }
        }
    }
}

#[tokio::test]
async fn with_a_credential_every_route_is_there() {
    let server = Server::start().await;
    for route in all_routes(server.app.clone()) {
        // It would hold its answer back.
        if route.path.ends_with("/events") || route.path.ends_with("/claim") {
            continue;
        }
        let method: Method = route.method.parse().unwrap();
        let credential = match route.permission {
            Permission::Executor => CREDENTIAL,
            _ => &server.token,
        };
        let call = server
            .bare(method, &example(&route))
            .bearer_auth(credential);
        let answer = Answer::of(call.send().await.unwrap()).await;
        assert!(
            ![401, 403, 405, 500].contains(&answer.status.as_u16()),
            "{route:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn health_needs_nothing_and_tells_nothing() {
    let server = Server::start().await;
    for path in ["/livez", "/readyz"] {
        let answer = Answer::of(server.bare(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(answer.expect(200), json!({ "status": "ok" }));
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_too() {
    let server = Server::start().await;
    let sign_in = json!({ "token": server.token });
    let call = server.bare(Method::POST, "/api/v1/session").json(&sign_in);
    let answer = Answer::of(call.send().await.unwrap()).await;
    answer.expect(204);
    let cookie = answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let whoami = || async {
        let call = server
            .bare(Method::GET, "/api/v1/whoami")
            .header("cookie", &cookie);
        Answer::of(call.send().await.unwrap()).await
    };
    assert_eq!(whoami().await.expect(200)["by"], "session");
    let mut row = server.token.parse::<Token>().unwrap().row(
        TenantId::default_tenant(),
        "admin".parse().unwrap(),
        Micros(1),
    );
    row.revoked_at = Some(Micros(2));
    server.leader.send(Command::TokenRevoke(row)).await.unwrap();
    whoami().await.problem(401, "unauthenticated");
    server.get("/whoami").await.problem(401, "unauthenticated");
}
