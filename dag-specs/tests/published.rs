//! What is committed beside the code and made from it is current. `BELLJAR_UPDATE=1 cargo test`
//! writes it anew.
#![allow(clippy::unwrap_used)]

mod common;

use belljar_dag_specs::code::{all_codes, documentation};
use belljar_dag_specs::{dag_json_schema, explain};
use belljar_manifest::{manifest_json_schema, parse_manifest, schema};
use serde_json::Value;

fn assert_current(path: &str, content: &str) {
    let path = common::folder(path);
    if std::env::var_os("BELLJAR_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == content,
        "{} is not current: run `BELLJAR_UPDATE=1 cargo test -p belljar-dag-specs --test published`",
        path.display()
    );
}

fn pretty(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap() + "\n"
}

#[test]
fn schemas_for_editors_are_current() {
    assert_current(
        "schema/belljar-dag.schema.json",
        &pretty(&dag_json_schema()),
    );
    assert_current(
        "schema/belljar-analysis.schema.json",
        &pretty(&manifest_json_schema()),
    );
}

#[test]
fn the_page_of_codes_is_current() {
    assert_current("../docs/diagnostics.md", &documentation());
}

#[test]
fn codes_are_unique_ordered_and_explained() {
    let ids: Vec<_> = all_codes().map(|code| code.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    for code in all_codes() {
        assert!(
            code.id.len() == 6 && code.id.starts_with("BJ"),
            "{}",
            code.id
        );
        assert!(
            explain(&code.id.to_lowercase())
                .unwrap()
                .contains(code.text)
        );
    }
    assert_eq!(explain("BJ9999"), None);
}

/// YAML as JSON, for the schemas: through the tree, as the reader does it.
fn json(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).unwrap();
    let source = belljar_manifest::Source::parse(text, "x").unwrap();
    let cursor = belljar_manifest::read::Cursor::root(source.root());
    cursor.json(&mut belljar_manifest::diagnostic::Problems::default())
}

fn is_valid(schema: &Value, instance: &Value) -> Result<(), String> {
    let compiled = schema::compile(schema, "").unwrap_or_else(|problems| panic!("{problems:?}"));
    compiled
        .validate(instance)
        .map_err(|problems| problems.to_string())
}

#[test]
fn editors_accept_what_is_valid_and_refuse_what_is_not() {
    let schema = dag_json_schema();
    for folder in ["examples", "tests/valid"] {
        for (name, bytes) in common::files(folder) {
            // A schema cannot know that a plain 0777 or 1e3 is wanted as a text.
            if name != "texts-that-look-like-others" {
                is_valid(&schema, &json(&bytes))
                    .unwrap_or_else(|problem| panic!("{name}: {problem}"));
            }
        }
    }
    for name in [
        "unknown-fields",
        "wrong-types",
        "out-of-range",
        "missing",
        "not-supported-yet",
    ] {
        let file = common::files("tests/invalid")
            .into_iter()
            .find(|(own, _)| own == name)
            .unwrap();
        assert!(is_valid(&schema, &json(&file.1)).is_err(), "{name}");
    }
}

#[test]
fn every_analysis_of_this_repository_is_valid() {
    let schema = manifest_json_schema();
    let mut count = 0;
    for entry in std::fs::read_dir(common::folder("../analyses")).unwrap() {
        let file = entry.unwrap().path().join("analysis.yaml");
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let parsed = parse_manifest(&text, &file.to_string_lossy())
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let value = serde_json::to_value(&parsed.manifest).unwrap();
        assert_eq!(
            serde_json::from_value::<belljar_manifest::Manifest>(value).unwrap(),
            parsed.manifest
        );
        is_valid(&schema, &json(text.as_bytes()))
            .unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
        count += 1;
    }
    assert!(count >= 5, "the analyses are not where they were");
}
