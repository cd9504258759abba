//! The executor protocol, version 1: what an executor and the scheduler say to each other under
//! `/executor/v1`. Always asked by the executor, over connections that it opens.
//!
//! Owns: the messages. Leaves to others: what is granted and accepted (the engine), and how a
//! container runs (the sandbox). Meant for executors only; nothing here is part of the public API.
//!
//! - `POST register` once per start, with everything the journal holds: [`Register`].
//! - `POST claim`, a long poll; one is parked at any time, with 0 free slots too, because it also
//!   brings cancellations at once: [`Claim`].
//! - `POST heartbeat` with *all* leases held: [`Heartbeat`].
//! - `POST complete` for one or more attempts that ended, with the next claim in it: [`Complete`].
//! - `POST release` for leases given back unused: [`Release`].
//! - `GET|PUT blobs/{digest}` under a lease (query [`LeaseQuery`], header `Belljar-Lease-Token`): inputs and
//!   images of that lease may be read, outputs written.
//! - `PUT logs` under a lease (query [`LogQuery`], same header): bytes from an offset; the same bytes again
//!   change nothing.
//!
//! Only durations cross the wire, never moments: clocks are not compared. A call of an older
//! incarnation of an executor is answered 409 `executor_fenced`: that process must stop.

use belljar_ids::{
    AnalysisName, ArtifactName, Cause, ClaimId, Digest, Epoch, ExecutorId, Fence, InputName,
    InstanceKey, MapIndex, RunId, TaskName,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the messages in this file. A scheduler refuses any other with 400
/// `protocol_version`, naming the ones it speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Header that carries a lease's token on blob and log calls.
pub const LEASE_TOKEN_HEADER: &str = "belljar-lease-token";

/// An executor begins (again): it gets an incarnation, and hears which leases it still holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// The same across restarts of this executor.
    pub executor: ExecutorId,
    /// What its operator calls it.
    pub name: String,
    /// Changes when the host restarts.
    pub boot_id: String,
    /// How many task instances it runs at once; at least 1.
    pub slots: u32,
    /// Whether gVisor is there and passed the self-test.
    pub gvisor: bool,
    /// Versions, platform, cgroup version, self-test: for people.
    pub info: Value,
    /// Every lease the journal holds that has not been reported.
    pub held: Vec<HeldLease>,
}

/// The answer to [`Register`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registered {
    /// This incarnation. Calls of older ones are refused from now on.
    pub epoch: Epoch,
    /// How leases are timed here.
    pub timing: LeaseTiming,
    /// One verdict for each of `held`, in their order.
    pub verdicts: Vec<LeaseVerdict>,
}

/// How leases are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTiming {
    /// A lease lives this long after the heartbeat that renewed it was *sent*, milliseconds.
    pub ttl_ms: u64,
    /// Send a heartbeat this often, milliseconds.
    pub heartbeat_ms: u64,
    /// An executor that got no answer for this long stops renewing by its policy, milliseconds;
    /// smaller than `ttl_ms`.
    pub self_fence_ms: u64,
}

/// A lease as its holder names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseRef {
    /// The task instance.
    #[serde(flatten)]
    pub key: InstanceKey,
    /// The lease's fence.
    pub fence: Fence,
    /// The lease's secret, 32 hexadecimal digits. Opaque: compared for equality only.
    pub token: String,
}

/// A lease in a journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldLease {
    /// The lease.
    #[serde(flatten)]
    pub lease: LeaseRef,
    /// How far it has come.
    pub phase: Phase,
}

/// How far an attempt has come on its executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fetching, creating: the program has not started.
    Preparing,
    /// The program was started.
    Running,
    /// The program has ended or is being killed; outputs are being collected.
    Collecting,
}

/// What the scheduler says of one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseVerdict {
    /// Yours; renewed for a full time-to-live from when you sent the call.
    Ok,
    /// Yours, and to be stopped: kill it and report it with cause `cancelled` (or its own outcome, where
    /// the program had already ended by itself).
    Cancel,
    /// Not yours any more: kill it, remove it, report nothing.
    Gone,
}

/// A call for work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// New for each call; the same id again (after a lost answer) gets the same leases.
    pub claim: ClaimId,
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// How many leases it can take now; 0 waits for cancellations only.
    pub free_slots: u32,
    /// How long the answer may be held back while there is nothing to say, milliseconds; at most
    /// 60,000.
    pub wait_ms: u64,
}

/// The answer to [`Claim`]; both lists empty where nothing came up in time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Claimed {
    /// New leases, the most important first.
    pub leases: Vec<Lease>,
    /// Leases to be stopped: as if a heartbeat had answered `cancel`.
    pub cancel: Vec<CancelRef>,
}

/// Which attempt is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CancelRef {
    /// The task instance.
    #[serde(flatten)]
    pub key: InstanceKey,
    /// The fence of the lease.
    pub fence: Fence,
}

/// The right to one attempt, and all it takes to make it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lease {
    /// Which lease it is.
    #[serde(flatten)]
    pub lease: LeaseRef,
    /// Which try this is, from 1.
    pub try_number: u32,
    /// What to run.
    pub work: WorkOrder,
}

/// What to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkOrder {
    /// The DAG the run belongs to.
    pub dag: String,
    /// The canonical hash of the DAG's spec, for the receipt.
    pub dag_version: Digest,
    /// The analysis.
    pub analysis: AnalysisName,
    /// Its version, for people.
    pub analysis_version: String,
    /// SHA-256 over manifest and image.
    pub analysis_digest: Digest,
    /// The manifest as submitted (`analysis.yaml` as JSON).
    pub manifest: Value,
    /// The image.
    pub image: WorkImage,
    /// The inputs by name.
    pub inputs: BTreeMap<InputName, WorkInput>,
    /// The parameters: the content of `/in/params.json`.
    pub params: Value,
    /// The limits in force.
    pub resources: WorkResources,
    /// Whether an operator allowed plain `runc` for this analysis.
    pub trusted: bool,
}

/// The image, by digest, and where it can be had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkImage {
    /// Digest of the OCI image manifest.
    pub digest: Digest,
    /// Digest of the image's configuration: the id under which an engine keeps it.
    pub config: Digest,
    /// Where it can be had, best first.
    pub from: Vec<WorkImageSource>,
}

/// One place an image can be had from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkImageSource {
    /// An OCI archive.
    Blob(WorkBlob),
    /// A reference by digest in a registry.
    Registry(String),
}

/// Bytes, and where they can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkBlob {
    /// What they hash to; the receiver checks it.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// Where: absolute, or a path relative to the scheduler's address (then under the lease).
    pub url: String,
}

/// One input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkInput {
    /// Bytes to be fetched.
    Blob(WorkBlob),
    /// Small JSON, here in place, with its digest.
    Inline {
        /// The bytes.
        text: String,
        /// What they hash to.
        digest: Digest,
    },
}

/// The limits of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkResources {
    /// Processor time, in thousandths of one core.
    pub cpu_millis: u32,
    /// Memory of the program and its `/tmp`, bytes.
    pub memory_bytes: u64,
    /// Size of `/out`, bytes.
    pub disk_bytes: u64,
    /// Size of `/tmp`, bytes.
    pub tmp_bytes: u64,
    /// Threads of the program.
    pub pids: u32,
    /// Wall clock of one attempt, milliseconds.
    pub timeout_ms: u64,
}

/// "These are all the leases I hold."
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// All leases held, in any phase, until their report was answered.
    pub leases: Vec<HeldLease>,
    /// Why it takes no work at the moment, for people; none where it does.
    pub unavailable: Option<String>,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// One verdict for each of `leases`, in their order.
    pub verdicts: Vec<LeaseVerdict>,
}

/// Attempts that ended, and the next claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// What ended.
    pub reports: Vec<Report>,
    /// A claim for the capacity that this frees; answered at once, never parked.
    pub claim: Option<Claim>,
}

/// How one attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which attempt.
    pub lease: LeaseRef,
    /// SHA-256 of `outcome` as JSON text (as sent: `serde_json` of the value), by which a report that
    /// comes again is known.
    pub digest: Digest,
    /// How it ended.
    pub outcome: Outcome,
}

impl Report {
    /// The report of `outcome` under `lease`, with the digest filled in by `sha256`.
    ///
    /// # Errors
    ///
    /// Where `outcome` cannot be written as JSON, which no value of it should bring about.
    pub fn new(
        lease: LeaseRef,
        outcome: Outcome,
        sha256: impl FnOnce(&[u8]) -> Digest,
    ) -> Result<Self, serde_json::Error> {
        let digest = sha256(&serde_json::to_vec(&outcome)?);
        Ok(Self {
            lease,
            digest,
            outcome,
        })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Why it did not succeed; none where it did, and then `outputs` is there.
    pub cause: Option<Cause>,
    /// One sentence on that, for people.
    pub message: Option<String>,
    /// Whether the program had ended by itself before anything was killed.
    pub ended_by_itself: bool,
    /// The program's exit code, where it had one.
    pub exit_code: Option<i32>,
    /// How long ago the program started when this was first reported, milliseconds.
    pub started_ms_ago: Option<u64>,
    /// What it produced.
    pub outputs: Option<WorkOutputs>,
    /// Bytes of its two logs.
    pub logs: LogEnds,
    /// What it used at most.
    pub peaks: Peaks,
    /// Where the time went, milliseconds by step (`fetch`, `create`, `start`, `run`, `kill`, `collect`).
    pub timings_ms: BTreeMap<String, u64>,
    /// Files in `/out` that nothing declared: counted and dropped.
    pub dropped_files: u64,
    /// The receipt's bytes in the blob store.
    pub receipt: Option<BlobEntry>,
}

/// What an attempt produced: blobs already stored under its lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkOutputs {
    /// `/out/result.json`: its text where it has at most 16 KiB, and then no blob is needed.
    pub result: WorkResult,
    /// The declared artifacts that were there.
    pub artifacts: BTreeMap<ArtifactName, WorkArtifact>,
}

/// `/out/result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkResult {
    /// Its bytes.
    pub blob: BlobEntry,
    /// Its text, where it is small.
    pub inline: Option<String>,
}

/// A declared output file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkArtifact {
    /// Its path below `/out`.
    pub path: String,
    /// Its media type as the manifest declares it.
    pub media_type: String,
    /// Its bytes.
    pub blob: BlobEntry,
}

/// Bytes in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobEntry {
    /// What they hash to.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// The ends of an attempt's two logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEnds {
    /// Standard output.
    pub stdout: LogEnd,
    /// Standard error.
    pub stderr: LogEnd,
}

/// The end of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEnd {
    /// Bytes kept.
    pub size: u64,
    /// What the kept bytes hash to; none where nothing was kept.
    pub digest: Option<Digest>,
    /// Whether more was written than is kept.
    pub truncated: bool,
}

/// What an attempt used at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peaks {
    /// Memory, bytes, the sandbox's own included.
    pub memory_bytes: Option<u64>,
    /// Processor time, milliseconds, the sandbox's own included.
    pub cpu_ms: Option<u64>,
    /// Processes and threads, the sandbox's own included.
    pub pids: Option<u64>,
}

/// The answer to [`Complete`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Completed {
    /// One verdict for each report, in their order.
    pub verdicts: Vec<ReportVerdict>,
    /// The answer to `claim`.
    pub claimed: Claimed,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportVerdict {
    /// It is the instance's outcome (or this very report already was).
    Accepted,
    /// The lease is not the current one: nothing changed. Discard the outputs.
    StaleFence,
    /// Another report was accepted under this lease.
    DigestMismatch,
    /// The report contradicts itself or the lease, for example a success without a result.
    Invalid,
}

/// Leases given back unused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The executor.
    pub executor: ExecutorId,
    /// Its incarnation.
    pub epoch: Epoch,
    /// The leases. Nothing may run under them any more.
    pub leases: Vec<LeaseRef>,
}

/// The query of a blob call: the lease it is made under. The token is in [`LEASE_TOKEN_HEADER`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseQuery {
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: TaskName,
    /// Which mapped instance; -1 where not mapped.
    #[serde(default = "not_mapped")]
    pub map_index: MapIndex,
    /// The fence.
    pub fence: Fence,
}

/// The query of a log call: the lease, the stream and where the bytes begin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogQuery {
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: TaskName,
    /// Which mapped instance; -1 where not mapped.
    #[serde(default = "not_mapped")]
    pub map_index: MapIndex,
    /// The fence.
    pub fence: Fence,
    /// Which log.
    pub stream: Stream,
    /// Bytes of the log before the first of the body.
    pub offset: u64,
}

/// One of an attempt's two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The answer to a log call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogWritten {
    /// Bytes of the log that are stored now. Smaller than `offset` where bytes before it are
    /// missing, and then nothing was written: send from there. An empty body asks for the size.
    pub size: u64,
}

const fn not_mapped() -> MapIndex {
    MapIndex::NONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattened_leases_round_trip() {
        let lease = HeldLease {
            lease: LeaseRef {
                key: InstanceKey {
                    run: "run_0000000000000000000000000192f00d".parse().unwrap(),
                    task: "clean".parse().unwrap(),
                    map_index: MapIndex::NONE,
                },
                fence: Fence(i64::MAX),
                token: "ab".repeat(16),
            },
            phase: Phase::Running,
        };
        let text = serde_json::to_string(&lease).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"run":"run_0000000000000000000000000192f00d","task":"clean","map_index":-1,"fence":9223372036854775807,"token":"{}","phase":"running"}}"#,
                "ab".repeat(16)
            )
        );
        let again: HeldLease = serde_json::from_str(&text).unwrap();
        assert_eq!(again.lease, lease.lease);
    }
}
