//! Who imports whom: the table of crates in `docs/ARCHITECTURE.md` against `cargo metadata`.
//!
//! Owns: the comparison. The rules themselves are the table's, so that they are changed where people
//! read them. A row lists the crates of ours that a crate may import, and in its last column, as code,
//! the libraries that only the crates naming them there may import. Development dependencies on our
//! own crates count too, unless the row allows them with "in tests": what a test of one crate needs of a
//! higher one is to be seen in the table. Those on libraries do not count: a test of a client may well
//! put up a small server.

#![expect(
    clippy::expect_used,
    reason = "a helper of a test that cannot go on is the test's failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// One row of the table.
#[derive(Debug)]
struct Row {
    /// Names of our crates that may be imported; `None` is "all".
    may_import: Option<BTreeSet<String>>,
    /// Names of our crates that its tests may import besides.
    in_tests: BTreeSet<String>,
    /// Libraries that this crate may import and those that name them nowhere may not.
    holds: BTreeSet<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the folder of the tests is below the root")
}

/// The texts between pairs of backticks.
fn code_in(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The full names in a list of short ones.
fn our_crates(list: &str) -> BTreeSet<String> {
    let names = list.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(|name| format!("belljar-{name}")).collect()
}

/// The rows of the table of crates, by the name of the crate (a name may end in `*`).
fn rows(text: &str) -> BTreeMap<String, Row> {
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("| crate |"));
    let table = lines.skip(2).take_while(|line| line.starts_with('|'));
    table
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 4, "a row has four cells: {line}");
            let (may, in_tests) = cells[2].split_once("; in tests").unwrap_or((cells[2], ""));
            let row = Row {
                may_import: (may != "all").then(|| our_crates(may)),
                in_tests: our_crates(in_tests),
                holds: code_in(cells[3]),
            };
            (cells[0].trim_matches('`').to_owned(), row)
        })
        .collect()
}

/// What a package depends on: the names of all, and of those that are not for its tests only.
#[derive(Debug)]
struct Imports {
    all: BTreeSet<String>,
    shipped: BTreeSet<String>,
}

/// Every package of the workspace with what it depends on.
fn packages() -> BTreeMap<String, Imports> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("a list of dependencies");
            let shipped = dependencies.iter().filter(|one| one["kind"] != "dev");
            let imports = Imports {
                shipped: shipped.map(|one| text(&one["name"])).collect(),
                all: dependencies.iter().map(|one| text(&one["name"])).collect(),
            };
            (text(&package["name"]), imports)
        })
        .collect()
}

fn row_of<'a>(rows: &'a BTreeMap<String, Row>, package: &str) -> Option<&'a Row> {
    rows.get(package).or_else(|| {
        let mut wild = rows
            .iter()
            .filter_map(|(name, row)| Some((name.strip_suffix('*')?, row)));
        wild.find(|(prefix, _)| package.starts_with(prefix))
            .map(|(_, row)| row)
    })
}

/// Everything in which the packages break the table, one sentence each.
fn breaches(rows: &BTreeMap<String, Row>, packages: &BTreeMap<String, Imports>) -> Vec<String> {
    let held: BTreeSet<_> = rows.values().flat_map(|row| &row.holds).cloned().collect();
    let mut found = Vec::new();
    for (package, imports) in packages {
        let Some(row) = row_of(rows, package) else {
            found.push(format!("{package} has no row"));
            continue;
        };
        let ours = imports
            .all
            .iter()
            .filter(|&name| packages.contains_key(name));
        for import in ours {
            let only_in_tests = !imports.shipped.contains(import);
            let may = row.may_import.as_ref();
            if may.is_some_and(|names| !names.contains(import))
                && !(only_in_tests && row.in_tests.contains(import))
            {
                found.push(format!("{package} may not import {import}"));
            }
        }
        for import in imports.shipped.intersection(&held) {
            if !row.holds.contains(import) {
                found.push(format!(
                    "{package} may not import {import}, which others alone hold"
                ));
            }
        }
    }
    for name in rows.keys().filter(|name| !name.ends_with('*')) {
        if !packages.contains_key(name) {
            found.push(format!("the row of {name} is about no crate"));
        }
    }
    found
}

fn table() -> BTreeMap<String, Row> {
    let text =
        std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map is there");
    rows(&text)
}

#[test]
fn crates_import_only_what_the_table_allows() {
    assert_eq!(breaches(&table(), &packages()), Vec::<String>::new());
}

#[test]
fn the_table_names_what_must_be_held_in_one_place() {
    let rows = table();
    let holders = |library: &str| -> Vec<&str> {
        let holding = rows.iter().filter(|(_, row)| row.holds.contains(library));
        holding.map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(holders("sqlx"), ["belljar-store"]);
    assert_eq!(holders("bollard"), ["belljar-sandbox"]);
    assert_eq!(holders("axum"), ["belljar-scheduler"]);
    assert_eq!(holders("clap"), ["belljar", "belljar-sdk-cli"]);
}

#[test]
fn each_kind_of_breach_is_found() {
    let rows = rows(
        "| crate | folder | may import, of ours | alone holds |\n| --- | --- | --- | --- |\n\
         | `belljar-ids` | `x` | | |\n| `belljar-store` | `x` | ids | `sqlx`, SQL |\n\
         | `belljar-wire` | `x` | ids; in tests store | |\n\
         | `analysis-*` | `x` | | |\n| `belljar-gone` | `x` | | |\n| `belljar` | `x` | all | |\n\nmore",
    );
    let package = |name: &str, shipped: &[&str], for_tests: &[&str]| {
        let names = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
        let shipped: BTreeSet<String> = names(shipped);
        let for_tests: BTreeSet<String> = names(for_tests);
        let all = shipped.union(&for_tests).cloned().collect();
        (name.to_owned(), Imports { all, shipped })
    };
    let packages = BTreeMap::from([
        package("belljar-ids", &["belljar-store", "serde"], &["sqlx"]),
        package("belljar-store", &["belljar-ids", "sqlx"], &["belljar"]),
        package("belljar-wire", &["belljar-store"], &["belljar"]),
        package("analysis-noop", &[], &["belljar-ids"]),
        package("belljar", &["belljar-ids", "belljar-store", "sqlx"], &[]),
        package("stray", &[], &[]),
    ]);
    assert_eq!(
        breaches(&rows, &packages),
        [
            "analysis-noop may not import belljar-ids",
            "belljar may not import sqlx, which others alone hold",
            "belljar-ids may not import belljar-store",
            "belljar-store may not import belljar",
            "belljar-wire may not import belljar",
            "belljar-wire may not import belljar-store",
            "stray has no row",
            "the row of belljar-gone is about no crate",
        ]
    );
}
