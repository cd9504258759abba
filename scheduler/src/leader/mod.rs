//! The leader: the only owner of the engine, and the only writer.
//!
//! Owns: the order in which commands are taken, the batches they are committed in, what happens when
//! a commit fails, and the answers. Leaves to others: decisions (`belljar-engine`), SQL
//! (`belljar-store`), and the wire (`http`).
//!
//! Commands arrive over bounded queues, one for each [`Class`]. The loop takes what has arrived,
//! applies it, commits everything in one transaction and only then answers: nothing is answered
//! that is not durable, and throughput is commits per second times batch size. While a commit is in
//! flight nothing is applied, so the engine is never read ahead of the database.

mod batch;
mod clock;
mod commit;
mod handle;
mod office;
mod queue;
mod ring;
#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use handle::{LeaderError, LeaderHandle, State};
pub use office::{OfficeError, Timing};
pub use queue::Class;
pub use ring::{EventRing, FellBehind};

use belljar_engine::Config;
use belljar_store::Store;
use std::future::Future;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a leader is made of.
#[derive(Debug, Clone)]
pub struct LeaderConfig {
    /// Who this process is, in words for people.
    pub holder: String,
    /// Where other schedulers reach this one.
    pub address: String,
    /// The engine's constants.
    pub engine: Config,
    /// How leadership is kept; none where a lock on the data directory already keeps others out
    /// (SQLite), and then nothing is written while idle.
    pub office: Option<Timing>,
}

/// A handle for commands, and the loop that carries them out until `stop`.
///
/// The loop takes office, leads until it is deposed or the database fails for good, and tries again.
/// Whatever was asked meanwhile is answered with [`LeaderError::NotLeader`] or
/// [`LeaderError::Unavailable`]; both are safe to ask again.
pub fn leader(
    store: Store,
    config: LeaderConfig,
    stop: CancellationToken,
) -> (LeaderHandle, impl Future<Output = ()> + Send) {
    let ring = Arc::new(EventRing::default());
    let (senders, queues) = queue::queues();
    let handle = LeaderHandle::new(senders, Arc::clone(&ring));
    let state = handle.state();
    (
        handle,
        office::run(store, config, queues, ring, state, stop),
    )
}
