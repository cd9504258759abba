//! What the tests share: the files, and those that are too large to keep.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

pub mod catalogue;

use belljar_dag_specs::expression::{Context, evaluate_value};
use belljar_manifest::Diagnostic;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The YAML files of a folder of this crate, sorted: name without ending, content.
pub fn files(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no YAML files in {name}");
    files
}

/// A DAG of that many tasks, each needing up to `needs` before it.
pub fn large_dag(tasks: usize, needs: usize) -> String {
    let mut text = String::from("dag: large\ntasks:\n");
    for task in 0..tasks {
        let needed: Vec<_> = (task.saturating_sub(needs)..task)
            .map(|n| format!("t{n:05}"))
            .collect();
        writeln!(
            text,
            "  t{task:05}: {{ analysis: noop@1, needs: [{}] }}",
            needed.join(", ")
        )
        .unwrap();
    }
    text
}

/// Hostile files that are too large to keep.
pub fn generated() -> Vec<(String, Vec<u8>)> {
    let mut keys = String::from("dag: many-keys\n");
    (0..100_000).for_each(|n| writeln!(keys, "k{n}: x").unwrap());
    let mut repeated = String::from("dag: repeated-keys\ntasks: { a: { analysis: noop@1 } }\n");
    (0..100_000).for_each(|_| repeated.push_str("k: x\n"));
    let anchors: String = (0..257).map(|n| format!("k{n}: &a{n} x\n")).collect();
    let aliases = format!("a: &a x\nb: [{}]\n", "*a, ".repeat(257));
    let list = format!("dag: long-list\ntasks: [{}]\n", "x,".repeat(600_000));
    let big_anchor = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(200_000),
        "*a, ".repeat(200)
    );
    let mut expressions = String::from("dag: many-expressions\ntasks:\n");
    for task in 0..11 {
        let list = "\"${{ 1 }}\", ".repeat(1_000);
        writeln!(
            expressions,
            "  t{task}: {{ analysis: noop@1, params: {{ list: [{list}] }} }}"
        )
        .unwrap();
    }
    vec![
        (
            "generated-many-expressions".into(),
            expressions.into_bytes(),
        ),
        ("generated-anchors".into(), anchors.into_bytes()),
        ("generated-aliases".into(), aliases.into_bytes()),
        ("generated-big-anchor".into(), big_anchor.into_bytes()),
        ("generated-many-keys".into(), keys.into_bytes()),
        ("generated-repeated-keys".into(), repeated.into_bytes()),
        ("generated-many-values".into(), list.into_bytes()),
        (
            "generated-huge-scalar".into(),
            format!("dag: {}\n", "x".repeat(300_000)).into_bytes(),
        ),
        (
            "generated-huge-quoted".into(),
            format!("dag: \"{}\n", "x ".repeat(300_000)).into_bytes(),
        ),
        (
            "generated-huge-key".into(),
            format!("? {}\n: x\n", "k".repeat(200_000)).into_bytes(),
        ),
        (
            "generated-huge-file".into(),
            format!("dag: a\n#{}\n", "x".repeat(5 << 20)).into_bytes(),
        ),
        (
            "generated-too-many-tasks".into(),
            large_dag(2_001, 0).into_bytes(),
        ),
        (
            "generated-too-many-edges".into(),
            large_dag(2_000, 11).into_bytes(),
        ),
        (
            "generated-open-brackets".into(),
            "[".repeat(100_000).into_bytes(),
        ),
        (
            "generated-open-braces".into(),
            "{a: ".repeat(100_000).into_bytes(),
        ),
        ("generated-dashes".into(), "- ".repeat(100_000).into_bytes()),
        (
            "generated-question-marks".into(),
            "? ".repeat(100_000).into_bytes(),
        ),
    ]
}

/// What an expression gives that has no value with the parameters of a run.
pub fn failing_expression() -> Vec<Diagnostic> {
    let context = Context::new(serde_json::json!({ "n": 0 })).unwrap();
    evaluate_value(
        &serde_json::json!({ "a": "${{ 1 / params.n }}" }),
        &context,
        "",
    )
    .unwrap_err()
}
