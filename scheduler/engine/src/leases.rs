//! Who keeps a lease: registration, heartbeats, and leases that come back.
//!
//! Owns: when a live lease is renewed, bound to a new incarnation, or ended because its holder does not
//! know it. Leaves to others: giving leases out ([`crate::claims`]), what a report changes
//! ([`crate::reports`]) and what a move entails ([`crate::transition`]).
//!
//! *Why a late report is harmless*: a lease is known by (instance, fence, token, executor), the
//! fence grows with every lease and is stored in the commit that grants it, and a report is
//! accepted in the commit that ends the lease. A second report finds no lease under its fence.

use crate::command::{Heartbeat, HeldLease, LeaseRef, LeaseVerdict, Refusal, Register, Reply};
use crate::engine::{Cx, Engine, Executor};
use crate::instance::{Lease, Phase};
use crate::ready::Slot;
use crate::rows::{Change, ExecutorRow};
use crate::transition::Why;
use belljar_ids::{Cause, Digest, Epoch, ExecutorId, InstanceKey, TaskState};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// Heartbeats that may leave a lease out before it is taken back: the first may have crossed the
/// answer that granted it. A lease younger than a 32nd of its lifetime is left alone all the same,
/// because heartbeats may follow each other closely.
const UNLISTED_MAX: u8 = 2;

impl Engine {
    pub(crate) fn executor_register(&mut self, register: Register, cx: &mut Cx<'_>) -> Reply {
        let old = self.executors.get(&register.executor);
        let epoch = Epoch(old.map_or(0, |executor| executor.row.epoch.0) + 1);
        let mut info = match register.info {
            Value::Object(info) => info,
            other => serde_json::Map::from_iter([("info".to_owned(), other)]),
        };
        info.insert("gvisor".to_owned(), json!(register.gvisor));
        let row = ExecutorRow {
            tenant: register.tenant,
            executor: register.executor,
            name: register.name,
            epoch,
            slots: register.slots,
            info: Value::Object(info),
            registered_at: cx.now,
        };
        self.executor_replace(&row, cx);
        let data = json!({ "name": row.name, "epoch": row.epoch, "slots": row.slots });
        let subject = row.executor.to_string();
        self.event(
            cx,
            &row.tenant.clone(),
            "executor.registered",
            subject,
            None,
            data,
        );
        Self::change(cx, Change::Executor(row));

        let verdicts = register
            .held
            .iter()
            .map(|held| self.rebind(register.executor, epoch, held, cx));
        let verdicts: Vec<_> = verdicts.collect();
        // Its journal is all it knows: what is not in there never began.
        let kept: HashSet<Slot> = register
            .held
            .iter()
            .filter_map(|h| self.held_slot(h))
            .collect();
        self.give_back_all_but(
            register.executor,
            &kept,
            "not in its executor's journal",
            cx,
        );
        Reply::Registered { epoch, verdicts }
    }

    /// Puts a new incarnation in an old one's place; a claim of the old one is answered empty.
    pub(crate) fn executor_replace(&mut self, row: &ExecutorRow, cx: &mut Cx<'_>) {
        let mut executor = Executor::new(row.clone(), cx.now);
        if let Some(mut old) = self.executors.remove(&row.executor) {
            executor.leases = std::mem::take(&mut old.leases);
            if let Some(parked) = old.parked {
                let fenced = Err(Refusal::ExecutorFenced(row.executor));
                cx.out.replies.push((parked.ticket, fenced));
            }
        }
        self.executors.insert(row.executor, executor);
    }

    pub(crate) fn held_slot(&self, held: &HeldLease) -> Option<Slot> {
        self.lease(&held.lease.key, held.lease.fence)
            .map(|(slot, _)| slot)
    }

    /// A lease that a new incarnation found in its journal.
    pub(crate) fn rebind(
        &mut self,
        executor: ExecutorId,
        epoch: Epoch,
        held: &HeldLease,
        cx: &mut Cx<'_>,
    ) -> LeaseVerdict {
        let Some(slot) = self.lease_of(executor, &held.lease) else {
            return LeaseVerdict::Gone;
        };
        if let Some(lease) = self.lease_mut(slot) {
            lease.executor_epoch = epoch;
        }
        self.write_attempt(slot, cx);
        self.renew(slot, held, cx)
    }

    /// The instance whose live lease this is, if executor and token are right too.
    pub(crate) fn lease_of(&self, executor: ExecutorId, held: &LeaseRef) -> Option<Slot> {
        let (slot, lease) = self.lease(&held.key, held.fence)?;
        let right = lease.executor == executor && lease.token_hash == hash(&held.token);
        right.then_some(slot)
    }

    pub(crate) fn lease_mut(&mut self, slot: Slot) -> Option<&mut Lease> {
        self.runs.get_mut(&slot.run)?.instances[slot.index as usize]
            .phase
            .lease_mut()
    }

    pub(crate) fn write_attempt(&mut self, slot: Slot, cx: &mut Cx<'_>) {
        if let Some(active) = self.runs.get(&slot.run)
            && let Some(lease) = active.instances[slot.index as usize].phase.lease()
        {
            let task = &active.plan.tasks[slot.index as usize].name;
            let row = lease.row(&active.row.tenant, slot.run, task);
            Self::change(cx, Change::Attempt(Box::new(row)));
        }
    }

    /// Renews a lease and notes that its program was started.
    pub(crate) fn renew(&mut self, slot: Slot, held: &HeldLease, cx: &mut Cx<'_>) -> LeaseVerdict {
        let deadline = cx.now.plus(self.config.lease_ttl);
        let Some(lease) = self.lease_mut(slot) else {
            return LeaseVerdict::Gone;
        };
        lease.deadline = deadline;
        lease.unlisted = 0;
        match self.phase(slot) {
            Some(Phase::Cancelling(_)) => LeaseVerdict::Cancel,
            Some(Phase::Leased(lease)) if held.started => {
                let mut lease = lease.clone();
                lease.started_at = Some(cx.now);
                self.transition(slot, Phase::Running(lease), Why::default(), cx);
                self.write_attempt(slot, cx);
                LeaseVerdict::Ok
            }
            _ => LeaseVerdict::Ok,
        }
    }

    /// The executor, if this is its newest incarnation; notes that it was heard of.
    pub(crate) fn heard(
        &mut self,
        id: ExecutorId,
        epoch: Epoch,
        cx: &Cx<'_>,
    ) -> Result<&mut Executor, Refusal> {
        let executor = self
            .executors
            .get_mut(&id)
            .ok_or(Refusal::ExecutorUnknown(id))?;
        if executor.row.epoch != epoch {
            return Err(Refusal::ExecutorFenced(id));
        }
        executor.heard_at = cx.now;
        Ok(executor)
    }

    pub(crate) fn heartbeat(
        &mut self,
        heartbeat: Heartbeat,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        let executor = self.heard(heartbeat.executor, heartbeat.epoch, cx)?;
        executor.unavailable = heartbeat.unavailable;
        let mut listed = HashSet::new();
        let mut verdicts = Vec::with_capacity(heartbeat.leases.len());
        for held in &heartbeat.leases {
            verdicts.push(match self.lease_of(heartbeat.executor, &held.lease) {
                Some(slot) => {
                    listed.insert(slot);
                    self.renew(slot, held, cx)
                }
                None => LeaseVerdict::Gone,
            });
        }
        let mut kept = listed.clone();
        let (now, young) = (cx.now, self.config.lease_ttl / 32);
        for slot in self.leases_but(heartbeat.executor, &listed) {
            if let Some(lease) = self.lease_mut(slot) {
                lease.unlisted = lease.unlisted.saturating_add(1);
                if lease.unlisted < UNLISTED_MAX || now.since(lease.granted_at) < young {
                    kept.insert(slot);
                }
            }
        }
        self.give_back_all_but(
            heartbeat.executor,
            &kept,
            "its executor does not list it",
            cx,
        );
        Ok(Reply::Heartbeat(verdicts))
    }

    pub(crate) fn leases_but(&self, executor: ExecutorId, but: &HashSet<Slot>) -> Vec<Slot> {
        let leases = self
            .executors
            .get(&executor)
            .into_iter()
            .flat_map(|e| &e.leases);
        leases.filter(|slot| !but.contains(slot)).copied().collect()
    }

    /// Ends leases of an executor that never began there; nothing is spent.
    pub(crate) fn give_back_all_but(
        &mut self,
        executor: ExecutorId,
        kept: &HashSet<Slot>,
        reason: &str,
        cx: &mut Cx<'_>,
    ) {
        for slot in self.leases_but(executor, kept) {
            self.give_back(slot, reason, cx);
        }
    }

    pub(crate) fn give_back(&mut self, slot: Slot, reason: &str, cx: &mut Cx<'_>) {
        let why = Why::new(Cause::ExecutorError, format!("given back: {reason}"));
        self.attempt_end(slot, TaskState::Crashed, &why, None, cx);
        self.again_or_cancelled(slot, cx);
    }

    /// Makes an instance ready again that has lost its lease, or cancelled where that was asked.
    pub(crate) fn again_or_cancelled(&mut self, slot: Slot, cx: &mut Cx<'_>) {
        if matches!(self.phase(slot), Some(Phase::Cancelling(_))) {
            let ended = Phase::Ended {
                state: TaskState::Cancelled,
                at: cx.now,
            };
            self.transition(slot, ended, Why::new(Cause::Cancelled, "cancelled"), cx);
        } else {
            self.transition(slot, Phase::Ready { since: cx.now }, Why::default(), cx);
        }
    }

    pub(crate) fn release(
        &mut self,
        executor: ExecutorId,
        epoch: Epoch,
        leases: &[LeaseRef],
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        self.heard(executor, epoch, cx)?;
        for lease in leases {
            if let Some(slot) = self.lease_of(executor, lease) {
                self.give_back(slot, "its executor is stopping", cx);
            }
        }
        Ok(Reply::Done)
    }

    /// Asks an executor to stop an attempt: with its parked claim at once, with heartbeats after.
    pub(crate) fn cancel_leased(&mut self, slot: Slot, cx: &mut Cx<'_>) {
        let Some(active) = self.runs.get(&slot.run) else {
            return;
        };
        let key: InstanceKey =
            crate::instance::key(slot.run, &active.plan.tasks[slot.index as usize].name);
        let lease = match self.phase(slot) {
            Some(Phase::Leased(lease) | Phase::Running(lease)) => lease.clone(),
            _ => return,
        };
        if let Some(executor) = self.executors.get_mut(&lease.executor) {
            executor.cancels.push((key, lease.fence));
        }
        self.transition(slot, Phase::Cancelling(lease), Why::default(), cx);
    }
}

/// What is stored of a token.
pub(crate) fn hash(token: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(token.as_bytes()).into())
}
