//! Bad input gets a clear error and loses nothing: the table of `docs/bad-input.md`, row by row, on
//! real standalones.
//!
//! A row says what is done, the exit code or status, and the essential part of the message. Every row
//! must have been seen here and everything seen here must have a row, so neither can go stale alone.
//! Afterwards what was there before is still there, also after a restart, and works.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

#[path = "bad_input/analyses.rs"]
mod analyses;
#[path = "bad_input/calls.rs"]
mod calls;
#[path = "bad_input/data.rs"]
mod data;
#[path = "bad_input/disk.rs"]
mod disk;
#[path = "bad_input/documents.rs"]
mod documents;
#[path = "bad_input/engine.rs"]
mod engine;
#[path = "bad_input/machine.rs"]
mod machine;
#[path = "bad_input/table.rs"]
mod table;
#[path = "bad_input/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;
use table::Seen;
use world::World;

/// Something that is done to a Belljar, and what it answered: one row or several.
type Scenario = fn(&World) -> Vec<Seen>;

/// The slow ones first.
const SCENARIOS: [Scenario; 10] = [
    engine::stopped,
    disk::full,
    analyses::ends,
    data::files,
    analyses::images,
    documents::yaml,
    documents::references,
    calls::requests,
    calls::credentials,
    machine::starts,
];

/// How many scenarios are at work at once.
const AT_ONCE: usize = 4;

#[test]
fn bad_input_is_answered_as_documented_and_loses_nothing() {
    let rows = table::rows();
    let mut world = World::new();
    let next = Mutex::new(SCENARIOS.iter());
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(scenario) = next.lock().unwrap().next() else {
                        break;
                    };
                    let begun = Instant::now();
                    let found = scenario(&world);
                    let cases: Vec<_> = found.iter().map(|seen| seen.case).collect();
                    eprintln!("{:?}: {}", begun.elapsed(), cases.join(", "));
                    seen.lock().unwrap().extend(found);
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();

    let documented: BTreeSet<&str> = rows.iter().map(|row| row.case.as_str()).collect();
    let tested: BTreeSet<&str> = seen.iter().map(|seen| seen.case).collect();
    assert_eq!(documented.len(), rows.len(), "a case is in the table twice");
    assert_eq!(tested.len(), seen.len(), "a case is tested twice");
    let mut wrong: Vec<String> = documented
        .symmetric_difference(&tested)
        .map(|case| format!("{case}: only in the table, or only in the tests"))
        .collect();
    for seen in &seen {
        let row = rows.iter().find(|row| row.case == seen.case);
        wrong.extend(row.and_then(|row| row.differs(seen)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    world.has_lost_nothing();
    world.restart();
    world.has_lost_nothing();
    world.end();
}
