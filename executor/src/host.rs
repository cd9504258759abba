//! What an executor needs of a runtime besides running attempts.
//!
//! Owns: the seam behind which a second runtime fits. Leaves to others: everything else.

use crate::config::ExecutorConfig;
use crate::home::Home;
use belljar_ids::ExecutorId;
use belljar_sandbox::image::ArchiveLimits;
use belljar_sandbox::{
    DockerConfig, DockerRuntime, Finding, HostFacts, ImageId, Runtime, SandboxError, Tier,
    host_findings,
};
use futures::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;

/// A runtime, its images and its host.
pub trait Host: Send + Sync {
    /// What runs the attempts.
    fn runtime(&self) -> &dyn Runtime;

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

    /// Runs a canary through the same path as every attempt; a `Fatal` finding where the walls
    /// are not what they must be.
    ///
    /// # Errors
    ///
    /// As for any attempt.
    fn self_test(&self) -> BoxFuture<'_, Result<Vec<Finding>, SandboxError>>;

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
    let docker = DockerConfig {
        socket: config.engine_socket.clone(),
        policy: config.policy.clone(),
        executor: home.id(),
        state_dir: home.sandbox(),
        input_roots: vec![home.cache()],
    };
    let runtime = DockerRuntime::connect(docker).await?;
    Ok(Arc::new(DockerHost {
        runtime,
        executor: home.id(),
    }))
}

/// A Docker engine of this host.
struct DockerHost {
    runtime: DockerRuntime,
    executor: ExecutorId,
}

impl Host for DockerHost {
    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn instance(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        Box::pin(self.runtime.incarnation())
    }

    fn survey(&self) -> BoxFuture<'_, Result<(HostFacts, Vec<Finding>), SandboxError>> {
        Box::pin(async {
            let facts = self.runtime.refresh_facts().await?;
            let findings = host_findings(&facts, self.runtime.policy());
            Ok((facts, findings))
        })
    }

    fn self_test(&self) -> BoxFuture<'_, Result<Vec<Finding>, SandboxError>> {
        Box::pin(self.runtime.self_test(self.executor, Tier::Gvisor))
    }

    fn has_image(&self, image: ImageId) -> BoxFuture<'_, Result<bool, SandboxError>> {
        Box::pin(self.runtime.image_present(image))
    }

    fn load_image<'a>(
        &'a self,
        archive: &'a Path,
        image: ImageId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let limits = ArchiveLimits::default();
            self.runtime.image_load(archive, image, &limits).await?;
            Ok(())
        })
    }
}
