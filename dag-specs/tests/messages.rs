//! Every refused file with its messages, as a person sees them. A change of a message is a change
//! of a snapshot.
#![allow(clippy::unwrap_used)]

mod common;

use belljar_dag_specs::code::all_codes;
use belljar_dag_specs::{Dag, check_against, parse};
use belljar_manifest::{Diagnostic, Severity, Style, decode, parse_manifest, render};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What reading a file as a DAG spec finds.
fn diagnose(name: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let file = format!("{name}.yaml");
    match decode(bytes, &file) {
        Err(problems) => problems,
        Ok(text) => match parse(text, &file) {
            Ok(parsed) => parsed.warnings,
            Err(problems) => problems,
        },
    }
}

/// The generated files with what reading them finds; it takes seconds unoptimised, so it is done
/// once for all tests.
static GENERATED: LazyLock<Vec<Generated>> = LazyLock::new(|| {
    let read = |(name, bytes): (String, Vec<u8>)| {
        let problems = diagnose(&name, &bytes);
        (name, bytes, problems)
    };
    common::generated().into_iter().map(read).collect()
});

type Generated = (String, Vec<u8>, Vec<Diagnostic>);

/// The diagnostics of a file against the catalogue of the tests.
fn unfit(name: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let text = std::str::from_utf8(bytes).unwrap();
    let parsed = parse(text, &format!("{name}.yaml")).unwrap();
    let dag = Dag::from_spec(parsed.spec).unwrap();
    parsed
        .source
        .locate(check_against(&dag, &common::catalogue::Sample::new()))
}

fn assert_usable(name: &str, problems: &[Diagnostic], text: Option<&str>) {
    assert!(
        problems.iter().any(|p| p.severity == Severity::Error),
        "{name}: no error"
    );
    for problem in problems {
        assert_eq!(problem.file, format!("{name}.yaml"));
        assert!(
            !problem.message.is_empty() && !problem.message.ends_with('.'),
            "{name}: {problem}"
        );
        if let (Some(span), Some(text)) = (problem.span, text) {
            assert!(
                span.start <= span.end && span.end <= text.len(),
                "{name}: {problem}: {span:?}"
            );
            assert!(
                text.is_char_boundary(span.start) && text.is_char_boundary(span.end),
                "{name}"
            );
            let line = text[..span.start].matches('\n').count() + 1;
            assert_eq!(span.line as usize, line, "{name}: {problem}");
        }
    }
}

#[test]
fn refused_specs() {
    for (name, bytes) in common::files("tests/invalid") {
        let problems = diagnose(&name, &bytes);
        let text = std::str::from_utf8(&bytes).ok();
        assert_usable(&name, &problems, text);
        insta::assert_snapshot!(
            format!("spec-{name}"),
            render(&problems, text, Style::Plain)
        );
    }
}

#[test]
fn refused_manifests() {
    for (name, bytes) in common::files("tests/invalid-manifest") {
        let text = std::str::from_utf8(&bytes).unwrap();
        let problems = parse_manifest(text, &format!("{name}.yaml")).unwrap_err();
        assert_usable(&name, &problems, Some(text));
        insta::assert_snapshot!(
            format!("manifest-{name}"),
            render(&problems, Some(text), Style::Plain)
        );
    }
}

#[test]
fn specs_that_do_not_fit_what_is_published() {
    for (name, bytes) in common::files("tests/unfit") {
        let text = std::str::from_utf8(&bytes).unwrap();
        let problems = unfit(&name, &bytes);
        assert_usable(&name, &problems, Some(text));
        insta::assert_snapshot!(
            format!("unfit-{name}"),
            render(&problems, Some(text), Style::Plain)
        );
    }
}

#[test]
fn huge_files_are_refused_with_a_short_message() {
    let mut lines = String::new();
    for (name, bytes, problems) in GENERATED.iter() {
        let text = std::str::from_utf8(bytes).ok();
        assert_usable(name, problems, text);
        let shown = render(problems, text, Style::Plain);
        assert!(
            shown.len() < 100_000,
            "{name}: {} bytes of messages",
            shown.len()
        );
        lines.push_str(&format!("{}\n", problems[0]));
        lines.push_str(&format!("  and {} more\n", problems.len() - 1));
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn colour_and_json_say_the_same() {
    let (name, bytes) = common::files("tests/invalid")
        .into_iter()
        .find(|(name, _)| name == "cyclic")
        .unwrap();
    let problems = diagnose(&name, &bytes);
    let text = std::str::from_utf8(&bytes).unwrap();
    let coloured = render(&problems, Some(text), Style::Colour);
    assert!(coloured.contains("\u{1b}["));
    let json = serde_json::to_string_pretty(&problems).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Diagnostic>>(&json).unwrap(),
        problems
    );
    insta::assert_snapshot!(json);
}

#[test]
fn hostile_text_cannot_reach_a_terminal() {
    for (name, bytes) in common::files("tests/invalid") {
        let text = std::str::from_utf8(&bytes).ok();
        let shown = render(&diagnose(&name, &bytes), text, Style::Plain);
        let bad = shown.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(bad, None, "{name}: {shown}");
    }
}

#[test]
fn every_code_is_raised_by_some_file() {
    let mut raised = BTreeSet::new();
    let mut add =
        |problems: Vec<Diagnostic>| raised.extend(problems.into_iter().map(|problem| problem.code));
    let specs = ["tests/invalid", "tests/valid"]
        .map(common::files)
        .into_iter()
        .flatten();
    specs.for_each(|(name, bytes)| add(diagnose(&name, &bytes)));
    GENERATED
        .iter()
        .for_each(|(_, _, problems)| add(problems.clone()));
    for (name, bytes) in common::files("tests/invalid-manifest") {
        add(parse_manifest(std::str::from_utf8(&bytes).unwrap(), &name).unwrap_err());
    }
    common::files("tests/unfit")
        .into_iter()
        .for_each(|(name, bytes)| add(unfit(&name, &bytes)));
    add(Dag::from_canonical_json("{}").unwrap_err());
    add(common::failing_expression());
    let known: BTreeSet<_> = all_codes().map(|code| code.id.to_owned()).collect();
    assert_eq!(
        known.difference(&raised).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "never raised"
    );
    assert_eq!(
        raised.difference(&known).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not in the table"
    );
}
