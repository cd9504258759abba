//! Making everything ready for an attempt without running anything of its image.

use super::engine::{SLOW_CALL, is_not_found, within};
use super::{Inner, blocking, create};
use crate::attempt::{AttemptName, AttemptSpec};
use crate::error::{Result, SandboxError};
use crate::facts::{CgroupVersion, HostFacts};
use crate::inputs;
use crate::plan::ContainerPlan;
use crate::readback::check_engine;
use crate::receipt::{ReceiptInput, canonical_json};
use crate::record::Record;
use crate::volume;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

impl Inner {
    pub(super) async fn prepare(&self, spec: &AttemptSpec) -> Result<()> {
        let name = spec.name();
        if self.is_prepared(&name, spec).await? {
            return Ok(());
        }
        let made = self.prepare_anew(&name, spec).await;
        if made.is_err() {
            // The first error is the one to tell; what cannot be undone now is found by the sweep.
            let _ = self.destroy(&name).await;
        }
        made
    }

    /// Whether a call before this one did everything already; what it left half done is removed.
    async fn is_prepared(&self, name: &AttemptName, spec: &AttemptSpec) -> Result<bool> {
        let record = match Record::load(&self.state_dir, name) {
            Ok(record) => Some(record),
            Err(SandboxError::NotFound(_)) => None,
            Err(SandboxError::Confused(_)) => None, // Cut off while it was written.
            Err(error) => return Err(error),
        };
        let container = self.inspect(name).await?;
        if let (Some(record), Some(container)) = (&record, &container) {
            if record.spec != *spec {
                return Err(SandboxError::Confused(format!(
                    "{name} was prepared for another order"
                )));
            }
            if container.id.as_ref() == Some(&record.container) {
                return Ok(true);
            }
        }
        if let Some(container) = &container {
            // Somebody else's container of this name is never removed.
            let labels = container
                .config
                .as_ref()
                .and_then(|config| config.labels.as_ref());
            let key = format!("{}executor", crate::plan::LABEL_PREFIX);
            let owner = labels.and_then(|labels| labels.get(&key));
            if owner != Some(&self.executor.to_string()) {
                return Err(SandboxError::Confused(format!(
                    "a container named {name} exists and is not ours"
                )));
            }
        }
        if record.is_some() || container.is_some() {
            self.destroy(name).await?;
        }
        Ok(false)
    }

    async fn prepare_anew(&self, name: &AttemptName, spec: &AttemptSpec) -> Result<()> {
        let image = self.image_facts(&spec.image.to_string()).await?;
        let image = image.ok_or(SandboxError::ImageMissing(spec.image))?;
        let facts = self.facts();
        let plan = ContainerPlan::build(&self.policy, &facts, &image, spec)?;
        let cgroup = self.cgroup(&plan);
        let (host, order, whole) = (facts.clone(), spec.clone(), plan.clone());
        let inputs = blocking(move || {
            let inputs = check_inputs(&order, &host)?;
            Record::create_dir(&host.state_dir, &whole.name)?;
            volume::clear(&whole.mounts.out)?;
            write_params(&order, &host)?;
            cgroup.create(&whole.limits)?;
            Ok(inputs)
        });
        let mut record = Record {
            inputs: inputs.await?,
            spec: spec.clone(),
            plan,
            image,
            engine: self.engine.incarnation().await?,
            container: String::new(),
            started_at: None,
            settings: Vec::new(),
            unverified: None,
            killed: false,
            stopped: None,
        };
        record.save(&self.state_dir)?;
        let out = record.plan.mounts.out.clone();
        let mkfs = facts.mkfs.clone().unwrap_or_default();
        let reserve = self.policy.disk_reserve_bytes;
        // The engine only needs the folder to be there until the container starts, so the
        // filesystem is made meanwhile.
        let (volume, container) = tokio::join!(
            blocking(move || volume::create(&out, &mkfs, reserve)),
            self.create_container(name, &record.plan, &facts),
        );
        volume?;
        record.container = container?;
        self.check_created(&mut record, &facts).await?;
        record.save(&self.state_dir)
    }

    async fn create_container(
        &self,
        name: &AttemptName,
        plan: &ContainerPlan,
        facts: &HostFacts,
    ) -> Result<String> {
        let body = create::body(plan, facts.cgroup_version == CgroupVersion::V2)?;
        let options = CreateContainerOptionsBuilder::default()
            .name(name.as_str())
            .build();
        let call = self.engine.docker.create_container(Some(options), body);
        match within("create the container", SLOW_CALL, call).await {
            Ok(created) => Ok(created.id),
            Err(error) if is_not_found(&error) => {
                Err(SandboxError::ImageMissing(plan.process.image))
            }
            Err(error) => Err(error),
        }
    }

    /// The first half of the read-back: what the engine will do, before it does anything.
    async fn check_created(&self, record: &mut Record, facts: &HostFacts) -> Result<()> {
        let plan = &record.plan;
        let inspect = self.inspect(&plan.name).await?;
        let inspect = inspect.ok_or_else(|| SandboxError::NotFound(plan.name.clone()))?;
        let inspect = serde_json::to_value(inspect)
            .map_err(|error| SandboxError::Confused(error.to_string()))?;
        record.settings = check_engine(
            plan,
            &record.image,
            &create::security_opt(plan)?,
            &inspect,
            facts.cgroup_version == CgroupVersion::V2,
        )?;
        Ok(())
    }
}

fn check_inputs(spec: &AttemptSpec, host: &HostFacts) -> Result<Vec<ReceiptInput>> {
    let mut checked = Vec::new();
    for input in &spec.inputs {
        let counted = inputs::check(input, &host.input_roots)?;
        checked.push(ReceiptInput {
            name: input.name.clone(),
            kind: input.kind,
            digest: input.digest,
            files: counted.files,
            bytes: counted.bytes,
        });
    }
    Ok(checked)
}

/// The bytes of `/in/params.json`.
pub(super) fn params_bytes(spec: &AttemptSpec) -> Vec<u8> {
    canonical_json(&spec.params)
}

fn write_params(spec: &AttemptSpec, host: &HostFacts) -> Result<PathBuf> {
    let file = ContainerPlan::params_file(&host.state_dir, &spec.name());
    let write = || {
        std::fs::write(&file, params_bytes(spec))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444))
    };
    write().map_err(SandboxError::host("write", &file))?;
    Ok(file)
}
