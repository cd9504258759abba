//! One machine, the whole job: a YAML DAG runs sandboxed analyses on data and gives back a result,
//! and survives the death of every process in the middle of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use belljar_tests::{Standalone, real_data, root, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

const DEMO: [&str; 4] = [
    "posts-clean",
    "social-engagement",
    "writing-patterns",
    "insights-report",
];

/// The demo DAG on the real export (or, where that is not there, on the sample): every figure equals
/// an independent computation.
#[test]
fn the_demo_dag_gives_the_figures_of_an_independent_computation() {
    let sample = root().join("analyses/posts-clean/sample/export");
    let export = real_data().map_or_else(
        || {
            eprintln!("the real data are not there: running on the sample");
            sample
        },
        |folder| folder.join("tweets-obama.csv"),
    );
    let export = export.display().to_string();
    let mut belljar = Standalone::start();
    belljar.submit(&DEMO);
    let _ = belljar
        .cli(&[
            "dataset",
            "put",
            "posts",
            &export,
            "--media-type",
            "text/csv",
        ])
        .good();
    let _ = belljar
        .cli(&["pool", "set", "heavy", "--slots", "2"])
        .good();
    let dag = root()
        .join("dag-specs/examples/social-insights.yaml")
        .display()
        .to_string();
    let _ = belljar.cli(&["dag", "apply", &dag]).good();
    let run = belljar.json(&["dag", "run", "social-insights", "--wait"]);
    let id = run["run"]["run"].as_str().unwrap().to_owned();

    let script = root().join("analyses/reference.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(&export)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (task, analysis) in ["clean", "engagement", "words", "report"].iter().zip(DEMO) {
        let result = belljar.cli(&["run", "result", &id, task]).good().json();
        assert_eq!(result, expected[analysis], "{task}");
    }

    // The report is one self-contained page, by its key and by its path below /out.
    let page = belljar.data().join("report.html");
    let page = page.display().to_string();
    let _ = belljar
        .cli(&["run", "artifact", &id, "report", "report", "-o", &page])
        .good();
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<html") && !html.contains("<script"));
    let again = belljar
        .cli(&["run", "artifact", &id, "report", "report.html", "-o", "-"])
        .good();
    assert_eq!(again.out, html);

    // Who used my data for what.
    let uses = belljar.json(&["dataset", "show", "posts"]);
    assert!(uses["uses"].to_string().contains(&id), "{uses}");
    belljar.assert_clean();
    assert_eq!(belljar.stop(), Some(0));
}

fn apply(belljar: &Standalone, name: &str, yaml: &str) {
    let path = belljar.data().join(format!("{name}.yaml"));
    std::fs::write(&path, yaml).unwrap();
    let _ = belljar
        .cli(&["dag", "apply", &path.display().to_string()])
        .good();
}

fn submit_fixture(belljar: &Standalone, name: &str) {
    let folder = root()
        .join("tests/fixtures")
        .join(name)
        .display()
        .to_string();
    let _ = belljar.cli(&["analysis", "submit", &folder]).good();
}

fn attempts(belljar: &Standalone, run: &str, task: &str) -> Vec<Value> {
    let task = belljar.json(&["run", "show", run, task]);
    task["attempts"].as_array().unwrap().clone()
}

/// `kill -9` of every Belljar process in the middle of a run, then a restart: the running container is
/// adopted, not one line of its log is lost or doubled, what follows runs, and nothing is left behind.
#[test]
fn a_run_survives_the_death_of_every_process() {
    let mut belljar = Standalone::start();
    submit_fixture(&belljar, "ticker");
    belljar.submit(&["noop"]);
    apply(
        &belljar,
        "ticking",
        "dag: ticking\ntasks:\n  tick: { analysis: ticker@1, params: { lines: 120 } }\n  \
         after: { analysis: noop@1, needs: [tick] }\n",
    );
    apply(
        &belljar,
        "quick",
        "dag: quick\ntasks:\n  quick: { analysis: noop@1 }\n",
    );
    let run = belljar
        .cli(&["dag", "run", "ticking"])
        .good()
        .out
        .trim()
        .to_owned();
    let log = |belljar: &Standalone| belljar.cli(&["run", "logs", &run, "tick"]).out;
    let ticking = wait_for(Duration::from_secs(60), || {
        log(&belljar).contains("line 10\n")
    });
    assert!(ticking, "no lines:\n{}", log(&belljar));

    belljar.kill_all();
    let begun = Instant::now();
    belljar.start_again();
    // A new task starts at once, beside the adopted one.
    let quick = belljar.cli(&["dag", "run", "quick", "--wait"]).good();
    assert_eq!(quick.code, 0);
    eprintln!(
        "from the restart to the end of a new task: {:?}",
        begun.elapsed()
    );
    let before = log(&belljar);
    assert!(
        !before.contains("line 119\n"),
        "the run had ended before it could be adopted"
    );

    let ended = belljar.cli(&["run", "watch", &run]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let expected: String = (0..120).map(|n| format!("line {n}\n")).collect();
    assert_eq!(log(&belljar), expected, "each line once, in order");
    let tries = attempts(&belljar, &run, "tick");
    assert_eq!(tries.len(), 1, "adopted, not run again: {tries:?}");
    assert_eq!(
        belljar.cli(&["run", "result", &run, "tick"]).good().json(),
        json!({"lines": 120})
    );
    belljar.assert_clean();
    assert_eq!(belljar.stop(), Some(0));
    belljar.assert_clean();
}

/// Killed again and again, at any moment: no task's result is accepted twice, every run ends well.
#[test]
fn no_result_is_accepted_twice_however_often_everything_dies() {
    let mut belljar = Standalone::start();
    submit_fixture(&belljar, "ticker");
    belljar.submit(&["noop"]);
    apply(
        &belljar,
        "fan",
        "dag: fan\ntasks:\n  a: { analysis: ticker@1, params: { lines: 8 } }\n  \
         b: { analysis: noop@1 }\n  c: { analysis: noop@1, needs: [b] }\n  \
         d: { analysis: noop@1, needs: [a, c] }\n",
    );
    let mut runs = BTreeSet::new();
    for round in 0_u64..4 {
        runs.insert(
            belljar
                .cli(&["dag", "run", "fan"])
                .good()
                .out
                .trim()
                .to_owned(),
        );
        // Moments spread over the life of an attempt, the same in every test run.
        std::thread::sleep(Duration::from_millis(350 * (round + 1)));
        belljar.kill_all();
        belljar.start_again();
    }
    for run in &runs {
        let ended = belljar.cli(&["run", "watch", run, "--timeout", "180s"]);
        assert_eq!(ended.code, 0, "{}\n{}", ended.out, ended.err);
        let shown = belljar.json(&["run", "show", run]);
        assert_eq!(shown["run"]["state"], json!("succeeded"));
        for task in ["a", "b", "c", "d"] {
            let good = attempts(&belljar, run, task);
            let good = good
                .iter()
                .filter(|a| a["outcome"] == json!("succeeded"))
                .count();
            assert_eq!(good, 1, "{task} of {run} was accepted {good} times");
        }
    }
    belljar.assert_clean();
    assert_eq!(belljar.stop(), Some(0));
}

/// The server's processes: the one that listens is not root, the token is its owner's alone.
#[test]
fn only_the_executor_is_root_and_the_token_is_private() {
    use std::os::unix::fs::MetadataExt as _;
    let mut belljar = Standalone::start();
    let uids: Vec<u32> = belljar
        .processes()
        .iter()
        .map(|pid| std::fs::metadata(format!("/proc/{pid}")).unwrap().uid())
        .collect();
    assert_eq!(uids.iter().filter(|uid| **uid != 0).count(), 1, "{uids:?}");
    let token = std::fs::metadata(belljar.data().join("token")).unwrap();
    assert_eq!(token.mode() & 0o777, 0o600);
    let other = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("{}/api/v1/dags", belljar.url()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&other.stdout), "401");
    assert_eq!(belljar.stop(), Some(0));
}
