//! Asking for work.
//!
//! Owns: the one parked claim. Leaves to others: what becomes of a lease ([`crate::attempt`]) and
//! the claims that go along with reports ([`crate::reporter`]).
//!
//! A claim is parked at all times, for 0 slots too, because its answer also brings cancellations.
//! When the number of free slots changes, a new claim takes its place at the scheduler, which
//! answers the old one empty. The old call is never broken off: its answer may be on its way.

use crate::attempt;
use crate::clock::millis;
use crate::journal::{AttemptKey, Record};
use crate::node::Node;
use crate::order::attempt_name;
use crate::registry::Stop;
use crate::scheduler_client::ClientError;
use belljar_api::executor::{Claim, Claimed, Lease, Phase};
use belljar_ids::{ClaimId, Epoch};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often a full disk is looked at again.
const DISK_LOOK: Duration = Duration::from_secs(1);
/// How long to wait after a refusal that trying again will hardly change.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// A claim that nothing took the place of is not answered empty sooner than this.
const HASTY: Duration = Duration::from_millis(100);
/// The longest a claim may be held, by the protocol.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Claims until told to stop.
///
/// # Errors
///
/// `Fenced`: a later incarnation is at work.
pub async fn run(node: &Arc<Node>, stop: &CancellationToken) -> Result<(), ClientError> {
    let mut calls = FuturesUnordered::new();
    let mut asked = None;
    let mut count = 0u64;
    loop {
        let free = free_slots(node);
        if asked != Some(free) {
            asked = Some(free);
            count += 1;
            let number = count;
            calls.push(async move {
                let begun = Instant::now();
                (number, begun, call(node, free).await)
            });
        }
        let disk = node.availability.waits_for_disk();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some((number, begun, answer)) = calls.next() => {
                let newest = number == count;
                if newest {
                    asked = None;
                }
                match answer {
                    Ok(claimed) => {
                        let idle = claimed.leases.is_empty() && claimed.cancel.is_empty();
                        take(node, claimed);
                        if newest && idle && begun.elapsed() < HASTY {
                            // A scheduler that does not park calls must not be flooded.
                            tokio::time::sleep(HASTY).await;
                        }
                    }
                    Err(ClientError::Fenced) => return Err(ClientError::Fenced),
                    Err(error) => {
                        tracing::warn!(%error, "the scheduler refused a claim");
                        tokio::select! {
                            () = stop.cancelled() => return Ok(()),
                            () = tokio::time::sleep(REFUSED_PAUSE) => {}
                        }
                    }
                }
            }
            () = node.registry.capacity_changed.notified() => {}
            () = tokio::time::sleep(DISK_LOOK), if disk => {}
        }
    }
}

/// How many leases can be taken now.
pub fn free_slots(node: &Node) -> u32 {
    node.availability
        .check_disk(&node.home, node.config.disk_reserve_bytes);
    if node.availability.reason().is_some() {
        return 0;
    }
    let capacity = node.config.capacity();
    capacity.saturating_sub(node.registry.occupied())
}

async fn call(node: &Node, free_slots: u32) -> Result<Claimed, ClientError> {
    let claim = ClaimId::from_uuid(uuid::Uuid::now_v7());
    node.as_incarnation(|epoch| async move {
        let message = message(node, claim, epoch, free_slots, node.config.claim_wait);
        node.client.claim(&message).await
    })
    .await
}

/// A call for work.
pub fn message(
    node: &Node,
    claim: ClaimId,
    epoch: Epoch,
    free_slots: u32,
    wait: Duration,
) -> Claim {
    Claim {
        claim,
        executor: node.home.id(),
        epoch,
        free_slots,
        wait_ms: millis(wait.min(MAX_WAIT)),
    }
}

/// Takes what the scheduler gave: begins new attempts, stops cancelled ones.
pub fn take(node: &Arc<Node>, claimed: Claimed) {
    for cancel in claimed.cancel {
        let key = AttemptKey {
            key: cancel.key,
            fence: cancel.fence,
        };
        node.registry.stop(&key, Stop::Cancel);
    }
    for lease in claimed.leases {
        begin(node, lease);
    }
}

fn begin(node: &Arc<Node>, lease: Lease) {
    let name = attempt_name(node.home.id(), &lease);
    let Some(place) = node
        .registry
        .admit(&lease.lease, &name, Phase::Preparing, None)
    else {
        return;
    };
    tracing::info!(attempt = %place.key(), analysis = %lease.work.analysis, slot = place.slot, "claimed");
    let epoch = node.session.epoch();
    let lease = Box::new(lease);
    // Not waited for: nothing is made before the next record, which is behind this one.
    node.journal.note(Record::Claimed {
        lease: lease.clone(),
        name: name.clone(),
        slot: place.slot,
        epoch,
    });
    attempt::spawn_fresh(node, place, lease, name, epoch);
}
