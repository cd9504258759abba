//! What an executor needs of a runtime besides running attempts.
//!
//! Owns: the seam behind which a second runtime fits. Leaves to others: everything else.

use crate::config::ExecutorConfig;
use crate::home::Home;
use belljar_sandbox::{Finding, HostFacts, ImageId, Runtime, SandboxError};
use futures::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;

/// A runtime, its images and its host.
pub trait Host: Runtime {
    /// The runtime in it.
    fn as_runtime(&self) -> &dyn Runtime;

    /// Which life of the engine answers; changes whenever it starts.
    ///
    /// # Errors
    ///
    /// `EngineUnavailable`.
    fn instance(&self) -> BoxFuture<'_, Result<String, SandboxError>>;

    /// What the host is, and what of it is not as it should be.
    ///
    /// # Errors
    ///
    /// `EngineUnavailable` and the like.
    fn survey(&self) -> BoxFuture<'_, Result<(HostFacts, Vec<Finding>), SandboxError>>;

    /// Whether the engine has an image.
    ///
    /// # Errors
    ///
    /// `EngineUnavailable` and the like.
    fn has_image(&self, image: ImageId) -> BoxFuture<'_, Result<bool, SandboxError>>;

    /// Checks an archive and gives the image in it to the engine.
    ///
    /// # Errors
    ///
    /// `Archive`, `EngineUnavailable` and the like.
    fn load_image<'a>(
        &'a self,
        archive: &'a Path,
        image: ImageId,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;
}

/// Connects to the engine that the configuration names.
///
/// # Errors
///
/// `EngineUnavailable`.
pub async fn connect(config: &ExecutorConfig, home: &Home) -> Result<Arc<dyn Host>, SandboxError> {
    let _ = home;
    Err(SandboxError::EngineUnavailable {
        detail: format!("{}", config.engine_socket.display()),
    })
}
