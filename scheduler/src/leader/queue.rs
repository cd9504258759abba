//! The queues that commands arrive in, and the order in which they are emptied.

use super::handle::LeaderError;
use belljar_engine::Engine;
use belljar_engine::command::{Command, Reply};
use belljar_ids::Micros;
use tokio::sync::{mpsc, oneshot};

/// What kind of thing is asked; the order is that in which the queues are emptied, so that under
/// load what frees capacity comes before what needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Reports, heartbeats, registrations, leases given back.
    Complete,
    /// Cancels.
    Cancel,
    /// Claims.
    Claim,
    /// Questions that change nothing.
    Read,
    /// Everything that people and services submit.
    Submit,
}

impl Class {
    /// All classes in order.
    pub const ALL: [Self; 5] = [
        Self::Complete,
        Self::Cancel,
        Self::Claim,
        Self::Read,
        Self::Submit,
    ];

    /// The class of a command.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Complete(_)
            | Command::Heartbeat(_)
            | Command::ExecutorRegister(_)
            | Command::Release { .. }
            | Command::ClaimAbandon { .. }
            | Command::RunAdmit(_)
            | Command::Tick => Self::Complete,
            Command::RunCancel { .. } => Self::Cancel,
            Command::Claim(_) => Self::Claim,
            _ => Self::Submit,
        }
    }

    /// How many may wait before the next is answered 503: submissions are the first to be told.
    const fn capacity(self) -> usize {
        match self {
            Self::Complete => 4_096,
            Self::Cancel | Self::Claim | Self::Read => 1_024,
            Self::Submit => 512,
        }
    }
}

/// A question about the engine as it is after the last commit.
pub(super) type Query = Box<dyn FnOnce(&Engine, Micros) + Send>;

/// Something asked, and where the answer goes.
pub(super) enum Ask {
    Command(Box<Command>, oneshot::Sender<Result<Reply, LeaderError>>),
    Query(Query),
}

pub(super) type Senders = [mpsc::Sender<Ask>; 5];

/// The leader's ends of the queues.
pub(super) struct Queues {
    receivers: [mpsc::Receiver<Ask>; 5],
}

pub(super) fn queues() -> (Senders, Queues) {
    let [complete, cancel, claim, read, submit] =
        Class::ALL.map(|class| mpsc::channel(class.capacity()));
    let senders = [complete.0, cancel.0, claim.0, read.0, submit.0];
    let receivers = [complete.1, cancel.1, claim.1, read.1, submit.1];
    (senders, Queues { receivers })
}

impl Queues {
    /// The next thing that has arrived, in the order of the classes; waits for one.
    ///
    /// None once every handle is gone.
    pub async fn next(&mut self) -> Option<Ask> {
        let [complete, cancel, claim, read, submit] = &mut self.receivers;
        tokio::select! {
            biased;
            Some(ask) = complete.recv() => Some(ask),
            Some(ask) = cancel.recv() => Some(ask),
            Some(ask) = claim.recv() => Some(ask),
            Some(ask) = read.recv() => Some(ask),
            Some(ask) = submit.recv() => Some(ask),
            else => None,
        }
    }

    /// The next thing that has arrived already, if any.
    pub fn try_next(&mut self) -> Option<Ask> {
        self.receivers
            .iter_mut()
            .find_map(|receiver| receiver.try_recv().ok())
    }
}
