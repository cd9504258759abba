//! Files that are accepted: the examples, the repository's analyses, and odd but valid ones.
#![allow(clippy::unwrap_used)]

mod common;

use belljar_dag_specs::expression::Context;
use belljar_dag_specs::params::{run_params, task_params};
use belljar_dag_specs::{AnalysisRef, Catalogue as _, Dag, check_against, parse};
use belljar_manifest::{Severity, Style, decode, render};
use common::catalogue::Sample;
use serde_json::json;

fn dag(name: &str, bytes: &[u8]) -> Dag {
    let text = decode(bytes, name).unwrap();
    let parsed =
        parse(text, name).unwrap_or_else(|p| panic!("{}", render(&p, Some(text), Style::Plain)));
    Dag::from_spec(parsed.spec).unwrap()
}

#[test]
fn valid_files_are_accepted_and_have_one_canonical_form() {
    for folder in ["tests/valid", "examples"] {
        for (name, bytes) in common::files(folder) {
            let dag = dag(&name, &bytes);
            insta::assert_snapshot!(format!("canonical-{name}"), dag.canonical_json());
            let again = Dag::from_canonical_json(&dag.canonical_json()).unwrap();
            assert_eq!(
                (again.version(), again.tasks()),
                (dag.version(), dag.tasks()),
                "{name}"
            );
        }
    }
}

#[test]
fn only_warnings_come_with_valid_files() {
    for (name, bytes) in common::files("tests/valid") {
        let warnings = parse(decode(&bytes, &name).unwrap(), &name)
            .unwrap()
            .warnings;
        assert!(
            warnings
                .iter()
                .all(|warning| warning.severity == Severity::Warning)
        );
        assert_eq!(
            warnings.is_empty(),
            !name.starts_with("warning-"),
            "{name}: {warnings:?}"
        );
    }
}

#[test]
fn examples_fit_the_analyses_of_this_repository() {
    let catalogue = Sample::of_repository();
    for (name, bytes) in common::files("examples") {
        let problems = check_against(&dag(&name, &bytes), &catalogue);
        assert!(
            problems.is_empty(),
            "{name}: {}",
            render(&problems, None, Style::Plain)
        );
    }
}

#[test]
fn the_demo_runs_with_its_defaults() {
    let (name, bytes) = common::files("examples")
        .into_iter()
        .find(|(name, _)| name == "social-insights")
        .unwrap();
    let dag = dag(&name, &bytes);
    let names = |tasks: Vec<_>| {
        tasks
            .into_iter()
            .map(|index| dag.task(index).name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(dag.graph().order().to_vec())[0], "clean");
    let report = dag.index_of(&"report".parse().unwrap()).unwrap();
    assert_eq!(
        names(dag.graph().ancestors(report)),
        ["clean", "engagement", "words"]
    );
    assert_eq!(
        names(dag.graph().upstream(report).to_vec()),
        ["engagement", "words"]
    );
    let clean = dag.index_of(&"clean".parse().unwrap()).unwrap();
    assert_eq!(
        names(dag.graph().descendants(clean)),
        ["engagement", "report", "words"]
    );
    assert_eq!(names(dag.graph().leaves().collect()), ["report"]);

    let context = Context::new(run_params(&dag, json!({})).unwrap()).unwrap();
    let task = dag
        .tasks()
        .iter()
        .find(|task| task.name.as_str() == "engagement")
        .unwrap();
    let reference: AnalysisRef = "social-engagement@1".parse().unwrap();
    let manifest = Sample::of_repository()
        .analysis(&reference)
        .unwrap()
        .manifest;
    assert_eq!(
        task_params(task, &manifest, &context).unwrap(),
        json!({ "timezone": "UTC" })
    );
    let limits = task.effective_resources(&manifest.resources);
    assert_eq!(
        (limits.timeout.to_string().as_str(), limits.memory),
        ("1m", manifest.resources.memory)
    );
}

#[test]
fn bad_parameters_of_a_run_are_refused() {
    let (name, bytes) = common::files("examples")
        .into_iter()
        .find(|(name, _)| name == "two-zones")
        .unwrap();
    let dag = dag(&name, &bytes);
    for given in [
        json!({}),
        json!({ "home": 1 }),
        json!({ "home": "UTC", "extra": 1 }),
        json!([]),
        json!(null),
    ] {
        let problems = run_params(&dag, given.clone()).unwrap_err();
        assert!(
            problems.iter().all(|problem| problem.code == "BJ0405"),
            "{given}: {problems:?}"
        );
    }
    let (name, bytes) = common::files("examples")
        .into_iter()
        .find(|(name, _)| name == "hello")
        .unwrap();
    let hello = self::dag(&name, &bytes);
    assert!(run_params(&hello, json!({ "a": 1 })).is_err());
    assert_eq!(run_params(&hello, json!({})).unwrap(), json!({}));
    assert!(run_params(&hello, json!(null)).is_err());
}
