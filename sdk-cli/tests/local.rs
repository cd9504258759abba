//! The commands that need no server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::path::Path;
use std::process::Command;
use support::User;

/// Nothing listens there: a command that asked would fail.
const NOWHERE: &str = "http://127.0.0.1:1";

const GOOD: &str = "dag: good\ntasks: { a: { analysis: noop@1 } }\n";

#[tokio::test]
async fn validate_reports_all_problems_of_all_files() {
    let user = User::new(NOWHERE);
    let good = user.file("good.yaml", GOOD);
    let bad = user.file("bad.yaml", "dag: Bad\ntasks:\n  a: { analysis: noop@1, needs: [b] }\n  b: { analysis: noop@1, needs: [a], colour: red }\n");
    user.types(&["dag", "validate", &good])
        .await
        .code(0)
        .prints("valid, DAG good with 1 task");
    let ended = user
        .types(&["dag", "validate", &bad, &good, "/nowhere.yaml"])
        .await
        .code(4);
    let ended = ended
        .says("bad.yaml:1:6")
        .says("colour")
        .says("^")
        .says("failed to read /nowhere.yaml")
        .prints("DAG good");
    assert!(
        ended.stderr.contains("3 errors") || ended.stderr.contains("2 errors"),
        "{}",
        ended.stderr
    );
    user.types(&["dag", "validate", &bad]).await.code(3);
    let all = user
        .types(&["--output", "json", "dag", "validate", &good, &bad])
        .await
        .code(3)
        .json();
    assert_eq!(all[0]["valid"], true);
    assert!(all[0]["version"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(all[1]["valid"], false);
    assert!(all[1]["diagnostics"].as_array().unwrap().len() >= 2);
}

#[tokio::test]
async fn hostile_files_are_refused_and_shown_safely() {
    let user = User::new(NOWHERE);
    for (name, bytes) in [
        (
            "escape.yaml",
            "dag: \"\\e]0;x\\a\"\n\u{1b}[2J: 1\ntasks: {}\n"
                .as_bytes()
                .to_vec(),
        ),
        (
            "key.yaml",
            "dag: a\n\"\\e[2J\\u202e\": 1\ntasks: { a: { analysis: noop@1 } }\n"
                .as_bytes()
                .to_vec(),
        ),
        ("binary.yaml", vec![0xff, 0xfe, 0, 1]),
        ("huge.yaml", vec![b'#'; (4 << 20) + 1]),
        ("empty.yaml", Vec::new()),
        (
            "bomb.yaml",
            b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n".to_vec(),
        ),
    ] {
        let path = user.file(name, bytes);
        let ended = user.types(&["dag", "validate", &path]).await.code(3);
        assert!(
            ended.stderr.chars().all(|c| !c.is_control() || c == '\n'),
            "{name}: {:?}",
            ended.stderr
        );
        assert!(ended.stderr.contains("BJ"), "{name}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn init_makes_a_folder_once() {
    let user = User::new(NOWHERE);
    for language in ["python", "rust"] {
        let folder = user.path(language).display().to_string();
        let words = [
            "analysis",
            "init",
            "word-count",
            "--language",
            language,
            "--folder",
            &folder,
        ];
        user.types(&words).await.code(0).says("analysis test");
        user.types(&words).await.code(5).says("is there already");
        assert!(
            std::fs::read_to_string(user.path(language).join("analysis.yaml"))
                .unwrap()
                .contains("analysis: word-count")
        );
    }
    assert_eq!(user.files(), ["python", "rust"]);
    user.types(&["analysis", "init", "Bad_Name"]).await.code(2);
    user.types(&["analysis", "init", "a", "--folder", "/nowhere/a"])
        .await
        .code(4);
}

/// Makes a template's folder, its program reading and writing below `user`'s folder instead of `/`.
async fn template(user: &User, language: &str, program: &str) -> std::path::PathBuf {
    let folder = user.path(language);
    let folder_text = folder.display().to_string();
    user.types(&[
        "analysis",
        "init",
        "word-count",
        "--language",
        language,
        "--folder",
        &folder_text,
    ])
    .await
    .code(0);
    for name in ["in", "out"] {
        std::fs::create_dir_all(user.path(name)).unwrap();
    }
    std::fs::copy(folder.join("sample/text.txt"), user.path("in/text")).unwrap();
    std::fs::write(user.path("in/params.json"), "{\"top\": 2}").unwrap();
    let source = std::fs::read_to_string(folder.join(program)).unwrap();
    let root = user.path("").display().to_string();
    let source = source
        .replace("\"/in", &format!("\"{root}in"))
        .replace("\"/out", &format!("\"{root}out"));
    std::fs::write(folder.join(program), source).unwrap();
    folder
}

/// The result is valid against the manifest's schema, and right.
fn check_result(user: &User, folder: &Path) {
    let manifest = std::fs::read_to_string(folder.join("analysis.yaml")).unwrap();
    let manifest = belljar_manifest::parse_manifest(&manifest, "analysis.yaml")
        .unwrap()
        .manifest;
    let result = std::fs::read_to_string(user.path("out/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let schema = belljar_manifest::schema::compile(&manifest.result, "/result").unwrap();
    schema.validate(&result).unwrap();
    let expected = serde_json::json!({
        "lines": 2, "words": 18, "distinct_words": 13,
        "top": [{ "word": "the", "count": 4 }, { "word": "comes", "count": 2 }],
    });
    assert_eq!(result, expected);
    let table = std::fs::read_to_string(user.path("out/words.csv")).unwrap();
    assert!(
        table.lines().nth(1) == Some("the,4") && table.lines().count() == 14,
        "{table}"
    );
}

#[tokio::test]
async fn the_python_template_works_as_it_is() {
    let user = User::new(NOWHERE);
    let folder = template(&user, "python", "app/main.py").await;
    let ended = Command::new("python3")
        .arg("-ESB")
        .arg(folder.join("app/main.py"))
        .output()
        .unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    check_result(&user, &folder);
}

#[tokio::test]
async fn the_rust_template_works_as_it_is() {
    let user = User::new(NOWHERE);
    let folder = template(&user, "rust", "src/main.rs").await;
    // Its dependencies are also the project's own, so they are at hand without a network.
    let built = Command::new(folder.join("build.sh"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let ended = Command::new(folder.join("build/word-count"))
        .output()
        .unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    check_result(&user, &folder);
}

#[tokio::test]
async fn test_takes_samples_and_defaults_and_checks_what_is_given() {
    let user = User::new(NOWHERE).var("BELLJAR_TOKEN_FILE", "/nowhere");
    let folder = user.path("a").display().to_string();
    user.types(&["analysis", "init", "a", "--folder", &folder])
        .await
        .code(0);
    let words = |more: &[&'static str]| {
        [
            &["--output", "json", "analysis", "test", folder.as_str()][..],
            more,
        ]
        .concat()
    };
    let report = user.types(&words(&[])).await.code(0).json();
    assert_eq!(report["result"]["params"]["top"], 10);
    assert!(
        report["result"]["inputs"]["text"]
            .as_str()
            .unwrap()
            .ends_with("sample/text.txt")
    );
    user.types(&words(&["--param", "top=0"]))
        .await
        .code(3)
        .says("parameters are not valid");
    user.types(&words(&["--param", "bottom=1"])).await.code(3);
    user.types(&words(&["--input", "other=/etc/hostname"]))
        .await
        .code(2)
        .says("it has text");
    user.types(&words(&["--input", "text=/nowhere"]))
        .await
        .code(4);
    std::fs::remove_dir_all(user.path("a/sample")).unwrap();
    user.types(&words(&[]))
        .await
        .code(2)
        .says("--input text=FILE");
}

#[tokio::test]
async fn a_failed_test_says_why_and_nothing_hostile() {
    let user = User::new(NOWHERE);
    let folder = user.path("a").display().to_string();
    user.types(&["analysis", "init", "a", "--folder", &folder])
        .await
        .code(0);
    let manifest = std::fs::read_to_string(user.path("a/analysis.yaml")).unwrap();
    let manifest = manifest.replace(
        "  properties:\n    top:",
        "  properties:\n    fail: { type: boolean }\n    top:",
    );
    std::fs::write(user.path("a/analysis.yaml"), manifest).unwrap();
    let ended = user
        .types(&["analysis", "test", &folder, "--param", "fail=true"])
        .await
        .code(1);
    let ended = ended
        .prints("failed: exit_code, exit code 3")
        .prints("refused  socket(AF_INET)")
        .says("NOT the production sandbox");
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(all.chars().all(|c| !c.is_control() || c == '\n'), "{all:?}");
}

#[tokio::test]
async fn completions_and_exit_codes() {
    let user = User::new(NOWHERE);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        user.types(&["completions", shell])
            .await
            .code(0)
            .prints("belljar")
            .prints("unpause");
    }
    user.types(&["exit-codes"])
        .await
        .code(0)
        .prints("130  Ctrl-C");
    user.types(&["dag", "frobnicate"])
        .await
        .code(2)
        .says("frobnicate");
    user.types(&["--output", "xml", "dag", "list"])
        .await
        .code(2);
    user.types(&["dag", "run", "a", "--timeout", "1m"])
        .await
        .code(2)
        .says("--wait");
}
