//! What an executor does when the scheduler has been silent for too long.
//!
//! Owns: the decision, as a pure function. Leaves to others: the clock and the killing. The
//! deadline counts from before the last answered heartbeat was *sent*, so it is never later than
//! the scheduler's own idea of the lease's end (Gray and Cheriton, "Leases", SOSP 1989).

use crate::clock::BootTime;
use crate::node::Node;
use crate::registry::Stop;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What becomes of running attempts whose leases may have run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfFence {
    /// They go on: an analysis without effects outside can at worst run twice, and its result is
    /// accepted only once. A scheduler that is away for minutes costs no work.
    #[default]
    Continue,
    /// They are killed: at no time do two containers of one task instance run.
    Strict,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceAction {
    /// Nothing before this moment.
    WaitUntil(BootTime),
    /// The time is over; the attempts go on without a valid lease.
    CarryOn,
    /// The time is over; the attempts must be killed.
    Kill,
}

/// Decides by policy: `renewed` is the moment before the last answered heartbeat was sent, `limit`
/// how long that lasts.
#[must_use]
pub fn decide(policy: SelfFence, renewed: BootTime, limit: Duration, now: BootTime) -> FenceAction {
    let deadline = renewed.plus(limit);
    if now < deadline {
        return FenceAction::WaitUntil(deadline);
    }
    match policy {
        SelfFence::Continue => FenceAction::CarryOn,
        SelfFence::Strict => FenceAction::Kill,
    }
}

/// Kills, by policy, whenever the scheduler has been silent for too long.
pub async fn run(node: &Node) {
    let policy = node.config.self_fence;
    loop {
        let (renewed, limit) = node.session.renewal();
        match decide(policy, renewed, limit, BootTime::now()) {
            FenceAction::WaitUntil(deadline) => {
                // Timers stop while the host sleeps; the deadline is looked at again afterwards.
                let wait = deadline
                    .since(BootTime::now())
                    .max(Duration::from_millis(1));
                let _ = tokio::time::timeout(wait, node.session.renewed.notified()).await;
            }
            FenceAction::CarryOn => {
                if !node.registry.is_empty() {
                    tracing::warn!("leases may have run out; attempts go on by policy");
                }
                node.session.renewed.notified().await;
            }
            FenceAction::Kill => {
                tracing::warn!("leases may have run out; killing all attempts by policy");
                node.registry.stop_all(Stop::LeaseLost);
                node.session.renewed.notified().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> BootTime {
        BootTime(Duration::from_millis(millis))
    }

    #[test]
    fn deadline_table() {
        use FenceAction::{CarryOn, Kill, WaitUntil};
        let limit = Duration::from_millis(400);
        for (policy, renewed, now, wanted) in [
            (SelfFence::Strict, 100, 100, WaitUntil(at(500))),
            (SelfFence::Strict, 100, 499, WaitUntil(at(500))),
            (SelfFence::Strict, 100, 500, Kill),
            // The host slept for an hour: the clock went on.
            (SelfFence::Strict, 100, 3_600_000, Kill),
            (SelfFence::Continue, 100, 499, WaitUntil(at(500))),
            (SelfFence::Continue, 100, 500, CarryOn),
        ] {
            assert_eq!(
                decide(policy, at(renewed), limit, at(now)),
                wanted,
                "{policy:?} {now}"
            );
        }
    }

    proptest! {
        #[test]
        fn strict_never_waits_past_the_deadline(renewed in 0u64..1 << 40, limit in 0u64..1 << 40, now in 0u64..1 << 41) {
            let limit = Duration::from_millis(limit);
            match decide(SelfFence::Strict, at(renewed), limit, at(now)) {
                FenceAction::WaitUntil(until) => {
                    prop_assert!(until > at(now));
                    prop_assert_eq!(until, at(renewed).plus(limit));
                }
                FenceAction::Kill => prop_assert!(at(now) >= at(renewed).plus(limit)),
                FenceAction::CarryOn => prop_assert!(false, "strict must not carry on"),
            }
        }
    }
}
