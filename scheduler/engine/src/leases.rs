//! The executor protocol's decisions: who gets a lease, who keeps it, and what a report changes.
//!
//! Owns: registration, claims, heartbeats, reports, and leases that come back. Leaves to others: the
//! order among ready instances ([`crate::ready`]) and what a move entails ([`crate::transition`]).
//!
//! *Why a late report is harmless*: a lease is known by (instance, fence, token, executor), the
//! fence grows with every lease and is stored in the commit that grants it, and a report is
//! accepted in the commit that ends the lease. A second report finds no lease under its fence.

use crate::command::{
    Claim, Claimed, Complete, Granted, Heartbeat, HeldLease, LeaseRef, LeaseVerdict, Refusal,
    Register, Reply, Report, ReportVerdict,
};
use crate::engine::{Cx, Engine, Executor, Parked, Ticket, Timer};
use crate::instance::{Lease, Phase};
use crate::permits::Permit;
use crate::plan::PlannedInput;
use crate::ready::{Class, Slot};
use crate::rows::{Change, ExecutorRow, ReportRow};
use crate::transition::Why;
use crate::{Spends, final_state};
use belljar_ids::{Cause, ClaimId, Digest, Epoch, ExecutorId, Fence, InstanceKey, TaskState};
use rand::{Rng, RngCore};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Heartbeats that may leave a lease out before it is taken back: the first may have crossed the
/// answer that granted it. A lease younger than a 32nd of its lifetime is left alone all the same,
/// because heartbeats may follow each other closely.
const UNLISTED_MAX: u8 = 2;

/// The most a claim may be held back.
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(60);

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
    fn executor_replace(&mut self, row: &ExecutorRow, cx: &mut Cx<'_>) {
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

    fn held_slot(&self, held: &HeldLease) -> Option<Slot> {
        self.lease(&held.lease.key, held.lease.fence)
            .map(|(slot, _)| slot)
    }

    /// A lease that a new incarnation found in its journal.
    fn rebind(
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
    fn lease_of(&self, executor: ExecutorId, held: &LeaseRef) -> Option<Slot> {
        let (slot, lease) = self.lease(&held.key, held.fence)?;
        let right = lease.executor == executor && lease.token_hash == hash(&held.token);
        right.then_some(slot)
    }

    fn lease_mut(&mut self, slot: Slot) -> Option<&mut Lease> {
        self.runs.get_mut(&slot.run)?.instances[slot.index as usize]
            .phase
            .lease_mut()
    }

    fn write_attempt(&mut self, slot: Slot, cx: &mut Cx<'_>) {
        if let Some(active) = self.runs.get(&slot.run)
            && let Some(lease) = active.instances[slot.index as usize].phase.lease()
        {
            let task = &active.plan.tasks[slot.index as usize].name;
            let row = lease.row(&active.row.tenant, slot.run, task);
            Self::change(cx, Change::Attempt(Box::new(row)));
        }
    }

    /// Renews a lease and notes that its program was started.
    fn renew(&mut self, slot: Slot, held: &HeldLease, cx: &mut Cx<'_>) -> LeaseVerdict {
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
    fn heard(
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
    fn claim_again(&self, executor: ExecutorId) -> Claimed {
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
    fn lacking(&self, slot: Slot) -> Option<Permit> {
        let active = self.runs.get(&slot.run)?;
        active.permits(slot).into_iter().find_map(|(permit, need)| {
            let wanted = self.holdings.used(&permit).saturating_add(u64::from(need));
            (wanted > self.limit(&permit, active)).then_some(permit)
        })
    }

    fn block(&mut self, slot: Slot, permit: Permit) {
        self.ready.block(slot, permit.clone());
        // What it was woken for stays free: the next one may take it.
        if let Some(by) = self.woken.remove(&slot)
            && by != permit
        {
            self.wake(&by);
        }
    }

    /// Gives a lease of an instance to the executor with the most room.
    fn grant(&mut self, slot: Slot, class: Class, cx: &mut Cx<'_>) {
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
    fn granted(&self, slot: Slot, fence: Fence) -> Option<Granted> {
        let token = self.phase(slot)?.lease()?.token.clone()?;
        self.granted_with(slot, fence, token)
    }

    fn granted_with(&self, slot: Slot, fence: Fence, token: String) -> Option<Granted> {
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
    fn take_claimed(&mut self, id: ExecutorId, claim: ClaimId) -> Claimed {
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

    fn leases_but(&self, executor: ExecutorId, but: &HashSet<Slot>) -> Vec<Slot> {
        let leases = self
            .executors
            .get(&executor)
            .into_iter()
            .flat_map(|e| &e.leases);
        leases.filter(|slot| !but.contains(slot)).copied().collect()
    }

    /// Ends leases of an executor that never began there; nothing is spent.
    fn give_back_all_but(
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

    fn give_back(&mut self, slot: Slot, reason: &str, cx: &mut Cx<'_>) {
        let why = Why::new(Cause::ExecutorError, format!("given back: {reason}"));
        self.attempt_end(slot, TaskState::Crashed, &why, None, cx);
        self.again_or_cancelled(slot, cx);
    }

    /// Makes an instance ready again that has lost its lease, or cancelled where that was asked.
    fn again_or_cancelled(&mut self, slot: Slot, cx: &mut Cx<'_>) {
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

    /// An attempt that the infrastructure lost: again, unless its budget is used up.
    pub(crate) fn attempt_lost(&mut self, slot: Slot, why: Why, cx: &mut Cx<'_>) {
        self.attempt_end(slot, TaskState::Crashed, &why, None, cx);
        self.spend_loss(slot, why, Duration::ZERO, cx);
    }

    fn spend_loss(&mut self, slot: Slot, why: Why, delay: Duration, cx: &mut Cx<'_>) {
        if matches!(self.phase(slot), Some(Phase::Cancelling(_))) {
            return self.again_or_cancelled(slot, cx);
        }
        let budget = self.config.infra_budget;
        let Some(active) = self.runs.get_mut(&slot.run) else {
            return;
        };
        let instance = &mut active.instances[slot.index as usize];
        instance.losses = instance.losses.saturating_add(1);
        let to = if instance.losses >= budget {
            Phase::Ended {
                state: TaskState::Crashed,
                at: cx.now,
            }
        } else if delay.is_zero() {
            Phase::Ready { since: cx.now }
        } else {
            Phase::RetryWait {
                due: cx.now.plus(delay),
            }
        };
        self.transition(slot, to, why, cx);
    }

    /// Writes how an attempt ended. The lease is still there; the move that follows ends it.
    fn attempt_end(
        &mut self,
        slot: Slot,
        outcome: TaskState,
        why: &Why,
        report: Option<&Report>,
        cx: &mut Cx<'_>,
    ) {
        let Some(active) = self.runs.get(&slot.run) else {
            return;
        };
        let Some(lease) = active.instances[slot.index as usize].phase.lease() else {
            return;
        };
        let task = &active.plan.tasks[slot.index as usize].name;
        let mut row = lease.row(&active.row.tenant, slot.run, task);
        row.live = false;
        row.ended_at = Some(cx.now);
        row.outcome = Some(outcome);
        row.cause = why.cause;
        row.message.clone_from(&why.message);
        if let Some(report) = report {
            row.exit_code = report.exit_code;
            row.report_digest = Some(report.digest);
            row.report = Some(report.detail.clone());
            row.receipt.clone_from(&report.receipt);
        }
        Self::change(cx, Change::Attempt(Box::new(row)));
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

    pub(crate) fn complete(
        &mut self,
        complete: Complete,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        self.heard(complete.executor, complete.epoch, cx)?;
        let id = complete.executor;
        let mut verdicts = Vec::with_capacity(complete.reports.len());
        for report in complete.reports {
            verdicts.push(self.report(id, report, cx));
        }
        let mut claimed = Claimed::default();
        if let Some(claim) = complete.claim {
            let executor = self.heard(id, complete.epoch, cx)?;
            let parked_free = std::mem::replace(&mut executor.free, claim.free_slots);
            self.dispatch(cx);
            claimed = self.take_claimed(id, claim.claim);
            if let Some(executor) = self.executors.get_mut(&id) {
                executor.free = parked_free;
            }
        }
        Ok(Reply::Completed { verdicts, claimed })
    }

    /// One report: accepted exactly where its lease is the current one.
    fn report(&mut self, executor: ExecutorId, report: Report, cx: &mut Cx<'_>) -> ReportVerdict {
        let Some(slot) = self.lease_of(executor, &report.lease) else {
            return self.report_again(&report, cx);
        };
        if !consistent(&report) {
            self.write_report(&report, "invalid", cx);
            // It costs a loss: a report that is never right must not run the task for ever.
            let why = Why::new(
                Cause::ExecutorError,
                "its executor's report contradicts itself",
            );
            self.attempt_lost(slot, why, cx);
            return ReportVerdict::Invalid;
        }
        let at = (report.lease.key.clone(), report.lease.fence);
        cx.out.accepted.insert(at, report.digest);
        if let (Some(lease), Some(ms)) = (self.lease_mut(slot), report.started_ms_ago)
            && lease.started_at.is_none()
        {
            let ago = i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
            let started = belljar_ids::Micros(cx.now.0.saturating_sub(ago));
            lease.started_at = Some(started.max(lease.granted_at));
        }
        self.settle(slot, report, cx);
        ReportVerdict::Accepted
    }

    /// A report whose lease is not alive: an identical one that was accepted is accepted again.
    fn report_again(&mut self, report: &Report, cx: &mut Cx<'_>) -> ReportVerdict {
        let at = (report.lease.key.clone(), report.lease.fence);
        let stored = || {
            let row = cx.facts.attempts.get(&at)?;
            (row.token_hash == hash(&report.lease.token)).then_some(row.report_digest)?
        };
        let (verdict, word) = match cx.out.accepted.get(&at).copied().or_else(stored) {
            Some(digest) if digest == report.digest => (ReportVerdict::Accepted, "replay"),
            Some(_) => (ReportVerdict::DigestMismatch, "digest_mismatch"),
            None => (ReportVerdict::StaleFence, "stale_fence"),
        };
        self.write_report(report, word, cx);
        verdict
    }

    /// Keeps a report that changed nothing, for the audit, where the run is known.
    fn write_report(&mut self, report: &Report, verdict: &str, cx: &mut Cx<'_>) {
        let key = &report.lease.key;
        let tenant = self
            .runs
            .get(&key.run)
            .map(|active| active.row.tenant.clone())
            .or_else(|| {
                let row = cx.facts.attempts.get(&(key.clone(), report.lease.fence));
                row.map(|row| row.tenant.clone())
            });
        let Some(tenant) = tenant else { return };
        let data = json!({ "fence": report.lease.fence, "verdict": verdict });
        self.event(
            cx,
            &tenant,
            "report.refused",
            key.to_string(),
            Some(key.run),
            data,
        );
        let row = ReportRow {
            tenant,
            key: key.clone(),
            fence: report.lease.fence,
            report_digest: report.digest,
            verdict: verdict.to_owned(),
            received_at: cx.now,
        };
        Self::change(cx, Change::Report(row));
    }

    /// Ends the lease by an accepted report and moves the instance on.
    fn settle(&mut self, slot: Slot, report: Report, cx: &mut Cx<'_>) {
        let why = Why {
            cause: report.cause,
            message: report.message.clone(),
        };
        if matches!(self.phase(slot), Some(Phase::Cancelling(_))) {
            if report.cause.is_none() && report.ended_by_itself {
                return self.succeed(slot, report, cx);
            }
            let why = Why::new(Cause::Cancelled, "cancelled");
            self.attempt_end(slot, TaskState::Cancelled, &why, Some(&report), cx);
            return self.again_or_cancelled(slot, cx);
        }
        let Some(cause) = report.cause else {
            return self.succeed(slot, report, cx);
        };
        self.attempt_end(slot, final_state(cause), &why, Some(&report), cx);
        match Spends::of(cause) {
            Spends::Try => self.spend_try(slot, cause, why, cx),
            Spends::Infrastructure => {
                let losses = self
                    .runs
                    .get(&slot.run)
                    .map_or(0, |active| active.instances[slot.index as usize].losses);
                let delay = match cause {
                    Cause::EngineRestarted | Cause::HostRebooted | Cause::ExecutorLost => {
                        Duration::ZERO
                    }
                    // What is missing now may be there in a moment: 1 s, 2 s …
                    _ => Duration::from_secs(1 << losses.min(6)),
                };
                self.spend_loss(slot, why, delay, cx);
            }
            Spends::Final => {
                let ended = Phase::Ended {
                    state: final_state(cause),
                    at: cx.now,
                };
                self.transition(slot, ended, why, cx);
            }
        }
    }

    fn succeed(&mut self, slot: Slot, report: Report, cx: &mut Cx<'_>) {
        let none = Why::default();
        self.attempt_end(slot, TaskState::Succeeded, &none, Some(&report), cx);
        if let Some(active) = self.runs.get_mut(&slot.run) {
            let instance = &mut active.instances[slot.index as usize];
            instance.tries = instance.tries.saturating_add(1);
            instance.outputs = report.outputs.map(Arc::new);
            let lease = instance.phase.lease();
            instance.started_at = lease.and_then(|l| l.started_at).or(instance.started_at);
        }
        let ended = Phase::Ended {
            state: TaskState::Succeeded,
            at: cx.now,
        };
        self.transition(slot, ended, none, cx);
    }

    /// A try that failed: again after a delay, while there are tries.
    fn spend_try(&mut self, slot: Slot, cause: Cause, why: Why, cx: &mut Cx<'_>) {
        let Some(active) = self.runs.get_mut(&slot.run) else {
            return;
        };
        let policy = &active.plan.tasks[slot.index as usize].retries;
        let instance = &mut active.instances[slot.index as usize];
        instance.tries = instance.tries.saturating_add(1);
        let to = if instance.tries < policy.max_attempts {
            let bound = policy.bound(instance.tries);
            let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
            let millis = if policy.jitter {
                cx.rng.random_range(0..=millis)
            } else {
                millis
            };
            Phase::RetryWait {
                due: cx.now.plus(Duration::from_millis(millis)),
            }
        } else {
            Phase::Ended {
                state: final_state(cause),
                at: cx.now,
            }
        };
        self.transition(slot, to, why, cx);
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

/// Whether a report says something that an executor can know and that does not contradict itself.
fn consistent(report: &Report) -> bool {
    match report.cause {
        None => report.outputs.is_some() && report.ended_by_itself,
        Some(Cause::QueueTimeout | Cause::Upstream) => false,
        Some(_) => report.outputs.is_none(),
    }
}

/// A new lease token: 128 bits as 32 hexadecimal digits.
fn token(rng: &mut dyn RngCore) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(token: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(token.as_bytes()).into())
}
