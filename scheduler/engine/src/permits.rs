//! Permits: the shared limits that a lease draws on.
//!
//! Owns: who holds what. Occupancy is the sum over live leases and is kept by [`Holdings::take`]
//! and [`Holdings::give_back`] alone, which are called exactly where a lease begins and ends: there
//! is no counter that could leak a slot.

use crate::ready::Slot;
use belljar_ids::{DagName, PoolName, TenantId};
use std::collections::{BTreeMap, HashMap};

/// Something of which there is a limited number of slots.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permit {
    /// All leases of the installation.
    Global,
    /// The leases of one DAG.
    Dag(TenantId, DagName),
    /// A pool.
    Pool(TenantId, PoolName),
}

/// Who holds what.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    by_permit: HashMap<Permit, Holding>,
}

#[derive(Debug, Default)]
struct Holding {
    slots: BTreeMap<Slot, u32>,
    used: u64,
}

impl Holdings {
    /// Slots in use.
    pub fn used(&self, permit: &Permit) -> u64 {
        self.by_permit.get(permit).map_or(0, |holding| holding.used)
    }

    /// Who holds how many slots.
    pub fn holders(&self, permit: &Permit) -> impl Iterator<Item = (Slot, u32)> + '_ {
        self.by_permit
            .get(permit)
            .into_iter()
            .flat_map(|h| h.slots.iter().map(|(s, n)| (*s, *n)))
    }

    pub fn take(&mut self, permit: &Permit, slot: Slot, slots: u32) {
        let holding = self.by_permit.entry(permit.clone()).or_default();
        let before = holding.slots.insert(slot, slots);
        assert!(before.is_none(), "a lease takes its permits once");
        holding.used += u64::from(slots);
    }

    pub fn give_back(&mut self, permit: &Permit, slot: Slot) {
        if let Some(holding) = self.by_permit.get_mut(permit) {
            if let Some(slots) = holding.slots.remove(&slot) {
                holding.used -= u64::from(slots);
            }
            if holding.slots.is_empty() {
                self.by_permit.remove(permit);
            }
        }
    }

    /// All that is held, for the invariants.
    #[cfg(test)]
    pub fn all(&self) -> impl Iterator<Item = (&Permit, Slot, u32, u64)> {
        self.by_permit.iter().flat_map(|(permit, holding)| {
            holding
                .slots
                .iter()
                .map(move |(slot, n)| (permit, *slot, *n, holding.used))
        })
    }
}
