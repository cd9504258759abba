//! What the sandbox refuses, each with a code, a sentence and a hint.

use crate::attempt::Tier;
use serde::Serialize;

/// Why an attempt does not start. None of these goes away by trying again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    /// An environment variable that could change what runs or where it talks to.
    #[error("environment variable `{name}` is not allowed")]
    Env {
        /// Its name, escaped.
        name: String,
    },
    /// A label with our prefix, by which an image could pass for another attempt.
    #[error("the image carries the label `{label}`, which is reserved")]
    ImageLabel {
        /// The label, escaped.
        label: String,
    },
    /// The image's working directory is below `/proc`, `/sys` or `/dev`, or not a plain absolute
    /// path (CVE-2024-21626).
    #[error("the image's working directory `{path}` is not allowed")]
    WorkingDir {
        /// The path, escaped.
        path: String,
    },
    /// The program is below `/proc`, `/sys` or `/dev` (CVE-2019-5736).
    #[error("the program `{path}` is not allowed")]
    Program {
        /// The path, escaped.
        path: String,
    },
    /// Neither the manifest nor the image says what to run.
    #[error("the image has no entrypoint and no command, and none was given")]
    NoProgram,
    /// An argument or a value that cannot be passed to a program.
    #[error("{what} contains a NUL byte or is longer than {max_bytes} bytes")]
    Unpassable {
        /// Which.
        what: String,
        /// The limit.
        max_bytes: usize,
    },
    /// A volume of the image at a place where nothing may be put over it.
    #[error("the image declares a volume at `{path}`, which is not allowed")]
    Volume {
        /// The path, escaped.
        path: String,
    },
    /// The image is for another processor or system.
    #[error("the image is for {found}, this host runs {wanted}")]
    Platform {
        /// The host's, as `os/architecture`.
        wanted: String,
        /// The image's.
        found: String,
    },
    /// The runtime that the tier needs is not registered in the engine.
    #[error("the runtime `{runtime}` is not registered in the container engine")]
    RuntimeMissing {
        /// Its name.
        runtime: String,
    },
    /// A version below the policy's floor.
    #[error("{what} is {found}, the policy wants at least {floor}")]
    TooOld {
        /// Of what.
        what: String,
        /// The version here.
        found: String,
        /// The least version.
        floor: String,
    },
    /// The policy does not allow this tier for this analysis.
    #[error("{why}")]
    Tier {
        /// The tier asked for.
        tier: Tier,
        /// Why not.
        why: String,
    },
    /// A limit of zero or above the policy's ceiling.
    #[error("{limit} = {asked} is outside of {least} to {most}")]
    Limit {
        /// Which.
        limit: &'static str,
        /// The value asked for.
        asked: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A slot that has no uid.
    #[error("slot {slot} has no uid: the policy has {slots} slots")]
    Slot {
        /// The slot.
        slot: u16,
        /// How many there are.
        slots: u16,
    },
    /// Two inputs with one name, or an input that cannot be mounted.
    #[error("input `{input}`: {problem}")]
    Input {
        /// Its name.
        input: String,
        /// What is wrong.
        problem: String,
    },
    /// The host cannot keep the promises.
    #[error("this host cannot run sandboxes: {problem}")]
    HostUnfit {
        /// What is missing.
        problem: String,
    },
    /// What is in force is not what the plan says.
    #[error("`{field}` should be {wanted}, but {from} says {found}")]
    Readback {
        /// The field of the plan.
        field: String,
        /// The plan's value.
        wanted: String,
        /// The value in force.
        found: String,
        /// Where that was read.
        from: String,
    },
}

impl Refusal {
    /// Its stable code, `BJ0701` and on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Env { .. } => "BJ0701",
            Self::ImageLabel { .. } => "BJ0702",
            Self::WorkingDir { .. } => "BJ0703",
            Self::Program { .. } => "BJ0704",
            Self::NoProgram => "BJ0705",
            Self::Unpassable { .. } => "BJ0706",
            Self::Volume { .. } => "BJ0707",
            Self::Platform { .. } => "BJ0708",
            Self::RuntimeMissing { .. } => "BJ0709",
            Self::TooOld { .. } => "BJ0710",
            Self::Tier { .. } => "BJ0711",
            Self::Limit { .. } => "BJ0712",
            Self::Slot { .. } => "BJ0713",
            Self::Input { .. } => "BJ0714",
            Self::HostUnfit { .. } => "BJ0715",
            Self::Readback { .. } => "BJ0716",
        }
    }

    /// What to do about it, one sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Env { .. } => {
                "remove it: LD_*, *_PROXY, DOCKER_* and BELLJAR_* are never passed to a program"
            }
            Self::ImageLabel { .. } => "remove labels beginning with `belljar.` from the image",
            Self::WorkingDir { .. } => "set WORKDIR to a plain folder of the image, such as /app",
            Self::Program { .. } => "name a program of the image, such as /app/main",
            Self::NoProgram => "set `command` in analysis.yaml or ENTRYPOINT in the Dockerfile",
            Self::Unpassable { .. } => "put large or binary values in a file of the image",
            Self::Volume { .. } => "remove the VOLUME: scratch files go to /tmp, results to /out",
            Self::Platform { .. } => "build the image for this host's platform",
            Self::RuntimeMissing { .. } => {
                "install gVisor and register it in the engine's daemon.json; `belljar doctor` says how"
            }
            Self::TooOld { .. } => "install a newer build; `belljar doctor` says which",
            Self::Tier { .. } => {
                "use the gVisor tier, or ask an operator to mark the analysis trusted"
            }
            Self::Limit { .. } => "change `resources` in analysis.yaml or the task",
            Self::Slot { .. } => "lower the executor's number of slots",
            Self::Input { .. } => {
                "inputs are folders and regular files on one filesystem, without links and special files"
            }
            Self::HostUnfit { .. } => "`belljar doctor` explains each finding",
            Self::Readback { .. } => {
                "the engine or the host does not do as told: `belljar doctor` checks both"
            }
        }
    }
}
