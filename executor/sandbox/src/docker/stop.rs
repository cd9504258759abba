//! Waiting for an attempt, killing it, and taking it apart.

use super::engine::{CALL, SLOW_CALL, is_not_found, sorted, within};
use super::logs::micros;
use super::start::started_at;
use super::{Inner, blocking};
use crate::attempt::AttemptName;
use crate::error::{Result, SandboxError};
use crate::finished::{Ended, Exit, Usage};
use crate::plan::{CgroupPlan, ContainerPlan};
use crate::record::Record;
use crate::volume;
use belljar_ids::Micros;
use bollard::errors::Error as DockerError;
use bollard::models::ContainerState;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt as _;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often the counters are looked at that go with the runtime's own cgroup.
const SAMPLE: Duration = Duration::from_millis(200);

impl Inner {
    pub(super) async fn wait(&self, name: &AttemptName) -> Result<Ended> {
        let record = Record::load(&self.state_dir, name)?;
        if let Some(exit) = record
            .stopped
            .as_ref()
            .and_then(|stopped| stopped.exit.clone())
        {
            return Ok(Ended::Exited(exit));
        }
        let state = self.known(name).await?.state.unwrap_or_default();
        let started = started_at(Some(&state)).ok_or_else(|| {
            SandboxError::Confused(format!(
                "{name} was not started, so it cannot be waited for"
            ))
        })?;
        let timeout = Duration::from_millis(record.plan.limits.timeout_millis);
        let left = timeout.saturating_sub(now().since(started));
        let ended = tokio::select! {
            ended = self.until_not_running(name) => ended.map(|()| true)?,
            () = tokio::time::sleep(left) => false,
            never = self.sample(&record.plan) => match never {},
        };
        let state = self.known(name).await?.state.unwrap_or_default();
        if !ended && state.running == Some(true) {
            return Ok(Ended::TimedOut);
        }
        Ok(Ended::Exited(exit(&state)))
    }

    /// Returns when the engine says that the container does not run. A container that was started
    /// and has ended answers at once, so nothing is missed between starting and waiting.
    pub(super) async fn until_not_running(&self, name: &AttemptName) -> Result<()> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut answers = Box::pin(
            self.engine
                .docker
                .wait_container(name.as_str(), Some(options)),
        );
        match answers.next().await {
            // A code other than 0 is data to us, not an error.
            Some(Ok(_) | Err(DockerError::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => match sorted("wait for the container", error) {
                error if is_not_found(&error) => Err(SandboxError::NotFound(name.clone())),
                error => Err(error),
            },
            None => Err(SandboxError::EngineUnavailable {
                detail: "the connection closed while waiting for a container".to_owned(),
            }),
        }
    }

    /// Keeps the highest counters of an attempt's cgroup for as long as it is polled.
    async fn sample(&self, plan: &ContainerPlan) -> std::convert::Infallible {
        let cgroup = self.cgroup(plan);
        loop {
            self.keep_sample(&plan.name, &cgroup.usage());
            tokio::time::sleep(SAMPLE).await;
        }
    }

    fn keep_sample(&self, name: &AttemptName, usage: &Usage) {
        let mut sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        sampled.entry(name.clone()).or_default().keep_highest(usage);
    }

    /// The highest counters seen of an attempt.
    pub(super) fn sampled(&self, name: &AttemptName) -> Usage {
        let sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        sampled.get(name).cloned().unwrap_or_default()
    }

    pub(super) async fn kill(&self, name: &AttemptName) -> Result<()> {
        self.note_kill(name).await?;
        self.kill_all(name).await
    }

    /// Notes before a kill that whatever comes of it is not the program's own end. Asks the
    /// cgroup, which answers without the engine.
    async fn note_kill(&self, name: &AttemptName) -> Result<()> {
        let mut record = match Record::load(&self.state_dir, name) {
            Ok(record) if !record.killed && record.stopped.is_none() => record,
            // Noted already, or nothing to note it of.
            _ => return Ok(()),
        };
        let cgroup = self.cgroup(&record.plan);
        if !blocking(move || cgroup.processes()).await?.is_empty() {
            record.killed = true;
            record.save(&self.state_dir)?;
        }
        Ok(())
    }

    /// Kills without noting it.
    pub(super) async fn kill_all(&self, name: &AttemptName) -> Result<()> {
        let options = KillContainerOptionsBuilder::default()
            .signal("SIGKILL")
            .build();
        let call = self
            .engine
            .docker
            .kill_container(name.as_str(), Some(options));
        match within("kill the container", CALL, call).await {
            // Not running, or not there: the cgroup has the last word.
            Ok(()) | Err(SandboxError::Engine { .. }) => {}
            // The cgroup can be emptied without the engine; its trouble is told after that.
            Err(error) => {
                self.empty_cgroup(name).await?;
                return Err(error);
            }
        }
        self.empty_cgroup(name).await
    }

    /// Kills whatever the attempt's cgroup still lists.
    pub(super) async fn empty_cgroup(&self, name: &AttemptName) -> Result<()> {
        let path = CgroupPlan::of(self.facts().cgroup_driver, name).path;
        let cgroup = self.cgroup_at(&path);
        let name = name.clone();
        blocking(move || cgroup.kill(&name)).await
    }

    pub(super) async fn remove(&self, name: &AttemptName) -> Result<()> {
        self.note_kill(name).await?;
        self.kill_all(name).await?;
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let call = self
            .engine
            .docker
            .remove_container(name.as_str(), Some(options));
        match within("remove the container", SLOW_CALL, call).await {
            Ok(()) => {}
            Err(error) if is_not_found(&error) => {}
            // A removal is under way already.
            Err(SandboxError::Engine { status: 409, .. }) => {
                self.until_removed(name).await?;
            }
            Err(error) => return Err(error),
        }
        let path = CgroupPlan::of(self.facts().cgroup_driver, name).path;
        let cgroup = self.cgroup_at(&path);
        blocking(move || cgroup.remove()).await
    }

    async fn until_removed(&self, name: &AttemptName) -> Result<()> {
        for _ in 0..100 {
            if self.inspect(name).await?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(SandboxError::EngineSlow {
            call: "remove the container",
            after: Duration::from_secs(5),
        })
    }

    pub(super) async fn discard(&self, name: &AttemptName) -> Result<()> {
        self.sampled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        let (state_dir, name) = (self.state_dir.clone(), name.clone());
        blocking(move || discard_files(&state_dir, &name)).await
    }

    /// Removes every trace of an attempt, whatever its stage.
    pub(super) async fn destroy(&self, name: &AttemptName) -> Result<()> {
        self.remove(name).await?;
        self.discard(name).await
    }
}

/// Unmounts and deletes an attempt's files; nothing where nothing is.
fn discard_files(state_dir: &Path, name: &AttemptName) -> Result<()> {
    let dir = ContainerPlan::attempt_dir(state_dir, name);
    volume::destroy(&dir.join("out"), &dir.join("out.img"))?;
    let params = ContainerPlan::params_file(state_dir, name);
    for (path, result) in [
        (&params, std::fs::remove_file(&params)),
        (&dir, std::fs::remove_dir_all(&dir)),
    ] {
        match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SandboxError::host("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The wall clock, which the engine's times are of.
pub(super) fn now() -> Micros {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// How a container ended, from the engine's record.
pub(super) fn exit(state: &ContainerState) -> Exit {
    Exit {
        code: state.exit_code.unwrap_or(-1),
        oom: state.oom_killed.unwrap_or(false),
        started_at: started_at(Some(state)),
        finished_at: state.finished_at.as_deref().and_then(micros),
        error: state.error.clone().unwrap_or_default(),
    }
}
