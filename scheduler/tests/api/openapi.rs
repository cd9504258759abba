//! The OpenAPI document that the web client is generated from.

use crate::harness::Server;
use std::path::Path;

/// `scheduler/openapi.json` is what the code says; `BELLJAR_UPDATE=1` writes it anew.
#[tokio::test]
async fn the_document_is_current() {
    let server = Server::start().await;
    let sent = server.get("/openapi.json").await.expect(200);
    assert!(sent["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = format!("{}\n", serde_json::to_string_pretty(&sent).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("BELLJAR_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "scheduler/openapi.json is not what the code says; run this test with BELLJAR_UPDATE=1"
    );
}

/// Every operation has an id of its own, a permission, and only references that lead somewhere.
#[tokio::test]
async fn the_document_is_whole() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(200);
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["x-permission"].is_string(), "{method} {path}");
            let parameters = operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                let name = part.trim_end_matches('}');
                assert!(
                    parameters
                        .iter()
                        .any(|p| p["name"] == name && p["in"] == "path"),
                    "{method} {path}: {name}"
                );
            }
        }
    }
    check_references(&document, &document);
}

fn check_references(document: &serde_json::Value, value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(|r| r.as_str()) {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            members
                .values()
                .for_each(|value| check_references(document, value));
        }
        serde_json::Value::Array(items) => {
            items
                .iter()
                .for_each(|value| check_references(document, value));
        }
        _ => {}
    }
}
