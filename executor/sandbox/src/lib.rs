//! The only container code of Belljar, and its security boundary.
//!
//! One pure function turns an order into a whole [`ContainerPlan`]; a thin layer carries it out,
//! reads the effective settings back and refuses to run on any difference; when the program has
//! ended, everything it wrote is collected as hostile. The reasons behind every setting are in
//! `docs/security/sandbox.md`.
//!
//! Owns: plans, containers, cgroups, `/out`, outputs, image archives, receipts. Leaves to others:
//! where inputs come from and results go, leases, retries.
//!
//! Invariant: nothing outside [`docker`] knows a container id or imports `bollard`.

mod attempt;
mod cgroup;
pub mod docker;
mod error;
mod facts;
mod finished;
pub mod image;
mod inputs;
pub mod outputs;
pub mod plan;
mod policy;
mod readback;
mod receipt;
mod record;
mod refusal;
mod runtime;
pub mod selftest;
#[cfg(test)]
mod testing;
mod verdict;
mod volume;

pub use attempt::{
    AttemptName, AttemptSpec, Identity, InputKind, InputMount, InputSource, Limits, NotAnAttempt,
    Tier,
};
pub use docker::{DockerConfig, DockerRuntime};
pub use error::{Result, SandboxError};
pub use facts::{CgroupDriver, CgroupVersion, Finding, GvisorFacts, HostFacts, Severity};
pub use finished::{Cause, CauseKind, Ended, Exit, Finished, StopReason, Usage, Verdict};
pub use image::{ImageConfig, ImageFacts, ImageId};
pub use inputs::input_digest;
pub use outputs::{Declared, DeclaredArtifact, Outputs};
pub use plan::ContainerPlan;
pub use policy::{Ceilings, Policy};
pub use readback::Setting;
pub use receipt::{Check, Receipt, ReceiptInput, ReceiptRuntime};
pub use refusal::Refusal;
pub use runtime::{
    Adopted, Collect, Found, LogEvent, LogFollower, LogFrame, LogOffsets, LogStream, Runtime,
    Stage, Started, Swept,
};
pub use selftest::host_findings;
