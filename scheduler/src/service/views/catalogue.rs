//! DAGs, analyses, datasets and pools as they are sent.

use super::run;
use belljar_api::analyses::{self, Analysis, AnalysisDetail};
use belljar_api::dags::{Dag, DagTask, DagVersion, Edge, PoolNeed};
use belljar_api::datasets::{Dataset, DatasetVersion};
use belljar_api::pools;
use belljar_engine::rows::{
    AnalysisRow, DagRow, DagVersionRow, DatasetRow, DatasetVersionRow, PoolRow, RunRow,
};
use serde_json::Value;

/// A DAG. `description` comes from its version.
#[must_use]
pub fn dag(row: DagRow, description: Option<String>, last_run: Option<RunRow>) -> Dag {
    Dag {
        dag: row.dag,
        description,
        version: row.version,
        number: row.number,
        paused: row.paused,
        owner: row.owner,
        created_at: row.created_at.into(),
        updated_at: row.updated_at.into(),
        last_run: last_run.map(run),
    }
}

/// A version of a DAG.
#[must_use]
pub fn dag_version(row: DagVersionRow, head: bool) -> DagVersion {
    DagVersion {
        dag: row.dag,
        version: row.version,
        number: row.number,
        head,
        source: row.source,
        created_by: row.created_by,
        created_at: row.created_at.into(),
    }
}

/// The tasks and edges of a DAG, by the tasks' names.
#[must_use]
pub fn dag_tasks(dag: &belljar_dag_specs::Dag) -> (Vec<DagTask>, Vec<Edge>) {
    let (mut tasks, mut edges) = (Vec::new(), Vec::new());
    for task in dag.tasks() {
        // A name of a spec keeps the rule of the id's type; one that did not would be left out.
        let Ok(name) = task.name.as_str().parse() else {
            continue;
        };
        let index = dag.index_of(&task.name);
        for up in index.map_or(&[][..], |index| dag.graph().upstream(index)) {
            if let Ok(from) = dag.task(*up).name.as_str().parse() {
                edges.push(Edge {
                    from,
                    to: belljar_ids::TaskName::clone(&name),
                });
            }
        }
        let written = dag.spec().tasks.get(&task.name);
        tasks.push(DagTask {
            task: name,
            analysis: task.analysis.to_string(),
            description: written.and_then(|task| task.description.clone()),
            inputs: task
                .inputs
                .iter()
                .map(|(input, source)| (input.to_string(), source.to_string()))
                .collect(),
            priority: task.priority,
            pools: task
                .pools
                .iter()
                .map(|pool| PoolNeed {
                    pool: pool.name.to_string(),
                    slots: pool.slots,
                })
                .collect(),
            max_attempts: task.retries.max_attempts,
        });
    }
    (tasks, edges)
}

/// A version of an analysis.
#[must_use]
pub fn analysis(row: AnalysisRow) -> Analysis {
    let summary = row.manifest.get("summary").and_then(Value::as_str);
    Analysis {
        summary: summary.unwrap_or_default().to_owned(),
        analysis: row.analysis,
        version: row.version,
        digest: row.digest,
        trusted: row.trusted,
        withdrawn: row.withdrawn,
        publisher: row.publisher,
        created_at: row.created_at.into(),
    }
}

/// A version of an analysis with all that was submitted; none where the image cannot be read.
#[must_use]
pub fn analysis_detail(row: AnalysisRow) -> Option<AnalysisDetail> {
    let image: analyses::Image = serde_json::from_value(row.image.clone()).ok()?;
    Some(AnalysisDetail {
        manifest: row.manifest.clone(),
        image,
        analysis: analysis(row),
    })
}

/// A dataset.
#[must_use]
pub fn dataset(row: DatasetRow) -> Dataset {
    Dataset {
        dataset: row.dataset,
        owner: row.owner,
        description: row.description,
        latest: row.latest,
        created_at: row.created_at.into(),
    }
}

/// A version of a dataset.
#[must_use]
pub fn dataset_version(row: DatasetVersionRow) -> DatasetVersion {
    DatasetVersion {
        dataset: row.dataset,
        number: row.number,
        digest: row.blob.digest,
        size: row.blob.size,
        media_type: row.media_type,
        created_by: row.created_by,
        created_at: row.created_at.into(),
    }
}

/// A pool, of which `used` slots are held.
#[must_use]
pub fn pool(row: PoolRow, used: u32) -> pools::Pool {
    pools::Pool {
        pool: row.pool,
        slots: row.slots,
        used,
        description: row.description,
        updated_at: row.updated_at.into(),
    }
}
