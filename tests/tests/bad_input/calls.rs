//! Requests that cannot be met, and callers who may not call.

use crate::table::Seen;
use crate::world::{World, call};
use belljar_tests::{Answer, binary, free_port};
use std::process::Command;

/// Requests for what is not there, not theirs or not possible.
pub fn requests(world: &World) -> Vec<Seen> {
    let clean = |case, dataset: &str| {
        let input = format!("export=dataset:{dataset}");
        Seen::command(
            case,
            &world.cli(&["request", "create", "posts-clean@1", "--input", &input]),
        )
    };
    let json = world.file("data.json", b"{ }");
    crate::world::put(&world.belljar, "more-json", &json, "application/json");
    let keyed = |purpose| {
        world.cli(&[
            "request",
            "create",
            "noop@1",
            "--idempotency-key",
            "key-1",
            "--purpose",
            purpose,
        ])
    };
    let first = keyed("one").good().out;
    assert_eq!(
        keyed("one").good().out,
        first,
        "the same again is the same request"
    );
    vec![
        clean("request-dataset-unknown", "absent"),
        clean("request-dataset-foreign", "foreign"),
        clean("request-media-type", "more-json"),
        Seen::command(
            "request-input-missing",
            &world.cli(&["request", "create", "posts-clean@1"]),
        ),
        Seen::command(
            "request-analysis-unknown",
            &world.cli(&["request", "create", "absent@1"]),
        ),
        Seen::command(
            "request-params-invalid",
            &world.cli(&["request", "create", "noop@1", "--param", "x=1"]),
        ),
        Seen::command("idempotency-key-reused", &keyed("another")),
    ]
}

/// The client with other settings than the world's.
fn client(world: &World, name: &str, value: &str) -> Answer {
    let mut command = Command::new(binary());
    command
        .args(["dag", "list"])
        .env_clear()
        .env("BELLJAR_SERVER", world.belljar.url())
        .env("BELLJAR_CONFIG_DIR", world.belljar.data().join("no-config"))
        .env("BELLJAR_DATA_DIR", world.belljar.data().join("no-data"))
        .env(name, value);
    let output = command.output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Wrong tokens, none, and no server.
pub fn credentials(world: &World) -> Vec<Seen> {
    let wrong = format!("bj_{}_{}", "0".repeat(32), "0".repeat(64));
    let (status, body) = call(&world.belljar, None, &[], "/dags");
    let missing = Seen::call("token-missing-sent", &status, &body);
    let (status, body) = call(&world.belljar, Some(&wrong), &[], "/dags");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    vec![
        missing,
        Seen::call("token-wrong-sent", &status, &body),
        Seen::command("token-missing", &client(world, "NO_COLOR", "1")),
        Seen::command("token-wrong", &client(world, "BELLJAR_TOKEN", &wrong)),
        Seen::command("token-malformed", &client(world, "BELLJAR_TOKEN", "wrong")),
        Seen::command("server-absent", &client(world, "BELLJAR_SERVER", &nobody)),
    ]
}
