//! The executor: pulls leases, runs their attempts in sandboxes, and reports what came of them.
//!
//! Owns: the executor's side of the protocol, its journal, adoption and clean-up after a restart,
//! logs on their way, the cache of inputs. Leaves to others: how a container is made and judged
//! (the sandbox), and every decision about what runs when (the scheduler's engine).
//!
//! Invariants:
//! - What this executor owes is in the journal before it acts.
//! - It touches only containers of its own executor id.
//! - An outcome is fixed once and reported unchanged until it is answered.
//! - Whatever is pure (self-fence, fates, causes, orders) takes the world as arguments.

pub mod attempt;
mod availability;
pub mod clock;
pub mod config;
pub mod engine;
mod error;
mod heartbeat;
pub mod home;
pub mod host;
mod images;
pub mod inputs;
pub mod journal;
pub mod logs;
mod node;
pub mod order;
mod pull_loop;
pub mod reconcile;
mod recover;
mod registry;
pub mod report;
mod reporter;
pub mod scheduler_client;
pub mod self_fence;
mod session;
#[cfg(test)]
mod testing;

pub use config::{Credential, ExecutorConfig};
pub use error::ExecutorError;
pub use self_fence::SelfFence;

use crate::availability::Availability;
use crate::engine::Engine;
use crate::home::Home;
use crate::inputs::{Cache, CacheLimits};
use crate::journal::{Journal, Ledger};
use crate::node::Node;
use crate::registry::{Registry, Stop};
use crate::reporter::Queued;
use crate::scheduler_client::{ClientError, SchedulerClient};
use crate::session::Session;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLock, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the first registration waits for what the engine says of itself.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// How long a plain stop waits for what is nearly done: leases to be given back, reports.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Runs an executor until `shutdown` is cancelled or it cannot go on.
///
/// A plain stop claims nothing more, gives back what has not started, and leaves running
/// containers to the next start, which adopts them. With [`ExecutorConfig::drain`] it waits until
/// every attempt has ended and was reported.
///
/// # Errors
///
/// [`ExecutorError`]: another incarnation has taken over, the data folder or the journal cannot be
/// used, or the scheduler refuses this executor. A scheduler or a container engine that does not
/// answer is waited for.
pub async fn run(config: ExecutorConfig, shutdown: CancellationToken) -> Result<(), ExecutorError> {
    let (node, mut reports, ledger) = open(config)?;
    tracing::info!(executor = %node.home.id(), name = node.config.name, owed = ledger.len(), "starting");
    let leftovers = recover::leftovers(&node, &ledger);
    // An engine that hangs must not keep the scheduler from hearing of us.
    let _ = tokio::time::timeout(FIRST_LOOK, engine::connect(&node)).await;
    let registered = shutdown.run_until_cancelled(node.register(node.session.epoch()));
    match registered.await {
        // Stopped before anything began.
        None => return Ok(()),
        Some(Err(error)) => return Err(ExecutorError::Register(error)),
        Some(Ok(())) => {}
    }
    let leftovers = recover::report_fixed(&node, leftovers);
    let result = work(&node, &mut reports, leftovers, &shutdown).await;
    node.exit.cancel();
    for tasks in [&node.tasks, &node.cleaning] {
        tasks.close();
        tasks.wait().await;
    }
    let flushed = node.journal.flush().await;
    match result {
        Err(ClientError::Fenced) => Err(ExecutorError::Fenced),
        // Nothing else is passed up.
        Err(error) => Err(ExecutorError::Register(error)),
        Ok(()) => Ok(flushed?),
    }
}

type Opened = (Arc<Node>, mpsc::UnboundedReceiver<Queued>, Ledger);

fn open(config: ExecutorConfig) -> Result<Opened, ExecutorError> {
    let home = Home::open(&config.data_dir)?;
    let client = SchedulerClient::new(&config.schedulers, config.credential.clone())
        .map_err(ExecutorError::Register)?;
    let (journal, ledger) = Journal::open(&home.journal())?;
    let boot_id = clock::boot_id().map_err(ExecutorError::BootId)?;
    let limits = CacheLimits {
        max_bytes: config.cache_bytes,
        reserve_bytes: config.disk_reserve_bytes,
    };
    let cache = Cache::open(&home.cache(), &boot_id, limits)?;
    let owed: BTreeSet<_> = ledger.entries().map(|(_, e)| e.name.clone()).collect();
    home.sweep_attempts(&owed)?;
    let registry = Arc::new(Registry::default());
    let (reports, queue) = mpsc::unbounded_channel();
    let node = Node {
        boot_id,
        client,
        journal,
        engine: Engine::default(),
        cache,
        availability: Availability::new(Arc::clone(&registry)),
        registry,
        session: Session::default(),
        running: Arc::new(Semaphore::new(
            usize::try_from(config.slots.max(1)).unwrap_or(1),
        )),
        preparing: RwLock::new(()),
        reports,
        tasks: TaskTracker::new(),
        cleaning: TaskTracker::new(),
        exit: CancellationToken::new(),
        home,
        config,
    };
    Ok((Arc::new(node), queue, ledger))
}

/// All loops, until one cannot go on or the stop is through.
async fn work(
    node: &Arc<Node>,
    reports: &mut mpsc::UnboundedReceiver<Queued>,
    leftovers: Vec<recover::Leftover>,
    shutdown: &CancellationToken,
) -> Result<(), ClientError> {
    let pulling = async {
        pull_loop::run(node, shutdown).await?;
        // The other loops go on until the stop is through.
        std::future::pending::<Result<(), ClientError>>().await
    };
    tokio::select! {
        result = pulling => result,
        result = heartbeat::run(node) => result,
        result = reporter::run(node, reports) => result,
        () = self_fence::run(node) => Ok(()),
        () = engine::run(node, leftovers) => Ok(()),
        () = stop(node, shutdown) => Ok(()),
    }
}

/// Waits for the stop, and then for what must be done before the end.
async fn stop(node: &Arc<Node>, shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    node.availability.stop();
    if node.config.drain {
        tracing::info!("draining: waiting for every attempt to end");
        while !node.registry.is_empty() {
            node.registry.left().await;
        }
        return clean(node).await;
    }
    node.registry.stop_all(Stop::Release);
    let settled = async {
        while !node.registry.only_running() {
            node.registry.left().await;
        }
    };
    if tokio::time::timeout(STOP_GRACE, settled).await.is_err() {
        tracing::info!("stopping with reports unanswered; the next start sends them");
    }
    clean(node).await;
}

/// Waits for what is being cleaned up.
async fn clean(node: &Node) {
    node.cleaning.close();
    if tokio::time::timeout(STOP_GRACE, node.cleaning.wait())
        .await
        .is_err()
    {
        tracing::warn!("not everything could be cleaned up; the next start does it");
    }
}
