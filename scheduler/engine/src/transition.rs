//! The one way a task instance moves, and all that follows from a move.
//!
//! Owns: [`Engine::transition`], which keeps the ready index, permits, timers, rows and events in step
//! with an instance's phase, releases or stops what is downstream, and ends the run. Leaves to others:
//! deciding that a move is to be made.

use crate::engine::{ActiveRun, Cx, Engine, Output, Timer};
use crate::instance::{Phase, may_move};
use crate::permits::Permit;
use crate::ready::{Class, Slot};
use crate::rows::Change;
use belljar_ids::{Cause, Micros, RunState, TaskState};
use serde_json::{Value, json};

use std::time::Duration;

/// Why an instance moves: the cause beside its new state and a sentence.
#[derive(Debug, Clone, Default)]
pub(crate) struct Why {
    pub cause: Option<Cause>,
    pub message: Option<String>,
}

impl Why {
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause: Some(cause),
            message: Some(message.into()),
        }
    }
}

impl Engine {
    /// Moves an instance and does all that follows.
    ///
    /// # Panics
    ///
    /// Where the move is not in the table of [`may_move`]: a defect of the caller.
    pub(crate) fn transition(&mut self, slot: Slot, to: Phase, why: Why, cx: &mut Cx<'_>) {
        let mut moves = vec![(slot, to, why)];
        let mut first = true;
        while let Some((slot, to, why)) = moves.pop() {
            // Several paths may lead to one instance: what one of them has ended stays so.
            if !std::mem::take(&mut first) && self.has_ended(slot) {
                continue;
            }
            self.leave(slot, &to);
            self.enter_phase(slot, to, why, cx);
            moves.extend(self.consequences(slot, cx));
        }
        self.run_settle(slot, cx);
    }

    fn has_ended(&self, slot: Slot) -> bool {
        self.phase(slot)
            .is_none_or(|phase| phase.state().is_terminal())
    }

    /// Undoes what the old phase entailed and the new one does not.
    fn leave(&mut self, slot: Slot, to: &Phase) {
        let Some(active) = self.runs.get(&slot.run) else {
            return;
        };
        let from = &active.instances[slot.index as usize].phase;
        let (old, new) = (from.state(), to.state());
        assert!(
            may_move(old, new),
            "{slot:?} may not move from {old} to {new}"
        );
        if old == TaskState::Ready {
            self.ready.remove(slot);
            if new != TaskState::Leased
                && let Some(permit) = self.woken.remove(&slot)
            {
                // It was counted for the freed permit; let the next one have it.
                self.wake(&permit);
            }
        }
        if old.is_leased() && !new.is_leased() {
            self.lease_drop(slot);
        }
    }

    /// Ends an instance's lease: gives back every permit and wakes those who wait for them.
    fn lease_drop(&mut self, slot: Slot) {
        let Some(active) = self.runs.get(&slot.run) else {
            return;
        };
        let permits = active.permits(slot);
        let lease = active.instances[slot.index as usize].phase.lease();
        if let Some(executor) = lease.and_then(|l| self.executors.get_mut(&l.executor)) {
            executor.leases.remove(&slot);
        }
        for (permit, _) in &permits {
            self.holdings.give_back(permit, slot);
        }
        for (permit, _) in &permits {
            self.wake(permit);
        }
    }

    /// Puts instances that wait for `permit` back into the queue: of each class as many as fit by what
    /// is free less what others of that class were already woken for. Each class for itself, because
    /// one that no executor has room for must not keep the permit from one that could use it; where
    /// both could, the loser goes back to the list.
    pub(crate) fn wake(&mut self, permit: &Permit) {
        for class in Class::ALL {
            while let Some(slot) = self.wakeable(permit, class) {
                self.ready.unblock(slot);
                self.woken.insert(slot, permit.clone());
            }
        }
    }

    /// The first instance of a class that waits for `permit` and could have it.
    fn wakeable(&self, permit: &Permit, class: Class) -> Option<Slot> {
        let of_class =
            |slot: &Slot| self.runs.get(&slot.run).map(|run| run.class(*slot)) == Some(class);
        let promised = self
            .woken
            .iter()
            .filter(|(slot, by)| *by == permit && of_class(slot));
        let promised: u64 = promised.map(|(slot, _)| self.need(*slot, permit)).sum();
        let used = self.holdings.used(permit).saturating_add(promised);
        self.ready.first_blocked(permit, |slot| {
            of_class(&slot)
                && self.runs.get(&slot.run).is_some_and(|run| {
                    used.saturating_add(self.need(slot, permit)) <= self.limit(permit, run)
                })
        })
    }

    /// How many slots of `permit` an instance needs.
    fn need(&self, slot: Slot, permit: &Permit) -> u64 {
        let Some(run) = self.runs.get(&slot.run) else {
            return 0;
        };
        let needs = run.permits(slot);
        needs
            .iter()
            .filter(|(p, _)| p == permit)
            .map(|(_, n)| u64::from(*n))
            .sum()
    }

    /// Sets the new phase, does what it entails, and writes row and event.
    fn enter_phase(&mut self, slot: Slot, to: Phase, why: Why, cx: &mut Cx<'_>) {
        let Some(active) = self.runs.get_mut(&slot.run) else {
            return;
        };
        let task = &active.plan.tasks[slot.index as usize];
        let instance = &mut active.instances[slot.index as usize];
        if why.cause.is_some() || matches!(to, Phase::Ended { .. } | Phase::Leased(_)) {
            instance.cause = why.cause;
            instance.message = why.message;
        }
        if let Some(lease) = to.lease() {
            instance.fence = lease.fence;
            instance.started_at = lease.started_at;
        }
        instance.phase = to;
        match &instance.phase {
            Phase::Ready { since } => {
                let (priority, since) = (task.priority, *since);
                if let Some(ms) = task.queue_timeout_ms {
                    self.timers
                        .insert((since.plus(Duration::from_millis(ms)), Timer::Queue(slot)));
                }
                let class = active.class(slot);
                self.ready.insert(slot, priority, since, class);
            }
            Phase::RetryWait { due } => {
                self.timers.insert((*due, Timer::Retry(slot)));
            }
            Phase::Ended { .. } => active.unfinished -= 1,
            _ => {}
        }
        self.write_task(slot, cx);
    }

    /// The instance's row as it is now, and the event that tells of it.
    fn write_task(&mut self, slot: Slot, cx: &mut Cx<'_>) {
        let Some(active) = self.runs.get(&slot.run) else {
            return;
        };
        let task = &active.plan.tasks[slot.index as usize];
        let instance = &active.instances[slot.index as usize];
        let row = instance.row(&active.row.tenant, slot.run, &task.name);
        let mut data = json!({
            "dag": active.row.dag,
            "task": task.name,
            "state": row.state,
            "tries": row.tries,
            "fence": row.fence,
        });
        let mut add = |name: &str, value: Value| data[name] = value;
        if let Some(cause) = row.cause {
            add("cause", json!(cause));
        }
        if let Some(message) = &row.message {
            add("message", json!(message));
        }
        if let Some(lease) = instance.phase.lease() {
            add("executor", json!(lease.executor));
            add("try_number", json!(lease.try_number));
        }
        if let Some(due) = row.due_at {
            add(
                "due_in_ms",
                json!(u64::try_from(due.since(cx.now).as_millis()).unwrap_or(0)),
            );
        }
        let (tenant, subject) = (row.tenant.clone(), row.key.to_string());
        let kind = format!("task.{}", row.state);
        Self::change(cx, Change::Task(row));
        self.event(cx, &tenant, &kind, subject, Some(slot.run), data);
    }

    /// The moves downstream that an instance's new phase entails.
    fn consequences(&mut self, slot: Slot, cx: &Cx<'_>) -> Vec<(Slot, Phase, Why)> {
        let Some(active) = self.runs.get_mut(&slot.run) else {
            return Vec::new();
        };
        let index = slot.index as usize;
        let Phase::Ended { state, .. } = active.instances[index].phase else {
            return Vec::new();
        };
        let name = active.plan.tasks[index].name.clone();
        let mut moves = Vec::new();
        for down in active.downstream[index].clone() {
            let instance = &mut active.instances[down as usize];
            let pending = matches!(instance.phase, Phase::Pending);
            let at = Slot {
                run: slot.run,
                index: down,
            };
            if state == TaskState::Succeeded {
                instance.waiting_on = instance.waiting_on.saturating_sub(1);
                if pending && instance.waiting_on == 0 && active.row.state == RunState::Running {
                    moves.push((at, Phase::Ready { since: cx.now }, Why::default()));
                }
            } else if pending && active.row.state == RunState::Cancelling {
                let ended = Phase::Ended {
                    state: TaskState::Cancelled,
                    at: cx.now,
                };
                moves.push((at, ended, Why::new(Cause::Cancelled, "cancelled")));
            } else if pending {
                let message = format!("`{name}` upstream ended {state}");
                let ended = Phase::Ended {
                    state: TaskState::UpstreamFailed,
                    at: cx.now,
                };
                moves.push((at, ended, Why::new(Cause::Upstream, message)));
            }
        }
        // Popped from the end: in plan order.
        moves.sort_by_key(|(slot, ..)| std::cmp::Reverse(*slot));
        moves
    }

    /// Ends the run when nothing in it is unfinished.
    pub(crate) fn run_settle(&mut self, slot: Slot, cx: &mut Cx<'_>) {
        let done = self
            .runs
            .get(&slot.run)
            .is_some_and(|active| active.unfinished == 0);
        if !done {
            return;
        }
        let Some(mut active) = self.runs.remove(&slot.run) else {
            return;
        };
        active.row.state = final_run_state(&active);
        active.row.ended_at = Some(cx.now);
        self.write_run(&active.row, cx);
        cx.out.ended.insert(slot.run, active.row.clone());
        if let Some(dag) = self.dags.get_mut(&active.dag_key()) {
            dag.active.remove(&slot.run);
        }
        self.admit_more(&active.dag_key(), cx.out);
    }

    /// A run's row as it is now, and the event that tells of it.
    pub(crate) fn write_run(&mut self, row: &crate::rows::RunRow, cx: &mut Cx<'_>) {
        Self::change(cx, Change::Run(row.clone()));
        let data = json!({
            "dag": row.dag,
            "state": row.state,
            "request": row.request,
            "principal": row.principal,
        });
        let (kind, subject) = (format!("run.{}", row.state), row.run.to_string());
        self.event(cx, &row.tenant.clone(), &kind, subject, Some(row.run), data);
    }

    /// Asks for queued runs of a DAG, as many as it has room for.
    pub(crate) fn admit_more(
        &self,
        key: &(belljar_ids::TenantId, belljar_ids::DagName),
        out: &mut Output,
    ) {
        let Some(dag) = self.dags.get(key) else {
            return;
        };
        if dag.queued == 0 || dag.row.as_ref().is_some_and(|row| row.paused) {
            return;
        }
        let active = u32::try_from(dag.active.len()).unwrap_or(u32::MAX);
        let limit = if dag.active_runs == 0 {
            self.config.active_runs
        } else {
            dag.active_runs
        };
        let room = limit.saturating_sub(active);
        if room > 0 && !out.admit.iter().any(|(t, d, _)| *t == key.0 && *d == key.1) {
            let queued = u32::try_from(dag.queued).unwrap_or(u32::MAX);
            out.admit
                .push((key.0.clone(), key.1.clone(), room.min(queued)));
        }
    }
}

/// How a run ends whose instances have all ended.
fn final_run_state(active: &ActiveRun) -> RunState {
    let state = |index: usize| active.instances[index].phase.state();
    let mut all = 0..active.instances.len();
    if active.row.state == RunState::Cancelling && all.any(|i| state(i) == TaskState::Cancelled) {
        return RunState::Cancelled;
    }
    let mut leaves = (0..active.instances.len()).filter(|i| active.downstream[*i].is_empty());
    let good = |i: usize| matches!(state(i), TaskState::Succeeded | TaskState::Skipped);
    if leaves.all(good) {
        RunState::Succeeded
    } else {
        RunState::Failed
    }
}

impl Engine {
    /// Whether an instance holds a lease under `fence`; the lease.
    pub(crate) fn lease(
        &self,
        key: &belljar_ids::InstanceKey,
        fence: belljar_ids::Fence,
    ) -> Option<(Slot, &crate::instance::Lease)> {
        if key.map_index != belljar_ids::MapIndex::NONE {
            return None;
        }
        let active = self.runs.get(&key.run)?;
        let index = active.index_of(key.task.as_str())?;
        let lease = active.instances[index as usize].phase.lease()?;
        (lease.fence == fence).then_some((
            Slot {
                run: key.run,
                index,
            },
            lease,
        ))
    }

    /// Fires every timer that is due.
    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        while let Some((due, timer)) = self.timers.first().cloned() {
            if due > cx.now {
                break;
            }
            self.timers.remove(&(due, timer.clone()));
            self.fire(timer, due, cx);
        }
    }

    /// Does what a timer is for, if it still applies.
    fn fire(&mut self, timer: Timer, due: Micros, cx: &mut Cx<'_>) {
        match timer {
            Timer::Retry(slot) => {
                if matches!(self.phase(slot), Some(Phase::RetryWait { due: d }) if *d == due) {
                    self.transition(slot, Phase::Ready { since: cx.now }, Why::default(), cx);
                }
            }
            Timer::Queue(slot) => self.queue_timeout(slot, due, cx),
            Timer::Lease(slot, fence) => self.lease_due(slot, fence, cx),
            Timer::Parked(executor, claim) => {
                let parked = self.executors.get(&executor);
                let parked = parked.and_then(|executor| executor.parked.as_ref());
                if parked.is_some_and(|parked| parked.claim == claim) {
                    self.answer(executor, cx);
                }
            }
        }
    }

    pub(crate) fn phase(&self, slot: Slot) -> Option<&Phase> {
        Some(&self.runs.get(&slot.run)?.instances[slot.index as usize].phase)
    }

    fn queue_timeout(&mut self, slot: Slot, due: Micros, cx: &mut Cx<'_>) {
        let Some(Phase::Ready { since }) = self.phase(slot) else {
            return;
        };
        let limit = self.runs.get(&slot.run).and_then(|active| {
            active.plan.tasks[slot.index as usize]
                .queue_timeout_ms
                .map(Duration::from_millis)
        });
        // A timer of an earlier time in the queue does not count.
        if let Some(limit) = limit
            && since.plus(limit) <= due
        {
            let message = format!(
                "was ready for {} s without being leased",
                limit.as_secs_f64()
            );
            let ended = Phase::Ended {
                state: TaskState::TimedOut,
                at: cx.now,
            };
            self.transition(slot, ended, Why::new(Cause::QueueTimeout, message), cx);
        }
    }

    /// Takes a lease back whose executor was not heard of, or looks again later.
    fn lease_due(&mut self, slot: Slot, fence: belljar_ids::Fence, cx: &mut Cx<'_>) {
        let Some(lease) = self.phase(slot).and_then(Phase::lease) else {
            return;
        };
        if lease.fence != fence {
            return;
        }
        let due = lease.deadline.plus(self.config.lease_grace);
        if due > cx.now {
            self.timers.insert((due, Timer::Lease(slot, fence)));
            return;
        }
        let silence = cx
            .now
            .since(lease.deadline)
            .saturating_add(self.config.lease_ttl);
        let message = format!(
            "nothing was heard of its executor for {} s",
            silence.as_secs()
        );
        self.attempt_lost(slot, Why::new(Cause::ExecutorLost, message), cx);
    }
}
