//! Starting and cancelling runs.

use super::grant::grant_check;
use super::resolve::{Resolved, resolve};
use super::{By, Service, ServiceError, plan, unexpected};
use crate::leader::LeaderError;
use belljar_dag_specs::{Dag, InputSource};
use belljar_engine::command::{Command, Refusal, Reply, RunCreate};
use belljar_engine::plan::RunPlan;
use belljar_engine::rows::{Idempotency, IdempotencyKey, RequestRow, RunRow};
use belljar_ids::{DagName, Digest, RunId};
use belljar_manifest::Sha256Digest;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How often a run is planned again where its DAG gets a new version meanwhile.
const PLAN_TRIES: u32 = 4;

/// A run, and whether this call made it.
#[derive(Debug)]
pub struct Started {
    /// Its state.
    pub row: RunRow,
    /// False for a repeated submission.
    pub created: bool,
}

impl Service {
    /// Starts a run of the DAG's newest version.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NotFound`], [`ServiceError::Invalid`], [`ServiceError::GrantMissing`],
    /// [`ServiceError::IdempotencyMismatch`], [`ServiceError::Leader`].
    pub async fn run_start(
        &self,
        by: &By,
        name: &DagName,
        params: Map<String, Value>,
        key: Option<String>,
    ) -> Result<Started, ServiceError> {
        let submission = json!({ "dag": name, "params": params });
        let idempotency = idempotency(by, "run_create", key, &submission);
        if let Some(row) = self.replayed(idempotency.as_ref()).await? {
            return Ok(Started {
                row,
                created: false,
            });
        }
        for _ in 0..PLAN_TRIES {
            let plan = self.dag_plan(by, name, &params).await?;
            let result = self.run_create(by, plan, idempotency.clone(), None).await;
            match result {
                Err(ServiceError::Leader(LeaderError::Refused(Refusal::PlanOutdated(_)))) => {}
                other => return other,
            }
        }
        Err(Refusal::PlanOutdated(name.clone()).into())
    }

    async fn dag_plan(
        &self,
        by: &By,
        name: &DagName,
        params: &Map<String, Value>,
    ) -> Result<RunPlan, ServiceError> {
        let unknown = || ServiceError::NotFound {
            kind: "DAG",
            name: name.to_string(),
        };
        let head = self.store.dag_get(&by.tenant, name).await?;
        let head = head.ok_or_else(unknown)?;
        let row = self
            .store
            .dag_version_get(&by.tenant, name, &head.version)
            .await?
            .ok_or_else(unknown)?;
        let spec = row.spec.to_string();
        let dag = self
            .compute(move || Dag::from_canonical_json(&spec))
            .await?;
        let dag = dag.map_err(|problems| {
            let first = problems.into_iter().next().map(|problem| problem.message);
            ServiceError::Stored(first.unwrap_or_default())
        })?;
        let resolved = resolve(&self.store, &by.tenant, &dag).await?;
        self.plan(by, dag, params.clone().into(), resolved, "", true)
            .await
    }

    /// Makes a plan, after every dataset in it was granted.
    pub(super) async fn plan(
        &self,
        by: &By,
        dag: Dag,
        params: Value,
        resolved: Resolved,
        purpose: &str,
        limited: bool,
    ) -> Result<RunPlan, ServiceError> {
        for task in dag.tasks() {
            let Some(analysis) = resolved.analysis_of(&task.analysis) else {
                continue;
            };
            for source in task.inputs.values() {
                if let InputSource::Dataset { name, version } = source
                    && let Some(found) = resolved.dataset_of(name, version)
                {
                    grant_check(&by.principal, &analysis.row.digest, &found.head, purpose)?;
                }
            }
        }
        self.compute(move || plan::plan(&dag, params, &resolved, limited))
            .await?
    }

    pub(super) async fn run_create(
        &self,
        by: &By,
        plan: RunPlan,
        idempotency: Option<Idempotency>,
        request: Option<RequestRow>,
    ) -> Result<Started, ServiceError> {
        let command = Command::RunCreate(Box::new(RunCreate {
            tenant: by.tenant.clone(),
            run: RunId::from_uuid(uuid::Uuid::now_v7()),
            plan: Arc::new(plan),
            principal: by.principal.clone(),
            idempotency,
            request,
        }));
        match self.leader.send(command).await? {
            Reply::Run { row, created } => Ok(Started { row, created }),
            _ => Err(unexpected()),
        }
    }

    /// The run of an earlier submission with the same key and content. Asked before anything is looked
    /// up, so that a repeated submission gets its run even where it could not be made any more.
    pub(super) async fn replayed(
        &self,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<RunRow>, ServiceError> {
        let Some(wanted) = idempotency else {
            return Ok(None);
        };
        let key = std::slice::from_ref(&wanted.key);
        let found = self.store.idempotency_find(key).await?;
        let Some((_, fingerprint, run)) = found.into_iter().next() else {
            return Ok(None);
        };
        if fingerprint != wanted.fingerprint {
            return Err(ServiceError::IdempotencyMismatch);
        }
        Ok(self.store.run_find(&[run]).await?.into_iter().next())
    }

    /// Cancels a run. The run, and whether it had already ended.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Leader`], also where there is no such run.
    pub async fn run_cancel(&self, by: &By, run: RunId) -> Result<(RunRow, bool), ServiceError> {
        let command = Command::RunCancel {
            tenant: by.tenant.clone(),
            run,
            principal: by.principal.clone(),
        };
        match self.leader.send(command).await? {
            Reply::Cancel { row, ended } => Ok((row, ended)),
            _ => Err(unexpected()),
        }
    }
}

/// The key of a submission; the same content in any key order has the same fingerprint.
pub(super) fn idempotency(
    by: &By,
    route: &str,
    key: Option<String>,
    submission: &Value,
) -> Option<Idempotency> {
    let canonical = belljar_manifest::canonical::canonical_json(submission);
    let fingerprint = Sha256Digest::of(canonical.as_bytes());
    key.map(|key| Idempotency {
        key: IdempotencyKey {
            tenant: by.tenant.clone(),
            principal: by.principal.clone(),
            route: route.to_owned(),
            key,
        },
        fingerprint: Digest::from_bytes(*fingerprint.as_bytes()),
    })
}
