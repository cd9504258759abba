//! What the rest of the process holds of the leader.

use super::queue::{Ask, Class, Senders};
use super::ring::EventRing;
use belljar_engine::Engine;
use belljar_engine::command::{Claim, Claimed, Command, Refusal, Reply};
use belljar_ids::{ClaimId, ExecutorId, Micros};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaderError {
    /// The engine decided against it; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting. Nothing changed; ask again after a second.
    #[error("the scheduler is busy")]
    Busy,
    /// This process does not lead (any more). Nothing changed, unless it lost office while the change was
    /// being written: then it may be there. Ask the leader, or again shortly, with the same
    /// idempotency key.
    #[error("this scheduler is not the leader")]
    NotLeader,
    /// The database cannot be written, for example because its disk is full. Nothing changed; ask
    /// again when that is mended.
    #[error("the scheduler cannot write to its database: {0}")]
    Unavailable(String),
    /// This command cannot be carried out: a defect of Belljar. Nothing changed.
    #[error("the scheduler failed to carry this out; its log says why")]
    Internal,
}

/// Whether there is a leader in this process, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Not (yet, or any more).
    #[default]
    Following,
    /// In office, with all state loaded.
    Leading,
}

/// Sends commands to the leader. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LeaderHandle {
    senders: Arc<Senders>,
    ring: Arc<EventRing>,
    state: Arc<watch::Sender<State>>,
}

impl LeaderHandle {
    pub(super) fn new(senders: Senders, ring: Arc<EventRing>) -> Self {
        Self {
            senders: Arc::new(senders),
            ring,
            state: Arc::default(),
        }
    }

    pub(super) fn state(&self) -> Arc<watch::Sender<State>> {
        Arc::clone(&self.state)
    }

    /// Whether this process leads, and news of it.
    #[must_use]
    pub fn leading(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The committed events of late, and news of them.
    #[must_use]
    pub fn events(&self) -> &EventRing {
        &self.ring
    }

    fn sender(&self, class: Class) -> &mpsc::Sender<Ask> {
        &self.senders[class as usize]
    }

    /// Asks for a change and waits until it is durable.
    ///
    /// # Errors
    ///
    /// See [`LeaderError`].
    pub async fn send(&self, command: Command) -> Result<Reply, LeaderError> {
        let class = Class::of(&command);
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Command(Box::new(command), answer);
        self.sender(class)
            .try_send(ask)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LeaderError::Busy,
                mpsc::error::TrySendError::Closed(_) => LeaderError::NotLeader,
            })?;
        answered.await.unwrap_or(Err(LeaderError::NotLeader))
    }

    /// Asks for work and waits until there is some or the claim's time is over. Dropping the future
    /// abandons the claim, so that what it would have got goes to others.
    ///
    /// # Errors
    ///
    /// As [`LeaderHandle::send`].
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, LeaderError> {
        let mut guard = Abandon {
            handle: self,
            executor: claim.executor,
            claim: claim.claim,
            armed: true,
        };
        let reply = self.send(Command::Claim(claim)).await;
        guard.armed = false;
        match reply? {
            Reply::Claimed(claimed) => Ok(claimed),
            _ => Err(LeaderError::Internal),
        }
    }

    /// Asks something of the engine as it is after the last commit.
    ///
    /// # Errors
    ///
    /// [`LeaderError::Busy`] and [`LeaderError::NotLeader`].
    pub async fn query<R: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, Micros) -> R + Send + 'static,
    ) -> Result<R, LeaderError> {
        let (answer, answered) = oneshot::channel();
        let query = Ask::Query(Box::new(move |engine, now| {
            // The asker may have gone away.
            let _ = answer.send(question(engine, now));
        }));
        self.sender(Class::Read)
            .try_send(query)
            .map_err(|_| LeaderError::Busy)?;
        answered.await.map_err(|_| LeaderError::NotLeader)
    }
}

struct Abandon<'a> {
    handle: &'a LeaderHandle,
    executor: ExecutorId,
    claim: ClaimId,
    armed: bool,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if self.armed {
            let command = Command::ClaimAbandon {
                executor: self.executor,
                claim: self.claim,
            };
            let (answer, _) = oneshot::channel();
            // With a full queue the claim's own time limit ends it.
            let ask = Ask::Command(Box::new(command), answer);
            let _ = self.handle.sender(Class::Complete).try_send(ask);
        }
    }
}
