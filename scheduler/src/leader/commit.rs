//! Getting one batch into the database, whatever its commit says.

use belljar_engine::rows::Batch;
use belljar_ids::Epoch;
use belljar_store::{CommitError, Store};
use std::time::{Duration, Instant};

/// How long a batch that is known not to be stored is sent again before its callers are told.
const RESEND_FOR: Duration = Duration::from_secs(10);

/// How long an unknown outcome is asked after before the leader gives up office.
const SETTLE_FOR: Duration = Duration::from_secs(60);

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is stored.
    Committed,
    /// Another leader is in office.
    Deposed,
    /// Something in it may never be stored.
    Rejected(String),
    /// It is not stored, and cannot be at the moment.
    Unavailable(String),
    /// Nobody can tell. Only a new term can find out.
    Unknown,
}

/// Sends a batch until its fate is known.
///
/// A batch proven not committed is sent again unchanged; an unknown outcome is settled by reading
/// which batch was the last.
pub(super) async fn commit(store: &Store, epoch: Epoch, number: i64, batch: &Batch) -> Fate {
    let begun = Instant::now();
    let mut pause = Pause::default();
    loop {
        let unknown = match store.batch_commit(epoch, number, batch).await {
            Ok(()) => return Fate::Committed,
            Err(CommitError::Deposed) => return Fate::Deposed,
            Err(error @ CommitError::Rejected(_)) => return Fate::Rejected(chain(&error)),
            Err(error @ CommitError::Full(_)) => {
                tracing::error!(error = %chain(&error), "the database's disk is full or broken");
                return Fate::Unavailable("its disk is full or broken".to_owned());
            }
            Err(error @ CommitError::NotCommitted(_)) => {
                tracing::warn!(error = %chain(&error), number, "batch not committed; sending it again");
                if begun.elapsed() > RESEND_FOR {
                    return Fate::Unavailable("it does not answer".to_owned());
                }
                false
            }
            Err(error @ CommitError::Unknown(_)) => {
                tracing::warn!(error = %chain(&error), number, "commit of unknown outcome");
                true
            }
        };
        pause.wait().await;
        if unknown {
            match settle(store, epoch, number).await {
                Settled::Stored => return Fate::Committed,
                Settled::NotStored => {}
                Settled::Deposed => return Fate::Deposed,
                Settled::Unknown => return Fate::Unknown,
            }
        }
    }
}

enum Settled {
    Stored,
    NotStored,
    Deposed,
    Unknown,
}

/// Whether batch `number` is stored, by the number of the last one.
async fn settle(store: &Store, epoch: Epoch, number: i64) -> Settled {
    let begun = Instant::now();
    let mut pause = Pause::default();
    loop {
        match store.leader_batch(epoch).await {
            Ok(Some(last)) if last == number => return Settled::Stored,
            Ok(Some(last)) if last == number - 1 => return Settled::NotStored,
            Ok(_) => return Settled::Deposed,
            Err(error) if begun.elapsed() > SETTLE_FOR => {
                tracing::error!(error = %chain(&error), number, "the outcome of a commit stays unknown");
                return Settled::Unknown;
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), number, "failed to settle a commit; asking again");
                pause.wait().await;
            }
        }
    }
}

/// Waits 20 ms, then twice as long each time, at most a second.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    async fn wait(&mut self) {
        let millis = (20_u64 << self.0.min(6)).min(1_000);
        self.0 += 1;
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// An error with its sources, for the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
