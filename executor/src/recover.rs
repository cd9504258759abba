//! Carrying out what [`crate::reconcile`] decided, and sweeping what is left over.
//!
//! Owns: the order: first it is decided what is kept, then everything else of this executor is
//! killed and removed, then the attempts go on. Leaves to others: the decisions.

use crate::attempt::{self, Begin};
use crate::journal::{AttemptKey, Entry, Ledger, Progress, Record};
use crate::node::Node;
use crate::reconcile::{Fate, fate};
use crate::registry::{Place, Stop};
use crate::report::Failure;
use belljar_api::executor::LeaseVerdict;
use belljar_ids::Cause;
use belljar_sandbox::{AttemptName, SandboxError, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An attempt of an earlier incarnation, listed in heartbeats but not at work yet.
pub struct Leftover {
    entry: Entry,
    place: Place,
}

/// Lists what the journal holds, so that the scheduler hears of it with the first registration.
#[must_use]
pub fn leftovers(node: &Node, ledger: &Ledger) -> Vec<Leftover> {
    ledger
        .entries()
        .filter_map(|(_, entry)| {
            let place = node.registry.admit(
                &entry.lease.lease,
                &entry.name,
                entry.progress.phase(),
                Some(entry.slot),
            )?;
            Some(Leftover {
                entry: entry.clone(),
                place,
            })
        })
        .collect()
}

/// Goes on with what needs no engine: outcomes that are fixed. Gives the rest.
#[must_use]
pub fn report_fixed(node: &Arc<Node>, leftovers: Vec<Leftover>) -> Vec<Leftover> {
    let (fixed, rest) = leftovers
        .into_iter()
        .partition(|leftover| matches!(leftover.entry.progress, Progress::Collected { .. }));
    for Leftover { entry, place } in fixed {
        if let Progress::Collected { outcome, uploads } = entry.progress {
            let begin = Begin::Report { outcome, uploads };
            attempt::spawn(node, place, entry.lease, entry.name, entry.epoch, begin);
        }
    }
    rest
}

/// Takes up leftovers and sweeps the rest. Called when the engine answers for the first time,
/// whenever it has been restarted, and now and then.
///
/// # Errors
///
/// The engine's, and then nothing was done.
pub async fn recover(node: &Arc<Node>, leftovers: &mut Vec<Leftover>) -> Result<(), SandboxError> {
    // Nothing may come into being while it is decided what is a leftover.
    let preparing = node.preparing.write().await;
    let found = list(node).await?;
    let mine: BTreeSet<AttemptName> = leftovers.iter().map(|l| l.entry.name.clone()).collect();
    // Attempts that are at work look after themselves.
    let mut keep: BTreeSet<AttemptName> = node.registry.names();
    keep.retain(|name| !mine.contains(name));
    let mut going_on = Vec::new();
    for leftover in leftovers.drain(..) {
        let fate = decide(node, &leftover, &found);
        tracing::info!(attempt = %leftover.place.key(), ?fate, "found in the journal");
        if fate.keeps() {
            keep.insert(leftover.entry.name.clone());
        }
        going_on.push((leftover, fate));
    }
    sweep(node, &keep).await;
    drop(preparing);
    for (leftover, fate) in going_on {
        go_on(node, leftover, fate);
    }
    Ok(())
}

async fn list(node: &Node) -> Result<BTreeMap<AttemptName, Stage>, SandboxError> {
    let found = node.engine.runtime()?.list().await?;
    Ok(found.into_iter().map(|f| (f.name, f.stage)).collect())
}

fn decide(node: &Node, leftover: &Leftover, found: &BTreeMap<AttemptName, Stage>) -> Fate {
    let verdict = match *leftover.place.stop.borrow() {
        Stop::Gone => LeaseVerdict::Gone,
        Stop::Cancel => LeaseVerdict::Cancel,
        Stop::No | Stop::Release | Stop::LeaseLost => LeaseVerdict::Ok,
    };
    let stage = found.get(&leftover.entry.name).copied();
    fate(&leftover.entry, stage, verdict, &node.here())
}

/// Removes everything of this executor but what is kept. What cannot be removed is tried again
/// with the next sweep.
async fn sweep(node: &Node, keep: &BTreeSet<AttemptName>) {
    let swept = match node.engine.runtime() {
        Ok(runtime) => runtime.sweep(keep).await,
        Err(error) => Err(error),
    };
    match swept {
        Ok(swept) if swept.containers.is_empty() && swept.remains.is_empty() => {}
        Ok(swept) => tracing::info!(
            containers = swept.containers.len(),
            remains = swept.remains.len(),
            "removed leftovers"
        ),
        Err(error) => {
            if matches!(error, SandboxError::Unkillable { .. }) {
                node.availability.quarantine(error.to_string());
            }
            tracing::warn!(%error, "failed to remove leftovers");
        }
    }
}

fn go_on(node: &Arc<Node>, leftover: Leftover, fate: Fate) {
    let Leftover { entry, place } = leftover;
    let begin = match (fate, entry.progress) {
        (Fate::Forget, _) => return forget(node, &place, &entry.name),
        (Fate::Report, Progress::Collected { outcome, uploads }) => {
            Begin::Report { outcome, uploads }
        }
        (Fate::Adopt { .. }, Progress::Started(_, start)) => Begin::Adopt {
            start: Some(start),
            reason: None,
        },
        (Fate::Adopt { .. }, Progress::Exited(_, start, reason)) => Begin::Adopt {
            start: Some(start),
            reason: Some(reason),
        },
        (Fate::Adopt { .. }, _) => Begin::Adopt {
            start: None,
            reason: None,
        },
        (Fate::Prepare | Fate::Report, _) => Begin::Fresh,
        (Fate::Cancelled, _) => Begin::Failed(Failure::new(
            Cause::Cancelled,
            "cancelled before it started",
        )),
        (Fate::Lost(failure), _) => Begin::Failed(failure),
    };
    attempt::spawn(node, place, entry.lease, entry.name, entry.epoch, begin);
}

/// The sweep has removed it; nothing is owed.
fn forget(node: &Node, place: &Place, name: &AttemptName) {
    let attempt: AttemptKey = place.key().clone();
    node.journal.note(Record::Dropped {
        attempt,
        why: crate::journal::DropReason::Gone,
    });
    if let Err(error) = node.home.remove_attempt(name) {
        tracing::warn!(attempt = %name, %error, "failed to delete an attempt's folder");
    }
}
