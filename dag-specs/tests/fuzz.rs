//! Whatever is read, nothing panics, and every diagnostic points into the text.
#![allow(clippy::unwrap_used)]

mod common;

use belljar_dag_specs::expression::{Context, evaluate};
use belljar_dag_specs::{Dag, parse};
use belljar_manifest::{Diagnostic, Style, decode, parse_manifest, render};
use proptest::prelude::*;

fn assert_located(problems: &[Diagnostic], text: &str) {
    for problem in problems {
        if let Some(span) = problem.span {
            assert!(
                text.get(span.start..span.end).is_some(),
                "{problem}: {span:?}"
            );
            assert_eq!(
                span.line as usize,
                text[..span.start].matches('\n').count() + 1,
                "{problem}: {span:?}"
            );
        }
    }
    let shown = render(problems, Some(text), Style::Colour);
    assert_eq!(shown.is_empty(), problems.is_empty());
}

fn read(bytes: &[u8]) {
    let Ok(text) = decode(bytes, "fuzz.yaml") else {
        return;
    };
    match parse(text, "fuzz.yaml") {
        Ok(parsed) => {
            assert_located(&parsed.warnings, text);
            let dag = Dag::from_spec(parsed.spec).unwrap();
            assert_eq!(
                Dag::from_canonical_json(&dag.canonical_json())
                    .unwrap()
                    .version(),
                dag.version()
            );
        }
        Err(problems) => assert_located(&problems, text),
    }
    if let Err(problems) = parse_manifest(text, "fuzz.yaml") {
        assert_located(&problems, text);
    }
}

/// The files of this crate, as seeds.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for folder in [
        "examples",
        "tests/valid",
        "tests/invalid",
        "tests/invalid-manifest",
        "tests/unfit",
    ] {
        seeds.extend(
            common::files(folder)
                .into_iter()
                .map(|(_, bytes)| bytes)
                .filter(|bytes| bytes.len() < 8_000),
        );
    }
    seeds
}

/// Pieces that matter to YAML, to references and to expressions.
const PIECES: &[&str] = &[
    "\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\0",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "𝄞",
    "~",
    "null",
    "true",
    "0x",
    "1e999",
    ".inf",
    "-",
    "${{",
    "}}",
    "$${{",
    "params.",
    "task:",
    "dataset:",
    "@",
    "sha256:",
    "\\",
    "\"\\x00\"",
    "\"\\u202e\"",
    "tasks:",
    "dag:",
    "needs: [a, a]",
    "$ref",
    "9999999999999999999999",
];

const TOKENS: &[&str] = &[
    "params",
    ".",
    "n",
    "list",
    "map",
    "x",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "!",
    "<",
    ">=",
    "==",
    "!=",
    "&&",
    "||",
    " in ",
    "1",
    "2u",
    "0.5",
    "1e308",
    "'s'",
    "\"t\"",
    "b'u'",
    "r'v'",
    "'''",
    "true",
    "null",
    "has",
    "all",
    "exists",
    "exists_one",
    "filter",
    "size",
    "string",
    "int",
    "double",
    "é",
    "\\",
    "`",
    "$",
    "9223372036854775807",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutated_files_never_panic(
        seed in prop::sample::select(seeds()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, prop::sample::select(PIECES)), 1..8),
    ) {
        let mut bytes = seed;
        for (at, delete, insert) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + delete).min(bytes.len());
            bytes.splice(at..end, insert.bytes());
        }
        read(&bytes);
        // Cut bytes make most files no UTF-8; what is left of those is read too.
        read(String::from_utf8_lossy(&bytes).as_bytes());
    }

    #[test]
    fn random_expressions_never_panic(tokens in prop::collection::vec(prop::sample::select(TOKENS), 1..40)) {
        let context = Context::new(serde_json::json!({ "n": 3, "list": [1, 2.5, "x"], "map": { "k": null } })).unwrap();
        if let Err(error) = evaluate(&tokens.concat(), &context) {
            prop_assert!(!error.to_string().contains("panicked"), "{}", tokens.concat());
        }
    }
}
