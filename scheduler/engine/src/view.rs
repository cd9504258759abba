//! What the engine knows that is never stored: why an instance waits, who holds a permit, how an
//! executor is doing. True at the moment of asking.

use crate::engine::{ActiveRun, Engine};
use crate::instance::Phase;
use crate::permits::Permit;
use crate::ready::{Place, Slot};
use crate::rows::{AnalysisRow, DatasetRow, ExecutorRow};
use belljar_ids::{
    AnalysisName, DagName, DatasetName, ExecutorId, Fence, InstanceKey, Micros, PoolName, RunId,
    RunState, TaskState, TenantId,
};
use std::time::Duration;

/// Why an unfinished task instance is not running: the closed list, with what blocks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Tasks upstream have not succeeded.
    Upstream(Vec<String>),
    /// The delay before the next try ends then.
    RetryDelay(Micros),
    /// Its DAG is paused.
    DagPaused(DagName),
    /// Its DAG has as many active runs as it may.
    RunLimit(DagName),
    /// The installation has as many leases as it may.
    GlobalLimit(u64),
    /// Its DAG has as many leases as it may.
    DagLimit(DagName, u64),
    /// A pool has too few slots free.
    PoolSlots {
        /// The pool.
        pool: PoolName,
        /// Slots the instance needs.
        needs: u32,
        /// Slots in use.
        used: u64,
        /// Slots there are; 0 where the pool does not exist.
        slots: u64,
    },
    /// So many others are ahead in order.
    Behind(usize),
    /// No executor that is registered suits it.
    NoExecutor {
        /// Whether it needs gVisor.
        gvisor: bool,
    },
    /// Every suitable executor is busy, does not answer or takes no work; why, in the words of one that
    /// says so.
    ExecutorsFull(Option<String>),
}

impl WaitReason {
    /// The reason's name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Upstream(_) => "upstream",
            Self::RetryDelay(_) => "retry_delay",
            Self::DagPaused(_) => "dag_paused",
            Self::RunLimit(_) => "run_limit",
            Self::GlobalLimit(_) => "global_limit",
            Self::DagLimit(..) => "dag_limit",
            Self::PoolSlots { .. } => "pool_slots",
            Self::Behind(_) => "behind",
            Self::NoExecutor { .. } => "no_executor",
            Self::ExecutorsFull(_) => "executors_full",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn sentence(&self, now: Micros) -> String {
        match self {
            Self::Upstream(tasks) => format!("waits for {}", tasks.join(", ")),
            Self::RetryDelay(due) => {
                format!("next try in {:.1} s", due.since(now).as_secs_f64())
            }
            Self::DagPaused(dag) => format!("DAG `{dag}` is paused; unpause it to go on"),
            Self::RunLimit(dag) => {
                format!("DAG `{dag}` has as many active runs as its limit allows")
            }
            Self::GlobalLimit(n) => format!("{n} tasks are running, which is the limit"),
            Self::DagLimit(dag, n) => {
                format!("{n} tasks of DAG `{dag}` are running, which is its limit")
            }
            Self::PoolSlots {
                pool,
                needs,
                used,
                slots,
            } if u64::from(*needs) > *slots => format!(
                "needs {needs} slots of pool `{pool}`, which has {slots}: set it with `belljar \
                 pool set {pool} --slots {}`; in use: {used}",
                needs
            ),
            Self::PoolSlots {
                pool,
                needs,
                used,
                slots,
            } => {
                format!("needs {needs} of pool `{pool}`; {used} of {slots} slots are in use")
            }
            Self::Behind(n) => format!("{n} task instances go first"),
            Self::NoExecutor { gvisor: true } => {
                "no executor with a working gVisor is registered".to_owned()
            }
            Self::NoExecutor { gvisor: false } => "no executor is registered".to_owned(),
            Self::ExecutorsFull(None) => "every suitable executor is busy or away".to_owned(),
            Self::ExecutorsFull(Some(why)) => {
                format!("every suitable executor is busy or away; {why}")
            }
        }
    }
}

/// One waiting instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The instance.
    pub key: InstanceKey,
    /// Its state.
    pub state: TaskState,
    /// Why it waits.
    pub reason: WaitReason,
}

/// An executor as the leader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutorView {
    /// Its registration.
    pub row: ExecutorRow,
    /// How long nothing was heard of it.
    pub silent_for: Duration,
    /// Whether it is taken to be alive: heard of within a lease's lifetime.
    pub alive: bool,
    /// Why it takes no work, in its own words.
    pub unavailable: Option<String>,
    /// The leases it holds.
    pub leases: Vec<(InstanceKey, Fence, TaskState)>,
}

/// Somebody who holds slots of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The instance.
    pub key: InstanceKey,
    /// How many slots.
    pub slots: u32,
}

impl Engine {
    /// Why each unfinished instance of an active run that holds no lease waits; none where the run is
    /// not active here.
    #[must_use]
    pub fn waits(&self, tenant: &TenantId, run: RunId) -> Option<Vec<Wait>> {
        let active = self
            .runs
            .get(&run)
            .filter(|active| active.row.tenant == *tenant)?;
        let waits = active.slots().filter_map(|(slot, instance)| {
            Some(Wait {
                key: self.key_of(slot)?,
                state: instance.phase.state(),
                reason: self.reason(active, slot)?,
            })
        });
        Some(waits.collect())
    }

    /// Why a queued run does not start.
    #[must_use]
    pub fn queued_reason(&self, tenant: &TenantId, dag: &DagName, request: bool) -> WaitReason {
        let head = self.dags.get(&(tenant.clone(), dag.clone()));
        let paused = head
            .and_then(|d| d.row.as_ref())
            .is_some_and(|row| row.paused);
        if paused && !request {
            WaitReason::DagPaused(dag.clone())
        } else {
            WaitReason::RunLimit(dag.clone())
        }
    }

    fn key_of(&self, slot: Slot) -> Option<InstanceKey> {
        let active = self.runs.get(&slot.run)?;
        let task = &active.plan.tasks[slot.index as usize].name;
        Some(crate::instance::key(slot.run, task))
    }

    fn reason(&self, active: &ActiveRun, slot: Slot) -> Option<WaitReason> {
        let instance = &active.instances[slot.index as usize];
        match &instance.phase {
            Phase::Pending => {
                let up = &active.plan.tasks[slot.index as usize].upstream;
                let open = up.iter().filter(|i| {
                    active.instances[**i as usize].phase.state() != TaskState::Succeeded
                });
                let names = open.map(|i| active.plan.tasks[*i as usize].name.to_string());
                Some(WaitReason::Upstream(names.collect()))
            }
            Phase::RetryWait { due } => Some(WaitReason::RetryDelay(*due)),
            Phase::Ready { .. } => Some(self.ready_reason(active, slot)),
            _ => None,
        }
    }

    fn ready_reason(&self, active: &ActiveRun, slot: Slot) -> WaitReason {
        if let Some(Place::Blocked(permit, _)) = self.ready.place(slot) {
            return self.permit_reason(active, slot, permit);
        }
        let class = active.class(slot);
        if !self
            .executors
            .values()
            .any(|executor| executor.suits(class))
        {
            return WaitReason::NoExecutor {
                gvisor: class == crate::ready::Class::Sandboxed,
            };
        }
        match self.ready.ahead(slot) {
            Some(ahead) if ahead > 0 => WaitReason::Behind(ahead),
            _ => WaitReason::ExecutorsFull(self.unavailable(class)),
        }
    }

    /// Why a suitable executor takes no work, as it says itself.
    fn unavailable(&self, class: crate::ready::Class) -> Option<String> {
        let suitable = self
            .executors
            .values()
            .filter(|executor| executor.suits(class));
        let why =
            suitable.filter_map(|e| Some(format!("{}: {}", e.row.name, e.unavailable.as_ref()?)));
        why.min()
    }

    fn permit_reason(&self, active: &ActiveRun, slot: Slot, permit: &Permit) -> WaitReason {
        let used = self.holdings.used(permit);
        match permit {
            Permit::Global => WaitReason::GlobalLimit(used),
            Permit::Dag(_, dag) => WaitReason::DagLimit(dag.clone(), used),
            Permit::Pool(_, pool) => {
                let needs = active.permits(slot).into_iter().find(|(p, _)| p == permit);
                WaitReason::PoolSlots {
                    pool: pool.clone(),
                    needs: needs.map_or(0, |(_, n)| n),
                    used,
                    slots: self.limit(permit, active),
                }
            }
        }
    }

    /// All executors of a tenant.
    #[must_use]
    pub fn executors(&self, tenant: &TenantId, now: Micros) -> Vec<ExecutorView> {
        let own = self
            .executors
            .values()
            .filter(|executor| executor.row.tenant == *tenant);
        own.map(|executor| {
            let silent_for = now.since(executor.heard_at);
            let leases = executor.leases.iter().filter_map(|slot| {
                let phase = self.phase(*slot)?;
                Some((self.key_of(*slot)?, phase.lease()?.fence, phase.state()))
            });
            ExecutorView {
                row: executor.row.clone(),
                silent_for,
                alive: silent_for <= self.config.lease_ttl || executor.parked.is_some(),
                unavailable: executor.unavailable.clone(),
                leases: leases.collect(),
            }
        })
        .collect()
    }

    /// Who holds slots of a pool.
    #[must_use]
    pub fn pool_holders(&self, tenant: &TenantId, pool: &PoolName) -> Vec<Holder> {
        let permit = Permit::Pool(tenant.clone(), pool.clone());
        let holders = self.holdings.holders(&permit);
        holders
            .filter_map(|(slot, slots)| {
                Some(Holder {
                    key: self.key_of(slot)?,
                    slots,
                })
            })
            .collect()
    }

    /// The lease of an instance under `fence`, if the executor and token are its holder's: the right
    /// to the lease's inputs, outputs and logs. Its tenant and work.
    #[must_use]
    pub fn lease_granted(
        &self,
        executor: ExecutorId,
        lease: &crate::command::LeaseRef,
    ) -> Option<crate::command::Granted> {
        self.granted_to(executor, lease)
    }

    /// A published analysis version.
    #[must_use]
    pub fn analysis(
        &self,
        tenant: &TenantId,
        analysis: &AnalysisName,
        version: &str,
    ) -> Option<&AnalysisRow> {
        self.analyses
            .get(&(tenant.clone(), analysis.clone(), version.to_owned()))
    }

    /// All published versions of an analysis, in the order of their text.
    pub fn analysis_versions<'a>(
        &'a self,
        tenant: &'a TenantId,
        analysis: &'a AnalysisName,
    ) -> impl Iterator<Item = &'a AnalysisRow> {
        self.analyses
            .values()
            .filter(move |r| r.tenant == *tenant && r.analysis == *analysis)
    }

    /// A dataset's head.
    #[must_use]
    pub fn dataset(&self, tenant: &TenantId, dataset: &DatasetName) -> Option<&DatasetRow> {
        self.datasets
            .get(&(tenant.clone(), dataset.clone()))
            .map(|(row, _)| row)
    }

    /// How many runs are active and how many instances are ready.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.runs.len(), self.ready.len())
    }

    /// A run's state while it is active here.
    #[must_use]
    pub fn run_state(&self, run: RunId) -> Option<RunState> {
        self.runs.get(&run).map(|active| active.row.state)
    }
}
