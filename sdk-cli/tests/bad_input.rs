//! Walks the table of `docs/bad-input.md`: each row's command ends with the exit code and message that it says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::path::Path;
use support::{DAG, MANIFEST, Server, User};

const BEGIN: &str = "<!-- walked by sdk-cli/tests/bad_input.rs -->";

struct Row {
    case: String,
    command: String,
    code: u8,
    message: String,
}

fn code_span(cell: &str) -> &str {
    cell.trim()
        .strip_prefix('`')
        .and_then(|cell| cell.strip_suffix('`'))
        .unwrap_or_else(|| panic!("{cell} is no code"))
}

fn rows() -> Vec<Row> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bad-input.md");
    let document = std::fs::read_to_string(document).unwrap();
    let table = document
        .split_once(BEGIN)
        .unwrap()
        .1
        .split_once("<!-- end -->")
        .unwrap()
        .0;
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [case, command, code, message] = cells[..] else {
            panic!("{line} has {} cells", cells.len())
        };
        Row {
            case: case.trim().to_owned(),
            command: code_span(command).to_owned(),
            code: code.trim().parse().unwrap(),
            message: code_span(message).to_owned(),
        }
    };
    // Without the header and the line below it.
    table
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(row)
        .collect()
}

/// Everything that the table says is there.
async fn prepare(user: &User) {
    user.file("huge.yaml", vec![b'#'; (4 << 20) + 1]);
    user.file("daily.yaml", DAG);
    user.file("unknown-analysis.yaml", DAG.replace("count@1", "absent@1"));
    user.file(
        "unknown-dataset.yaml",
        DAG.replace("dataset:text", "dataset:none"),
    );
    user.file("taken", "a file");
    std::fs::create_dir(user.path("empty")).unwrap();
    user.file(
        "bad-manifest/analysis.yaml",
        MANIFEST.replace("1.0.0", "one"),
    );
    support::with_dag(user).await;
    user.file("count/image", "another image");
    user.types(&["dag", "run", "daily", "--idempotency-key", "used"])
        .await
        .code(0);
}

/// A word of a command; one that names a file is its whole path.
fn word(user: &User, word: &str) -> String {
    if word.starts_with("dag-specs/") {
        return Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(word)
            .display()
            .to_string();
    }
    // `count` is also the name of an analysis and of a task: a folder only where one is asked for.
    let path = user.path(word);
    if path.exists() {
        path.display().to_string()
    } else {
        word.to_owned()
    }
}

#[tokio::test]
async fn every_row_is_true() {
    let server = Server::start().await;
    let user = server.user();
    prepare(&user).await;
    let rows = rows();
    assert!(rows.len() > 40, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let typed: Vec<&str> = row.command.split_whitespace().skip(1).collect();
        // Only these commands take paths; elsewhere a word is a name.
        let paths = matches!(
            typed[..2],
            ["dag", "validate" | "apply"] | ["analysis", "submit"] | ["dataset", "put"]
        ) || typed.contains(&"--token-file");
        let names = if typed[..2] == ["dataset", "put"] {
            3
        } else {
            2
        };
        let mut words: Vec<String> = typed
            .iter()
            .enumerate()
            .map(|(at, typed)| {
                if paths && at >= names {
                    word(&user, typed)
                } else {
                    (*typed).to_owned()
                }
            })
            .collect();
        if typed[..2] == ["analysis", "init"] {
            words.extend([
                "--folder".to_owned(),
                user.path(typed[2]).display().to_string(),
            ]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = user.types(&words).await;
        if ended.code != row.code || !ended.stderr.contains(&row.message) {
            wrong.push(format!(
                "{}: `{}` ended with {}:\n{}",
                row.case, row.command, ended.code, ended.stderr
            ));
        }
        let safe = ended.stderr.chars().all(|c| !c.is_control() || c == '\n');
        assert!(safe, "{}: {:?}", row.case, ended.stderr);
    }
    assert!(
        wrong.is_empty(),
        "{} rows are wrong:\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // Nothing was lost by any of it.
    user.types(&["dag", "show", "daily"]).await.code(0);
    user.types(&["run", "show", "latest"]).await.code(0);
    user.types(&["dataset", "show", "text"]).await.code(0);
    assert_eq!(
        std::fs::read_to_string(user.path("taken")).unwrap(),
        "a file"
    );
}
