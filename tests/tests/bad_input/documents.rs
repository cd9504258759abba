//! DAG files that are wrong: by the command line, and sent past it.

use crate::table::Seen;
use crate::world::{World, call, token};
use std::fmt::Write as _;

/// Nine times nine times … nine values.
fn bomb() -> String {
    let mut yaml = "dag: bomb\na: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, name) in ('a'..='i').zip('b'..='j') {
        let nine = vec![format!("*{before}"); 9].join(", ");
        writeln!(yaml, "{name}: &{name} [{nine}]").unwrap();
    }
    yaml
}

fn huge() -> String {
    format!("dag: huge\n# {}\n", "x".repeat(5 << 20))
}

fn applied(world: &World, case: &'static str, yaml: &str) -> Seen {
    let file = world.file("dag.yaml", yaml.as_bytes());
    Seen::command(case, &world.cli(&["dag", "apply", &file]))
}

fn sent(world: &World, case: &'static str, yaml: &str) -> Seen {
    let file = world.file("dag.yaml", yaml.as_bytes());
    let body = format!("@{file}");
    let args = ["-H", "Content-Type: text/yaml", "--data-binary", &body];
    let (status, body) = call(&world.belljar, Some(&token(&world.belljar)), &args, "/dags");
    Seen::call(case, &status, &body)
}

/// What is no DAG, or a hostile one.
pub fn yaml(world: &World) -> Vec<Seen> {
    let deep = format!(
        "dag: deep\nparams: {}{}\n",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let cycle = "dag: cyclic\ntasks:\n  a: { analysis: noop@1, needs: [b] }\n  b: { analysis: noop@1, needs: [a] }\n";
    vec![
        applied(world, "yaml-malformed", "dag: [\n"),
        sent(world, "yaml-malformed-sent", "dag: [\n"),
        applied(
            world,
            "yaml-unknown-field",
            "dag: typo\ntasks:\n  a: { analysis: noop@1, neds: [b] }\n",
        ),
        applied(world, "dag-cyclic", cycle),
        applied(world, "yaml-alias-bomb", &bomb()),
        sent(world, "yaml-alias-bomb-sent", &bomb()),
        applied(world, "yaml-deep", &deep),
        sent(world, "yaml-deep-sent", &deep),
        applied(world, "yaml-huge", &huge()),
        sent(world, "yaml-huge-sent", &huge()),
    ]
}

/// What names something that is not there, or does not fit.
pub fn references(world: &World) -> Vec<Seen> {
    let task = |case, task: &str| {
        applied(
            world,
            case,
            &format!("dag: wrong\ntasks:\n  a: {{ {task} }}\n"),
        )
    };
    let _ = world.cli(&["pool", "set", "small", "--slots", "1"]).good();
    let json = world.file("data.json", b"{}");
    crate::world::put(&world.belljar, "some-json", &json, "application/json");
    vec![
        task("analysis-unknown", "analysis: absent@1"),
        task("analysis-version-unknown", "analysis: noop@9"),
        task(
            "dataset-unknown",
            "analysis: posts-clean@1, inputs: { export: \"dataset:absent\" }",
        ),
        task(
            "dataset-media-type",
            "analysis: posts-clean@1, inputs: { export: \"dataset:some-json\" }",
        ),
        task(
            "pool-unknown",
            "analysis: noop@1, pool: [{ name: absent, slots: 1 }]",
        ),
        task(
            "pool-too-small",
            "analysis: noop@1, pool: [{ name: small, slots: 2 }]",
        ),
        task(
            "params-invalid",
            "analysis: misbehave@1, params: { how: dance }",
        ),
        Seen::command("dag-unknown", &world.cli(&["dag", "run", "absent"])),
    ]
}
