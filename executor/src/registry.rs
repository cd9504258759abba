//! The attempts that this process is at work on.
//!
//! Owns: who they are, their slots, and the way to tell one to stop. Leaves to others: doing the
//! work ([`crate::attempt`]) and what survives a crash ([`crate::journal`]).
//!
//! Invariant: an attempt is listed from the moment its lease arrived until its report was
//! answered, so every heartbeat lists every lease that is held.

use crate::journal::AttemptKey;
use belljar_api::executor::{HeldLease, LeaseRef, LeaseVerdict, Phase};
use belljar_sandbox::AttemptName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// What an attempt is told. Later ones in this order override earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    No,
    /// The executor stops: give back what has not started.
    Release,
    /// The lease may have run out and the policy is strict.
    LeaseLost,
    /// Somebody cancelled it.
    Cancel,
    /// The lease is somebody else's: nothing may be reported.
    Gone,
}

#[derive(Debug)]
struct Live {
    lease: LeaseRef,
    name: AttemptName,
    phase: Phase,
    slot: u16,
    /// Whether it still needs its slot; not once only its report is missing.
    occupies: bool,
    stop: watch::Sender<Stop>,
}

/// The attempts at work.
#[derive(Debug, Default)]
pub struct Registry {
    live: Mutex<BTreeMap<AttemptKey, Live>>,
    /// Somebody wants a heartbeat to be sent now.
    pub heartbeat_wanted: Notify,
    /// The number of free slots may have changed.
    pub capacity_changed: Notify,
    /// An attempt has left, or started.
    moved: Notify,
}

/// An attempt's place in the registry; leaves it when dropped.
#[derive(Debug)]
pub struct Place {
    registry: Arc<Registry>,
    key: AttemptKey,
    /// Which slot it takes.
    pub slot: u16,
    /// What it is told.
    pub stop: watch::Receiver<Stop>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Live>> {
        // No code that holds the lock can panic half-way through a change.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists an attempt, in the slot it had or the lowest free one. None where it is listed
    /// already: the answer to a claim may come twice.
    pub fn admit(
        self: &Arc<Self>,
        lease: &LeaseRef,
        name: &AttemptName,
        phase: Phase,
        slot: Option<u16>,
    ) -> Option<Place> {
        let key = AttemptKey::of(lease);
        let mut live = self.lock();
        if live.contains_key(&key) {
            return None;
        }
        let slot = slot.unwrap_or_else(|| lowest_free(live.values().map(|l| l.slot).collect()));
        let (stop, told) = watch::channel(Stop::No);
        live.insert(
            key.clone(),
            Live {
                lease: lease.clone(),
                name: name.clone(),
                phase,
                slot,
                occupies: true,
                stop,
            },
        );
        Some(Place {
            registry: Arc::clone(self),
            key,
            slot,
            stop: told,
        })
    }

    /// Every lease held.
    #[must_use]
    pub fn held(&self) -> Vec<HeldLease> {
        let live = self.lock();
        live.values()
            .map(|live| HeldLease {
                lease: live.lease.clone(),
                phase: live.phase,
            })
            .collect()
    }

    /// The names of all attempts at work.
    #[must_use]
    pub fn names(&self) -> BTreeSet<AttemptName> {
        self.lock().values().map(|live| live.name.clone()).collect()
    }

    /// How many slots are taken.
    #[must_use]
    pub fn occupied(&self) -> u32 {
        let taken = self.lock().values().filter(|live| live.occupies).count();
        u32::try_from(taken).unwrap_or(u32::MAX)
    }

    /// Whether no attempt is at work.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether every attempt at work has its program running (or there is none): nothing is about
    /// to be made, given back or reported.
    #[must_use]
    pub fn only_running(&self) -> bool {
        self.lock()
            .values()
            .all(|live| live.phase == Phase::Running)
    }

    /// Waits until an attempt has left or started since the last call returned.
    pub async fn left(&self) {
        self.moved.notified().await;
    }

    /// Tells one attempt; one that is not listed has ended.
    pub fn stop(&self, key: &AttemptKey, stop: Stop) {
        if let Some(live) = self.lock().get(key) {
            raise(&live.stop, stop);
        }
    }

    /// Tells every attempt.
    pub fn stop_all(&self, stop: Stop) {
        for live in self.lock().values() {
            raise(&live.stop, stop);
        }
    }

    /// Passes on what the scheduler said of leases.
    pub fn judge(&self, leases: &[HeldLease], verdicts: &[LeaseVerdict]) {
        for (held, verdict) in leases.iter().zip(verdicts) {
            let key = AttemptKey::of(&held.lease);
            match verdict {
                LeaseVerdict::Ok => {}
                LeaseVerdict::Cancel => self.stop(&key, Stop::Cancel),
                LeaseVerdict::Gone => self.stop(&key, Stop::Gone),
            }
        }
    }
}

impl Place {
    /// Says how far the attempt has come. A start is told to the scheduler at once; one that ends
    /// without having started stays in preparation, because the other phases imply a start.
    pub fn phase(&self, phase: Phase) {
        if let Some(live) = self.registry.lock().get_mut(&self.key)
            && (live.phase, phase) != (Phase::Preparing, Phase::Collecting)
        {
            live.phase = phase;
        }
        self.registry.moved.notify_one();
        if phase == Phase::Running {
            self.registry.heartbeat_wanted.notify_one();
        }
    }

    /// Gives the slot to others: nothing of the attempt runs any more. The next report takes a
    /// claim for it along, so nobody is woken.
    pub fn vacate(&self) {
        if let Some(live) = self.registry.lock().get_mut(&self.key) {
            live.occupies = false;
        }
    }

    /// Which attempt.
    #[must_use]
    pub fn key(&self) -> &AttemptKey {
        &self.key
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key);
        self.registry.capacity_changed.notify_one();
        self.registry.moved.notify_one();
    }
}

fn raise(stop: &watch::Sender<Stop>, to: Stop) {
    stop.send_if_modified(|now| {
        let raised = to > *now;
        if raised {
            *now = to;
        }
        raised
    });
}

fn lowest_free(taken: BTreeSet<u16>) -> u16 {
    // More leases than 65,536 do not fit into the sandbox's range of uids anyway.
    (0..u16::MAX)
        .find(|slot| !taken.contains(slot))
        .unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{lease_ref, name};

    #[test]
    fn slots_are_the_lowest_free_and_come_back() {
        let registry = Arc::new(Registry::default());
        let admit = |task: &str| {
            registry.admit(&lease_ref(task, 1), &name(task, 1), Phase::Preparing, None)
        };
        let a = admit("a").unwrap();
        let b = admit("b").unwrap();
        assert_eq!((a.slot, b.slot), (0, 1));
        assert!(admit("a").is_none(), "the answer to a claim came twice");
        drop(a);
        assert_eq!(admit("c").unwrap().slot, 0);
        assert_eq!(registry.occupied(), 1);
        b.vacate();
        assert_eq!(registry.occupied(), 0);
        assert_eq!(registry.held().len(), 1, "its report is still owed");
    }

    #[test]
    fn a_weaker_stop_does_not_undo_a_stronger_one() {
        let registry = Arc::new(Registry::default());
        let place = registry
            .admit(&lease_ref("a", 1), &name("a", 1), Phase::Running, Some(4))
            .unwrap();
        assert_eq!(place.slot, 4);
        for (told, then) in [
            (Stop::Release, Stop::Release),
            (Stop::Cancel, Stop::Cancel),
            (Stop::Release, Stop::Cancel),
            (Stop::Gone, Stop::Gone),
            (Stop::Cancel, Stop::Gone),
        ] {
            registry.stop(place.key(), told);
            assert_eq!(*place.stop.borrow(), then, "{told:?}");
        }
    }
}
