//! What can go wrong, by what the caller must do about it.

use crate::attempt::AttemptName;
use crate::image::ImageId;
use crate::refusal::Refusal;
use std::path::PathBuf;
use std::time::Duration;

/// Why a call of the sandbox did not do what it was asked for.
///
/// What a *program* did wrong is never an error of this type: it is a
/// [`crate::Verdict`] in [`crate::Finished`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The container engine does not answer: stopped, restarting or hanging. Nothing is known
    /// about the attempt; ask again later.
    #[error("the container engine does not answer: {detail}")]
    EngineUnavailable {
        /// What was tried and what came back.
        detail: String,
    },
    /// The order breaks a rule, or what is in force is not what was ordered. The attempt did not
    /// start, or was killed. Trying again cannot help.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// The engine answered, with an error that is not known to mean anything better.
    #[error("the container engine refused to {call}: {message} (status {status})")]
    Engine {
        /// What it was asked to do.
        call: &'static str,
        /// The HTTP status, 0 where the error came inside a stream.
        status: u16,
        /// Its message.
        message: String,
    },
    /// The engine did not answer one call in time although it may be alive.
    #[error("the container engine did not {call} within {after:?}")]
    EngineSlow {
        /// What it was asked to do.
        call: &'static str,
        /// The time-out.
        after: Duration,
    },
    /// The engine does not have the image. Load it and prepare again.
    #[error("image {0} is not loaded")]
    ImageMissing(ImageId),
    /// There is no such attempt here: never prepared, or already discarded.
    #[error("no attempt named {0}")]
    NotFound(AttemptName),
    /// The attempt's processes could not be killed. The executor must take no more work
    /// (quarantine) and a person must look.
    #[error("processes of {name} survive being killed: {pids:?}")]
    Unkillable {
        /// Whose processes.
        name: AttemptName,
        /// Their ids on the host.
        pids: Vec<u32>,
    },
    /// The host's disk is too full for the attempt's `/out`; another time or another host.
    #[error(
        "{needed} bytes are needed in {} and {available} are free above the reserve",
        path.display()
    )]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// Bytes wanted.
        needed: u64,
        /// Bytes free above the policy's reserve.
        available: u64,
    },
    /// The host refused something the sandbox needs: a mount, a cgroup, a file.
    #[error("failed to {doing} {}: {source}", path.display())]
    Host {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A helper program of the host failed.
    #[error("{program} failed: {detail}")]
    Helper {
        /// Its name.
        program: &'static str,
        /// Its exit status and what it said.
        detail: String,
    },
    /// An image archive is not what it claims to be.
    #[error(transparent)]
    Archive(#[from] crate::image::ArchiveError),
    /// The engine or the host said something that cannot be true.
    #[error("{0}")]
    Confused(String),
}

impl SandboxError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::EngineUnavailable { .. } | Self::EngineSlow { .. } | Self::DiskFull { .. }
        )
    }

    /// The refusal in it, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn host(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Host {
            doing,
            path,
            source,
        }
    }
}

impl From<Refusal> for SandboxError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// What the calls of this crate return.
pub type Result<T, E = SandboxError> = std::result::Result<T, E>;
