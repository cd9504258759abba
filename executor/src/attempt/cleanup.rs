//! Leaving nothing behind.

use super::{Attempt, heed};
use crate::journal::DropReason;
use crate::node::Node;
use belljar_api::executor::Release;
use belljar_sandbox::{AttemptName, SandboxError};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before something is removed that could not be.
const RETRY: Duration = Duration::from_secs(1);
/// How often that is tried.
const TRIES: u32 = 5;

impl Attempt {
    /// The lease is somebody else's: kill, remove, report nothing.
    pub(super) async fn forget(self) {
        tracing::warn!(attempt = %self.place.key(), "the lease is not ours any more; removing the attempt");
        // The slot, and its uid, are in use until it is done.
        self.remove().await;
        self.node.journal.note(self.drop_record(DropReason::Gone));
        self.clean_up();
    }

    /// Gives an unused lease back.
    pub(super) async fn release(self, why: &str) {
        tracing::info!(attempt = %self.place.key(), why, "giving the lease back");
        let (node, lease) = (&self.node, &self.lease.lease);
        let released = node
            .as_incarnation(|epoch| async move {
                let release = Release {
                    executor: node.home.id(),
                    epoch,
                    leases: vec![lease.clone()],
                };
                node.client.release(&release).await
            })
            .await;
        if let Err(error) = released {
            // It will not be in the next heartbeats either, which comes to the same.
            tracing::warn!(attempt = %self.place.key(), %error, "failed to give a lease back");
        }
        self.node
            .journal
            .note(self.drop_record(DropReason::Released));
        self.clean_up();
    }

    /// Kills and removes the container. An engine that is away is waited for; what survives is left
    /// to a person, with the executor in quarantine.
    pub(super) async fn remove(&self) {
        let mut tries = 0;
        while tries < TRIES {
            let removed = match self.node.engine.runtime() {
                Ok(runtime) => runtime.remove(&self.name).await,
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) | Err(SandboxError::NotFound(_)) => return,
                Err(error @ SandboxError::EngineUnavailable { .. }) => {
                    heed(&self.node, &error);
                    self.node.engine.answers().await;
                }
                Err(error) => {
                    heed(&self.node, &error);
                    tracing::warn!(attempt = %self.name, %error, "failed to remove an attempt");
                    tries += 1;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Leaves the registry, and has the rest deleted when there is time.
    pub(super) fn clean_up(self) {
        let (node, name) = (Arc::clone(&self.node), self.name.clone());
        drop(self);
        let work = discard(Arc::clone(&node), name);
        node.spawn_cleaning(work);
    }
}

/// Deletes what is left of an attempt. What cannot be deleted now is swept later.
async fn discard(node: Arc<Node>, name: AttemptName) {
    let _preparing = node.preparing.read().await;
    match discard_once(&node, &name).await {
        Ok(()) | Err(SandboxError::NotFound(_)) => {}
        Err(error) => {
            heed(&node, &error);
            tracing::warn!(attempt = %name, %error, "failed to clean up after an attempt");
            return;
        }
    }
    if let Err(error) = node.home.remove_attempt(&name) {
        tracing::warn!(attempt = %name, %error, "failed to delete an attempt's folder");
    }
}

async fn discard_once(node: &Node, name: &AttemptName) -> Result<(), SandboxError> {
    let runtime = node.engine.runtime()?;
    // Only one that never started still has a container.
    match runtime.remove(name).await {
        Ok(()) | Err(SandboxError::NotFound(_)) => runtime.discard(name).await,
        Err(error) => Err(error),
    }
}
