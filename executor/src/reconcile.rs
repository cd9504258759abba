//! After a restart: what becomes of what the last incarnation left.
//!
//! Owns: the decision for each attempt, as a pure function of the journal, of what the runtime
//! found, of what the scheduler says and of where we are. Leaves to others: doing it
//! ([`crate::attempt`]).
//!
//! Whatever belongs to this executor and is not kept here is killed and deleted by the sweep that
//! follows, containers without a journal entry among it.

use crate::journal::{Entry, Place, Progress};
use crate::report::Failure;
use belljar_api::executor::LeaseVerdict;
use belljar_ids::Cause;
use belljar_sandbox::Stage;

/// What becomes of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The lease is somebody else's: sweep, report nothing.
    Forget,
    /// The outcome is fixed; report it (again).
    Report,
    /// Nothing has run: sweep what there is and prepare from the beginning, under the same lease.
    Prepare,
    /// Nothing has run and somebody cancelled it: sweep what there is and report that.
    Cancelled,
    /// The program runs or has ended: take it over. `cancel` where it is to be stopped.
    Adopt {
        /// Whether to stop it.
        cancel: bool,
    },
    /// The program was started and cannot be brought to an end: sweep and report why.
    Lost(Failure),
}

impl Fate {
    /// Whether the sweep must leave the attempt's containers and mounts alone.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Adopt { .. })
    }
}

/// Decides. `found` is what the runtime has of the attempt, `here` where we are now.
#[must_use]
pub fn fate(entry: &Entry, found: Option<Stage>, verdict: LeaseVerdict, here: &Place) -> Fate {
    if verdict == LeaseVerdict::Gone {
        return Fate::Forget;
    }
    let cancel = verdict == LeaseVerdict::Cancel;
    let unstarted = if cancel {
        Fate::Cancelled
    } else {
        Fate::Prepare
    };
    match (&entry.progress, found) {
        (Progress::Collected { .. }, _) => Fate::Report,
        // It runs, whatever the engine went through: with live-restore containers outlive it.
        (_, Some(Stage::Running)) => Fate::Adopt { cancel },
        (Progress::Claimed, _) => unstarted,
        // The journal says "about to be created", so it may have been started as well.
        (Progress::Creating(place), Some(Stage::Exited)) => {
            ended(place, here).map_or(Fate::Adopt { cancel }, Fate::Lost)
        }
        (Progress::Creating(place), None) if place.boot_id != here.boot_id => {
            Fate::Lost(rebooted())
        }
        (Progress::Creating(_), _) => unstarted,
        (
            Progress::Started(place, _) | Progress::Exited(place, ..),
            Some(Stage::Exited | Stage::Remains | Stage::Prepared),
        ) => ended(place, here).map_or(Fate::Adopt { cancel }, Fate::Lost),
        (Progress::Started(place, _) | Progress::Exited(place, ..), None) => {
            Fate::Lost(ended(place, here).unwrap_or_else(vanished))
        }
    }
}

/// Why what ended here proves nothing; none where it does.
fn ended(place: &Place, here: &Place) -> Option<Failure> {
    if place.boot_id != here.boot_id {
        return Some(rebooted());
    }
    (place.engine != here.engine).then(|| {
        Failure::new(
            Cause::EngineRestarted,
            "the container engine was restarted while the program ran",
        )
    })
}

fn rebooted() -> Failure {
    Failure::new(
        Cause::HostRebooted,
        "the host was rebooted while the program ran",
    )
}

fn vanished() -> Failure {
    Failure::new(
        Cause::ExecutorError,
        "the container was removed by somebody while the executor was away",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::journal::Start;
    use crate::report::{Circumstances, failed};
    use crate::testing::{lease, name};
    use belljar_ids::Epoch;
    use belljar_sandbox::StopReason;
    use std::time::Duration;

    fn place(boot: &str, engine: &str) -> Place {
        Place {
            boot_id: boot.to_owned(),
            engine: engine.to_owned(),
        }
    }

    fn check(progress: Progress, found: Option<Stage>, verdict: LeaseVerdict) -> String {
        let entry = Entry {
            lease: Box::new(lease("a", 1)),
            name: name("a", 1),
            slot: 0,
            epoch: Epoch(1),
            progress,
        };
        match fate(&entry, found, verdict, &place("boot", "engine")) {
            Fate::Lost(failure) => failure.cause.to_string(),
            Fate::Adopt { cancel: true } => "adopt and cancel".to_owned(),
            Fate::Adopt { cancel: false } => "adopt".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn every_leftover_has_one_fate() {
        use LeaseVerdict::{Cancel, Gone, Ok};
        use Stage::{Exited, Prepared, Remains, Running};
        let start = Start {
            boot_time: BootTime(Duration::from_secs(1)),
        };
        let here = || place("boot", "engine");
        let creating = || Progress::Creating(here());
        let started = || Progress::Started(here(), start);
        let other_engine = || Progress::Started(place("boot", "before"), start);
        let other_boot = || Progress::Started(place("before", "engine"), start);
        let exited = || Progress::Exited(here(), start, StopReason::Exited);
        let collected = || Progress::Collected {
            outcome: Box::new(failed(vanished(), &Circumstances::default())),
            uploads: Vec::new(),
        };
        for (progress, found, verdict, wanted) in [
            (Progress::Claimed, None, Ok, "prepare"),
            (Progress::Claimed, None, Cancel, "cancelled"),
            (Progress::Claimed, Some(Remains), Ok, "prepare"),
            (creating(), None, Ok, "prepare"),
            (creating(), Some(Prepared), Ok, "prepare"),
            (creating(), Some(Prepared), Cancel, "cancelled"),
            (creating(), Some(Remains), Ok, "prepare"),
            (creating(), Some(Running), Ok, "adopt"),
            (creating(), Some(Exited), Ok, "adopt"),
            (
                Progress::Creating(place("before", "x")),
                None,
                Ok,
                "host_rebooted",
            ),
            (
                Progress::Creating(place("boot", "x")),
                Some(Exited),
                Ok,
                "engine_restarted",
            ),
            (started(), Some(Running), Ok, "adopt"),
            (started(), Some(Running), Cancel, "adopt and cancel"),
            (started(), Some(Running), Gone, "forget"),
            (started(), Some(Exited), Ok, "adopt"),
            (started(), Some(Exited), Cancel, "adopt and cancel"),
            (started(), None, Ok, "executor_error"),
            (other_engine(), Some(Running), Ok, "adopt"),
            (other_engine(), Some(Exited), Ok, "engine_restarted"),
            (other_engine(), None, Ok, "engine_restarted"),
            (other_boot(), None, Ok, "host_rebooted"),
            (other_boot(), Some(Exited), Ok, "host_rebooted"),
            (exited(), Some(Exited), Ok, "adopt"),
            (exited(), Some(Remains), Ok, "adopt"),
            (exited(), None, Ok, "executor_error"),
            (collected(), None, Ok, "report"),
            (collected(), Some(Remains), Cancel, "report"),
            (collected(), Some(Remains), Gone, "forget"),
        ] {
            let what = format!("{progress:?} {found:?} {verdict:?}");
            assert_eq!(check(progress, found, verdict), wanted, "{what}");
        }
    }
}
