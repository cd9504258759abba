//! The trait behind which containers run.
//!
//! Every call is idempotent by attempt name: repeated after a crash or a lost answer it does what
//! is still to be done and returns the same. Nothing outside an implementation knows a container
//! id, and nothing here says that the attempt runs on this host: an implementation may run it as
//! a pod elsewhere.

use crate::attempt::{AttemptName, AttemptSpec};
use crate::error::Result;
use crate::finished::{Ended, Finished, StopReason};
use crate::outputs::Declared;
use crate::readback::Setting;
use belljar_ids::Micros;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Which of a program's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far both streams have been read, in bytes from their beginnings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOffsets {
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Which stream.
    pub stream: LogStream,
    /// Where the first byte is in that stream. The frames of a stream have no gaps.
    pub offset: u64,
    /// When the engine received it.
    pub at: Micros,
    /// The raw bytes, hostile: any encoding, any control character.
    pub bytes: Bytes,
}

/// What following a log yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// More bytes.
    Frame(LogFrame),
    /// The log's cap was reached: no frame follows, whatever the program writes. Sent once, with
    /// what each stream has at the cut.
    Truncated(LogOffsets),
}

/// A log being followed. It ends after the program ended and everything was delivered; an error
/// is its last item, after which [`Runtime::attach`] may be called again with the offsets reached.
pub type LogFollower = BoxStream<'static, Result<LogEvent>>;

/// What an attempt looks like to the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Prepared, never started.
    Prepared,
    /// Running.
    Running,
    /// Ended, not yet finished.
    Exited,
    /// No container: the rest of a preparation that failed, or finished and not yet discarded.
    Remains,
}

/// An attempt that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: AttemptName,
    /// What it looks like.
    pub stage: Stage,
}

/// What [`Runtime::adopt`] knows about an attempt of an earlier incarnation.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// What it looks like now.
    pub stage: Stage,
    /// The order it was prepared for.
    pub spec: AttemptSpec,
    /// When it started, if it did.
    pub started_at: Option<Micros>,
}

/// What [`Runtime::start`] did.
#[derive(Debug, Clone)]
pub struct Started {
    /// When the container started.
    pub at: Micros,
    /// Every setting with the source that confirmed it.
    pub settings: Vec<Setting>,
}

/// Where to put outputs and what is declared.
#[derive(Debug, Clone)]
pub struct Collect {
    /// An existing folder, on the executor's host, that gets one file per accepted output, named
    /// by the hexadecimal SHA-256 of its content.
    pub staging: PathBuf,
    /// What the manifest declares.
    pub declared: Declared,
}

/// What [`Runtime::sweep`] removed, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers.
    pub containers: Vec<AttemptName>,
    /// Attempt folders, with their mounts, loop devices and cgroups.
    pub remains: Vec<AttemptName>,
}

/// Something that runs attempts.
///
/// The order of calls for one attempt: `prepare`, `start`, then `attach` and `wait` side by side,
/// `finish`, and after the report `discard`. `kill` may come at any time; `finish` does it anyway.
pub trait Runtime: Send + Sync {
    /// Makes everything ready but runs nothing of the image: plan, inputs checked, `/out`,
    /// cgroup, container, and the first half of the read-back.
    ///
    /// # Errors
    /// `Refused` where the order breaks a rule, `ImageMissing`, `DiskFull`, and the rest of
    /// [`crate::SandboxError`]. After an error nothing of the attempt is left.
    fn prepare<'a>(&'a self, spec: &'a AttemptSpec) -> BoxFuture<'a, Result<()>>;

    /// Starts a prepared attempt and compares what is in force with the plan. An attempt that
    /// was started before is only checked again.
    ///
    /// # Errors
    /// `Refused` with [`crate::Refusal::Readback`] where a setting differs: the attempt is
    /// killed by then. `NotFound` where nothing was prepared. A program that cannot be executed
    /// is no error: [`Runtime::finish`] says so.
    fn start<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<Started>>;

    /// Follows the log from the given offsets.
    ///
    /// # Errors
    /// `NotFound`, or the engine's.
    fn attach<'a>(
        &'a self,
        name: &'a AttemptName,
        from: LogOffsets,
    ) -> BoxFuture<'a, Result<LogFollower>>;

    /// Waits until the program ended or its time is over, counted from its start whoever waits.
    ///
    /// # Errors
    /// `NotFound` where the container is gone, or the engine's.
    fn wait<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<Ended>>;

    /// Kills every process of the attempt and returns when none is left.
    ///
    /// # Errors
    /// `Unkillable`, or the engine's. An attempt that is not there is killed already.
    fn kill<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<()>>;

    /// Removes the container and its cgroup after killing what runs; `/out` stays.
    ///
    /// # Errors
    /// As [`Runtime::kill`].
    fn remove<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<()>>;

    /// Ends the attempt in the one safe order: kill, cgroup verified empty, exit read, container
    /// removed, `/out` made read-only, outputs collected, verdict and receipt written.
    ///
    /// # Errors
    /// `Unkillable`, and the engine's or the host's where the facts could not be had; call again.
    fn finish<'a>(
        &'a self,
        name: &'a AttemptName,
        reason: StopReason,
        collect: &'a Collect,
    ) -> BoxFuture<'a, Result<Finished>>;

    /// Unmounts and deletes all that is left of a finished attempt. Not urgent: after the report.
    ///
    /// # Errors
    /// The host's; [`Runtime::sweep`] will find it again.
    fn discard<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<()>>;

    /// Every attempt of this executor that is there in any form.
    ///
    /// # Errors
    /// The engine's or the host's.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>>;

    /// Takes over an attempt that an earlier incarnation prepared or started; afterwards every
    /// other call works as if this one had.
    ///
    /// # Errors
    /// `NotFound` where there is no container or no state of it, `Refused` where the container
    /// is not the one that was prepared.
    fn adopt<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<Adopted>>;

    /// Kills, removes and deletes every attempt of this executor that is not to be kept,
    /// whatever stage it is in.
    ///
    /// # Errors
    /// The first one met, after trying all.
    fn sweep<'a>(&'a self, keep: &'a BTreeSet<AttemptName>) -> BoxFuture<'a, Result<Swept>>;
}
