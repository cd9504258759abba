//! The commands against a real server in this process: real routes, real leader, real database. There is no
//! executor here, so nothing runs; whole runs in containers are tested end to end, in `tests/`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use support::{DAG, MANIFEST, Server, User, with_dag};

#[tokio::test]
async fn login_remembers_what_it_checked() {
    let server = Server::start().await;
    let user = User::new(&server.url);
    user.types(&["pool", "list"])
        .await
        .code(6)
        .says("no token was given");
    user.types(&["login", "--token", "bj_1_2"])
        .await
        .code(6)
        .says("the token came from --token");
    assert!(
        !user.path("home").exists(),
        "a refused login wrote something"
    );
    user.types(&["login", "--token", &server.token])
        .await
        .code(0)
        .prints("signed in to http://127.0.0.1")
        .says("config.toml");
    user.types(&["pool", "list"]).await.code(0);
}

#[tokio::test]
async fn pools_and_executors() {
    let server = Server::start().await;
    let user = server.user();
    user.types(&[
        "pool",
        "set",
        "heavy",
        "--slots",
        "2",
        "--description",
        "large jobs",
    ])
    .await
    .code(0)
    .prints("pool heavy has 2 slots");
    user.types(&["pool", "set", "heavy", "--slots", "3"])
        .await
        .code(0);
    user.types(&["pool", "list"])
        .await
        .code(0)
        .prints("heavy      3     0  large jobs");
    user.types(&["pool", "set", "heavy", "--slots", "1000001"])
        .await
        .code(2);
    user.types(&["pool", "set", "Heavy", "--slots", "1"])
        .await
        .code(2)
        .says("is not a valid pool name");
    user.types(&["executor", "list"])
        .await
        .code(0)
        .says("nothing can run");
}

#[tokio::test]
async fn datasets() {
    let server = Server::start().await;
    let user = server.user();
    let csv = user.file("posts.csv", "a,b\n1,2\n");
    user.types(&["dataset", "put", "posts", &csv, "--description", "mine"])
        .await
        .code(0)
        .prints("version 1 is stored (8 B, text/csv, sha256:");
    user.types(&["dataset", "put", "posts", &csv])
        .await
        .code(0)
        .prints("version 1 has these bytes already")
        .says("the server has these 8 B already");
    std::fs::write(&csv, "a,b\n3,4\n").unwrap();
    user.types(&["dataset", "put", "posts", &csv])
        .await
        .code(0)
        .prints("version 2 is stored");
    user.types(&["dataset", "list"])
        .await
        .code(0)
        .prints("posts")
        .prints("mine");
    user.types(&["dataset", "show", "posts"])
        .await
        .code(0)
        .prints("nothing has read it yet");
    let shown = user
        .types(&["--output", "json", "dataset", "show", "posts"])
        .await
        .code(0)
        .json();
    assert_eq!(shown["versions"].as_array().unwrap().len(), 2);
    assert_eq!(shown["uses"], serde_json::json!([]));

    user.types(&["dataset", "show", "nothing"]).await.code(4);
    user.types(&["dataset", "put", "posts", "/nowhere.csv"])
        .await
        .code(4)
        .says("failed to read /nowhere.csv");
    user.types(&[
        "dataset",
        "put",
        "posts",
        &user.path("").display().to_string(),
        "--media-type",
        "text/csv",
    ])
    .await
    .code(2)
    .says("it is a folder");
    let odd = user.file("data", "x");
    user.types(&["dataset", "put", "posts", &odd])
        .await
        .code(2)
        .says("--media-type");
    user.types(&["dataset", "put", "posts", &odd, "--media-type", "text"])
        .await
        .code(2)
        .says("--media-type");
}

#[tokio::test]
async fn a_published_version_never_changes() {
    let server = Server::start().await;
    let user = server.user();
    with_dag(&user).await;
    let folder = user.path("count").display().to_string();
    user.types(&["analysis", "submit", &folder])
        .await
        .code(0)
        .prints("is published");
    user.file("count/image", "another image");
    user.types(&["analysis", "submit", &folder])
        .await
        .code(5)
        .says("never changes")
        .says("raise `version`");
    user.file("count/image", "an image");
    user.file(
        "count/analysis.yaml",
        MANIFEST.replace("Counts lines", "Counts more"),
    );
    user.types(&["analysis", "submit", &folder]).await.code(5);
    user.file("count/analysis.yaml", MANIFEST.replace("1.0.0", "one"));
    user.types(&["analysis", "submit", &folder])
        .await
        .code(3)
        .says("BJ")
        .says("version: one");
    std::fs::remove_file(user.path("count/image")).unwrap();
    user.file("count/analysis.yaml", MANIFEST.replace("1.0.0", "1.0.1"));
    user.types(&["analysis", "submit", &folder])
        .await
        .code(3)
        .says("failed to build the image")
        .says("read the output above");
    user.types(&["analysis", "submit", "/nowhere"])
        .await
        .code(4);

    user.types(&["analysis", "list"])
        .await
        .code(0)
        .prints("count");
    user.types(&["analysis", "show", "count"])
        .await
        .code(0)
        .prints("param        top (integer, default 10): how many")
        .prints("table.csv");
    user.types(&["analysis", "show", "count@2.0.0"])
        .await
        .code(4);
    user.types(&["analysis", "show", "absent"]).await.code(4);
    user.types(&["analysis", "trust", "count"])
        .await
        .code(2)
        .says("NAME@VERSION");
    user.types(&["analysis", "trust", "count@1.0.0"])
        .await
        .code(0)
        .prints("without gVisor");
    user.types(&["analysis", "list"])
        .await
        .code(0)
        .prints("trusted");
    user.types(&["analysis", "untrust", "count@1.0.0"])
        .await
        .code(0)
        .prints("under gVisor only");
}

#[tokio::test]
async fn dags() {
    let server = Server::start().await;
    let user = server.user();
    let dag = with_dag(&user).await;
    user.types(&["dag", "apply", &dag])
        .await
        .code(0)
        .prints("nothing new, version 1");
    let other = user.file("other.yaml", DAG.replace("default: 3", "default: 4"));
    user.types(&["dag", "apply", "--dry-run", &other])
        .await
        .code(0)
        .prints("would become a new version");
    user.types(&["dag", "show", "daily"])
        .await
        .code(0)
        .prints("version      1")
        .prints("count@^1");
    assert_eq!(
        user.types(&["dag", "show", "daily", "--source"])
            .await
            .code(0)
            .stdout,
        DAG
    );
    user.types(&["dag", "apply", "--paused", &other])
        .await
        .code(0)
        .prints("version 2")
        .says("belljar dag unpause daily");
    user.types(&["dag", "list"]).await.code(0).prints("yes");
    user.types(&["dag", "unpause", "daily"])
        .await
        .code(0)
        .prints("is not paused");
    user.types(&["dag", "pause", "absent"]).await.code(4);

    let unknown = user.file(
        "unknown.yaml",
        DAG.replace("count@1", "absent@1")
            .replace("dataset:text", "dataset:none"),
    );
    let refused = user.types(&["dag", "apply", &unknown]).await.code(3);
    refused
        .says("absent@1")
        .says("dataset:none")
        .says("unknown.yaml:6:")
        .says("2 errors");
    user.types(&["dag", "list"]).await.code(0).prints("daily");
    let broken = user.file("broken.yaml", "dag: [");
    user.types(&["dag", "apply", &broken])
        .await
        .code(3)
        .says("broken.yaml");
    user.types(&["dag", "apply", "/nowhere.yaml"]).await.code(4);
}

#[tokio::test]
async fn runs_from_start_to_cancel() {
    let server = Server::start().await;
    let user = server.user();
    with_dag(&user).await;
    user.types(&["run", "show", "latest"])
        .await
        .code(4)
        .says("there is no run yet");
    user.types(&["run", "show", "latest:daily"])
        .await
        .code(4)
        .says("there is no run of daily yet");
    user.types(&["dag", "run", "absent"]).await.code(4);
    user.types(&["dag", "run", "daily", "--param", "top=many"])
        .await
        .code(3)
        .says("top");
    user.types(&["dag", "run", "daily", "--param", "bottom=1"])
        .await
        .code(3);

    let started = user
        .types(&[
            "dag",
            "run",
            "daily",
            "--param",
            "top=1",
            "--idempotency-key",
            "k1",
        ])
        .await
        .code(0);
    let run = started.stdout.trim().to_owned();
    assert!(run.starts_with("run_") && run.len() == 36, "{run}");
    started.says(&format!("belljar run watch {run}"));
    let again = user
        .types(&[
            "dag",
            "run",
            "daily",
            "--param",
            "top=1",
            "--idempotency-key",
            "k1",
        ])
        .await
        .code(0);
    assert_eq!(again.stdout.trim(), run);
    user.types(&[
        "dag",
        "run",
        "daily",
        "--param",
        "top=2",
        "--idempotency-key",
        "k1",
    ])
    .await
    .code(5);

    for name in [
        run.as_str(),
        &run[..30],
        &run[4..30],
        "latest",
        "latest:daily",
    ] {
        user.types(&["run", "show", name])
            .await
            .code(0)
            .prints(&run)
            .prints("waits:")
            .prints("top");
    }
    user.types(&["run", "show", "run_ffff"]).await.code(4);
    user.types(&["run", "show", "latest", "count"])
        .await
        .code(0)
        .prints("input     text from dataset:text@1");
    user.types(&["run", "list", "--dag", "daily", "--state", "running"])
        .await
        .code(0)
        .prints(&run);
    let none = user
        .types(&["run", "list", "--state", "failed"])
        .await
        .code(0);
    assert!(!none.stdout.contains(&run));
    user.types(&["run", "list", "--state", "done"])
        .await
        .code(2);

    user.types(&["run", "result", "latest", "count"])
        .await
        .code(5);
    user.types(&["run", "logs", "latest", "count"])
        .await
        .code(4)
        .says("has no attempt yet")
        .says("--follow");
    user.types(&["run", "logs", "latest", "absent"])
        .await
        .code(4);
    user.types(&["run", "watch", "latest", "--timeout", "200ms"])
        .await
        .code(8)
        .says("it goes on");
    user.types(&["dag", "run", "daily", "--wait", "--timeout", "200ms"])
        .await
        .code(8);
    user.types(&["run", "cancel", "latest"]).await.code(0);

    // A watch that is there sees the cancel.
    let watch = ["run", "watch", &run];
    let (watched, cancelled) = tokio::join!(user.types(&watch), async {
        let other = server.user();
        other.types(&["run", "cancel", &run]).await
    });
    cancelled.code(0);
    watched.code(9).prints("cancelled after").prints("count");
    user.types(&["run", "cancel", &run])
        .await
        .code(0)
        .prints("had ended before: cancelled");
    user.types(&["run", "watch", &run]).await.code(9);
    // The data's owner sees who used it.
    user.types(&["dataset", "show", "text"])
        .await
        .code(0)
        .prints(&run)
        .prints("count@1.0.0");
}

#[tokio::test]
async fn requests_from_start_to_cancel() {
    let server = Server::start().await;
    let user = server.user();
    with_dag(&user).await;
    let create = [
        "request",
        "create",
        "count@1",
        "--input",
        "text=dataset:text",
        "--purpose",
        "a look",
    ];
    let made = user.types(&create).await.code(0);
    let id = made.stdout.trim().to_owned();
    assert!(id.starts_with("req_"), "{id}");
    user.types(&["request", "list"])
        .await
        .code(0)
        .prints(&id)
        .prints("a look");
    for name in [id.as_str(), &id[..30], "latest"] {
        user.types(&["request", "show", name])
            .await
            .code(0)
            .prints(&id)
            .prints("dataset:text@1");
    }
    user.types(&["request", "result", "latest"]).await.code(5);
    user.types(&["request", "cancel", &id])
        .await
        .code(0)
        .prints("cancel");
    user.types(&["request", "result", &id]).await.code(5);

    user.types(&[&create[..], &["--wait", "--timeout", "200ms"]].concat())
        .await
        .code(8)
        .says("it goes on");
    user.types(&[
        "request",
        "create",
        "absent",
        "--input",
        "text=dataset:text",
    ])
    .await
    .code(3)
    .says("absent");
    user.types(&["request", "create", "count", "--input", "text=dataset:none"])
        .await
        .code(3)
        .says("none");
    user.types(&["request", "create", "count"])
        .await
        .code(3)
        .says("text");
    user.types(&[
        "request",
        "create",
        "count",
        "--input",
        "text=text",
        "--param",
        "top=no",
    ])
    .await
    .code(3)
    .says("top");
    user.types(&[
        "request",
        "create",
        "count",
        "--input",
        "text=text",
        "--input",
        "text=text",
    ])
    .await
    .code(2)
    .says("given twice");
    user.types(&["request", "show", "req_ffff"]).await.code(4);
}
