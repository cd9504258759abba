//! What the journal says, and what it adds up to.
//!
//! Owns: the records, and folding them into the attempts that still matter. Leaves to others: how
//! they are kept on disk ([`super::file`]) and what is done about them ([`crate::reconcile`]).

use crate::clock::BootTime;
use belljar_api::executor::{Lease, LeaseRef, Outcome, Phase, ReportVerdict};
use belljar_ids::{Digest, Epoch, Fence, InstanceKey};
use belljar_sandbox::{AttemptName, StopReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One attempt, by what its lease is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The task instance.
    #[serde(flatten)]
    pub key: InstanceKey,
    /// The fence of the lease.
    pub fence: Fence,
}

impl AttemptKey {
    /// The attempt of a lease.
    #[must_use]
    pub fn of(lease: &LeaseRef) -> Self {
        Self {
            key: lease.key.clone(),
            fence: lease.fence,
        }
    }
}

impl std::fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} fence {}", self.key, self.fence)
    }
}

/// Under which boot and which life of the container engine something was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The host's boot id.
    pub boot_id: String,
    /// Changes whenever the container engine starts.
    pub engine: String,
}

/// When a program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// On the clock of that boot.
    pub boot_time: BootTime,
}

/// A blob that a report refers to, kept in the attempt's folder until the report is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// What it hashes to; also its file name in the staging folder.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// One step, written before the act that it announces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A lease was granted.
    Claimed {
        /// The lease as it was granted; needed to prepare again.
        lease: Box<Lease>,
        /// The name of everything that is made for it.
        name: AttemptName,
        /// Which slot it takes; decides the uid.
        slot: u16,
        /// The incarnation that took it.
        epoch: Epoch,
    },
    /// The container is about to be created, and may be started from here on.
    Creating {
        /// Which attempt.
        attempt: AttemptKey,
        /// Where.
        place: Place,
    },
    /// The program was started, or found running by a later incarnation.
    Started {
        /// Which attempt.
        attempt: AttemptKey,
        /// Where.
        place: Place,
        /// When.
        start: Start,
    },
    /// The program has ended, or is being stopped for a reason.
    Exited {
        /// Which attempt.
        attempt: AttemptKey,
        /// Why.
        reason: StopReason,
    },
    /// The outcome is fixed, and what it refers to is staged.
    Collected {
        /// Which attempt.
        attempt: AttemptKey,
        /// The outcome; reported as it is here, however often.
        outcome: Box<Outcome>,
        /// The blobs it refers to.
        uploads: Vec<Upload>,
    },
    /// The report was answered: nothing is owed any more.
    Reported {
        /// Which attempt.
        attempt: AttemptKey,
        /// The answer.
        verdict: ReportVerdict,
    },
    /// The lease was given back or is somebody else's: nothing is owed any more.
    Dropped {
        /// Which attempt.
        attempt: AttemptKey,
        /// Why.
        why: DropReason,
    },
}

/// Why a lease is not followed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The scheduler said that it is not ours any more.
    Gone,
    /// Given back unused.
    Released,
}

/// How far an attempt has come.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Nothing was made yet.
    Claimed,
    /// A container may be there, and may have been started.
    Creating(Place),
    /// The program was started.
    Started(Place, Start),
    /// It ended or was being stopped.
    Exited(Place, Start, StopReason),
    /// Only the report is missing.
    Collected {
        /// What to report.
        outcome: Box<Outcome>,
        /// The blobs it refers to.
        uploads: Vec<Upload>,
    },
}

impl Progress {
    /// The same for the scheduler.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Claimed | Self::Creating(_) => Phase::Preparing,
            Self::Started(..) => Phase::Running,
            Self::Collected { outcome, .. } if outcome.started_ms_ago.is_none() => Phase::Preparing,
            Self::Exited(..) | Self::Collected { .. } => Phase::Collecting,
        }
    }
}

/// An attempt that the journal has not seen the end of.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The lease as it was granted.
    pub lease: Box<Lease>,
    /// The name of everything that is made for it.
    pub name: AttemptName,
    /// The slot it takes.
    pub slot: u16,
    /// The incarnation that took it; part of what the container was made from.
    pub epoch: Epoch,
    /// How far it has come.
    pub progress: Progress,
}

/// All attempts that the journal has not seen the end of.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: BTreeMap<AttemptKey, Entry>,
}

impl Ledger {
    /// The attempts, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&AttemptKey, &Entry)> {
        self.entries.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a record in. One about an attempt that is not known, or that is further already, is
    /// without effect: records may come twice.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Claimed {
                lease,
                name,
                slot,
                epoch,
            } => {
                let attempt = AttemptKey::of(&lease.lease);
                self.entries.entry(attempt).or_insert(Entry {
                    lease,
                    name,
                    slot,
                    epoch,
                    progress: Progress::Claimed,
                });
            }
            Record::Reported { attempt, .. } | Record::Dropped { attempt, .. } => {
                self.entries.remove(&attempt);
            }
            Record::Creating { attempt, place, .. } => self.step(&attempt, |at| match at {
                // Made again by a later incarnation: then under its place.
                Progress::Claimed | Progress::Creating(_) => Some(Progress::Creating(place)),
                _ => None,
            }),
            Record::Started {
                attempt,
                place,
                start,
            } => self.step(&attempt, |at| match at {
                Progress::Creating(_) | Progress::Started(..) => {
                    Some(Progress::Started(place, start))
                }
                _ => None,
            }),
            Record::Exited { attempt, reason } => self.step(&attempt, |at| match at {
                Progress::Started(place, start) => {
                    Some(Progress::Exited(place.clone(), *start, reason))
                }
                _ => None,
            }),
            Record::Collected {
                attempt,
                outcome,
                uploads,
            } => self.step(&attempt, |_| Some(Progress::Collected { outcome, uploads })),
        }
    }

    fn step(&mut self, attempt: &AttemptKey, next: impl FnOnce(&Progress) -> Option<Progress>) {
        if let Some(entry) = self.entries.get_mut(attempt)
            && let Some(progress) = next(&entry.progress)
        {
            entry.progress = progress;
        }
    }

    /// The fewest records that add up to this ledger.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (attempt, entry) in &self.entries {
            entry.records(attempt, &mut records);
        }
        records
    }
}

impl Entry {
    fn records(&self, attempt: &AttemptKey, records: &mut Vec<Record>) {
        records.push(Record::Claimed {
            lease: self.lease.clone(),
            name: self.name.clone(),
            slot: self.slot,
            epoch: self.epoch,
        });
        let attempt = || attempt.clone();
        let creating = |place: &Place| Record::Creating {
            attempt: attempt(),
            place: place.clone(),
        };
        let started = |place: &Place, start: &Start| Record::Started {
            attempt: attempt(),
            place: place.clone(),
            start: *start,
        };
        match &self.progress {
            Progress::Claimed => {}
            Progress::Creating(place) => records.push(creating(place)),
            Progress::Started(place, start) => {
                records.push(creating(place));
                records.push(started(place, start));
            }
            Progress::Exited(place, start, reason) => {
                records.push(creating(place));
                records.push(started(place, start));
                records.push(Record::Exited {
                    attempt: attempt(),
                    reason: *reason,
                });
            }
            Progress::Collected { outcome, uploads } => records.push(Record::Collected {
                attempt: attempt(),
                outcome: outcome.clone(),
                uploads: uploads.clone(),
            }),
        }
    }
}
