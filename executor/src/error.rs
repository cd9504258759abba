//! Why an executor stops.

use crate::home::HomeError;
use crate::inputs::InputError;
use crate::journal::JournalError;
use crate::scheduler_client::ClientError;

/// What [`crate::run`] returns when it cannot go on. Everything else is waited out.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// A later incarnation of this executor has registered: two processes use one executor id.
    #[error(
        "another incarnation of this executor has taken over; its containers are left to that one"
    )]
    Fenced,
    /// The data folder cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The cache of inputs cannot be read.
    #[error(transparent)]
    Cache(#[from] InputError),
    /// The scheduler refuses this executor for good: a wrong address, credential or protocol.
    #[error("failed to register with the scheduler: {0}")]
    Register(#[source] ClientError),
    /// The host does not tell its boot id.
    #[error("failed to read the host's boot id: {0}")]
    BootId(#[source] std::io::Error),
}
