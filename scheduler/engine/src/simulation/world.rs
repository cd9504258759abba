//! The world around the engine: a database that holds what was committed, and executors.

use super::check;
use crate::command::{
    Claim, Claimed, Command, Complete, DagApply, Facts, Heartbeat, HeldLease, LeaseRef,
    LeaseVerdict, Register, Reply, Report, ReportVerdict, RunCreate,
};
use crate::plan::{
    BlobRef, Image, Outputs, Payload, PlannedTask, PoolNeed, Resources, RetryPolicy, RunPlan, Work,
};
use crate::rows::{
    AttemptRow, Change, DagRow, Event, ExecutorRow, PoolRow, ReportRow, RunRow, Snapshot,
    StoredRun, TaskRow,
};
use crate::{Config, Engine, Output, Ticket};
use belljar_ids::{
    Cause, ClaimId, DagName, Digest, Epoch, EventSeq, ExecutorId, Fence, InstanceKey, Micros,
    PoolName, PrincipalName, RunId, RunState, TenantId,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub(super) const EXECUTORS: u8 = 3;
pub(super) const SLOTS: u32 = 2;
pub(super) const ACTIVE_RUNS: u32 = 3;
pub(super) const ACTIVE_TASKS: u32 = 3;
pub(super) const MAX_ATTEMPTS: u32 = 2;

#[derive(Debug, Clone)]
pub(super) enum Action {
    RunCreate {
        dag: u8,
        shape: u8,
    },
    RunCancel {
        run: u8,
    },
    Register {
        executor: u8,
    },
    Claim {
        executor: u8,
        free: u32,
    },
    Heartbeat {
        executor: u8,
        all: bool,
        started: bool,
    },
    Complete {
        executor: u8,
        lease: u8,
        outcome: u8,
    },
    /// A report under a lease that was given out at any time, right or long lost.
    ReportLate {
        lease: u8,
        outcome: u8,
    },
    Release {
        executor: u8,
    },
    Advance {
        millis: u32,
    },
    Pause {
        dag: u8,
        paused: bool,
    },
    PoolSet {
        slots: u32,
    },
    /// The leader dies after a commit; another one loads what is stored.
    LeaderCrash,
    /// The leader dies between apply and commit: what it decided never happened.
    CommitLost,
}

/// What was seen to happen: the "sometimes" properties.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub counts: BTreeMap<&'static str, u32>,
}

impl Seen {
    fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    pub fn assert_all(&self) {
        for what in [
            "accepted",
            "stale report refused",
            "replay accepted",
            "digest mismatch",
            "reaped",
            "cancel verdict",
            "gone verdict",
            "kept at registration",
            "queued run admitted",
            "retried",
            "crashed",
            "claim answered later",
            "success while cancelling",
        ] {
            assert!(
                self.counts.contains_key(what),
                "never seen: {what}; seen: {:?}",
                self.counts
            );
        }
    }
}

/// What is stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Db {
    pub dags: BTreeMap<DagName, DagRow>,
    pub pools: BTreeMap<PoolName, PoolRow>,
    pub executors: BTreeMap<ExecutorId, ExecutorRow>,
    pub runs: BTreeMap<RunId, RunRow>,
    pub plans: BTreeMap<RunId, Arc<RunPlan>>,
    pub tasks: BTreeMap<InstanceKey, TaskRow>,
    pub attempts: BTreeMap<(InstanceKey, Fence), AttemptRow>,
    pub reports: Vec<ReportRow>,
    pub events: Vec<Event>,
}

impl Db {
    fn write(&mut self, change: Change) {
        match change {
            Change::Dag(row) => drop(self.dags.insert(row.dag.clone(), row)),
            Change::Pool(row) => drop(self.pools.insert(row.pool.clone(), row)),
            Change::Executor(row) => drop(self.executors.insert(row.executor, row)),
            Change::RunNew(new) => {
                self.plans.insert(new.row.run, new.plan);
                self.runs.insert(new.row.run, new.row);
            }
            Change::Run(row) => drop(self.runs.insert(row.run, row)),
            Change::Task(row) => drop(self.tasks.insert(row.key.clone(), row)),
            Change::Attempt(row) => {
                drop(self.attempts.insert((row.key.clone(), row.fence), *row));
            }
            Change::Report(row) => self.reports.push(row),
            Change::DagVersion(_) => {}
            other => panic!("no action brings about {other:?}"),
        }
    }

    fn stored(&self, run: RunId) -> StoredRun {
        StoredRun {
            row: self.runs[&run].clone(),
            plan: Arc::clone(&self.plans[&run]),
            idempotency: None,
            tasks: self
                .tasks
                .values()
                .filter(|t| t.key.run == run)
                .cloned()
                .collect(),
            attempts: self
                .attempts
                .values()
                .filter(|a| a.key.run == run && a.live)
                .cloned()
                .collect(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let in_state = |states: &'static [RunState]| {
            self.runs
                .values()
                .filter(move |row| states.contains(&row.state))
        };
        let mut queued: BTreeMap<DagName, u64> = BTreeMap::new();
        for row in in_state(&[RunState::Queued]) {
            *queued.entry(row.dag.clone()).or_default() += 1;
        }
        Snapshot {
            last_seq: EventSeq(i64::try_from(self.events.len()).unwrap()),
            dags: self.dags.values().cloned().collect(),
            pools: self.pools.values().cloned().collect(),
            executors: self.executors.values().cloned().collect(),
            runs: in_state(&[RunState::Running, RunState::Cancelling])
                .map(|row| self.stored(row.run))
                .collect(),
            queued: queued
                .into_iter()
                .map(|(dag, n)| (tenant(), dag, n))
                .collect(),
            ..Snapshot::default()
        }
    }
}

/// What an executor process knows.
#[derive(Debug, Default)]
struct Node {
    epoch: Option<Epoch>,
    held: Vec<LeaseRef>,
}

#[derive(Debug)]
pub(super) struct World {
    pub engine: Engine,
    pub db: Db,
    pub now: Micros,
    pub seen: Seen,
    rng: ChaCha8Rng,
    nodes: BTreeMap<ExecutorId, Node>,
    /// Every lease ever given out, with the executor it went to.
    given: Vec<(ExecutorId, LeaseRef)>,
    /// The digest of the report accepted under a lease.
    accepted: BTreeMap<(InstanceKey, Fence), Digest>,
    tickets: u64,
    parked: BTreeMap<Ticket, ExecutorId>,
    lose_next: bool,
}

pub(super) fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn principal() -> PrincipalName {
    "someone".parse().unwrap()
}

fn dag_name(dag: u8) -> DagName {
    ["first", "second"][usize::from(dag % 2)].parse().unwrap()
}

pub(super) fn pool_name() -> PoolName {
    "heavy".parse().unwrap()
}

fn executor_id(executor: u8) -> ExecutorId {
    ExecutorId::from_uuid(Uuid::from_u128(u128::from(executor % EXECUTORS) + 1))
}

pub(super) fn config() -> Config {
    Config {
        lease_ttl: Duration::from_secs(4),
        lease_grace: Duration::from_secs(1),
        active_tasks: Some(5),
        ..Config::default()
    }
}

fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

/// Chain, diamond, fan-in, triangle, a chain with every short cut, a single task; some in the pool.
fn plan(dag: &DagName, shape: u8) -> RunPlan {
    let edges: &[&[u32]] = match shape % 6 {
        0 => &[&[], &[0], &[1]],
        1 => &[&[], &[0], &[0], &[1, 2]],
        2 => &[&[], &[], &[], &[0, 1, 2]],
        // Direct and indirect paths to one task.
        3 => &[&[], &[0], &[0, 1]],
        4 => &[&[], &[0], &[1], &[0, 1, 2]],
        _ => &[&[]],
    };
    let tasks = edges.iter().enumerate().map(|(i, upstream)| PlannedTask {
        name: format!("t{i}").parse().unwrap(),
        upstream: upstream.to_vec(),
        priority: i32::from(shape / 4 % 3) - i32::try_from(i).unwrap() % 2,
        pools: (i % 2 == 1)
            .then(|| PoolNeed {
                pool: pool_name(),
                slots: 1 + u32::from(shape / 16 % 2),
            })
            .into_iter()
            .collect(),
        retries: RetryPolicy {
            max_attempts: MAX_ATTEMPTS,
            initial_ms: 1_000,
            ..RetryPolicy::default()
        },
        queue_timeout_ms: (shape % 16 == 7).then_some(15_000),
        work: Work {
            analysis: "analysis".parse().unwrap(),
            analysis_version: "1.0.0".into(),
            analysis_digest: digest(1),
            manifest: Value::Null,
            image: Image {
                digest: digest(2),
                config: digest(3),
                from: Vec::new(),
            },
            inputs: BTreeMap::new(),
            params: Value::Null,
            resources: Resources {
                cpu_millis: 1_000,
                memory_bytes: 1,
                disk_bytes: 1,
                tmp_bytes: 1,
                pids: 1,
                timeout_ms: 1,
            },
            trusted: shape % 8 == 5,
        },
    });
    RunPlan {
        dag: dag.clone(),
        dag_version: digest(9),
        params: Value::Null,
        active_runs: Some(ACTIVE_RUNS),
        active_tasks: Some(ACTIVE_TASKS),
        tasks: tasks.collect(),
    }
}

fn outputs() -> Outputs {
    Outputs {
        result: Payload {
            blob: BlobRef {
                digest: digest(4),
                size: 2,
            },
            inline: Some("{}".to_owned()),
        },
        artifacts: BTreeMap::new(),
    }
}

fn report(lease: LeaseRef, outcome: u8) -> Report {
    let cause = match outcome % 8 {
        0..=2 => None,
        3 => Some(Cause::ExitCode),
        4 => Some(Cause::AttemptTimeout),
        5 => Some(Cause::EngineRestarted),
        6 => Some(Cause::ImageUnavailable),
        _ => Some(Cause::Tampering),
    };
    Report {
        lease,
        digest: digest(100 + outcome % 8),
        cause,
        message: None,
        ended_by_itself: cause.is_none(),
        exit_code: None,
        started_ms_ago: Some(5),
        outputs: cause.is_none().then(outputs),
        detail: Value::Null,
        receipt: None,
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            engine: Engine::load(config(), Snapshot::default(), Micros(0)).unwrap(),
            db: Db::default(),
            now: Micros(1_000_000_000),
            seen: Seen::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            nodes: BTreeMap::new(),
            given: Vec::new(),
            accepted: BTreeMap::new(),
            tickets: 0,
            parked: BTreeMap::new(),
            lose_next: false,
        };
        for dag in 0..2 {
            world.send(Command::DagApply(DagApply {
                tenant: tenant(),
                dag: dag_name(dag),
                version: digest(9),
                source: String::new(),
                spec: Value::Null,
                paused: None,
                principal: principal(),
            }));
        }
        world.pool_set(2);
        world
    }

    fn pool_set(&mut self, slots: u32) {
        self.send(Command::PoolPut {
            tenant: tenant(),
            pool: pool_name(),
            slots,
            description: None,
            principal: principal(),
        });
    }

    fn facts(&self, command: &Command) -> Facts {
        let wanted = self.engine.wanted(command);
        let mut facts = Facts::default();
        for run in wanted.runs {
            if let Some(row) = self.db.runs.get(&run) {
                facts.runs.insert(run, row.clone());
                if row.state == RunState::Queued {
                    facts.queued.insert(run, self.db.stored(run));
                }
            }
        }
        for key in wanted.attempts {
            if let Some(row) = self.db.attempts.get(&key) {
                facts.attempts.insert(key, row.clone());
            }
        }
        facts
    }

    /// One command as a batch of its own; its answer, unless it was lost or comes later.
    fn send(&mut self, command: Command) -> Option<Reply> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if let Command::Claim(claim) = &command {
            self.parked.insert(ticket, claim.executor);
        }
        let facts = self.facts(&command);
        let mut out = Output::default();
        self.engine
            .apply(ticket, command, self.now, &facts, &mut self.rng, &mut out);
        if std::mem::take(&mut self.lose_next) {
            self.crash();
            return None;
        }
        check::batch(&self.db, &out.batch, self.now);
        self.db.events.extend(out.batch.events);
        for change in out.batch.changes {
            self.db.write(change);
        }
        let mut own = None;
        for (answered, reply) in out.replies {
            if let Some(executor) = self.parked.remove(&answered) {
                if let Ok(Reply::Claimed(claimed)) = reply {
                    if answered != ticket {
                        self.seen.note("claim answered later");
                    }
                    self.take(executor, &claimed);
                }
            } else if answered == ticket {
                own = reply.ok();
            }
        }
        check::state(self);
        for (tenant, dag, count) in out.admit {
            self.admit(&tenant, &dag, count);
        }
        own
    }

    fn admit(&mut self, _: &TenantId, dag: &DagName, count: u32) {
        let queued = |row: &&RunRow| row.state == RunState::Queued && row.dag == *dag;
        let runs: Vec<RunId> = self
            .db
            .runs
            .values()
            .filter(queued)
            .map(|r| r.run)
            .take(count as usize)
            .collect();
        for run in runs {
            let stored = self.db.stored(run);
            self.send(Command::RunAdmit(Box::new(stored)));
            if self.db.runs[&run].state != RunState::Queued {
                self.seen.note("queued run admitted");
            }
        }
    }

    fn take(&mut self, executor: ExecutorId, claimed: &Claimed) {
        for granted in &claimed.leases {
            self.given.push((executor, granted.lease.clone()));
            self.nodes
                .entry(executor)
                .or_default()
                .held
                .push(granted.lease.clone());
            if granted.try_number > 1 {
                self.seen.note("retried");
            }
        }
    }

    /// Another leader takes over with what is stored.
    fn crash(&mut self) {
        self.parked.clear();
        self.engine = Engine::load(config(), self.db.snapshot(), self.now).unwrap();
        check::state(self);
        for (tenant, dag, count) in self.engine.admissible() {
            self.admit(&tenant, &dag, count);
        }
    }

    pub fn act(&mut self, action: Action) {
        match action {
            Action::RunCreate { dag, shape } => self.run_create(dag, shape),
            Action::RunCancel { run } => {
                let runs: Vec<RunId> = self.db.runs.keys().copied().collect();
                if let Some(run) = runs.get(usize::from(run) % runs.len().max(1)) {
                    let (tenant, principal) = (tenant(), principal());
                    self.send(Command::RunCancel {
                        tenant,
                        run: *run,
                        principal,
                    });
                }
            }
            Action::Register { executor } => self.register(executor_id(executor)),
            Action::Claim { executor, free } => self.claim(executor_id(executor), free),
            Action::Heartbeat {
                executor,
                all,
                started,
            } => {
                self.heartbeat(executor_id(executor), all, started);
            }
            Action::Complete {
                executor,
                lease,
                outcome,
            } => {
                let id = executor_id(executor);
                let held = self.nodes.get(&id).map_or(&[][..], |node| &node.held);
                if let Some(lease) = held.get(usize::from(lease) % held.len().max(1)) {
                    self.complete(id, lease.clone(), outcome);
                }
            }
            Action::ReportLate { lease, outcome } => {
                if let Some((id, lease)) = self
                    .given
                    .get(usize::from(lease) % self.given.len().max(1))
                    .cloned()
                {
                    self.complete(id, lease, outcome);
                }
            }
            Action::Release { executor } => self.release(executor_id(executor)),
            Action::Advance { millis } => self.advance(millis),
            Action::Pause { dag, paused } => {
                let (tenant, dag, principal) = (tenant(), dag_name(dag), principal());
                self.send(Command::DagPause {
                    tenant,
                    dag,
                    paused,
                    principal,
                });
            }
            Action::PoolSet { slots } => self.pool_set(slots),
            Action::LeaderCrash => self.crash(),
            Action::CommitLost => self.lose_next = true,
        }
    }

    fn run_create(&mut self, dag: u8, shape: u8) {
        let dag = dag_name(dag);
        let run = RunId::from_uuid(Uuid::from_u128(u128::from(self.tickets) + 1_000));
        self.send(Command::RunCreate(Box::new(RunCreate {
            tenant: tenant(),
            run,
            plan: Arc::new(plan(&dag, shape)),
            principal: principal(),
            idempotency: None,
            request: None,
        })));
    }

    fn register(&mut self, id: ExecutorId) {
        let held = self
            .nodes
            .get(&id)
            .map(|node| node.held.clone())
            .unwrap_or_default();
        let listed = held.iter().map(|lease| HeldLease {
            lease: lease.clone(),
            started: true,
        });
        let register = Register {
            tenant: tenant(),
            executor: id,
            name: "node".to_owned(),
            slots: SLOTS,
            gvisor: id != executor_id(2),
            info: Value::Null,
            held: listed.collect(),
        };
        let reply = self.send(Command::ExecutorRegister(Box::new(register)));
        if let Some(Reply::Registered { epoch, verdicts }) = reply {
            let kept = held
                .into_iter()
                .zip(verdicts)
                .filter(|(_, v)| *v != LeaseVerdict::Gone);
            let held: Vec<_> = kept.map(|(lease, _)| lease).collect();
            if !held.is_empty() {
                self.seen.note("kept at registration");
            }
            self.nodes.insert(
                id,
                Node {
                    epoch: Some(epoch),
                    held,
                },
            );
        }
    }

    fn epoch(&self, id: ExecutorId) -> Option<Epoch> {
        self.nodes.get(&id)?.epoch
    }

    fn new_claim(&mut self, executor: ExecutorId, epoch: Epoch, free: u32) -> Claim {
        let claim = ClaimId::from_uuid(Uuid::from_u128(self.rng.random()));
        Claim {
            claim,
            executor,
            epoch,
            free_slots: free,
            wait_ms: 30_000,
        }
    }

    fn claim(&mut self, id: ExecutorId, free: u32) {
        if let Some(epoch) = self.epoch(id) {
            let claim = self.new_claim(id, epoch, free);
            self.send(Command::Claim(claim));
        }
    }

    fn heartbeat(&mut self, id: ExecutorId, all: bool, started: bool) {
        let Some(epoch) = self.epoch(id) else { return };
        let mut held = self.nodes[&id].held.clone();
        if !all {
            held.truncate(held.len() / 2);
        }
        let leases: Vec<_> = held
            .iter()
            .map(|lease| HeldLease {
                lease: lease.clone(),
                started,
            })
            .collect();
        let heartbeat = Heartbeat {
            executor: id,
            epoch,
            leases,
            unavailable: None,
        };
        let Some(Reply::Heartbeat(verdicts)) = self.send(Command::Heartbeat(heartbeat)) else {
            return;
        };
        for (lease, verdict) in held.into_iter().zip(verdicts) {
            match verdict {
                LeaseVerdict::Ok => {}
                LeaseVerdict::Cancel => self.seen.note("cancel verdict"),
                LeaseVerdict::Gone => {
                    self.seen.note("gone verdict");
                    self.drop_lease(id, &lease);
                }
            }
        }
    }

    fn drop_lease(&mut self, id: ExecutorId, lease: &LeaseRef) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.held.retain(|held| held != lease);
        }
    }

    fn complete(&mut self, id: ExecutorId, lease: LeaseRef, outcome: u8) {
        let Some(epoch) = self.epoch(id) else { return };
        let report = report(lease.clone(), outcome);
        let (digest, at) = (report.digest, (lease.key.clone(), lease.fence));
        let live = self.db.attempts.get(&at).is_some_and(|row| row.live);
        let cancelling = self.db.tasks[&lease.key].state == crate::TaskState::Cancelling && live;
        let claim = (outcome > 128).then(|| self.new_claim(id, epoch, 1));
        let complete = Complete {
            executor: id,
            epoch,
            reports: vec![report],
            claim,
        };
        let Some(Reply::Completed { verdicts, claimed }) = self.send(Command::Complete(complete))
        else {
            return;
        };
        self.take(id, &claimed);
        self.drop_lease(id, &lease);
        let before = self.accepted.get(&at).copied();
        match verdicts[0] {
            ReportVerdict::Accepted if live => {
                self.seen.note("accepted");
                if cancelling && self.db.tasks[&lease.key].state == crate::TaskState::Succeeded {
                    self.seen.note("success while cancelling");
                }
                assert!(before.is_none(), "two reports accepted under {at:?}");
                self.accepted.insert(at, digest);
            }
            ReportVerdict::Accepted => {
                self.seen.note("replay accepted");
                assert_eq!(
                    before,
                    Some(digest),
                    "a report without a lease was accepted"
                );
            }
            ReportVerdict::StaleFence => {
                self.seen.note("stale report refused");
                assert!(!live && before.is_none());
            }
            ReportVerdict::DigestMismatch => {
                self.seen.note("digest mismatch");
                assert!(before.is_some_and(|d| d != digest));
            }
            ReportVerdict::Invalid => panic!("a right report was called invalid"),
        }
    }

    fn release(&mut self, id: ExecutorId) {
        if let Some(epoch) = self.epoch(id) {
            let leases = self.nodes[&id].held.clone();
            if self
                .send(Command::Release {
                    executor: id,
                    epoch,
                    leases,
                })
                .is_some()
            {
                self.nodes.entry(id).or_default().held.clear();
            }
        }
    }

    fn advance(&mut self, millis: u32) {
        let target = self.now.plus(Duration::from_millis(u64::from(millis)));
        while let Some(due) = self.engine.next_timer().filter(|due| *due <= target) {
            let crashed = |db: &Db| {
                db.attempts
                    .values()
                    .filter(|a| a.cause == Some(Cause::ExecutorLost))
                    .count()
            };
            let before = crashed(&self.db);
            self.now = due.max(self.now);
            self.send(Command::Tick);
            let parked = self
                .engine
                .executors
                .values()
                .filter_map(|e| e.parked.as_ref());
            assert!(
                parked.map(|p| p.until).all(|until| until > self.now),
                "held back too long"
            );
            if crashed(&self.db) > before {
                self.seen.note("reaped");
            }
        }
        self.now = target;
    }

    /// Ends every fault and works until all runs have ended: liveness.
    pub fn heal(&mut self) {
        self.lose_next = false;
        for dag in 0..2 {
            self.act(Action::Pause { dag, paused: false });
        }
        self.pool_set(4);
        for executor in 0..2 {
            self.register(executor_id(executor));
        }
        let open = |db: &Db| {
            db.runs
                .values()
                .filter(|row| !row.state.is_terminal())
                .count()
        };
        for round in 0.. {
            if open(&self.db) == 0 {
                break;
            }
            assert!(round < 2_000, "runs do not end: {:#?}", self.db.runs);
            for executor in 0..2 {
                let id = executor_id(executor);
                self.claim(id, SLOTS);
                self.heartbeat(id, true, true);
                for lease in self.nodes[&id].held.clone() {
                    self.complete(id, lease, 0);
                }
            }
            self.advance(1_000);
        }
        if self
            .db
            .tasks
            .values()
            .any(|task| task.state == crate::TaskState::Crashed)
        {
            self.seen.note("crashed");
        }
        assert_eq!(
            self.engine.sizes(),
            (0, 0),
            "ended runs are still in the engine"
        );
    }
}
