//! What a report changes: acceptance, what an attempt spends, and what comes after it.
//!
//! Owns: the one place where an attempt ends. Leaves to others: the table of costs ([`crate::Spends`])
//! and what a move entails ([`crate::transition`]).

use crate::command::{Claimed, Complete, Refusal, Reply, Report, ReportVerdict};
use crate::engine::{Cx, Engine};
use crate::instance::Phase;
use crate::leases::hash;
use crate::ready::Slot;
use crate::rows::{Change, ReportRow};
use crate::transition::Why;
use crate::{Spends, final_state};
use belljar_ids::{Cause, ExecutorId, TaskState};
use rand::Rng as _;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// An attempt that the infrastructure lost: again, unless its budget is used up.
    pub(crate) fn attempt_lost(&mut self, slot: Slot, why: Why, cx: &mut Cx<'_>) {
        self.attempt_end(slot, TaskState::Crashed, &why, None, cx);
        self.spend_loss(slot, why, Duration::ZERO, cx);
    }

    pub(crate) fn spend_loss(&mut self, slot: Slot, why: Why, delay: Duration, cx: &mut Cx<'_>) {
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
    pub(crate) fn attempt_end(
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
    pub(crate) fn report(
        &mut self,
        executor: ExecutorId,
        report: Report,
        cx: &mut Cx<'_>,
    ) -> ReportVerdict {
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
    pub(crate) fn report_again(&mut self, report: &Report, cx: &mut Cx<'_>) -> ReportVerdict {
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
    pub(crate) fn write_report(&mut self, report: &Report, verdict: &str, cx: &mut Cx<'_>) {
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
    pub(crate) fn settle(&mut self, slot: Slot, report: Report, cx: &mut Cx<'_>) {
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

    pub(crate) fn succeed(&mut self, slot: Slot, report: Report, cx: &mut Cx<'_>) {
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
    pub(crate) fn spend_try(&mut self, slot: Slot, cause: Cause, why: Why, cx: &mut Cx<'_>) {
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
}

/// Whether a report says something that an executor can know and that does not contradict itself.
fn consistent(report: &Report) -> bool {
    match report.cause {
        None => report.outputs.is_some() && report.ended_by_itself,
        Some(Cause::QueueTimeout | Cause::Upstream) => false,
        Some(_) => report.outputs.is_none(),
    }
}
