//! Whatever a crash or a bad disk leaves, a journal gives a beginning of what was written.

use super::file::{JournalFile, Rest, decode, encode};
use super::*;
use crate::clock::BootTime;
use crate::report::{Circumstances, Failure, failed};
use crate::testing::{lease, lease_ref, name};
use belljar_api::executor::ReportVerdict;
use belljar_ids::{Cause, Epoch};
use belljar_sandbox::StopReason;
use proptest::prelude::*;
use std::time::Duration;

fn attempt(fence: i64) -> AttemptKey {
    AttemptKey::of(&lease_ref("clean", fence))
}

fn place() -> Place {
    Place {
        boot_id: "boot".to_owned(),
        engine: "1/2".to_owned(),
    }
}

fn records(fence: i64) -> Vec<Record> {
    let outcome = failed(
        Failure::new(Cause::ExitCode, "exit 1"),
        &Circumstances {
            started_ago: Some(Duration::from_secs(1)),
            ..Circumstances::default()
        },
    );
    vec![
        Record::Claimed {
            lease: Box::new(lease("clean", fence)),
            name: name("clean", fence),
            slot: 1,
            epoch: Epoch(3),
        },
        Record::Creating {
            attempt: attempt(fence),
            place: place(),
        },
        Record::Started {
            attempt: attempt(fence),
            place: place(),
            start: Start {
                boot_time: BootTime(Duration::from_millis(1234)),
            },
        },
        Record::Exited {
            attempt: attempt(fence),
            reason: StopReason::Exited,
        },
        Record::Collected {
            attempt: attempt(fence),
            outcome: Box::new(outcome),
            uploads: Vec::new(),
        },
        Record::Reported {
            attempt: attempt(fence),
            verdict: ReportVerdict::Accepted,
        },
    ]
}

fn text(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

/// A journal of two attempts, as bytes and as where each line ends.
fn journal() -> (Vec<u8>, Vec<usize>, Vec<String>) {
    let mut bytes = b"belljar-journal 1\n".to_vec();
    let mut ends = vec![bytes.len()];
    let mut texts = Vec::new();
    for record in records(1).into_iter().chain(records(2)) {
        bytes.extend(encode(&record).unwrap());
        ends.push(bytes.len());
        texts.push(text(&record));
    }
    (bytes, ends, texts)
}

#[test]
fn every_truncation_gives_exactly_the_whole_lines() {
    let (bytes, ends, texts) = journal();
    for cut in 0..=bytes.len() {
        let recovered = decode(&bytes[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let found: Vec<_> = recovered.records.iter().map(text).collect();
        assert_eq!(found, texts[..whole.saturating_sub(1)], "cut at {cut}");
        let clean = cut == 0 || ends.contains(&cut);
        let rest = if clean { Rest::Clean } else { Rest::Torn };
        assert_eq!(recovered.rest, rest, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_is_detected(at in 0usize..20_000, bit in 0u8..8) {
        let (mut bytes, ends, texts) = journal();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let recovered = decode(&bytes);
        // The line with the flipped bit is the first that is not used.
        let good = ends.iter().filter(|end| **end <= at).count();
        let found: Vec<_> = recovered.records.iter().map(text).collect();
        prop_assert_eq!(&found[..], &texts[..good.saturating_sub(1)]);
        prop_assert_ne!(recovered.rest, Rest::Clean);
    }

    #[test]
    fn compacting_changes_nothing(upto in 0usize..=12, again in 0usize..=12) {
        let all: Vec<_> = records(1).into_iter().chain(records(2)).collect();
        let mut ledger = Ledger::default();
        for record in &all[..upto] {
            ledger.apply(record.clone());
        }
        let mut compacted = Ledger::default();
        for record in ledger.records() {
            compacted.apply(record);
        }
        let texts = |ledger: &Ledger| ledger.records().iter().map(text).collect::<Vec<_>>();
        prop_assert_eq!(texts(&ledger), texts(&compacted));
        // Going on from either is the same, also when records come again.
        for record in &all[again.min(upto)..] {
            ledger.apply(record.clone());
            compacted.apply(record.clone());
        }
        prop_assert_eq!(texts(&ledger), texts(&compacted));
    }
}

#[test]
fn records_add_up_to_where_an_attempt_stands() {
    let mut ledger = Ledger::default();
    let mut seen = Vec::new();
    for record in records(1) {
        ledger.apply(record);
        let entry = ledger.entries().next();
        seen.push(entry.map(|(_, entry)| format!("{:?}", entry.progress.phase())));
    }
    let phases = [
        "Preparing",
        "Preparing",
        "Running",
        "Collecting",
        "Collecting",
    ];
    assert_eq!(seen[..5], phases.map(|phase| Some(phase.to_owned())));
    assert_eq!(seen[5], None);
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_what_ended_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, ledger) = Journal::open(&path).unwrap();
    assert!(ledger.is_empty());
    for record in records(1) {
        journal.note(record);
    }
    for record in records(2).into_iter().take(3) {
        journal.write(record).await.unwrap();
    }
    drop(journal);
    // A crash in the middle of an append.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"00000040 0123456789abcdef {\"rec");
    std::fs::write(&path, &bytes).unwrap();

    let (_journal, ledger) = Journal::open(&path).unwrap();
    let (key, entry) = ledger.entries().next().unwrap();
    assert_eq!((ledger.len(), key), (1, &attempt(2)));
    assert!(matches!(entry.progress, Progress::Started(..)));
    assert_eq!((entry.slot, entry.epoch), (1, Epoch(3)));
    assert!(std::fs::metadata(&path).unwrap().len() < bytes.len() as u64);
    assert!(!path.with_extension("damaged").exists());
}

#[test]
fn a_damaged_journal_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut bytes, ends, _) = journal();
    bytes[ends[3] + 30] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let recovered = JournalFile::read(&path).unwrap();
    assert_eq!(
        (recovered.records.len(), recovered.rest),
        (3, Rest::Damaged)
    );
    assert_eq!(
        std::fs::read(path.with_extension("damaged")).unwrap(),
        bytes
    );
}
