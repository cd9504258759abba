//! Starting an attempt, and the second half of the read-back.

use super::engine::{CALL, SLOW_CALL, is_not_found, within};
use super::logs::micros;
use super::{Inner, logs};
use crate::attempt::AttemptName;
use crate::error::{Result, SandboxError};
use crate::plan::ContainerPlan;
use crate::readback::{ProcessFacts, Setting, check_cgroup, check_process, check_spec, requested};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::runtime::{LogFollower, LogOffsets, Started};
use belljar_ids::Micros;
use bollard::models::{ContainerInspectResponse, ContainerState};
use bollard::query_parameters::{InspectContainerOptions, StartContainerOptions};
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the runtime's specification is looked for while a container is being started. It is
/// there for about 100 ms before the program runs and goes with the container.
const SPEC_POLL: Duration = Duration::from_millis(2);
/// How long the first process may take from the engine's answer to executing the program.
const EXEC_BUDGET: Duration = Duration::from_secs(3);

impl Inner {
    pub(super) async fn start(&self, name: &AttemptName) -> Result<Started> {
        let mut record = Record::load(&self.state_dir, name)?;
        if let Some(difference) = &record.unverified {
            return Err(SandboxError::Confused(format!(
                "{name} was refused: {difference}"
            )));
        }
        let before = self.known(name).await?;
        let running = before.state.as_ref().and_then(|state| state.running) == Some(true);
        if let Some(at) = started_at(before.state.as_ref())
            && (record.started_at.is_some() || !running)
        {
            // One that was started but not verified, and has ended since, is lost: see `finish`.
            return Ok(Started {
                at,
                settings: record.settings,
            });
        }
        // Before anything runs: where the engine sees another file system, nothing may.
        let out = self.check_out_as_engine_sees_it(&record.plan).await?;
        record.settings.push(out);
        let spec = self.start_watched(&record, running).await?;
        let after = self.known(name).await?;
        let at = started_at(after.state.as_ref());
        let at = at.ok_or_else(|| SandboxError::Confused(format!("{name} did not start")))?;
        match self.verify(&record.plan, spec, after.state.as_ref()).await {
            Ok(settings) => {
                record.settings.extend(settings);
                record.started_at = Some(at);
                record.save(&self.state_dir)?;
                Ok(Started {
                    at,
                    settings: record.settings,
                })
            }
            Err(error) => {
                // Killed before anything else, so that it never works in a sandbox not verified.
                let killed = self.kill(name).await;
                record.unverified = Some(error.to_string());
                record.started_at = Some(at);
                record.save(&self.state_dir)?;
                killed.and(Err(error))
            }
        }
    }

    /// Starts the container while looking for the specification handed to the runtime.
    async fn start_watched(&self, record: &Record, running: bool) -> Result<Option<Value>> {
        let name = &record.plan.name;
        let stop = CancellationToken::new();
        let roots = self.engine.bundle_roots().await;
        // On a thread of its own: a busy async worker could miss the moment.
        let (id, stopped) = (record.container.clone(), stop.clone());
        let watch = tokio::task::spawn_blocking(move || find_spec(&roots, &id, &stopped));
        let started = if running {
            Ok(())
        } else {
            let options = None::<StartContainerOptions>;
            let call = self.engine.docker.start_container(name.as_str(), options);
            within("start the container", SLOW_CALL, call).await
        };
        stop.cancel();
        let spec = watch.await.unwrap_or_default();
        match started {
            Ok(()) => Ok(spec),
            Err(error) if is_not_found(&error) && !matches_program(&error) => {
                Err(SandboxError::NotFound(name.clone()))
            }
            Err(error) => Err(error),
        }
    }

    /// Compares what is in force with the plan, from every source there is.
    async fn verify(
        &self,
        plan: &ContainerPlan,
        spec: Option<Value>,
        state: Option<&ContainerState>,
    ) -> Result<Vec<Setting>> {
        let spec = spec.ok_or_else(|| Refusal::Readback {
            field: "config.json".to_owned(),
            wanted: "the specification handed to the runtime".to_owned(),
            found: "none".to_owned(),
            from: "spec".to_owned(),
        })?;
        let mut settings = check_spec(plan, &spec)?;
        settings.extend(check_cgroup(&self.cgroup(plan).limit_files(&plan.limits))?);
        let pid = state.and_then(|state| state.pid).unwrap_or(0);
        if let Some(process) = executing(pid).await {
            let device = device_of(&plan.mounts.out.mount)?;
            settings.extend(check_process(plan, &self.facts(), &device, &process)?);
        } else {
            settings.push(Setting {
                field: "process".to_owned(),
                value: "ended before it could be looked at".to_owned(),
                source: "requested".to_owned(),
            });
        }
        settings.extend(requested(plan));
        Ok(settings)
    }

    /// Whether `/out` is our filesystem for the engine too: in another mount namespace it would
    /// bind the empty folder below, on the host's disk and without limit.
    async fn check_out_as_engine_sees_it(&self, plan: &ContainerPlan) -> Result<Setting> {
        let mount = &plan.mounts.out.mount;
        let ours = device_of(mount)?;
        let relative = mount.strip_prefix("/").unwrap_or(mount);
        let pid = self.engine.pid().await?;
        let theirs = Path::new(&format!("/proc/{pid}/root")).join(relative);
        let theirs = device_of(&theirs).unwrap_or_else(|_| "nothing".to_owned());
        let host = device_of(mount.parent().unwrap_or(mount))?;
        if ours != theirs || ours == host {
            return Err(SandboxError::from(Refusal::Readback {
                field: "/out device".to_owned(),
                wanted: ours,
                found: theirs,
                from: "mount".to_owned(),
            }));
        }
        Ok(Setting {
            field: "/out device".to_owned(),
            value: ours,
            source: "mount".to_owned(),
        })
    }

    pub(super) async fn attach(&self, name: &AttemptName, from: LogOffsets) -> Result<LogFollower> {
        let record = Record::load(&self.state_dir, name)?;
        self.known(name).await?;
        let begins = ContainerPlan::attempt_dir(&self.state_dir, name).join("log-begins");
        let plan = &record.plan.log;
        Ok(logs::follow(
            &self.engine.docker,
            name.as_str(),
            plan,
            from,
            begins,
        ))
    }

    /// The engine's record of an attempt's container; `None` where there is none.
    pub(super) async fn inspect(
        &self,
        name: &AttemptName,
    ) -> Result<Option<ContainerInspectResponse>> {
        let options = None::<InspectContainerOptions>;
        let call = self.engine.docker.inspect_container(name.as_str(), options);
        match within("inspect the container", CALL, call).await {
            Ok(container) => Ok(Some(container)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same of one that must be there.
    pub(super) async fn known(&self, name: &AttemptName) -> Result<ContainerInspectResponse> {
        let found = self.inspect(name).await?;
        found.ok_or_else(|| SandboxError::NotFound(name.clone()))
    }
}

/// Whether a 404 of the start call is about the program, not the container.
fn matches_program(error: &SandboxError) -> bool {
    matches!(error, SandboxError::Engine { message, .. } if !message.contains("No such container"))
}

/// When a container started, if it did.
pub(super) fn started_at(state: Option<&ContainerState>) -> Option<Micros> {
    state?.started_at.as_deref().and_then(micros)
}

/// `major:minor` of the filesystem at a path.
fn device_of(path: &Path) -> Result<String> {
    let meta = path
        .metadata()
        .map_err(SandboxError::host("look at", path))?;
    let device = meta.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(format!("{major}:{minor}"))
}

/// Looks for a container's specification until it is there; once more after `stop`.
fn find_spec(roots: &[PathBuf], id: &str, stop: &CancellationToken) -> Option<Value> {
    loop {
        let last = stop.is_cancelled();
        for root in roots {
            // A file still being written is no JSON and read again.
            let bytes = std::fs::read(root.join(id).join("config.json"));
            let spec = bytes
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if spec.is_some() {
                return spec;
            }
        }
        if last {
            return None;
        }
        std::thread::sleep(SPEC_POLL);
    }
}

/// The first process once it executes the program; `None` where it is gone already: then its
/// specification and the cgroup are what there is.
async fn executing(pid: i64) -> Option<ProcessFacts> {
    let until = tokio::time::Instant::now() + EXEC_BUDGET;
    while pid > 0 && Path::new(&format!("/proc/{pid}")).exists() {
        if let Some(process) = ProcessFacts::read(pid) {
            return Some(process);
        }
        if tokio::time::Instant::now() > until {
            return None;
        }
        tokio::time::sleep(SPEC_POLL).await;
    }
    None
}
