//! What is kept on disk about an attempt, so that another incarnation can go on with it.
//!
//! Owns: one file per attempt, replaced as a whole. Leaves to others: the executor's journal, which
//! says what was leased and reported. After a power loss nothing runs any more, so the file needs
//! no sync: it must survive the end of this process, not of the host.

use crate::attempt::{AttemptName, AttemptSpec};
use crate::error::{Result, SandboxError};
use crate::finished::{Exit, StopReason, Usage};
use crate::image::ImageFacts;
use crate::plan::ContainerPlan;
use crate::readback::Setting;
use crate::receipt::{Check, ReceiptInput};
use belljar_ids::Micros;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

const FILE: &str = "record.json";

/// How an attempt came to its end, once everything of it was dead.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stopped {
    /// Why it was finished.
    pub reason: StopReason,
    /// How the container ended, where the engine could say.
    pub exit: Option<Exit>,
    /// Whether the program had ended before it was killed.
    pub ended_by_itself: bool,
    /// What it used.
    pub usage: Usage,
    /// The checks made on the way.
    pub checks: Vec<Check>,
    /// Why nothing can be said about the program; empty where something can.
    pub lost: String,
}

/// Everything about one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The order.
    pub spec: AttemptSpec,
    /// The plan made of it.
    pub plan: ContainerPlan,
    /// The image as it was then.
    pub image: ImageFacts,
    /// The inputs as they were then.
    pub inputs: Vec<ReceiptInput>,
    /// Which run of the engine made the container.
    pub engine: String,
    /// The engine's id of the container; empty while there is none.
    pub container: String,
    /// When it started, if it did.
    pub started_at: Option<Micros>,
    /// The settings read back.
    pub settings: Vec<Setting>,
    /// Whether the sandbox in force was not the one ordered.
    pub unverified: Option<String>,
    /// Whether it was killed by us while it ran.
    #[serde(default)]
    pub killed: bool,
    /// How it ended, once it did.
    pub stopped: Option<Stopped>,
}

impl Record {
    /// Reads the record of an attempt.
    ///
    /// # Errors
    /// `NotFound` where there is none; a record that cannot be read as one is `Confused`.
    pub(crate) fn load(state_dir: &Path, name: &AttemptName) -> Result<Self> {
        let file = ContainerPlan::attempt_dir(state_dir, name).join(FILE);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SandboxError::NotFound(name.clone()));
            }
            Err(error) => return Err(SandboxError::host("read", file)(error)),
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| SandboxError::Confused(format!("{}: {error}", file.display())))
    }

    /// Writes the record in place of the one before.
    ///
    /// # Errors
    /// The host's.
    pub(crate) fn save(&self, state_dir: &Path) -> Result<()> {
        let dir = ContainerPlan::attempt_dir(state_dir, &self.plan.name);
        let bytes = serde_json::to_vec(self)
            .map_err(|error| SandboxError::Confused(format!("writing a record: {error}")))?;
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&dir)?;
            file.write_all(&bytes)?;
            file.persist(dir.join(FILE))?;
            Ok(())
        };
        write().map_err(SandboxError::host("write the record in", &dir))
    }

    /// Makes the folder of an attempt, open to root alone.
    ///
    /// # Errors
    /// The host's.
    pub(crate) fn create_dir(state_dir: &Path, name: &AttemptName) -> Result<()> {
        let dir = ContainerPlan::attempt_dir(state_dir, name);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(SandboxError::host("create", dir))
    }
}
