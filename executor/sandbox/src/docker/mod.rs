//! The runtime that stands on a Docker engine of this host.
//!
//! Owns: everything that knows `bollard`, container ids, the engine's folders and processes. Leaves
//! to others: every decision ([`crate::plan`], `readback`, `verdict`).
//!
//! Containers are named by their attempt, and every call goes by that name, so a call repeated
//! after a crash meets what the first one made.

mod adopt;
mod create;
mod engine;
mod facts;
mod finish;
mod images;
mod logs;
mod prepare;
mod start;
mod stop;

use crate::attempt::{AttemptName, AttemptSpec};
use crate::cgroup::Cgroup;
use crate::error::{Result, SandboxError};
use crate::facts::{CgroupVersion, HostFacts};
use crate::finished::{Ended, Finished, StopReason, Usage};
use crate::plan::ContainerPlan;
use crate::policy::Policy;
use crate::runtime::{Adopted, Collect, Found, LogFollower, LogOffsets, Runtime, Started, Swept};
use belljar_ids::ExecutorId;
use engine::Engine;
use futures::future::BoxFuture;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Where cgroup hierarchies are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// How to reach the engine and what it may be used for.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The operator's rules.
    pub policy: Policy,
    /// Whose attempts these are; no others are touched.
    pub executor: ExecutorId,
    /// A folder of our own on a local disk: `/out` images, records. Made if it is not there.
    pub state_dir: PathBuf,
    /// The folders below which inputs may be.
    pub input_roots: Vec<PathBuf>,
}

impl DockerConfig {
    /// The usual socket and the default policy.
    #[must_use]
    pub fn new(executor: ExecutorId, state_dir: PathBuf, input_roots: Vec<PathBuf>) -> Self {
        Self {
            socket: engine::SOCKET.into(),
            policy: Policy::default(),
            executor,
            state_dir,
            input_roots,
        }
    }
}

/// A [`Runtime`] on a Docker engine. Cheap to clone.
#[derive(Clone)]
pub struct DockerRuntime {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    engine: Engine,
    policy: Policy,
    executor: ExecutorId,
    state_dir: PathBuf,
    facts: RwLock<HostFacts>,
    /// The highest counters seen of attempts that are being waited for.
    sampled: Mutex<HashMap<AttemptName, Usage>>,
}

impl DockerRuntime {
    /// Connects to the engine, agrees on an API version and looks at the host.
    ///
    /// # Errors
    /// `EngineUnavailable` where nothing answers at the socket; the host's where the state folder
    /// cannot be made.
    pub async fn connect(config: DockerConfig) -> Result<Self> {
        let state_dir = make_state_dir(&config.state_dir)?;
        let mut input_roots = Vec::new();
        for root in &config.input_roots {
            let real = root
                .canonicalize()
                .map_err(SandboxError::host("resolve", root))?;
            input_roots.push(real);
        }
        let engine = Engine::connect(&config.socket).await?;
        let facts = facts::collect(&engine, &config.policy, &state_dir, &input_roots).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                policy: config.policy,
                executor: config.executor,
                state_dir,
                facts: RwLock::new(facts),
                sampled: Mutex::default(),
            }),
        })
    }

    /// What this host is and has, as last looked at.
    #[must_use]
    pub fn facts(&self) -> HostFacts {
        self.inner.facts()
    }

    /// The rules in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// Which run of which engine process answers: another one after the engine was restarted.
    /// Empty where it cannot be told.
    ///
    /// # Errors
    /// `EngineUnavailable`.
    pub async fn incarnation(&self) -> Result<String> {
        self.inner.engine.incarnation().await
    }

    /// Looks at the host again.
    ///
    /// # Errors
    /// The engine's.
    pub async fn refresh_facts(&self) -> Result<HostFacts> {
        let inner = &self.inner;
        let old = inner.facts();
        let facts = facts::collect(
            &inner.engine,
            &inner.policy,
            &old.state_dir,
            &old.input_roots,
        )
        .await?;
        *inner.facts.write().unwrap_or_else(PoisonError::into_inner) = facts.clone();
        Ok(facts)
    }
}

/// Makes the folders of our state, open to root alone, and gives the real path: mounts are compared
/// by it.
fn make_state_dir(dir: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    for folder in ["attempts", "params"] {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join(folder))
            .map_err(SandboxError::host("create", dir.join(folder)))?;
    }
    dir.canonicalize()
        .map_err(SandboxError::host("resolve", dir))
}

impl Inner {
    fn facts(&self) -> HostFacts {
        self.facts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn cgroup_v2(&self) -> bool {
        self.facts().cgroup_version == CgroupVersion::V2
    }

    fn cgroup(&self, plan: &ContainerPlan) -> Cgroup {
        self.cgroup_at(&plan.cgroup.path)
    }

    fn cgroup_at(&self, path: &Path) -> Cgroup {
        Cgroup::new(self.facts().cgroup_version, Path::new(CGROUP_ROOT), path)
    }
}

/// Runs work that blocks (mounts, cgroups, copying) off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(SandboxError::Confused(format!("a worker died: {error}"))))
}

impl Runtime for DockerRuntime {
    fn prepare<'a>(&'a self, spec: &'a AttemptSpec) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.prepare(spec))
    }

    fn start<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<Started>> {
        Box::pin(self.inner.start(name))
    }

    fn attach<'a>(
        &'a self,
        name: &'a AttemptName,
        from: LogOffsets,
    ) -> BoxFuture<'a, Result<LogFollower>> {
        Box::pin(self.inner.attach(name, from))
    }

    fn wait<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<Ended>> {
        Box::pin(self.inner.wait(name))
    }

    fn kill<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.kill(name))
    }

    fn remove<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.remove(name))
    }

    fn finish<'a>(
        &'a self,
        name: &'a AttemptName,
        reason: StopReason,
        collect: &'a Collect,
    ) -> BoxFuture<'a, Result<Finished>> {
        Box::pin(self.inner.finish(name, reason, collect))
    }

    fn discard<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.discard(name))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>> {
        Box::pin(self.inner.list())
    }

    fn adopt<'a>(&'a self, name: &'a AttemptName) -> BoxFuture<'a, Result<Adopted>> {
        Box::pin(self.inner.adopt(name))
    }

    fn sweep<'a>(&'a self, keep: &'a BTreeSet<AttemptName>) -> BoxFuture<'a, Result<Swept>> {
        Box::pin(self.inner.sweep(keep))
    }
}
