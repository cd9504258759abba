//! Putting in datasets, and who used them.

use super::codes;
use super::{By, Service, ServiceError, invalid, unexpected};
use belljar_api::datasets::{self as wire, DatasetVersionCreate};
use belljar_engine::command::{Command, Reply};
use belljar_engine::plan::{BlobRef, RunPlan};
use belljar_engine::rows::{DatasetRow, DatasetVersionRow, TaskRow};
use belljar_ids::{DatasetName, Micros, RunId, TaskState};
use belljar_manifest::code;
use belljar_manifest::{Diagnostic, MediaType};
use belljar_store::DatasetUse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// The longest description, in characters.
const DESCRIPTION_MAX: usize = 1_000;

impl Service {
    /// Makes a dataset version of a blob. The version, and whether it is new.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Invalid`] for a blob that is not there or a wrong media type,
    /// [`ServiceError::Leader`] where the dataset is somebody else's.
    pub async fn dataset_put(
        &self,
        by: &By,
        dataset: DatasetName,
        create: DatasetVersionCreate,
    ) -> Result<(DatasetVersionRow, bool), ServiceError> {
        let mut problems = Vec::new();
        let mut wrong = |code: &code::Code, pointer: &str, message: String| {
            problems.push(match code.id {
                id if id == codes::BLOB.id => codes::problem(code, pointer, message),
                _ => Diagnostic::error(code, pointer, message),
            });
        };
        let media_type = create.media_type.parse::<MediaType>();
        if let Err(error) = &media_type {
            wrong(&code::INVALID_MEDIA_TYPE, "/media_type", error.to_string());
        }
        let description = create.description.as_deref().unwrap_or_default();
        if description.chars().count() > DESCRIPTION_MAX {
            let message = format!("it has more than {DESCRIPTION_MAX} characters");
            wrong(&code::TOO_LONG, "/description", message);
        }
        match self.blobs.size(&by.tenant, create.digest).await? {
            Some(size) if size == create.size => {}
            Some(size) => wrong(&codes::BLOB, "/size", format!("the blob has {size} bytes")),
            None => {
                let message = format!("there is no blob {}; put it first", create.digest);
                wrong(&codes::BLOB, "/digest", message);
            }
        }
        let (true, Ok(media_type)) = (problems.is_empty(), media_type) else {
            return Err(invalid("the dataset version", problems));
        };
        let version = DatasetVersionRow {
            tenant: by.tenant.clone(),
            dataset,
            // Both are filled in by the engine.
            number: 0,
            created_at: Micros(0),
            blob: BlobRef {
                digest: create.digest,
                size: create.size,
            },
            media_type: media_type.to_string(),
            created_by: by.principal.clone(),
        };
        let command = Command::DatasetPut {
            version,
            description: create.description,
        };
        match self.leader.send(command).await? {
            Reply::Dataset { version, created } => Ok((version, created)),
            _ => Err(unexpected()),
        }
    }

    /// A dataset that the caller may look into: its owner's only.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NotFound`], [`ServiceError::GrantMissing`].
    pub async fn dataset_owned(
        &self,
        by: &By,
        dataset: &DatasetName,
    ) -> Result<DatasetRow, ServiceError> {
        let row = self.store.dataset_get(&by.tenant, dataset).await?;
        let row = row.ok_or_else(|| ServiceError::NotFound {
            kind: "dataset",
            name: dataset.to_string(),
        })?;
        if row.owner == by.principal {
            Ok(row)
        } else {
            Err(ServiceError::GrantMissing(format!(
                "only its owner may see who used dataset `{dataset}`"
            )))
        }
    }

    /// What the store says of uses, with what the runs' plans and tasks say.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Store`], [`ServiceError::Stored`].
    pub async fn dataset_uses(
        &self,
        by: &By,
        uses: Vec<DatasetUse>,
    ) -> Result<Vec<wire::DatasetUse>, ServiceError> {
        let mut runs: HashMap<RunId, (Arc<RunPlan>, Vec<TaskRow>)> = HashMap::new();
        let mut views = Vec::with_capacity(uses.len());
        for used in uses {
            let (plan, tasks) = match runs.entry(used.run) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let found = self.store.run_get(&by.tenant, used.run).await?;
                    let (_, plan) = found.ok_or_else(|| {
                        ServiceError::Stored(format!("{} is not there", used.run))
                    })?;
                    let tasks = self.store.task_list(&by.tenant, used.run).await?;
                    new.insert((plan, tasks))
                }
            };
            views.push(view(used, plan, tasks)?);
        }
        Ok(views)
    }
}

fn view(
    used: DatasetUse,
    plan: &RunPlan,
    tasks: &[TaskRow],
) -> Result<wire::DatasetUse, ServiceError> {
    let planned = plan.tasks.iter().find(|task| task.name == used.task);
    let work = &planned
        .ok_or_else(|| ServiceError::Stored(format!("{} has no `{}`", used.run, used.task)))?
        .work;
    let state = tasks
        .iter()
        .find(|task| task.key.task == used.task)
        .map_or(TaskState::Pending, |task| task.state);
    let mut attempts: Vec<_> = used
        .attempts
        .into_iter()
        .map(|attempt| wire::DatasetUseAttempt {
            fence: attempt.fence,
            granted_at: attempt.granted_at.into(),
            outcome: attempt.outcome,
            receipt: attempt.receipt.map(|receipt| receipt.digest),
        })
        .collect();
    attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.fence));
    Ok(wire::DatasetUse {
        version: used.version,
        run: used.run,
        dag: used.dag,
        request: used.request,
        principal: used.principal,
        purpose: used.purpose.unwrap_or_default(),
        task: used.task,
        input: used.input.to_string(),
        analysis: work.analysis.clone(),
        analysis_version: work.analysis_version.clone(),
        analysis_digest: work.analysis_digest,
        state,
        attempts,
        at: used.created_at.into(),
    })
}
