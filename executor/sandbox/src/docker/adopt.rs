//! Finding attempts again: after a restart of the executor, or to clean up.

use super::engine::{CALL, within};
use super::start::started_at;
use super::{CGROUP_ROOT, Inner, blocking};
use crate::attempt::AttemptName;
use crate::error::{Result, SandboxError};
use crate::facts::CgroupDriver;
use crate::plan::{ContainerPlan, LABEL_PREFIX};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::runtime::{Adopted, Found, Stage, Swept};
use bollard::models::{ContainerInspectResponse, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

impl Inner {
    pub(super) async fn list(&self) -> Result<Vec<Found>> {
        let mut stages = BTreeMap::new();
        for name in self.folders()? {
            stages.insert(name, Stage::Remains);
        }
        for name in self.cgroups() {
            stages.insert(name, Stage::Remains);
        }
        stages.extend(self.containers().await?);
        let found = stages
            .into_iter()
            .map(|(name, stage)| Found { name, stage });
        Ok(found.collect())
    }

    /// Containers with our label and a name of ours: an image may forge labels, not names.
    async fn containers(&self) -> Result<Vec<(AttemptName, Stage)>> {
        let label = format!("{LABEL_PREFIX}executor={}", self.executor);
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let call = self.engine.docker.list_containers(Some(options));
        let mut found = Vec::new();
        for container in within("list containers", CALL, call).await? {
            let stage = match container.state {
                Some(ContainerSummaryStateEnum::CREATED) => Stage::Prepared,
                Some(
                    ContainerSummaryStateEnum::RUNNING
                    | ContainerSummaryStateEnum::PAUSED
                    | ContainerSummaryStateEnum::RESTARTING,
                ) => Stage::Running,
                _ => Stage::Exited,
            };
            let names = container.names.unwrap_or_default();
            let name = names
                .iter()
                .find_map(|name| self.ours(name.trim_start_matches('/')));
            found.extend(name.map(|name| (name, stage)));
        }
        Ok(found)
    }

    /// The name of an attempt of this executor.
    fn ours(&self, text: &str) -> Option<AttemptName> {
        let name: AttemptName = text.parse().ok()?;
        name.is_of(self.executor).then_some(name)
    }

    fn folders(&self) -> Result<BTreeSet<AttemptName>> {
        let dir = self.state_dir.join("attempts");
        let entries = std::fs::read_dir(&dir).map_err(SandboxError::host("list", dir))?;
        let names = entries
            .flatten()
            .filter_map(|entry| self.ours(entry.file_name().to_str()?));
        Ok(names.collect())
    }

    /// Cgroups whose attempt left nothing else; under systemd their names are hashed, and the
    /// record of the attempt leads to them.
    fn cgroups(&self) -> BTreeSet<AttemptName> {
        if self.facts().cgroup_driver != CgroupDriver::Cgroupfs {
            return BTreeSet::new();
        }
        let hierarchy = if self.cgroup_v2() { "" } else { "freezer" };
        let dir = Path::new(CGROUP_ROOT).join(hierarchy).join("belljar");
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| self.ours(entry.file_name().to_str()?))
            .collect()
    }

    pub(super) async fn adopt(&self, name: &AttemptName) -> Result<Adopted> {
        let record = Record::load(&self.state_dir, name)?;
        let stage = match self.inspect(name).await? {
            Some(container) => {
                same_container(&record, &container)?;
                stage_of(&container)
            }
            None if record.stopped.is_some() => Stage::Remains,
            None => return Err(SandboxError::NotFound(name.clone())),
        };
        Ok(Adopted {
            stage,
            started_at: record.started_at,
            spec: record.spec,
        })
    }

    pub(super) async fn sweep(&self, keep: &BTreeSet<AttemptName>) -> Result<Swept> {
        let mut swept = Swept::default();
        let mut first_error = None;
        for found in self.list().await? {
            if keep.contains(&found.name) {
                continue;
            }
            match self.destroy(&found.name).await {
                Err(error) => first_error = first_error.or(Some(error)),
                Ok(()) if found.stage == Stage::Remains => swept.remains.push(found.name),
                Ok(()) => swept.containers.push(found.name),
            }
        }
        // In this order: an attempt's folder is made before its parameters, so one that is being
        // prepared right now is kept.
        let params = params_files(&self.state_dir)?;
        let kept = self.folders()?;
        let state_dir = self.state_dir.clone();
        let files = blocking(move || sweep_params(&state_dir, &params, &kept)).await;
        match first_error.or(files.err()) {
            Some(error) => Err(error),
            None => Ok(swept),
        }
    }
}

fn params_files(state_dir: &Path) -> Result<Vec<PathBuf>> {
    let dir = state_dir.join("params");
    let entries = std::fs::read_dir(&dir).map_err(SandboxError::host("list", &dir))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Removes the parameters of attempts that are not there any more.
fn sweep_params(state_dir: &Path, found: &[PathBuf], kept: &BTreeSet<AttemptName>) -> Result<()> {
    let kept: BTreeSet<_> = kept
        .iter()
        .map(|name| ContainerPlan::params_file(state_dir, name))
        .collect();
    for file in found.iter().filter(|file| !kept.contains(*file)) {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SandboxError::host("remove", file)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn stage_of(container: &ContainerInspectResponse) -> Stage {
    let state = container.state.as_ref();
    if state.and_then(|state| state.running) == Some(true) {
        Stage::Running
    } else if started_at(state).is_some() {
        Stage::Exited
    } else {
        Stage::Prepared
    }
}

/// Name, record and engine must agree on which container it is.
fn same_container(record: &Record, container: &ContainerInspectResponse) -> Result<()> {
    let found = container.id.clone().unwrap_or_default();
    if found != record.container {
        return Err(SandboxError::from(Refusal::Readback {
            field: "container".to_owned(),
            wanted: record.container.clone(),
            found,
            from: "engine".to_owned(),
        }));
    }
    Ok(())
}
