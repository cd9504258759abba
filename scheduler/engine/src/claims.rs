//! Who gets a lease: claims, and matching them with ready instances.
//!
//! Owns: parked claims, the choice of executor, and what is said to one. Leaves to others: the order
//! among ready instances ([`crate::ready`]), and what becomes of a lease ([`crate::leases`]).

use crate::command::{Claim, Claimed, Granted, LeaseRef, Refusal, Reply};
use crate::engine::{Cx, Engine, Parked, Ticket, Timer};
use crate::instance::{Lease, Phase};
use crate::leases::hash;
use crate::permits::Permit;
use crate::plan::PlannedInput;
use crate::ready::{Class, Slot};
use crate::transition::Why;
use belljar_ids::{ClaimId, ExecutorId, Fence};
use rand::RngCore;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The most a claim may be held back.
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(60);

impl Engine {
    pub(crate) fn claim(
        &mut self,
        ticket: Ticket,
        claim: &Claim,
        cx: &mut Cx<'_>,
    ) -> Result<Option<Reply>, Refusal> {
        let until = cx
            .now
            .plus(Duration::from_millis(claim.wait_ms).min(CLAIM_WAIT_MAX));
        let executor = self.heard(claim.executor, claim.epoch, cx)?;
        if let Some(old) = executor.parked.take() {
            cx.out
                .replies
                .push((old.ticket, Ok(Reply::Claimed(Claimed::default()))));
        }
        if executor
            .last_claim
            .as_ref()
            .is_some_and(|(id, _)| *id == claim.claim)
        {
            return Ok(Some(Reply::Claimed(self.claim_again(claim.executor))));
        }
        executor.free = claim.free_slots;
        executor.last_claim = None;
        executor.parked = Some(Parked {
            ticket,
            claim: claim.claim,
            until,
        });
        self.timers
            .insert((until, Timer::Parked(claim.executor, claim.claim)));
        Ok(None)
    }

    /// The answer to a claim whose first answer was lost: what of it is still alive.
    pub(crate) fn claim_again(&self, executor: ExecutorId) -> Claimed {
        let Some(executor) = self.executors.get(&executor) else {
            return Claimed::default();
        };
        let leases = executor.last_claim.iter().flat_map(|(_, leases)| leases);
        let leases = leases
            .filter_map(|(slot, fence)| self.granted(*slot, *fence))
            .collect();
        Claimed {
            leases,
            cancel: Vec::new(),
        }
    }

    pub(crate) fn claim_abandon(
        &mut self,
        executor: ExecutorId,
        claim: ClaimId,
        out: &mut crate::Output,
    ) {
        if let Some(executor) = self.executors.get_mut(&executor)
            && executor
                .parked
                .as_ref()
                .is_some_and(|parked| parked.claim == claim)
        {
            executor.free = 0;
            if let Some(parked) = executor.parked.take() {
                // Nobody waits for it; whoever keeps the outstanding answers can drop it.
                out.replies
                    .push((parked.ticket, Ok(Reply::Claimed(Claimed::default()))));
            }
        }
    }

    /// Leases ready instances, the first in order first, until no executor has room or nothing
    /// more is ready.
    pub(crate) fn dispatch(&mut self, cx: &mut Cx<'_>) {
        loop {
            let room: BTreeSet<Class> = Class::ALL
                .into_iter()
                .filter(|class| self.executors.values().any(|e| e.can_take(*class)))
                .collect();
            let Some((slot, class)) = self.ready.first(|class| room.contains(&class)) else {
                break;
            };
            match self.lacking(slot) {
                Some(permit) => self.block(slot, permit),
                None => self.grant(slot, class, cx),
            }
        }
    }

    /// The first permit that an instance cannot have now.
    pub(crate) fn lacking(&self, slot: Slot) -> Option<Permit> {
        let active = self.runs.get(&slot.run)?;
        active.permits(slot).into_iter().find_map(|(permit, need)| {
            let wanted = self.holdings.used(&permit).saturating_add(u64::from(need));
            (wanted > self.limit(&permit, active)).then_some(permit)
        })
    }

    pub(crate) fn block(&mut self, slot: Slot, permit: Permit) {
        self.ready.block(slot, permit.clone());
        // What it was woken for stays free: the next one may take it.
        if let Some(by) = self.woken.remove(&slot)
            && by != permit
        {
            self.wake(&by);
        }
    }

    /// Gives a lease of an instance to the executor with the most room.
    pub(crate) fn grant(&mut self, slot: Slot, class: Class, cx: &mut Cx<'_>) {
        let suitable = self.executors.iter().filter(|(_, e)| e.can_take(class));
        let best = suitable.max_by_key(|(id, e)| (e.free, std::cmp::Reverse(**id)));
        let Some((id, epoch)) = best.map(|(id, e)| (*id, e.row.epoch)) else {
            return;
        };
        let token = token(cx.rng);
        let Some(active) = self.runs.get(&slot.run) else {
            return;
        };
        let instance = &active.instances[slot.index as usize];
        let lease = Lease {
            fence: instance.fence.next(),
            try_number: instance.tries + 1,
            executor: id,
            executor_epoch: epoch,
            token_hash: hash(&token),
            token: Some(token),
            granted_at: cx.now,
            started_at: None,
            deadline: cx.now.plus(self.config.lease_ttl),
            unlisted: 0,
        };
        let fence = lease.fence;
        for (permit, slots) in active.permits(slot) {
            self.holdings.take(&permit, slot, slots);
        }
        self.woken.remove(&slot);
        let due = lease.deadline.plus(self.config.lease_grace);
        self.timers.insert((due, Timer::Lease(slot, fence)));
        if let Some(executor) = self.executors.get_mut(&id) {
            executor.free -= 1;
            executor.leases.insert(slot);
            executor.granted.push((slot, fence));
        }
        self.transition(slot, Phase::Leased(Box::new(lease)), Why::default(), cx);
        self.write_attempt(slot, cx);
    }

    /// A live lease with all its executor needs, for its holder.
    pub(crate) fn granted_to(&self, executor: ExecutorId, held: &LeaseRef) -> Option<Granted> {
        let slot = self.lease_of(executor, held)?;
        self.granted_with(slot, held.fence, held.token.clone())
    }

    /// A granted lease with all its executor needs; none where it has ended, or where the leader that
    /// granted it was another one.
    pub(crate) fn granted(&self, slot: Slot, fence: Fence) -> Option<Granted> {
        let token = self.phase(slot)?.lease()?.token.clone()?;
        self.granted_with(slot, fence, token)
    }

    pub(crate) fn granted_with(&self, slot: Slot, fence: Fence, token: String) -> Option<Granted> {
        let active = self.runs.get(&slot.run)?;
        let index = slot.index as usize;
        let lease = active.instances[index]
            .phase
            .lease()
            .filter(|l| l.fence == fence)?;
        let task = &active.plan.tasks[index];
        let upstream = task.work.inputs.values().filter_map(|input| match input {
            PlannedInput::Task { task, .. } => {
                let index = active.index_of(task.as_str())?;
                let outputs = active.instances[index as usize].outputs.as_ref()?;
                Some((task.clone(), Arc::clone(outputs)))
            }
            PlannedInput::Dataset { .. } => None,
        });
        Some(Granted {
            tenant: active.row.tenant.clone(),
            lease: LeaseRef {
                key: crate::instance::key(slot.run, &task.name),
                fence,
                token,
            },
            try_number: lease.try_number,
            plan: Arc::clone(&active.plan),
            index,
            upstream: upstream.collect(),
        })
    }

    /// Takes what is to be said to an executor.
    pub(crate) fn take_claimed(&mut self, id: ExecutorId, claim: ClaimId) -> Claimed {
        let Some(executor) = self.executors.get_mut(&id) else {
            return Claimed::default();
        };
        let granted = std::mem::take(&mut executor.granted);
        let cancel = std::mem::take(&mut executor.cancels);
        executor.last_claim = Some((claim, granted.clone()));
        let leases = granted
            .iter()
            .filter_map(|(slot, fence)| self.granted(*slot, *fence));
        Claimed {
            leases: leases.collect(),
            cancel,
        }
    }

    /// Answers every parked claim for which there is something to say.
    pub(crate) fn answer_parked(&mut self, cx: &mut Cx<'_>) {
        let due = self
            .executors
            .iter()
            .filter(|(_, e)| e.parked.is_some() && !(e.granted.is_empty() && e.cancels.is_empty()));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.answer(id, cx);
        }
    }

    /// Answers an executor's parked claim, with nothing if there is nothing.
    pub(crate) fn answer(&mut self, id: ExecutorId, cx: &mut Cx<'_>) {
        let parked = self.executors.get_mut(&id).and_then(|executor| {
            executor.free = 0;
            executor.parked.take()
        });
        if let Some(parked) = parked {
            self.timers
                .remove(&(parked.until, Timer::Parked(id, parked.claim)));
            let claimed = self.take_claimed(id, parked.claim);
            cx.out
                .replies
                .push((parked.ticket, Ok(Reply::Claimed(claimed))));
        }
    }
}

/// A new lease token: 128 bits as 32 hexadecimal digits.
fn token(rng: &mut dyn RngCore) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
