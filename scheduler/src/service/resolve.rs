//! What the references in a DAG stand for at this moment.

use super::{ServiceError, digest};
use belljar_dag_specs::{
    AnalysisRef, Catalogue, Dag, DatasetInfo, DatasetName, DatasetSelector, InputSource, PoolName,
    ResolvedAnalysis,
};
use belljar_engine::rows::{AnalysisRow, DatasetRow, DatasetVersionRow};
use belljar_ids::TenantId;
use belljar_manifest::{InputKind, Manifest, Sha256Digest};
use belljar_store::Store;
use std::collections::HashMap;
use std::sync::Arc;

/// A published version of an analysis, read.
#[derive(Debug, Clone)]
pub(super) struct FoundAnalysis {
    /// As it is stored.
    pub row: AnalysisRow,
    /// Its version.
    pub version: semver::Version,
    /// Its manifest.
    pub manifest: Arc<Manifest>,
}

/// A version of a dataset.
#[derive(Debug, Clone)]
pub(super) struct FoundDataset {
    /// The dataset.
    pub head: DatasetRow,
    /// The version.
    pub version: DatasetVersionRow,
}

/// Every reference of one DAG that stands for something.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    analyses: HashMap<AnalysisRef, FoundAnalysis>,
    datasets: HashMap<(DatasetName, DatasetSelector), FoundDataset>,
    pools: HashMap<PoolName, u32>,
}

impl Resolved {
    /// What an analysis's reference stands for.
    pub fn analysis_of(&self, reference: &AnalysisRef) -> Option<&FoundAnalysis> {
        self.analyses.get(reference)
    }

    /// What a dataset's reference stands for.
    pub fn dataset_of(
        &self,
        name: &DatasetName,
        version: &DatasetSelector,
    ) -> Option<&FoundDataset> {
        self.datasets.get(&(name.clone(), version.clone()))
    }
}

impl Catalogue for Resolved {
    fn analysis(&self, reference: &AnalysisRef) -> Option<ResolvedAnalysis> {
        let found = self.analyses.get(reference)?;
        Some(ResolvedAnalysis {
            version: found.version.clone(),
            manifest: Arc::clone(&found.manifest),
        })
    }

    fn dataset(&self, name: &DatasetName, version: &DatasetSelector) -> Option<DatasetInfo> {
        let found = self.dataset_of(name, version)?;
        Some(DatasetInfo {
            media_type: found.version.media_type.parse().ok()?,
            kind: InputKind::File,
        })
    }

    fn pool(&self, name: &PoolName) -> Option<u32> {
        self.pools.get(name).copied()
    }
}

/// Looks up every reference of `dag`. What is not there is left out.
pub(super) async fn resolve(
    store: &Store,
    tenant: &TenantId,
    dag: &Dag,
) -> Result<Resolved, ServiceError> {
    let mut resolved = Resolved::default();
    for task in dag.tasks() {
        if !resolved.analyses.contains_key(&task.analysis)
            && let Some(found) = analysis(store, tenant, &task.analysis).await?
        {
            resolved.analyses.insert(task.analysis.clone(), found);
        }
        for source in task.inputs.values() {
            if let InputSource::Dataset { name, version } = source {
                let key = (name.clone(), version.clone());
                if !resolved.datasets.contains_key(&key)
                    && let Some(found) = dataset(store, tenant, name, version).await?
                {
                    resolved.datasets.insert(key, found);
                }
            }
        }
        for need in &task.pools {
            if let Some(row) = store.pool_get(tenant, &id(need.name.as_str())?).await? {
                resolved.pools.insert(need.name.clone(), row.slots);
            }
        }
    }
    Ok(resolved)
}

/// A name of a spec as an id: both have the same rule.
pub(super) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
) -> Result<T, ServiceError> {
    text.parse()
        .map_err(|error: T::Err| ServiceError::Stored(error.to_string()))
}

/// The newest version that the reference selects and that is not withdrawn. A pre-release loses to a
/// release only by its number (semver.org 2.0.0, section 11).
async fn analysis(
    store: &Store,
    tenant: &TenantId,
    reference: &AnalysisRef,
) -> Result<Option<FoundAnalysis>, ServiceError> {
    let rows = store
        .analysis_versions(tenant, &id(reference.name.as_str())?)
        .await?;
    let mut newest: Option<(semver::Version, AnalysisRow)> = None;
    for row in rows.into_iter().filter(|row| !row.withdrawn) {
        let version = semver::Version::parse(&row.version)
            .map_err(|error| ServiceError::Stored(format!("analysis version: {error}")))?;
        let digest = Sha256Digest::from_bytes(*row.digest.as_bytes());
        let newer = newest.as_ref().is_none_or(|(best, _)| version > *best);
        if newer && reference.selector.matches(&version, &digest) {
            newest = Some((version, row));
        }
    }
    newest.map(|(version, row)| found(version, row)).transpose()
}

fn found(version: semver::Version, row: AnalysisRow) -> Result<FoundAnalysis, ServiceError> {
    let manifest = serde_json::from_value(row.manifest.clone())
        .map_err(|error| ServiceError::Stored(format!("manifest of {}: {error}", row.analysis)))?;
    Ok(FoundAnalysis {
        row,
        version,
        manifest: Arc::new(manifest),
    })
}

async fn dataset(
    store: &Store,
    tenant: &TenantId,
    name: &DatasetName,
    selector: &DatasetSelector,
) -> Result<Option<FoundDataset>, ServiceError> {
    let name = id(name.as_str())?;
    let Some(head) = store.dataset_get(tenant, &name).await? else {
        return Ok(None);
    };
    let version = match selector {
        DatasetSelector::Newest => {
            store
                .dataset_version_get(tenant, &name, head.latest)
                .await?
        }
        DatasetSelector::Number(number) => {
            store.dataset_version_get(tenant, &name, *number).await?
        }
        DatasetSelector::Digest(wanted) => {
            let wanted = digest(*wanted);
            let mut cursor = None;
            loop {
                let page = store
                    .dataset_version_list(tenant, &name, cursor.as_ref(), belljar_store::PAGE_MAX)
                    .await?;
                let mut rows = page.items.into_iter();
                if let Some(row) = rows.find(|row| row.blob.digest == wanted) {
                    break Some(row);
                }
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break None,
                }
            }
        }
    };
    Ok(version.map(|version| FoundDataset { head, version }))
}
