//! Which ready task instance comes next, and who waits for what.
//!
//! Owns: the order among ready instances, and the lists of those that wait for a permit. Leaves to
//! others: whether a permit is free ([`crate::permits`]) and which executor takes an instance.
//!
//! An instance that lacks a permit is moved from the queue to the list of that permit, so that it
//! never hides one that lacks nothing; a permit that becomes free wakes only its own list.

use crate::permits::Permit;
use belljar_ids::{Micros, RunId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A task instance inside the engine: its run and its place in the run's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub run: RunId,
    pub index: u32,
}

/// The order of dispatch: larger priority, then ready for longer, then older run, then plan order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    priority: Reverse<i32>,
    ready_at: Micros,
    slot: Slot,
}

/// What an instance asks of an executor. Instances of one class are interchangeable to an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Must run under gVisor.
    Sandboxed,
    /// May run under plain `runc`.
    Trusted,
}

impl Class {
    pub const ALL: [Self; 2] = [Self::Sandboxed, Self::Trusted];
}

/// Where a ready instance is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Queue(Class),
    Blocked(Permit, Class),
}

#[derive(Debug, Default)]
pub(crate) struct ReadyIndex {
    queues: BTreeMap<Class, BTreeSet<Rank>>,
    blocked: HashMap<Permit, BTreeMap<Rank, Class>>,
    places: HashMap<Slot, (Rank, Place)>,
}

impl ReadyIndex {
    pub fn insert(&mut self, slot: Slot, priority: i32, ready_at: Micros, class: Class) {
        let rank = Rank {
            priority: Reverse(priority),
            ready_at,
            slot,
        };
        self.queues.entry(class).or_default().insert(rank);
        self.places.insert(slot, (rank, Place::Queue(class)));
    }

    pub fn remove(&mut self, slot: Slot) {
        match self.places.remove(&slot) {
            Some((rank, Place::Queue(class))) => {
                self.queues.entry(class).or_default().remove(&rank);
            }
            Some((rank, Place::Blocked(permit, _))) => self.unlist(&permit, &rank),
            None => {}
        }
    }

    fn unlist(&mut self, permit: &Permit, rank: &Rank) {
        if let Some(list) = self.blocked.get_mut(permit) {
            list.remove(rank);
            if list.is_empty() {
                self.blocked.remove(permit);
            }
        }
    }

    /// The first instance among the classes that `fits` accepts.
    pub fn first(&self, fits: impl Fn(Class) -> bool) -> Option<(Slot, Class)> {
        self.queues
            .iter()
            .filter(|(class, _)| fits(**class))
            .filter_map(|(class, queue)| queue.first().map(|rank| (rank, *class)))
            .min()
            .map(|(rank, class)| (rank.slot, class))
    }

    /// Takes an instance out of the queue until `permit` wakes it.
    pub fn block(&mut self, slot: Slot, permit: Permit) {
        if let Some((rank, place)) = self.places.get_mut(&slot)
            && let Place::Queue(class) = *place
        {
            let rank = *rank;
            *place = Place::Blocked(permit.clone(), class);
            self.queues.entry(class).or_default().remove(&rank);
            self.blocked.entry(permit).or_default().insert(rank, class);
        }
    }

    /// The first instance that waits for `permit` and that `fits` accepts.
    pub fn first_blocked(&self, permit: &Permit, fits: impl Fn(Slot) -> bool) -> Option<Slot> {
        self.blocked
            .get(permit)?
            .keys()
            .map(|rank| rank.slot)
            .find(|slot| fits(*slot))
    }

    /// Puts an instance that waits for a permit back into the queue.
    pub fn unblock(&mut self, slot: Slot) {
        if let Some((rank, Place::Blocked(permit, class))) = self.places.get(&slot).cloned() {
            self.unlist(&permit, &rank);
            self.queues.entry(class).or_default().insert(rank);
            self.places.insert(slot, (rank, Place::Queue(class)));
        }
    }

    pub fn place(&self, slot: Slot) -> Option<&Place> {
        self.places.get(&slot).map(|(_, place)| place)
    }

    /// How many instances of the queue go before this one; none where it is not in the queue.
    pub fn ahead(&self, slot: Slot) -> Option<usize> {
        match self.places.get(&slot)? {
            (rank, Place::Queue(class)) => Some(self.queues.get(class)?.range(..*rank).count()),
            (_, Place::Blocked(..)) => None,
        }
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Panics unless the three views of the index agree.
    #[cfg(test)]
    pub fn check(&self) {
        let queued: usize = self.queues.values().map(BTreeSet::len).sum();
        let blocked: usize = self.blocked.values().map(BTreeMap::len).sum();
        assert_eq!(queued + blocked, self.places.len());
        for (slot, (rank, place)) in &self.places {
            assert_eq!(rank.slot, *slot);
            match place {
                Place::Queue(class) => assert!(self.queues[class].contains(rank)),
                Place::Blocked(permit, class) => {
                    assert_eq!(self.blocked[permit].get(rank), Some(class));
                }
            }
        }
    }
}
