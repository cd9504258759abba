//! Analyses that do not keep the contract.

use crate::table::Seen;
use crate::world::{World, submit};

/// An analysis on an image with one file and nothing to execute; its folder.
fn empty_image(world: &World, name: &str, command: &str) -> String {
    let manifest = format!(
        "analysis: {name}\nversion: 1.0.0\nsummary: Cannot start\nimage: .\n{command}\
         result: {{ type: object }}\nresources: {{ cpu: 1, memory: 32MiB, disk: 4MiB, tmp: 4MiB, pids: 16, timeout: 10s }}\n"
    );
    let file = world.file("analysis.yaml", manifest.as_bytes());
    let folder = std::path::Path::new(&file).parent().unwrap();
    std::fs::write(
        folder.join("Dockerfile"),
        "FROM scratch\nCOPY analysis.yaml /file\n",
    )
    .unwrap();
    folder.display().to_string()
}

/// Images with little in them.
pub fn images(world: &World) -> Vec<Seen> {
    let no_program = empty_image(world, "no-program", "");
    let absent = empty_image(world, "absent-program", "command: [\"/app/absent\"]\n");
    submit(&world.belljar, &absent);
    vec![
        Seen::command(
            "image-no-program",
            &world.cli(&["analysis", "submit", &no_program]),
        ),
        Seen::command(
            "image-program-absent",
            &world.cli(&["request", "create", "absent-program@1", "--wait"]),
        ),
        Seen::command(
            "image-no-shell",
            &world.cli(&["request", "create", "noop@1", "--wait"]),
        ),
        Seen::command(
            "image-unknown",
            &world.cli(&["analysis", "submit", &unknown_image(world)]),
        ),
    ]
}

fn unknown_image(world: &World) -> String {
    let folder = empty_image(world, "no-image", "command: [\"/app\"]\n");
    let path = format!("{folder}/analysis.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        manifest.replace("image: .", "image: belljar-test-absent:1"),
    )
    .unwrap();
    folder
}

/// Every bad end of a program, one DAG each, side by side.
pub fn ends(world: &World) -> Vec<Seen> {
    let cases = [
        ("result-missing", "missing"),
        ("result-too-large", "too_large"),
        ("result-not-json", "not_json"),
        ("result-against-schema", "against_schema"),
        ("exit-code", "exit_code"),
        ("output-link", "link"),
        ("time-out", "sleep"),
    ];
    let runs: Vec<_> = cases
        .iter()
        .map(|(case, how)| {
            let yaml = format!(
                "dag: {case}\ntasks:\n  a: {{ analysis: misbehave@1, timeout: 5s, params: {{ how: {how} }} }}\n"
            );
            let file = world.file("dag.yaml", yaml.as_bytes());
            let _ = world.cli(&["dag", "apply", &file]).good();
            world.cli(&["dag", "run", case]).good().out.trim().to_owned()
        })
        .collect();
    cases
        .iter()
        .zip(&runs)
        .map(|((case, _), run)| Seen::command(case, &world.cli(&["run", "watch", run])))
        .collect()
}
