//! This process as the scheduler knows it: an incarnation.
//!
//! Owns: registering, its number, and registering again with a leader that does not know us.
//! Leaves to others: what is said under it.

use crate::clock::BootTime;
use crate::node::Node;
use crate::scheduler_client::ClientError;
use belljar_api::executor::{LeaseTiming, PROTOCOL_VERSION, Register};
use belljar_ids::Epoch;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long to wait before saying it again to a leader that has just registered us and does not
/// know us.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
struct Terms {
    epoch: Epoch,
    timing: LeaseTiming,
    /// Before the last answered heartbeat (or registration) was sent.
    renewed: BootTime,
}

/// The incarnation.
#[derive(Debug)]
pub struct Session {
    terms: Mutex<Terms>,
    /// One registration at a time.
    registering: tokio::sync::Mutex<()>,
    /// Leases were renewed.
    pub renewed: Notify,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            terms: Mutex::new(Terms {
                epoch: Epoch(0),
                // Until the first registration nothing is leased.
                timing: LeaseTiming {
                    ttl_ms: 60_000,
                    heartbeat_ms: 15_000,
                    self_fence_ms: 40_000,
                },
                renewed: BootTime::now(),
            }),
            registering: tokio::sync::Mutex::default(),
            renewed: Notify::new(),
        }
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, Terms> {
        // No code that holds the lock can panic half-way through a change.
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The incarnation's number.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    /// How leases are timed.
    #[must_use]
    pub fn timing(&self) -> LeaseTiming {
        self.lock().timing
    }

    /// When leases were last renewed, and for how long that keeps the executor from fencing itself.
    #[must_use]
    pub fn renewal(&self) -> (BootTime, Duration) {
        let terms = self.lock();
        (
            terms.renewed,
            Duration::from_millis(terms.timing.self_fence_ms),
        )
    }

    /// A call that was sent at `sent` renewed every lease.
    pub fn renew(&self, sent: BootTime) {
        let mut terms = self.lock();
        terms.renewed = terms.renewed.max(sent);
        drop(terms);
        self.renewed.notify_one();
    }
}

impl Node {
    /// Registers, with every lease that is held; the verdicts reach their attempts. Does nothing
    /// where the incarnation is not `known` any more because somebody else has just done it.
    ///
    /// # Errors
    ///
    /// `Refused`, `Protocol`: this executor is not wanted. A silent scheduler is waited for.
    pub async fn register(&self, known: Epoch) -> Result<(), ClientError> {
        let _turn = self.session.registering.lock().await;
        if self.session.epoch() != known {
            return Ok(());
        }
        let held = self.registry.held();
        let mut info = self.engine.info();
        // What is prepared ahead also needs a lease, so more are asked for than run at once.
        info["runs_at_once"] = self.config.slots.max(1).into();
        info["prepares_ahead"] = self.config.prepare_ahead.into();
        let message = Register {
            protocol: PROTOCOL_VERSION,
            executor: self.home.id(),
            name: self.config.name.clone(),
            boot_id: self.boot_id.clone(),
            slots: self.config.capacity(),
            gvisor: self.engine.gvisor(),
            info,
            held: held.clone(),
        };
        let sent = BootTime::now();
        let answer = self.client.register(&message).await?;
        {
            let mut terms = self.session.lock();
            terms.epoch = answer.epoch;
            terms.timing = answer.timing;
        }
        self.session.renew(sent);
        self.registry.judge(&held, &answer.verdicts);
        tracing::info!(
            executor = %self.home.id(), epoch = %answer.epoch, held = held.len(),
            "registered with the scheduler"
        );
        Ok(())
    }

    /// Makes a call under the present incarnation, registering again where the leader does not
    /// know it.
    ///
    /// # Errors
    ///
    /// As `call`; `Fenced` only where a later incarnation is not this process itself.
    pub async fn as_incarnation<T, F, Fut>(&self, call: F) -> Result<T, ClientError>
    where
        F: Fn(Epoch) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut again = false;
        loop {
            let epoch = self.session.epoch();
            match call(epoch).await {
                Err(ClientError::Fenced) => {
                    // Whoever is registering right now may be ourselves.
                    let _turn = self.session.registering.lock().await;
                    if self.session.epoch() == epoch {
                        return Err(ClientError::Fenced);
                    }
                }
                Err(ClientError::Unknown { .. }) => {
                    if again {
                        tokio::time::sleep(AGAIN).await;
                    }
                    again = true;
                    self.register(epoch).await?;
                }
                other => return other,
            }
        }
    }
}
