//! The engine value, what it takes in and gives out, and how it is made from stored state.

use crate::command::{Command, Facts, Refusal, Reply, Wanted};
use crate::instance::{Instance, Phase};
use crate::permits::{Holdings, Permit};
use crate::plan::RunPlan;
use crate::ready::{Class, ReadyIndex, Slot};
use crate::rows::{
    AnalysisRow, Batch, Change, DagRow, DatasetRow, DatasetVersionRow, Event, ExecutorRow,
    IdempotencyKey, PoolRow, RunRow, Snapshot, StoredRun,
};
use belljar_ids::{
    AnalysisName, ClaimId, DagName, DatasetName, Digest, EventSeq, ExecutorId, Fence, InstanceKey,
    Micros, PoolName, RunId, TenantId,
};
use rand::RngCore;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Names one command among those whose answers are outstanding; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The engine's constants.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a lease lives after the heartbeat that renewed it.
    pub lease_ttl: Duration,
    /// How much longer the engine waits before it takes a lease back.
    pub lease_grace: Duration,
    /// How often the infrastructure may lose one task instance; at that many losses it is `crashed`.
    pub infra_budget: u32,
    /// How many leases there may be in all; none is no limit.
    pub active_tasks: Option<u32>,
    /// How many runs of one DAG may be active where its spec does not say.
    pub active_runs: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(60),
            lease_grace: Duration::from_secs(15),
            infra_budget: 3,
            active_tasks: None,
            active_runs: 16,
        }
    }
}

/// Everything that one batch of commands brought about.
#[derive(Debug, Default)]
pub struct Output {
    /// What is to be committed, in one transaction.
    pub batch: Batch,
    /// The answers, to be given after the commit.
    pub replies: Vec<(Ticket, Result<Reply, Refusal>)>,
    /// DAGs that have room for so many of their queued runs: load them and send
    /// [`Command::RunAdmit`] for each.
    pub admit: Vec<(TenantId, DagName, u32)>,
    /// Keys used in this batch, which the database does not know yet.
    pub(crate) keys: HashMap<IdempotencyKey, (Digest, RunRow)>,
    /// Runs that ended in this batch.
    pub(crate) ended: HashMap<RunId, RunRow>,
    /// Reports accepted in this batch.
    pub(crate) accepted: HashMap<(InstanceKey, Fence), Digest>,
}

/// What a decision may know of the world.
pub(crate) struct Cx<'a> {
    pub now: Micros,
    pub facts: &'a Facts,
    pub rng: &'a mut dyn RngCore,
    pub out: &'a mut Output,
}

#[derive(Debug, Default)]
pub(crate) struct Dag {
    /// None for the runs of requests, which have no DAG of their own.
    pub row: Option<DagRow>,
    pub active: BTreeSet<RunId>,
    /// How many of its runs wait in the database.
    pub queued: u64,
    /// How many runs fit, as far as known from the newest plan seen.
    pub active_runs: u32,
}

#[derive(Debug)]
pub(crate) struct ActiveRun {
    pub row: RunRow,
    pub plan: Arc<RunPlan>,
    pub instances: Vec<Instance>,
    pub downstream: Vec<Vec<u32>>,
    pub unfinished: usize,
}

#[derive(Debug)]
pub(crate) struct Parked {
    pub ticket: Ticket,
    pub claim: ClaimId,
    pub until: Micros,
}

#[derive(Debug)]
pub(crate) struct Executor {
    pub row: ExecutorRow,
    pub gvisor: bool,
    pub heard_at: Micros,
    pub unavailable: Option<String>,
    pub parked: Option<Parked>,
    /// What the newest claim may still take.
    pub free: u32,
    pub leases: BTreeSet<Slot>,
    pub last_claim: Option<(ClaimId, Vec<(Slot, Fence)>)>,
    /// Granted, not yet answered.
    pub granted: Vec<(Slot, Fence)>,
    /// To be stopped, not yet said.
    pub cancels: Vec<(InstanceKey, Fence)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Retry(Slot),
    Queue(Slot),
    Lease(Slot, Fence),
    Parked(ExecutorId, ClaimId),
}

/// The state of everything that is going on, owned by the leader alone.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) seq: EventSeq,
    pub(crate) dags: BTreeMap<(TenantId, DagName), Dag>,
    pub(crate) analyses: BTreeMap<(TenantId, AnalysisName, String), AnalysisRow>,
    pub(crate) datasets: BTreeMap<(TenantId, DatasetName), (DatasetRow, Option<DatasetVersionRow>)>,
    pub(crate) pools: BTreeMap<(TenantId, PoolName), PoolRow>,
    pub(crate) executors: BTreeMap<ExecutorId, Executor>,
    pub(crate) runs: BTreeMap<RunId, ActiveRun>,
    pub(crate) ready: ReadyIndex,
    pub(crate) holdings: Holdings,
    /// Instances that a freed permit put back into the queue, until they are leased.
    pub(crate) woken: HashMap<Slot, Permit>,
    pub(crate) timers: BTreeSet<(Micros, Timer)>,
}

/// Stored state that contradicts itself: the database was changed by something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored run {run} contradicts itself: {problem}")]
pub struct BadSnapshot {
    /// The run.
    pub run: RunId,
    /// What does not fit.
    pub problem: String,
}

impl Engine {
    /// The engine of a leader that takes office at `now` with what is stored.
    ///
    /// Every live lease gets a full time-to-live: nobody could renew it while there was no leader.
    ///
    /// # Errors
    ///
    /// Where the stored state contradicts itself.
    pub fn load(config: Config, snapshot: Snapshot, now: Micros) -> Result<Self, BadSnapshot> {
        let mut engine = Self {
            config,
            seq: snapshot.last_seq,
            dags: BTreeMap::new(),
            analyses: BTreeMap::new(),
            datasets: BTreeMap::new(),
            pools: BTreeMap::new(),
            executors: BTreeMap::new(),
            runs: BTreeMap::new(),
            ready: ReadyIndex::default(),
            holdings: Holdings::default(),
            woken: HashMap::new(),
            timers: BTreeSet::new(),
        };
        for row in snapshot.dags {
            let key = (row.tenant.clone(), row.dag.clone());
            engine.dags.entry(key).or_default().row = Some(row);
        }
        for (tenant, dag, queued) in snapshot.queued {
            engine.dags.entry((tenant, dag)).or_default().queued = queued;
        }
        for row in snapshot.analyses {
            let key = (
                row.tenant.clone(),
                row.analysis.clone(),
                row.version.clone(),
            );
            engine.analyses.insert(key, row);
        }
        for row in snapshot.datasets {
            engine
                .datasets
                .insert((row.tenant.clone(), row.dataset.clone()), (row, None));
        }
        for version in snapshot.dataset_versions {
            let key = (version.tenant.clone(), version.dataset.clone());
            if let Some((_, newest)) = engine.datasets.get_mut(&key) {
                *newest = Some(version);
            }
        }
        for row in snapshot.pools {
            engine
                .pools
                .insert((row.tenant.clone(), row.pool.clone()), row);
        }
        for row in snapshot.executors {
            engine
                .executors
                .insert(row.executor, Executor::new(row, now));
        }
        for stored in snapshot.runs {
            engine.restore(stored, now)?;
        }
        Ok(engine)
    }

    /// Brings a stored run into memory as it is, without any change.
    pub(crate) fn restore(&mut self, stored: StoredRun, now: Micros) -> Result<(), BadSnapshot> {
        let run = stored.row.run;
        let bad = |problem: String| BadSnapshot { run, problem };
        let mut rows: HashMap<_, _> = stored
            .tasks
            .iter()
            .map(|row| (row.key.task.clone(), row))
            .collect();
        let attempts: HashMap<_, _> = stored
            .attempts
            .iter()
            .map(|row| (row.key.task.clone(), row))
            .collect();
        let deadline = now.plus(self.config.lease_ttl);
        let mut instances: Vec<Instance> = Vec::with_capacity(stored.plan.tasks.len());
        for task in &stored.plan.tasks {
            let row = rows
                .remove(&task.name)
                .ok_or_else(|| bad(format!("task `{}` has no row", task.name)))?;
            let waiting_on = task
                .upstream
                .iter()
                .filter(|up| instances[**up as usize].outputs.is_none())
                .count();
            let waiting_on = u32::try_from(waiting_on).unwrap_or(u32::MAX);
            let attempt = attempts.get(&task.name).copied();
            let instance = Instance::from_rows(row, attempt, waiting_on, deadline)
                .ok_or_else(|| bad(format!("task `{}` does not fit its attempt", task.name)))?;
            instances.push(instance);
        }
        let active = ActiveRun::new(stored.row, stored.plan, instances);
        self.activate(active);
        Ok(())
    }

    /// Enters an active run into every index.
    fn activate(&mut self, active: ActiveRun) {
        let run = active.row.run;
        let dag = self.dags.entry(active.dag_key()).or_default();
        dag.active.insert(run);
        dag.active_runs = active.plan.active_runs.unwrap_or(self.config.active_runs);
        for (slot, instance) in active.slots() {
            match &instance.phase {
                Phase::Ready { since } => {
                    let task = &active.plan.tasks[slot.index as usize];
                    self.ready
                        .insert(slot, task.priority, *since, active.class(slot));
                    if let Some(ms) = task.queue_timeout_ms {
                        let due = since.plus(Duration::from_millis(ms));
                        self.timers.insert((due, Timer::Queue(slot)));
                    }
                }
                Phase::RetryWait { due } => {
                    self.timers.insert((*due, Timer::Retry(slot)));
                }
                phase => {
                    if let Some(lease) = phase.lease() {
                        for (permit, slots) in active.permits(slot) {
                            self.holdings.take(&permit, slot, slots);
                        }
                        let due = lease.deadline.plus(self.config.lease_grace);
                        self.timers.insert((due, Timer::Lease(slot, lease.fence)));
                        if let Some(executor) = self.executors.get_mut(&lease.executor) {
                            executor.leases.insert(slot);
                        }
                    }
                }
            }
        }
        self.runs.insert(run, active);
    }

    /// Enters a run whose instances are all pending or ended.
    pub(crate) fn enter(&mut self, active: ActiveRun) {
        self.activate(active);
    }

    /// The newest event's place.
    #[must_use]
    pub fn last_seq(&self) -> EventSeq {
        self.seq
    }

    /// DAGs that have room for so many of their queued runs, as [`Output::admit`]; asked once after
    /// [`Engine::load`].
    #[must_use]
    pub fn admissible(&self) -> Vec<(TenantId, DagName, u32)> {
        let mut out = Output::default();
        for key in self.dags.keys() {
            self.admit_more(key, &mut out);
        }
        out.admit
    }

    /// When the next timer is due; none where nothing is timed.
    #[must_use]
    pub fn next_timer(&self) -> Option<Micros> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The facts that `command` needs in [`Engine::apply`].
    #[must_use]
    pub fn wanted(&self, command: &Command) -> Wanted {
        let mut wanted = Wanted::default();
        match command {
            Command::RunCreate(create) => {
                wanted
                    .idempotency
                    .extend(create.idempotency.iter().map(|i| i.key.clone()));
            }
            Command::RunCancel { run, .. } if !self.runs.contains_key(run) => {
                wanted.runs.push(*run);
            }
            Command::RunAdmit(stored) => wanted.runs.push(stored.row.run),
            Command::Complete(complete) => {
                let late = complete.reports.iter().map(|report| &report.lease);
                let late = late.filter(|lease| self.lease(&lease.key, lease.fence).is_none());
                wanted
                    .attempts
                    .extend(late.map(|lease| (lease.key.clone(), lease.fence)));
            }
            _ => {}
        }
        wanted
    }

    /// Carries out one command at `now`, adding what it brings about to `out`.
    ///
    /// The only way the engine changes. Answers go to `out.replies` under the command's `ticket`;
    /// that of a claim may come with a later command. `facts` must hold what [`Engine::wanted`] asked for,
    /// looked up since the last commit.
    ///
    /// # Panics
    ///
    /// On a defect of the engine: it must then be dropped and loaded anew.
    pub fn apply(
        &mut self,
        ticket: Ticket,
        command: Command,
        now: Micros,
        facts: &Facts,
        rng: &mut dyn RngCore,
        out: &mut Output,
    ) {
        let mut cx = Cx {
            now,
            facts,
            rng,
            out,
        };
        if let Some(reply) = self.decide(ticket, command, &mut cx) {
            cx.out.replies.push((ticket, reply));
        }
        self.dispatch(&mut cx);
        self.answer_parked(&mut cx);
    }

    /// None where the answer comes later.
    fn decide(
        &mut self,
        ticket: Ticket,
        command: Command,
        cx: &mut Cx<'_>,
    ) -> Option<Result<Reply, Refusal>> {
        Some(match command {
            Command::DagApply(apply) => self.dag_apply(apply, cx),
            Command::DagPause {
                tenant,
                dag,
                paused,
                principal,
            } => self.dag_pause(tenant, dag, paused, &principal, cx),
            Command::AnalysisPut(row) => self.analysis_put(*row, cx),
            Command::AnalysisTrust {
                tenant,
                analysis,
                version,
                trusted,
                principal,
            } => self.analysis_trust((tenant, analysis, version), trusted, &principal, cx),
            Command::DatasetPut {
                version,
                description,
            } => self.dataset_put(version, description, cx),
            Command::PoolPut {
                tenant,
                pool,
                slots,
                description,
                principal,
            } => Ok(self.pool_put((tenant, pool), slots, description, &principal, cx)),
            Command::TokenPut(row) | Command::TokenRevoke(row) => {
                Ok(Self::token_put(self, row, cx))
            }
            Command::RunCreate(create) => self.run_create(*create, cx),
            Command::RunAdmit(stored) => {
                self.run_admit(*stored, cx);
                Ok(Reply::Done)
            }
            Command::RunCancel {
                tenant,
                run,
                principal,
            } => self.run_cancel(&tenant, run, &principal, cx),
            Command::ExecutorRegister(register) => Ok(self.executor_register(*register, cx)),
            Command::Claim(claim) => return self.claim(ticket, &claim, cx).transpose(),
            Command::ClaimAbandon { executor, claim } => {
                self.claim_abandon(executor, claim, cx.out);
                Ok(Reply::Done)
            }
            Command::Heartbeat(heartbeat) => self.heartbeat(heartbeat, cx),
            Command::Complete(complete) => self.complete(complete, cx),
            Command::Release {
                executor,
                epoch,
                leases,
            } => self.release(executor, epoch, &leases, cx),
            Command::Tick => {
                self.tick(cx);
                Ok(Reply::Done)
            }
        })
    }

    pub(crate) fn event(
        &mut self,
        cx: &mut Cx<'_>,
        tenant: &TenantId,
        kind: &str,
        subject: String,
        run: Option<RunId>,
        data: Value,
    ) {
        self.seq = EventSeq(self.seq.0 + 1);
        cx.out.batch.events.push(Event {
            tenant: tenant.clone(),
            seq: self.seq,
            kind: kind.to_owned(),
            subject,
            run,
            time: cx.now,
            data,
        });
    }

    pub(crate) fn change(cx: &mut Cx<'_>, change: Change) {
        cx.out.batch.changes.push(change);
    }

    /// How many slots `permit` has.
    pub(crate) fn limit(&self, permit: &Permit, run: &ActiveRun) -> u64 {
        match permit {
            Permit::Global => self.config.active_tasks.map_or(u64::MAX, u64::from),
            Permit::Dag(..) => run.plan.active_tasks.map_or(u64::MAX, u64::from),
            Permit::Pool(tenant, pool) => self
                .pools
                .get(&(tenant.clone(), pool.clone()))
                .map_or(0, |row| u64::from(row.slots)),
        }
    }
}

impl Executor {
    pub fn new(row: ExecutorRow, now: Micros) -> Self {
        let gvisor = row
            .info
            .get("gvisor")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        Self {
            row,
            gvisor,
            heard_at: now,
            unavailable: None,
            parked: None,
            free: 0,
            leases: BTreeSet::new(),
            last_claim: None,
            granted: Vec::new(),
            cancels: Vec::new(),
        }
    }

    /// Whether it is built for instances of `class`.
    pub fn suits(&self, class: Class) -> bool {
        match class {
            Class::Sandboxed => self.gvisor,
            Class::Trusted => true,
        }
    }

    /// Whether it can take one more instance of `class` now. Never more than its slots, whatever
    /// it claims.
    pub fn can_take(&self, class: Class) -> bool {
        self.free > 0 && self.leases.len() < self.row.slots as usize && self.suits(class)
    }
}

impl ActiveRun {
    pub fn new(row: RunRow, plan: Arc<RunPlan>, instances: Vec<Instance>) -> Self {
        let mut downstream = vec![Vec::new(); plan.tasks.len()];
        for (index, task) in (0u32..).zip(&plan.tasks) {
            for up in &task.upstream {
                downstream[*up as usize].push(index);
            }
        }
        let unfinished = instances
            .iter()
            .filter(|i| !matches!(i.phase, Phase::Ended { .. }))
            .count();
        Self {
            row,
            plan,
            instances,
            downstream,
            unfinished,
        }
    }

    /// A run none of whose instances has begun.
    pub fn fresh(row: RunRow, plan: Arc<RunPlan>) -> Self {
        let waiting = |n: usize| Instance::new(u32::try_from(n).unwrap_or(u32::MAX));
        let instances = plan
            .tasks
            .iter()
            .map(|task| waiting(task.upstream.len()))
            .collect();
        Self::new(row, plan, instances)
    }

    pub fn dag_key(&self) -> (TenantId, DagName) {
        (self.row.tenant.clone(), self.row.dag.clone())
    }

    pub fn slots(&self) -> impl Iterator<Item = (Slot, &Instance)> {
        let run = self.row.run;
        (0u32..)
            .zip(&self.instances)
            .map(move |(index, i)| (Slot { run, index }, i))
    }

    pub fn class(&self, slot: Slot) -> Class {
        if self.plan.tasks[slot.index as usize].work.trusted {
            Class::Trusted
        } else {
            Class::Sandboxed
        }
    }

    /// What an instance must hold to be leased, all or nothing.
    pub fn permits(&self, slot: Slot) -> Vec<(Permit, u32)> {
        let tenant = &self.row.tenant;
        let task = &self.plan.tasks[slot.index as usize];
        let pools = task
            .pools
            .iter()
            .map(|need| (Permit::Pool(tenant.clone(), need.pool.clone()), need.slots));
        let dag = Permit::Dag(tenant.clone(), self.row.dag.clone());
        [(Permit::Global, 1), (dag, 1)]
            .into_iter()
            .chain(pools)
            .collect()
    }

    pub fn index_of(&self, task: &str) -> Option<u32> {
        let index = self
            .plan
            .tasks
            .iter()
            .position(|t| t.name.as_str() == task)?;
        u32::try_from(index).ok()
    }
}
