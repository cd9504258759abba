//! The same DAG is the same version however its file is written; a different one is not.
#![allow(clippy::unwrap_used)]

mod common;

use belljar_dag_specs::{Dag, DagVersion, parse};
use proptest::prelude::*;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use std::fmt::Write as _;

fn version(text: &str) -> DagVersion {
    let parsed = parse(text, "test.yaml").unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    Dag::from_spec(parsed.spec).unwrap().version()
}

/// Writes `value` as YAML with members in random order, random quoting, styles and comments.
fn write(out: &mut String, value: &Value, indent: usize, rng: &mut StdRng) {
    let flow = indent > 1 && rng.random_ratio(1, 4);
    match value {
        Value::Object(members) if !flow && !members.is_empty() => {
            let mut members: Vec<_> = members.iter().collect();
            members.shuffle(rng);
            for (key, value) in members {
                if rng.random_ratio(1, 4) {
                    write!(out, "\n{}# {key}", "  ".repeat(rng.random_range(0..4))).unwrap();
                }
                write!(
                    out,
                    "\n{}{}:",
                    "  ".repeat(indent),
                    scalar(&Value::from(key.as_str()), rng)
                )
                .unwrap();
                write(out, value, indent + 1, rng);
            }
        }
        Value::Array(items) if !flow && !items.is_empty() => {
            for item in items {
                write!(out, "\n{}-", "  ".repeat(indent)).unwrap();
                write(out, item, indent + 1, rng);
            }
        }
        other => write!(out, " {}", inline(other, rng)).unwrap(),
    }
}

fn inline(value: &Value, rng: &mut StdRng) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.shuffle(rng);
            let written: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{key:?}: {}", inline(value, rng)))
                .collect();
            format!("{{ {} }}", written.join(", "))
        }
        Value::Array(items) => {
            let written: Vec<_> = items.iter().map(|item| inline(item, rng)).collect();
            format!("[{}]", written.join(" , "))
        }
        other => scalar(other, rng),
    }
}

fn scalar(value: &Value, rng: &mut StdRng) -> String {
    match value {
        Value::String(text) if text.contains(['\n', '\\']) => value.to_string(),
        Value::String(text) if rng.random_ratio(1, 2) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

proptest! {
    // Each case goes through all files.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_quoting_style_and_comments_make_no_difference(seed in any::<[u8; 32]>()) {
        let mut rng = StdRng::from_seed(seed);
        for folder in ["examples", "tests/valid"] {
            for (name, bytes) in common::files(folder) {
                let text = std::str::from_utf8(&bytes).unwrap();
                let spec = parse(text, &name).unwrap().spec;
                let mut written = String::new();
                write(&mut written, &serde_json::to_value(&spec).unwrap(), 0, &mut rng);
                prop_assert_eq!(version(text), version(&written), "{}\n{}", name, written);
            }
        }
    }
}

const BASE: &str = "dag: a\ntasks:\n  x: { analysis: n@1 }\n  y: { analysis: n@1, needs: [x] }\n";

#[test]
fn amounts_and_ranges_have_one_form() {
    let with = |more: &str| version(&format!("{BASE}  z: {{ analysis: n@1, {more} }}\n"));
    for (one, other) in [
        ("timeout: 90s", "timeout: 1m30s"),
        (
            "resources: { memory: 1GiB }",
            "resources: { memory: 1024MiB }",
        ),
        ("resources: { cpu: 0.5 }", "resources: { cpu: 500m }"),
        ("retries: { factor: 2 }", "retries: { factor: 2.0 }"),
        ("needs: [x, y]", "needs: [y, x]"),
        (
            "pool: [{ name: a }, { name: b }]",
            "pool: [{ name: b, slots: 1 }, { name: a }]",
        ),
        ("needs: []", "inputs: {}"),
        ("params: { a: 1.0 }", "params: { a: 1 }"),
    ] {
        assert_eq!(with(one), with(other), "{one} / {other}");
    }
    assert_eq!(
        version("dag: a\ntasks: { x: { analysis: n@1 } }"),
        version("dag: a\ntasks: { x: { analysis: n@^1 } }")
    );
}

#[test]
fn every_difference_that_matters_makes_another_version() {
    let mut versions = vec![version(BASE)];
    for other in [
        BASE.replace("dag: a", "dag: b"),
        BASE.replace("needs: [x]", "needs: []"),
        BASE.replace("x: { analysis: n@1 }", "x: { analysis: n@2 }"),
        BASE.replace("x: { analysis: n@1 }", "x: { analysis: n@1, priority: 1 }"),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: 1 } }",
        ),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: '1' } }",
        ),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: null } }",
        ),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: [1, 2] } }",
        ),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: [2, 1] } }",
        ),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: 9007199254740993 } }",
        ),
        BASE.replace(
            "x: { analysis: n@1 }",
            "x: { analysis: n@1, params: { a: 9007199254740992 } }",
        ),
        format!("description: a\n{BASE}"),
        format!("defaults: {{ timeout: 1m }}\n{BASE}"),
        format!("limits: {{ active_runs: 16 }}\n{BASE}"),
    ] {
        let version = version(&other);
        assert!(!versions.contains(&version), "{other}");
        versions.push(version);
    }
}
