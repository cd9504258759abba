//! Heartbeats: all leases that are held, always.
//!
//! Owns: when one is sent. Leaves to others: what an attempt does about a verdict
//! ([`crate::attempt`]) and what silence means ([`crate::self_fence`]).
//!
//! A start, and whatever changes the executor's availability, is told at once; what happens
//! shortly after goes with the next one.

use crate::clock::BootTime;
use crate::node::Node;
use crate::scheduler_client::ClientError;
use belljar_api::executor::Heartbeat;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The least time between two heartbeats, so that a burst of starts is one.
const SPACING: Duration = Duration::from_millis(50);
/// The longest wait after an unanswered one.
const RETRY: Duration = Duration::from_secs(1);

/// Sends heartbeats for ever.
///
/// # Errors
///
/// `Fenced`: a later incarnation is at work.
pub async fn run(node: &Node) -> Result<(), ClientError> {
    loop {
        let begun = Instant::now();
        let pause = match beat(node).await {
            Ok(()) => interval(node),
            Err(ClientError::Fenced) => return Err(ClientError::Fenced),
            Err(error) => {
                if !error.is_transient() {
                    tracing::warn!(%error, "the scheduler refused a heartbeat");
                }
                RETRY.min(interval(node))
            }
        };
        sleep_until(begun + SPACING).await;
        // Either somebody wants one or it is time.
        let _ = timeout_at(begun + pause, node.registry.heartbeat_wanted.notified()).await;
    }
}

fn interval(node: &Node) -> Duration {
    Duration::from_millis(node.session.timing().heartbeat_ms).max(SPACING)
}

/// Sends one.
async fn beat(node: &Node) -> Result<(), ClientError> {
    node.as_incarnation(|epoch| async move {
        let leases = node.registry.held();
        let message = Heartbeat {
            executor: node.home.id(),
            epoch,
            leases,
            unavailable: node.availability.reason(),
        };
        // An answer after this would renew nothing any more.
        let ttl = Duration::from_millis(node.session.timing().ttl_ms);
        let sent = BootTime::now();
        let answer = node.client.heartbeat(&message, ttl).await?;
        node.session.renew(sent);
        node.registry.judge(&message.leases, &answer.verdicts);
        Ok(())
    })
    .await
}
