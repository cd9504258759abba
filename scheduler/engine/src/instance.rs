//! One task instance: its phase with all that belongs to it, and the moves it may make.
//!
//! Owns: the data inside each state and the table of allowed moves. Leaves to others: when a move is
//! made, and all that follows from it ([`crate::Engine`]'s `transition`).

use crate::plan::Outputs;
use crate::rows::{AttemptRow, TaskRow};
use belljar_ids::{
    Cause, Digest, Epoch, ExecutorId, Fence, InstanceKey, MapIndex, Micros, RunId, TaskName,
    TaskState, TenantId,
};
use std::sync::Arc;

/// The right of one executor to one attempt, while it lives.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub fence: Fence,
    pub try_number: u32,
    pub executor: ExecutorId,
    pub executor_epoch: Epoch,
    /// The token's text; a leader that took office later knows only the hash.
    pub token: Option<String>,
    pub token_hash: Digest,
    pub granted_at: Micros,
    pub started_at: Option<Micros>,
    /// When the executor must have been heard of again, grace not included. In memory only.
    pub deadline: Micros,
    /// Heartbeats in a row, sent after the grant, that did not list it.
    pub unlisted: u8,
}

/// Where an instance stands, with what belongs to that.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Pending,
    Ready { since: Micros },
    Leased(Box<Lease>),
    Running(Box<Lease>),
    Cancelling(Box<Lease>),
    RetryWait { due: Micros },
    Ended { state: TaskState, at: Micros },
}

impl Phase {
    pub fn state(&self) -> TaskState {
        match self {
            Self::Pending => TaskState::Pending,
            Self::Ready { .. } => TaskState::Ready,
            Self::Leased(_) => TaskState::Leased,
            Self::Running(_) => TaskState::Running,
            Self::Cancelling(_) => TaskState::Cancelling,
            Self::RetryWait { .. } => TaskState::RetryWait,
            Self::Ended { state, .. } => *state,
        }
    }

    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Leased(lease) | Self::Running(lease) | Self::Cancelling(lease) => Some(lease),
            _ => None,
        }
    }

    pub fn lease_mut(&mut self) -> Option<&mut Lease> {
        match self {
            Self::Leased(lease) | Self::Running(lease) | Self::Cancelling(lease) => Some(lease),
            _ => None,
        }
    }
}

/// Whether an instance may move from one state to another: semantics of `docs/states.md`.
///
/// What is not listed is a defect of the engine, never a wish of a caller.
pub(crate) fn may_move(from: TaskState, to: TaskState) -> bool {
    use TaskState::{
        Cancelled, Cancelling, Crashed, Failed, Leased, Pending, Ready, RetryWait, Running,
        Succeeded, TimedOut, UpstreamFailed,
    };
    match from {
        Pending => matches!(to, Ready | UpstreamFailed | Cancelled),
        Ready => matches!(to, Leased | TimedOut | Cancelled),
        Leased => matches!(
            to,
            Running
                | Cancelling
                | Ready
                | RetryWait
                | Succeeded
                | Failed
                | TimedOut
                | Crashed
                | Cancelled
        ),
        Running => matches!(
            to,
            Cancelling | Ready | RetryWait | Succeeded | Failed | TimedOut | Crashed | Cancelled
        ),
        Cancelling => matches!(to, Succeeded | Cancelled),
        RetryWait => matches!(to, Ready | Cancelled),
        _ => false,
    }
}

/// A task instance of an active run.
#[derive(Debug)]
pub(crate) struct Instance {
    pub phase: Phase,
    pub cause: Option<Cause>,
    pub message: Option<String>,
    pub fence: Fence,
    pub tries: u32,
    pub losses: u32,
    pub started_at: Option<Micros>,
    pub outputs: Option<Arc<Outputs>>,
    /// How many of its direct upstream instances have not succeeded.
    pub waiting_on: u32,
}

impl Instance {
    pub fn new(waiting_on: u32) -> Self {
        Self {
            phase: Phase::Pending,
            cause: None,
            message: None,
            fence: Fence(0),
            tries: 0,
            losses: 0,
            started_at: None,
            outputs: None,
            waiting_on,
        }
    }

    /// The instance as it was stored. A live lease starts anew at `deadline`, because nobody could
    /// renew it while there was no leader. None where row and attempt contradict each other.
    pub fn from_rows(
        row: &TaskRow,
        attempt: Option<&AttemptRow>,
        waiting_on: u32,
        deadline: Micros,
    ) -> Option<Self> {
        let lease = || {
            let attempt = attempt.filter(|a| a.live && a.fence == row.fence)?;
            Some(Box::new(Lease {
                fence: attempt.fence,
                try_number: attempt.try_number,
                executor: attempt.executor,
                executor_epoch: attempt.executor_epoch,
                token: None,
                token_hash: attempt.token_hash,
                granted_at: attempt.granted_at,
                started_at: attempt.started_at,
                deadline,
                unlisted: 0,
            }))
        };
        let phase = match row.state {
            TaskState::Pending => Phase::Pending,
            TaskState::Ready => Phase::Ready {
                since: row.ready_at?,
            },
            TaskState::Leased => Phase::Leased(lease()?),
            TaskState::Running => Phase::Running(lease()?),
            TaskState::Cancelling => Phase::Cancelling(lease()?),
            TaskState::RetryWait => Phase::RetryWait { due: row.due_at? },
            TaskState::Waiting => return None,
            state => Phase::Ended {
                state,
                at: row.ended_at?,
            },
        };
        Some(Self {
            phase,
            cause: row.cause,
            message: row.message.clone(),
            fence: row.fence,
            tries: row.tries,
            losses: row.losses,
            started_at: row.started_at,
            outputs: row.outputs.clone().map(Arc::new),
            waiting_on,
        })
    }

    pub fn row(&self, tenant: &TenantId, run: RunId, task: &TaskName) -> TaskRow {
        TaskRow {
            tenant: tenant.clone(),
            key: key(run, task),
            state: self.phase.state(),
            cause: self.cause,
            message: self.message.clone(),
            fence: self.fence,
            tries: self.tries,
            losses: self.losses,
            ready_at: match self.phase {
                Phase::Ready { since } => Some(since),
                _ => None,
            },
            due_at: match self.phase {
                Phase::RetryWait { due } => Some(due),
                _ => None,
            },
            started_at: self.started_at,
            ended_at: match self.phase {
                Phase::Ended { at, .. } => Some(at),
                _ => None,
            },
            outputs: self.outputs.as_deref().cloned(),
        }
    }
}

impl Lease {
    /// The attempt's row while its lease lives.
    pub fn row(&self, tenant: &TenantId, run: RunId, task: &TaskName) -> AttemptRow {
        AttemptRow {
            tenant: tenant.clone(),
            key: key(run, task),
            fence: self.fence,
            try_number: self.try_number,
            live: true,
            executor: self.executor,
            executor_epoch: self.executor_epoch,
            token_hash: self.token_hash,
            granted_at: self.granted_at,
            started_at: self.started_at,
            ended_at: None,
            outcome: None,
            cause: None,
            message: None,
            exit_code: None,
            report_digest: None,
            report: None,
            receipt: None,
        }
    }
}

/// The key of a task that is not mapped.
pub(crate) fn key(run: RunId, task: &TaskName) -> InstanceKey {
    InstanceKey {
        run,
        task: task.clone(),
        map_index: MapIndex::NONE,
    }
}
