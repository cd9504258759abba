//! Taking, keeping and losing office.

use super::LeaderConfig;
use super::batch::{Ended, Lead};
use super::clock::Clock;
use super::commit::chain;
use super::handle::{LeaderError, State};
use super::queue::{Ask, Queues};
use super::ring::EventRing;
use belljar_store::{Store, Term};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How leadership is kept where several processes may want it (PostgreSQL).
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a renewal holds.
    pub ttl: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How far two clocks may drift apart over `ttl`.
    pub drift: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            renew: Duration::from_secs(3),
            drift: Duration::from_millis(500),
        }
    }
}

/// Why office could not be taken; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// The database does not answer.
    #[error("failed to reach the database: {0}")]
    Store(String),
    /// What is stored cannot be loaded.
    #[error("failed to load the stored state: {0}")]
    Load(String),
}

/// How long to wait after a failure before the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Leads whenever it may, until `stop`.
pub(super) async fn run(
    store: Store,
    config: LeaderConfig,
    mut queues: Queues,
    ring: Arc<EventRing>,
    state: Arc<watch::Sender<State>>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let term = tokio::select! {
            () = stop.cancelled() => return,
            term = take(&store, &config) => term,
            () = turn_away(&mut queues) => return,
        };
        let ended = match term {
            Ok((term, asked)) => {
                tracing::info!(epoch = %term.epoch, "in office");
                lead(
                    &store,
                    &config,
                    &mut queues,
                    &ring,
                    &state,
                    (term, asked),
                    &stop,
                )
                .await
            }
            Err(error) => Err(error),
        };
        state.send_replace(State::Following);
        match ended {
            Ok(Ended::Stopped) => return,
            Ok(ended) => tracing::warn!(?ended, "out of office"),
            Err(error) => tracing::error!(%error, "failed to take office; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
            () = turn_away(&mut queues) => return,
        }
    }
}

/// Answers everything with [`LeaderError::NotLeader`]; ends only when nobody can ask any more.
async fn turn_away(queues: &mut Queues) {
    while let Some(ask) = queues.next().await {
        if let Ask::Command(_, answer) = ask {
            let _ = answer.send(Err(LeaderError::NotLeader));
        }
    }
}

/// Takes office: at once where a lock keeps others out, else no earlier than a time-to-live after the
/// leader's row last changed. With the moment from which it holds: before it was asked for.
async fn take(store: &Store, config: &LeaderConfig) -> Result<(Term, Instant), OfficeError> {
    let failed = |error: belljar_store::StoreError| OfficeError::Store(chain(&error));
    let Some(timing) = config.office else {
        let asked = Instant::now();
        let term = store
            .leader_take(&config.holder, &config.address)
            .await
            .map_err(failed)?;
        return Ok((term, asked));
    };
    let mut seen = store.leader_peek().await.map_err(failed)?;
    let mut since = Instant::now();
    loop {
        let vacant = seen.epoch.0 == 0 || since.elapsed() >= timing.ttl;
        if vacant {
            let asked = Instant::now();
            let taken = store
                .leader_take_if(&seen, &config.holder, &config.address)
                .await
                .map_err(failed)?;
            if let Some(term) = taken {
                return Ok((term, asked));
            }
        }
        tokio::time::sleep(timing.renew / 3).await;
        let now = store.leader_peek().await.map_err(failed)?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

async fn lead(
    store: &Store,
    config: &LeaderConfig,
    queues: &mut Queues,
    ring: &EventRing,
    state: &watch::Sender<State>,
    (term, asked): (Term, Instant),
    stop: &CancellationToken,
) -> Result<Ended, OfficeError> {
    let renewal = Renewal::begin(store, config.office, term, asked, stop);
    let now = store
        .db_now()
        .await
        .map_err(|error| OfficeError::Store(chain(&error)))?;
    let clock = Clock::anchored(now);
    let valid = renewal.check();
    let lead = Lead::begin(store, &config.engine, queues, ring, term, clock, valid)
        .await
        .map_err(OfficeError::Load)?;
    state.send_replace(State::Leading);
    Ok(lead.run(stop).await)
}

/// Renews a leadership in the background, and knows until when it holds.
struct Renewal {
    until: Option<Arc<AtomicU64>>,
    begun: Instant,
    _stop: tokio_util::sync::DropGuard,
}

impl Renewal {
    fn begin(
        store: &Store,
        timing: Option<Timing>,
        term: Term,
        begun: Instant,
        stop: &CancellationToken,
    ) -> Self {
        let stop = stop.child_token();
        let until = timing.map(|timing| {
            let holds = timing.ttl.saturating_sub(timing.drift);
            let until = Arc::new(AtomicU64::new(millis(holds)));
            let renew = renew(store.clone(), timing, term, begun, Arc::clone(&until));
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = renew => {}
                }
            });
            until
        });
        Self {
            until,
            begun,
            _stop: stop.drop_guard(),
        }
    }

    /// Tells whether leadership holds now.
    fn check(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let (until, begun) = (self.until.clone(), self.begun);
        Arc::new(move || {
            let holds =
                |until: &Arc<AtomicU64>| millis(begun.elapsed()) < until.load(Ordering::Acquire);
            until.as_ref().is_none_or(holds)
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Renews until another leader is in office. A renewal holds from the moment before it was sent.
async fn renew(store: Store, timing: Timing, term: Term, begun: Instant, until: Arc<AtomicU64>) {
    loop {
        tokio::time::sleep(timing.renew).await;
        let sent = begun.elapsed();
        match store.leader_renew(term.epoch).await {
            Ok(true) => {
                let holds = sent + timing.ttl.saturating_sub(timing.drift);
                until.store(millis(holds), Ordering::Release);
            }
            Ok(false) => {
                until.store(0, Ordering::Release);
                return;
            }
            Err(error) => tracing::warn!(error = %chain(&error), "failed to renew leadership"),
        }
    }
}
