//! One attempt, from its lease to its answered report.
//!
//! Owns: the order of the steps and what a stop means in each. Leaves to others: how a container
//! is made, killed and collected from (the sandbox), what a verdict is called ([`crate::report`]).
//!
//! ```text
//! prepare ──► start ──► watch ──► finish ──► report ──► clean up
//!    │                    ▲          ▲          ▲
//!    └─ given back        └──────────┴──────────┴── where a restart comes back in
//! ```

mod bare_receipt;
mod cleanup;
mod finish;
mod prepare;
mod report;
mod watch;

use crate::journal::{DropReason, Record, Start, Upload};
use crate::logs::Spool;
use crate::node::Node;
use crate::registry::{Place, Stop};
use crate::report::{Circumstances, Failure, failed};
use bare_receipt::bare_receipt;
use belljar_api::executor::{BlobEntry, Lease, Outcome, Phase};
use belljar_ids::{Cause, Epoch};
use belljar_sandbox::{AttemptName, SandboxError, StopReason};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

/// Where an attempt is taken up.
#[derive(Debug)]
pub enum Begin {
    /// Nothing has been made.
    Fresh,
    /// Its program was started by an earlier incarnation.
    Adopt {
        /// When, where the journal knows.
        start: Option<Start>,
        /// Why it was being stopped, if it was.
        reason: Option<StopReason>,
    },
    /// Only the report is missing.
    Report {
        /// What to report.
        outcome: Box<Outcome>,
        /// The blobs it refers to.
        uploads: Vec<Upload>,
    },
    /// Nothing is left of it but why.
    Failed(Failure),
}

/// How the part before the report ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// There is something to report.
    Outcome(Box<Outcome>, Vec<Upload>),
    /// The lease is somebody else's.
    Gone,
    /// Nothing has run, and the lease goes back.
    Released(String),
}

/// Why a step was not carried through.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The attempt was told to stop.
    Stop(Stop),
    /// It failed.
    Failed(Failure),
    /// It could not begin here and now, through no fault of its own.
    Release(String),
}

/// How far an attempt has come when it is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its program was not started.
    Unstarted,
    /// Its program was started.
    Started,
}

/// What a stop means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    CarryOn,
    /// Give the lease back.
    Release,
    /// Report that it was cancelled.
    ReportCancelled,
    /// Kill it, for this reason, and report.
    Kill(StopReason),
    /// Kill it if need be, and report nothing.
    Forget,
}

/// Decides what a stop means.
pub(crate) fn react(step: Step, stop: Stop) -> Reaction {
    match (step, stop) {
        (_, Stop::No) => Reaction::CarryOn,
        (_, Stop::Gone) => Reaction::Forget,
        (Step::Unstarted, Stop::Release | Stop::LeaseLost) => Reaction::Release,
        (Step::Unstarted, Stop::Cancel) => Reaction::ReportCancelled,
        // A plain stop of the executor leaves containers to the next start.
        (Step::Started, Stop::Release) => Reaction::CarryOn,
        (Step::Started, Stop::LeaseLost) => Reaction::Kill(StopReason::LeaseLost),
        (Step::Started, Stop::Cancel) => Reaction::Kill(StopReason::Cancelled),
    }
}

/// One attempt at work.
pub(crate) struct Attempt {
    node: Arc<Node>,
    place: Place,
    lease: Box<Lease>,
    name: AttemptName,
    /// The incarnation that took the lease.
    epoch: Epoch,
    timings: BTreeMap<&'static str, Duration>,
    /// The right to run a program, while it runs.
    permit: Option<OwnedSemaphorePermit>,
    /// The life of the engine in which the program was last seen running.
    seen_in: String,
    /// The logs, once there are some.
    spool: Option<Arc<Spool>>,
    /// What sends them on.
    sending: Option<AbortOnDropHandle<()>>,
}

/// Begins a lease that has just been granted and noted.
pub fn spawn_fresh(
    node: &Arc<Node>,
    place: Place,
    lease: Box<Lease>,
    name: AttemptName,
    epoch: Epoch,
) {
    spawn(node, place, lease, name, epoch, Begin::Fresh);
}

/// Takes an attempt up where it is.
pub fn spawn(
    node: &Arc<Node>,
    place: Place,
    lease: Box<Lease>,
    name: AttemptName,
    epoch: Epoch,
    begin: Begin,
) {
    let attempt = Attempt {
        node: Arc::clone(node),
        place,
        lease,
        name,
        epoch,
        timings: BTreeMap::new(),
        permit: None,
        seen_in: String::new(),
        spool: None,
        sending: None,
    };
    node.spawn(attempt.run(begin));
}

impl Attempt {
    async fn run(mut self, begin: Begin) {
        let ended = match begin {
            Begin::Fresh => self.fresh().await,
            Begin::Adopt { start, reason } => self.adopted(start, reason).await,
            Begin::Report { outcome, uploads } => Ended::Outcome(outcome, uploads),
            Begin::Failed(failure) => self.fail(failure, None).await,
        };
        match ended {
            Ended::Outcome(outcome, uploads) => self.deliver(outcome, uploads).await,
            Ended::Gone => self.forget().await,
            Ended::Released(why) => self.release(&why).await,
        }
    }

    async fn fresh(&mut self) -> Ended {
        // Keeps the inputs in the cache until the program has ended.
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(halt) => return self.halted(halt).await,
        };
        let start = match self.start().await {
            Ok(start) => start,
            Err(halt) => return self.halted(halt).await,
        };
        let ended = self.watch(start, false, None).await;
        drop(prepared);
        ended
    }

    /// What becomes of an attempt that did not get to run.
    async fn halted(&mut self, halt: Halt) -> Ended {
        match halt {
            Halt::Release(why) => Ended::Released(why),
            Halt::Failed(failure) => self.fail(failure, None).await,
            Halt::Stop(stop) => match react(Step::Unstarted, stop) {
                Reaction::Forget => Ended::Gone,
                Reaction::ReportCancelled => {
                    let failure = Failure::new(Cause::Cancelled, "cancelled before it started");
                    self.fail(failure, None).await
                }
                _ => Ended::Released("the executor stops".to_owned()),
            },
        }
    }

    /// Fixes the outcome of an attempt of which there is nothing but a failure and perhaps logs.
    async fn fail(&mut self, failure: Failure, start: Option<Start>) -> Ended {
        tracing::info!(attempt = %self.place.key(), cause = %failure.cause, message = failure.message, "failed");
        let circumstances = self.circumstances(start, false).await;
        let receipt = self.stage_bare_receipt(&failure, start.is_some());
        let mut outcome = failed(failure, &circumstances);
        let uploads = receipt.iter().map(|receipt| Upload {
            digest: receipt.digest,
            size: receipt.size,
        });
        let uploads = uploads.collect();
        outcome.receipt = receipt;
        self.collected(outcome, uploads).await
    }

    /// The receipt of an attempt that failed before there was anything to measure. None where this
    /// host cannot even write that down; the failure is reported all the same.
    fn stage_bare_receipt(&self, failure: &Failure, started: bool) -> Option<BlobEntry> {
        let who = (self.node.home.id(), self.epoch);
        let bytes = bare_receipt(&self.lease, &self.name, who, failure, started);
        let staging = self.staging();
        let staged =
            std::fs::create_dir_all(&staging).and_then(|()| finish::stage_bytes(&staging, &bytes));
        staged
            .inspect_err(|error| {
                tracing::warn!(attempt = %self.place.key(), %error, "failed to stage a receipt");
            })
            .ok()
    }

    /// Puts a fixed outcome into the journal.
    async fn collected(&mut self, outcome: Outcome, uploads: Vec<Upload>) -> Ended {
        let outcome = Box::new(outcome);
        self.place.phase(Phase::Collecting);
        let record = Record::Collected {
            attempt: self.place.key().clone(),
            outcome: outcome.clone(),
            uploads: uploads.clone(),
        };
        if let Err(error) = self.node.journal.write(record).await {
            // A crash before the answer would cost the outcome; reporting it is the way out.
            tracing::error!(attempt = %self.place.key(), %error, "the outcome is not in the journal");
        }
        Ended::Outcome(outcome, uploads)
    }

    /// What is known besides the sandbox's judgement.
    async fn circumstances(
        &mut self,
        start: Option<Start>,
        engine_continuous: bool,
    ) -> Circumstances {
        Circumstances {
            engine_continuous,
            started_ago: start.map(|start| crate::clock::BootTime::now().since(start.boot_time)),
            logs: self.log_ends().await,
            timings: self.timings.clone(),
        }
    }

    /// Waits until the attempt is told something that matters in this step.
    async fn told(&self, step: Step) -> Stop {
        let mut stop = self.place.stop.clone();
        // The sender lives as long as the place, and that as long as the attempt.
        let told = stop
            .wait_for(|stop| react(step, *stop) != Reaction::CarryOn)
            .await
            .map(|stop| *stop);
        match told {
            Ok(stop) => stop,
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends a step early where the attempt was told to stop.
    fn check_stop(&self, step: Step) -> Result<(), Halt> {
        let stop = *self.place.stop.borrow();
        match react(step, stop) {
            Reaction::CarryOn => Ok(()),
            _ => Err(Halt::Stop(stop)),
        }
    }

    fn timed(&mut self, step: &'static str, since: std::time::Instant) {
        *self.timings.entry(step).or_default() += since.elapsed();
    }

    fn drop_record(&self, why: DropReason) -> Record {
        Record::Dropped {
            attempt: self.place.key().clone(),
            why,
        }
    }
}

/// Tells the rest of the executor what an error of the sandbox means for it.
pub(crate) fn heed(node: &Node, error: &SandboxError) {
    match error {
        SandboxError::EngineUnavailable { .. } => node.engine.suspect(),
        // Below the sandbox's own reserve there is no room for any attempt; else only for this one.
        SandboxError::DiskFull { available: 0, .. } => node.availability.pause(error.to_string()),
        SandboxError::Unkillable { .. } => node.availability.quarantine(error.to_string()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stop_means_depends_on_the_step() {
        use Reaction::{CarryOn, Forget, Kill, Release, ReportCancelled};
        for (step, stop, wanted) in [
            (Step::Unstarted, Stop::No, CarryOn),
            (Step::Unstarted, Stop::Release, Release),
            (Step::Unstarted, Stop::LeaseLost, Release),
            (Step::Unstarted, Stop::Cancel, ReportCancelled),
            (Step::Unstarted, Stop::Gone, Forget),
            (Step::Started, Stop::No, CarryOn),
            (Step::Started, Stop::Release, CarryOn),
            (Step::Started, Stop::LeaseLost, Kill(StopReason::LeaseLost)),
            (Step::Started, Stop::Cancel, Kill(StopReason::Cancelled)),
            (Step::Started, Stop::Gone, Forget),
        ] {
            assert_eq!(react(step, stop), wanted, "{step:?} {stop:?}");
        }
    }
}
