//! Runs: how they begin, wait, enter the engine and are cancelled.

use crate::command::{Refusal, Reply, RunCreate};
use crate::engine::{ActiveRun, Cx, Engine};
use crate::instance::Phase;
use crate::ready::Slot;
use crate::rows::{Change, Idempotency, RunNew, RunRow, StoredRun};
use crate::transition::Why;
use belljar_ids::{Cause, PrincipalName, RunId, RunState, TaskState, TenantId};
use serde_json::json;
use std::sync::Arc;

impl Engine {
    pub(crate) fn run_create(
        &mut self,
        create: RunCreate,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        if let Some(idempotency) = &create.idempotency
            && let Some(row) = self.submitted_before(idempotency, cx)?
        {
            return Ok(Reply::Run {
                row,
                created: false,
            });
        }
        let plan = &create.plan;
        let dag_key = (create.tenant.clone(), plan.dag.clone());
        let dag = self.dags.entry(dag_key).or_default();
        let limit = plan.active_runs.unwrap_or(self.config.active_runs);
        let mut wait = dag.queued > 0 || dag.active.len() >= limit as usize;
        if create.request.is_none() {
            let row = dag.row.as_ref().ok_or_else(|| Refusal::NotFound {
                kind: "DAG",
                name: plan.dag.to_string(),
            })?;
            if row.version != plan.dag_version {
                return Err(Refusal::PlanOutdated(plan.dag.clone()));
            }
            wait |= row.paused;
        }
        let row = RunRow {
            tenant: create.tenant,
            run: create.run,
            dag: plan.dag.clone(),
            dag_version: plan.dag_version,
            state: if wait {
                RunState::Queued
            } else {
                RunState::Running
            },
            request: create.request.as_ref().map(|request| request.request),
            principal: create.principal,
            created_at: cx.now,
            started_at: (!wait).then_some(cx.now),
            ended_at: None,
        };
        if wait {
            dag.queued += 1;
            dag.active_runs = limit;
        }
        let request = create.request.map(|mut request| {
            request.run = row.run;
            request.created_at = cx.now;
            request
        });
        if let Some(Idempotency { key, fingerprint }) = &create.idempotency {
            cx.out.keys.insert(key.clone(), (*fingerprint, row.clone()));
        }
        let new = RunNew {
            row: row.clone(),
            plan: Arc::clone(&create.plan),
            idempotency: create.idempotency,
            request,
        };
        Self::change(cx, Change::RunNew(Box::new(new)));
        self.write_run(&row, cx);
        self.write_pending(&ActiveRun::fresh(row.clone(), Arc::clone(&create.plan)), cx);
        if !wait {
            self.begin(ActiveRun::fresh(row.clone(), create.plan), cx);
        }
        Ok(Reply::Run { row, created: true })
    }

    /// The run that was made under the same key, if any.
    fn submitted_before(
        &self,
        submitted: &Idempotency,
        cx: &Cx<'_>,
    ) -> Result<Option<RunRow>, Refusal> {
        let in_batch = cx
            .out
            .keys
            .get(&submitted.key)
            .map(|(f, row)| (*f, Some(row.clone())));
        let stored = || {
            let (fingerprint, run) = cx.facts.idempotency.get(&submitted.key)?;
            let active = self.runs.get(run).map(|active| active.row.clone());
            Some((
                *fingerprint,
                active.or_else(|| cx.facts.runs.get(run).cloned()),
            ))
        };
        match in_batch.or_else(stored) {
            None => Ok(None),
            Some((fingerprint, Some(row))) if fingerprint == submitted.fingerprint => Ok(Some(row)),
            Some(_) => Err(Refusal::IdempotencyMismatch),
        }
    }

    fn write_pending(&mut self, active: &ActiveRun, cx: &mut Cx<'_>) {
        for (slot, instance) in active.slots() {
            let task = &active.plan.tasks[slot.index as usize].name;
            Self::change(
                cx,
                Change::Task(instance.row(&active.row.tenant, slot.run, task)),
            );
        }
    }

    /// Enters a running run and makes ready what depends on nothing.
    fn begin(&mut self, active: ActiveRun, cx: &mut Cx<'_>) {
        let run = active.row.run;
        let first: Vec<_> = active
            .slots()
            .filter(|(_, i)| matches!(i.phase, Phase::Pending) && i.waiting_on == 0)
            .map(|(slot, _)| slot)
            .collect();
        self.enter(active);
        for slot in first {
            self.transition(slot, Phase::Ready { since: cx.now }, Why::default(), cx);
        }
        // A plan without tasks has nothing that could end it later.
        self.run_settle(Slot { run, index: 0 }, cx);
    }

    /// Brings in a queued run, unless something has happened to it since it was loaded.
    pub(crate) fn run_admit(&mut self, stored: StoredRun, cx: &mut Cx<'_>) {
        let run = stored.row.run;
        let still = cx
            .facts
            .runs
            .get(&run)
            .is_some_and(|row| row.state == RunState::Queued);
        if !still || self.runs.contains_key(&run) || cx.out.ended.contains_key(&run) {
            return;
        }
        let key = (stored.row.tenant.clone(), stored.row.dag.clone());
        let limit = stored.plan.active_runs.unwrap_or(self.config.active_runs);
        let dag = self.dags.entry(key).or_default();
        let paused = stored.row.request.is_none() && dag.row.as_ref().is_some_and(|row| row.paused);
        if paused || dag.active.len() >= limit as usize {
            return;
        }
        dag.queued = dag.queued.saturating_sub(1);
        let mut row = stored.row;
        row.state = RunState::Running;
        row.started_at = Some(cx.now);
        self.write_run(&row, cx);
        self.begin(ActiveRun::fresh(row, stored.plan), cx);
    }

    pub(crate) fn run_cancel(
        &mut self,
        tenant: &TenantId,
        run: RunId,
        principal: &PrincipalName,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        let unknown = || Refusal::NotFound {
            kind: "run",
            name: run.to_string(),
        };
        if let Some(row) = cx.out.ended.get(&run).filter(|row| row.tenant == *tenant) {
            return Ok(Reply::Cancel {
                row: row.clone(),
                ended: true,
            });
        }
        if !self.runs.contains_key(&run) {
            if let Some(stored) = cx
                .facts
                .queued
                .get(&run)
                .filter(|s| s.row.tenant == *tenant)
            {
                let key = (tenant.clone(), stored.row.dag.clone());
                let dag = self.dags.entry(key).or_default();
                dag.queued = dag.queued.saturating_sub(1);
                let active = ActiveRun::fresh(stored.row.clone(), Arc::clone(&stored.plan));
                self.enter(active);
            } else {
                let row = cx.facts.runs.get(&run).filter(|row| row.tenant == *tenant);
                let row = row.ok_or_else(unknown)?.clone();
                return Ok(Reply::Cancel { row, ended: true });
            }
        }
        let active = self
            .runs
            .get_mut(&run)
            .filter(|active| active.row.tenant == *tenant);
        let active = active.ok_or_else(unknown)?;
        let subject = run.to_string();
        if active.row.state != RunState::Cancelling {
            active.row.state = RunState::Cancelling;
            let row = active.row.clone();
            let data = json!({ "principal": principal });
            self.event(cx, tenant, "run.cancel_requested", subject, Some(run), data);
            self.write_run(&row, cx);
            self.cancel_instances(run, cx);
            self.run_settle(Slot { run, index: 0 }, cx);
        }
        let row = match (self.runs.get(&run), cx.out.ended.get(&run)) {
            (Some(active), _) => active.row.clone(),
            (None, Some(row)) => row.clone(),
            (None, None) => return Err(unknown()),
        };
        Ok(Reply::Cancel { row, ended: false })
    }

    /// Cancels what has no lease at once, and asks for the rest.
    fn cancel_instances(&mut self, run: RunId, cx: &mut Cx<'_>) {
        let Some(active) = self.runs.get(&run) else {
            return;
        };
        let slots: Vec<Slot> = active.slots().map(|(slot, _)| slot).collect();
        for slot in slots {
            match self.phase(slot) {
                Some(Phase::Pending | Phase::Ready { .. } | Phase::RetryWait { .. }) => {
                    let ended = Phase::Ended {
                        state: TaskState::Cancelled,
                        at: cx.now,
                    };
                    self.transition(slot, ended, Why::new(Cause::Cancelled, "cancelled"), cx);
                }
                Some(Phase::Leased(_) | Phase::Running(_)) => self.cancel_leased(slot, cx),
                _ => {}
            }
        }
    }
}
