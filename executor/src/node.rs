//! What all parts of one executor share.
//!
//! Owns: putting it together. Leaves to others: every decision.

use crate::availability::Availability;
use crate::config::ExecutorConfig;
use crate::engine::Engine;
use crate::home::Home;
use crate::inputs::Cache;
use crate::journal::{Journal, Place};
use crate::registry::Registry;
use crate::reporter::Queued;
use crate::scheduler_client::SchedulerClient;
use crate::session::Session;
use std::sync::Arc;
use tokio::sync::{RwLock, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One executor.
pub struct Node {
    /// What the operator set.
    pub config: ExecutorConfig,
    /// The data folder.
    pub home: Home,
    /// The id of this boot of the host.
    pub boot_id: String,
    /// The scheduler.
    pub client: SchedulerClient,
    /// What is owed.
    pub journal: Journal,
    /// The container engine.
    pub engine: Engine,
    /// Inputs and image archives.
    pub cache: Arc<Cache>,
    /// The attempts at work.
    pub registry: Arc<Registry>,
    /// Whether work is taken.
    pub availability: Availability,
    /// The incarnation.
    pub session: Session,
    /// One permit for each program that may run at once.
    pub running: Arc<Semaphore>,
    /// Held for reading while something is being prepared, for writing while leftovers are swept:
    /// a sweep must not take what is just coming into being for a leftover.
    pub preparing: RwLock<()>,
    /// Reports to be sent.
    pub reports: mpsc::UnboundedSender<Queued>,
    /// The tasks of the attempts.
    pub tasks: TaskTracker,
    /// What cleans up after attempts that were reported.
    pub cleaning: TaskTracker,
    /// Ends every task where it stands.
    pub exit: CancellationToken,
}

impl Node {
    /// Where containers are being made now.
    #[must_use]
    pub fn here(&self) -> Place {
        Place {
            boot_id: self.boot_id.clone(),
            engine: self.engine.instance(),
        }
    }

    /// Runs an attempt beside the rest until it is done or the executor exits.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(until_exit(self.exit.clone(), work));
    }

    /// Cleans something up beside the rest. A plain stop waits for it.
    pub fn spawn_cleaning(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.cleaning.spawn(until_exit(self.exit.clone(), work));
    }
}

/// Cut off at exit: the journal and the sweep know what is left to be done.
async fn until_exit(exit: CancellationToken, work: impl Future<Output = ()>) {
    exit.run_until_cancelled(work).await;
}
