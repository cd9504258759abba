//! While the program runs: its logs, its end, and whatever stops it.

use super::{Attempt, Ended, Reaction, Step, heed, react};
use crate::clock::BootTime;
use crate::journal::{Record, Start};
use crate::logs::Spool;
use crate::node::Node;
use crate::report::{Failure, failure_of_error};
use belljar_api::executor::{LogEnds, Phase};
use belljar_ids::Cause;
use belljar_sandbox::{
    Adopted, AttemptName, Ended as ProgramEnded, SandboxError, Stage, StopReason,
};
use futures::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How long the runtime may be late in telling that an attempt's time is over.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(5);
/// A log that ends this long before its program does is asked for again.
const LOG_END_SKEW: Duration = Duration::from_millis(200);
/// How long to wait before a call that failed for no known reason is made again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the rest of a log may take after its program has ended.
const DRAIN: Duration = Duration::from_secs(30);

/// Why watching ended without an end of the program.
pub(super) enum Lost {
    /// The lease is somebody else's.
    Gone,
    /// There is nothing to watch any more.
    Vanished(Failure),
}

/// The task that reads the log, and how to tell it that the program has ended.
pub(super) struct Follower {
    task: AbortOnDropHandle<()>,
    ended: watch::Sender<bool>,
}

impl Follower {
    /// Waits until everything that was written has been read.
    pub(super) async fn drain(self, name: &AttemptName) {
        self.ended.send_replace(true);
        if tokio::time::timeout(DRAIN, self.task).await.is_err() {
            tracing::warn!(attempt = %name, "the log did not end with its program; its rest is lost");
        }
    }
}

impl Attempt {
    /// Watches a program until it has ended or must, and has it finished. `adopted` where an
    /// earlier incarnation started it, with the `reason` for which that was stopping it.
    pub(super) async fn watch(
        &mut self,
        start: Start,
        adopted: bool,
        reason: Option<StopReason>,
    ) -> Ended {
        let follower = match self.follow(adopted) {
            Ok(follower) => follower,
            Err(error) => {
                tracing::error!(attempt = %self.name, %error, "failed to keep the log");
                self.node.availability.pause(error.to_string());
                None
            }
        };
        self.seen_in = self.node.engine.instance();
        let end = match reason {
            Some(reason) => Ok(reason),
            None => self.until_end(start).await,
        };
        // The program's own running time, an earlier incarnation's share included.
        let ran = BootTime::now().since(start.boot_time);
        let starting = self.timings.get("start").copied().unwrap_or_default();
        self.timings.insert("run", ran.saturating_sub(starting));
        match end {
            Ok(reason) => self.finish(start, reason, follower).await,
            Err(Lost::Gone) => Ended::Gone,
            Err(Lost::Vanished(failure)) => {
                // Whatever there may still be of it.
                self.remove().await;
                if let Some(follower) = follower {
                    follower.drain(&self.name).await;
                }
                self.fail(failure, Some(start)).await
            }
        }
    }

    /// Takes over what an earlier incarnation started.
    pub(super) async fn adopted(
        &mut self,
        start: Option<Start>,
        reason: Option<StopReason>,
    ) -> Ended {
        // Mounted or not, what it reads stays in the cache.
        let inputs = self.lease.work.inputs.values();
        let _inputs: Vec<_> = inputs
            .filter_map(|input| self.node.cache.hold(crate::order::input_digest(input)))
            .collect();
        // There may be more running than slots, if there are fewer slots now.
        self.permit = Arc::clone(&self.node.running).try_acquire_owned().ok();
        // Where the crash came between start and record, the time-out begins anew, at worst.
        let start = start.unwrap_or(Start {
            boot_time: BootTime::now(),
        });
        match self.take_over_verified().await {
            Ok(_) => {}
            Err(SandboxError::NotFound(_)) => {
                // The container was removed; what it wrote may still be there.
                self.seen_in = self.node.engine.instance();
                let reason = reason.unwrap_or(StopReason::Exited);
                return self.finish(start, reason, None).await;
            }
            Err(error) => {
                heed(&self.node, &error);
                self.remove().await;
                return self.fail(failure_of_error(&error), Some(start)).await;
            }
        }
        self.node.journal.note(Record::Started {
            attempt: self.place.key().clone(),
            place: self.node.here(),
            start,
        });
        self.place.phase(Phase::Running);
        tracing::info!(attempt = %self.place.key(), "adopted");
        self.watch(start, true, reason).await
    }

    /// As [`Self::take_over`], and where the crash came before its settings were read back, that
    /// is done now: a program in a sandbox not verified must not go on.
    async fn take_over_verified(&self) -> Result<Adopted, SandboxError> {
        loop {
            let adopted = self.take_over().await?;
            if adopted.stage != Stage::Running || adopted.started_at.is_some() {
                return Ok(adopted);
            }
            match self.node.engine.runtime()?.start(&self.name).await {
                Ok(_) => return Ok(adopted),
                // Then it is found to have ended, or is tried again when the engine is back.
                Err(error @ SandboxError::EngineUnavailable { .. }) => heed(&self.node, &error),
                Err(error) => return Err(error),
            }
        }
    }

    async fn take_over(&self) -> Result<Adopted, SandboxError> {
        loop {
            let adopted = match self.node.engine.runtime() {
                Ok(runtime) => runtime.adopt(&self.name).await,
                Err(error) => Err(error),
            };
            match adopted {
                Ok(adopted) => return Ok(adopted),
                Err(error @ SandboxError::EngineUnavailable { .. }) => {
                    heed(&self.node, &error);
                    self.node.engine.answers().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the program has ended or must.
    async fn until_end(&mut self, start: Start) -> Result<StopReason, Lost> {
        let limit = Duration::from_millis(self.lease.work.resources.timeout_ms);
        let deadline = start.boot_time.plus(limit + TIMEOUT_MARGIN);
        loop {
            let overdue = deadline.since(BootTime::now());
            tokio::select! {
                biased;
                stop = self.told(Step::Started) => match react(Step::Started, stop) {
                    Reaction::Kill(reason) => return Ok(reason),
                    _ => return Err(Lost::Gone),
                },
                ended = self.program_end() => match ended {
                    Ok(ProgramEnded::Exited(_)) => return Ok(StopReason::Exited),
                    Ok(ProgramEnded::TimedOut) => return Ok(StopReason::TimedOut),
                    Err(error) => self.interrupted(error).await?,
                },
                () = tokio::time::sleep(overdue) => return Ok(StopReason::TimedOut),
            }
        }
    }

    async fn program_end(&self) -> Result<ProgramEnded, SandboxError> {
        self.node.engine.runtime()?.wait(&self.name).await
    }

    /// Watching broke off. Finds out whether there is still something to watch.
    async fn interrupted(&mut self, error: SandboxError) -> Result<(), Lost> {
        heed(&self.node, &error);
        match error {
            SandboxError::NotFound(_) => return Err(Lost::Vanished(self.vanished())),
            SandboxError::EngineUnavailable { .. } => tokio::select! {
                biased;
                // A kill does not need the engine.
                stop = self.told(Step::Started) => {
                    tracing::debug!(?stop, "stopped while the engine was away");
                    return Ok(());
                }
                () = self.node.engine.answers() => {}
            },
            error => {
                tracing::warn!(attempt = %self.name, %error, "failed to wait for a program's end; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
        match self.take_over_verified().await {
            // The call that was to start it never got through.
            Ok(adopted) if adopted.stage == Stage::Prepared => Err(Lost::Vanished(self.vanished())),
            Err(SandboxError::NotFound(_)) => Err(Lost::Vanished(self.vanished())),
            Ok(adopted) if adopted.stage == Stage::Running => {
                // With live-restore a program outlives its engine.
                self.seen_in = self.node.engine.instance();
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(Lost::Vanished(failure_of_error(&error))),
        }
    }

    /// Why a container that was running is not there any more.
    fn vanished(&self) -> Failure {
        Failure::new(
            Cause::EngineRestarted,
            "the container vanished while its program ran: the container engine was restarted, or somebody removed it",
        )
    }

    /// Begins reading and sending the logs.
    fn follow(&mut self, adopted: bool) -> std::io::Result<Option<Follower>> {
        let folder = self.node.home.attempt(&self.name).join("logs");
        std::fs::create_dir_all(&folder)?;
        let spool = Arc::new(Spool::open(&folder)?);
        self.spool = Some(Arc::clone(&spool));
        self.send_logs(Arc::clone(&spool), adopted);
        let (ended, told) = watch::channel(false);
        let reading = read_log(Arc::clone(&self.node), self.name.clone(), spool, told);
        let task = AbortOnDropHandle::new(tokio::spawn(reading));
        Ok(Some(Follower { task, ended }))
    }

    /// Sends the logs on, beside everything else.
    pub(super) fn send_logs(&mut self, spool: Arc<Spool>, resume: bool) {
        let node = Arc::clone(&self.node);
        let lease = self.lease.lease.clone();
        let sending = tokio::spawn(async move {
            if let Err(error) = spool.send(&node.client, &lease, resume).await {
                tracing::warn!(run = %lease.key.run, task = %lease.key.task, %error, "the log cannot be sent on");
            }
        });
        self.sending = Some(AbortOnDropHandle::new(sending));
    }

    /// How both logs ended; nothing is added to them any more.
    pub(super) async fn log_ends(&mut self) -> LogEnds {
        let spool = match &self.spool {
            Some(spool) => Arc::clone(spool),
            None => {
                let folder = self.node.home.attempt(&self.name).join("logs");
                // What an earlier incarnation read, if anything.
                match Spool::open(&folder) {
                    Ok(spool) => Arc::clone(self.spool.insert(Arc::new(spool))),
                    Err(_) => return LogEnds::default(),
                }
            }
        };
        spool.close();
        let ends = tokio::task::spawn_blocking(move || spool.ends()).await;
        match ends {
            Ok(Ok(ends)) => ends,
            Ok(Err(error)) => {
                tracing::error!(attempt = %self.name, %error, "failed to read the log back");
                LogEnds::default()
            }
            // The runtime is shutting down.
            Err(_) => LogEnds::default(),
        }
    }
}

/// Reads a log into its spool until the program has ended and everything was read.
async fn read_log(
    node: Arc<Node>,
    name: AttemptName,
    spool: Arc<Spool>,
    mut ended: watch::Receiver<bool>,
) {
    loop {
        match read_once(&node, &name, &spool).await {
            Ok(()) => {
                // The end of the log and of the program come together, in either order.
                let together = tokio::time::timeout(LOG_END_SKEW, ended.wait_for(|ended| *ended));
                if together.await.is_ok() {
                    return;
                }
            }
            Err(SandboxError::NotFound(_)) => return,
            Err(error) => {
                heed(&node, &error);
                if !matches!(error, SandboxError::EngineUnavailable { .. }) {
                    tracing::warn!(attempt = %name, %error, "failed to read a log; trying again");
                }
                tokio::time::sleep(RETRY).await;
                node.engine.answers().await;
            }
        }
    }
}

async fn read_once(node: &Node, name: &AttemptName, spool: &Spool) -> Result<(), SandboxError> {
    let mut events = node.engine.runtime()?.attach(name, spool.offsets()).await?;
    while let Some(event) = events.next().await {
        spool.take(event?).map_err(|source| SandboxError::Host {
            doing: "keep the log of",
            path: name.as_str().into(),
            source,
        })?;
    }
    Ok(())
}
