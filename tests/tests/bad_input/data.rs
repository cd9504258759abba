//! Files that are not what they are said to be.

use crate::table::Seen;
use crate::world::{World, call, put, token};

/// The sample up to the middle of a quoted field.
fn truncated() -> Vec<u8> {
    let header = "created_at,text,url,replies,retweets,favorites,user\n";
    let row = "2026-01-05 08:00:00,\"whole\",https://example.org/1,1,2,3,me\n";
    format!("{header}{row}2026-01-06 08:00:00,\"cut off he").into_bytes()
}

/// Exports that are none, cleaned by a DAG that tries twice; and bytes that are not those announced.
pub fn files(world: &World) -> Vec<Seen> {
    let binary: Vec<u8> = (0..5_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let cases = [
        ("csv-empty", Vec::new()),
        ("csv-binary", binary),
        ("csv-truncated", truncated()),
    ];
    let runs: Vec<String> = cases
        .iter()
        .map(|(case, bytes)| {
            put(&world.belljar, case, &world.file("export.csv", bytes), "text/csv");
            let yaml = format!(
                "dag: {case}\ntasks:\n  clean:\n    analysis: posts-clean@1\n    \
                 inputs: {{ export: dataset:{case} }}\n    retries: {{ max_attempts: 2, initial: 100ms }}\n"
            );
            let _ = world.cli(&["dag", "apply", &world.file("dag.yaml", yaml.as_bytes())]).good();
            world.cli(&["dag", "run", case]).good().out.trim().to_owned()
        })
        .collect();
    let mut seen: Vec<Seen> = cases
        .iter()
        .zip(&runs)
        .map(|((case, _), run)| {
            let ended = Seen::command(case, &world.cli(&["run", "watch", run]));
            let log = world.cli(&["run", "logs", run, "clean"]).good().out;
            ended
                .and(&log)
                .and(&world.cli(&["run", "result", run, "clean"]).out)
        })
        .collect();
    seen.push(mismatch(world));
    seen
}

fn mismatch(world: &World) -> Seen {
    let path = format!("/blobs/sha256:{}", "0".repeat(64));
    let args = ["-X", "PUT", "--data-binary", "abc"];
    let (status, body) = call(&world.belljar, Some(&token(&world.belljar)), &args, &path);
    Seen::call("upload-digest", &status, &body)
}
