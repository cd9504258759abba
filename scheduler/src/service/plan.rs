//! From a DAG and what its references stand for to a run's plan: pure.

use super::resolve::{FoundAnalysis, Resolved, id};
use super::{ServiceError, digest, invalid};
use belljar_dag_specs::expression::Context;
use belljar_dag_specs::params::{run_params, task_params};
use belljar_dag_specs::{Dag, InputSource, Jitter, Task, TaskIndex, check_against};
use belljar_engine::plan::{
    Image, OutputRef, PlannedInput, PlannedTask, PoolNeed, Resources, RetryPolicy, RunPlan, Work,
};
use belljar_ids::InputName;
use belljar_manifest::{Diagnostic, OutPath, Severity};
use serde_json::Value;
use std::collections::BTreeMap;

/// The plan of a run of `dag` with the parameters `given`, an object. Blocks for as long as it takes.
///
/// `limited` says whether the DAG's limits hold; a request has none.
///
/// # Errors
///
/// Every reference, input and parameter that is wrong, with pointers and no spans.
pub(super) fn plan(
    dag: &Dag,
    given: Value,
    resolved: &Resolved,
    limited: bool,
) -> Result<RunPlan, ServiceError> {
    let what = format!("the run of `{}`", dag.name());
    let refuse = |problems: Vec<Diagnostic>| invalid(&what, problems);
    let problems = check_against(dag, resolved);
    if problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        return Err(refuse(problems));
    }
    let params = run_params(dag, given).map_err(refuse)?;
    let context = Context::new(params.clone()).map_err(|error| ServiceError::Invalid {
        detail: error.to_string(),
        problems: Vec::new(),
    })?;
    let order = dag.graph().order();
    let mut places = vec![0_u32; order.len()];
    let mut tasks = Vec::with_capacity(order.len());
    let mut problems = Vec::new();
    for (place, index) in (0_u32..).zip(order) {
        places[index.get()] = place;
        let planner = Planner {
            dag,
            resolved,
            places: &places,
            context: &context,
        };
        match planner.task(*index)? {
            Ok(task) => tasks.push(task),
            Err(more) => problems.extend(more),
        }
    }
    if !problems.is_empty() {
        return Err(refuse(problems));
    }
    Ok(RunPlan {
        dag: id(dag.name().as_str())?,
        dag_version: digest(dag.version().0),
        params,
        active_runs: limited.then(|| dag.active_runs()),
        active_tasks: limited.then(|| dag.active_tasks()),
        tasks,
    })
}

struct Planner<'a> {
    dag: &'a Dag,
    resolved: &'a Resolved,
    places: &'a [u32],
    context: &'a Context,
}

impl Planner<'_> {
    fn task(&self, index: TaskIndex) -> Result<Result<PlannedTask, Vec<Diagnostic>>, ServiceError> {
        let task = self.dag.task(index);
        let found = self.found(task)?;
        let params = match task_params(task, &found.manifest, self.context) {
            Ok(params) => params,
            Err(problems) => return Ok(Err(problems)),
        };
        let upstream = self.dag.graph().upstream(index);
        let mut upstream: Vec<u32> = upstream.iter().map(|up| self.places[up.get()]).collect();
        upstream.sort_unstable();
        Ok(Ok(PlannedTask {
            name: id(task.name.as_str())?,
            upstream,
            priority: task.priority,
            pools: pools(task)?,
            retries: retries(task),
            queue_timeout_ms: task.queue_timeout.map(|timeout| timeout.as_millis()),
            work: self.work(task, found, params)?,
        }))
    }

    fn found(&self, task: &Task) -> Result<&FoundAnalysis, ServiceError> {
        self.resolved
            .analysis_of(&task.analysis)
            .ok_or_else(|| ServiceError::Stored(format!("`{}` is not resolved", task.analysis)))
    }

    fn work(
        &self,
        task: &Task,
        found: &FoundAnalysis,
        params: Value,
    ) -> Result<Work, ServiceError> {
        let image: Image = serde_json::from_value(found.row.image.clone())
            .map_err(|error| ServiceError::Stored(format!("image: {error}")))?;
        let limits = task.effective_resources(&found.manifest.resources);
        let mut inputs: BTreeMap<InputName, PlannedInput> = BTreeMap::new();
        for (input, source) in &task.inputs {
            inputs.insert(id(input.as_str())?, self.input(source)?);
        }
        Ok(Work {
            analysis: found.row.analysis.clone(),
            analysis_version: found.row.version.clone(),
            analysis_digest: found.row.digest,
            manifest: found.row.manifest.clone(),
            image,
            inputs,
            params,
            resources: Resources {
                cpu_millis: limits.cpu.get(),
                memory_bytes: limits.memory.get(),
                disk_bytes: limits.disk.get(),
                tmp_bytes: limits.tmp.get(),
                pids: limits.pids,
                timeout_ms: limits.timeout.as_millis(),
            },
            trusted: found.row.trusted,
        })
    }

    fn input(&self, source: &InputSource) -> Result<PlannedInput, ServiceError> {
        match source {
            InputSource::Dataset { name, version } => {
                let found = self
                    .resolved
                    .dataset_of(name, version)
                    .ok_or_else(|| ServiceError::Stored(format!("`{name}` is not resolved")))?;
                Ok(PlannedInput::Dataset {
                    name: found.head.dataset.clone(),
                    version: found.version.number,
                    blob: found.version.blob.clone(),
                })
            }
            InputSource::Task { task, path } => Ok(PlannedInput::Task {
                task: id(task.as_str())?,
                output: self.output(task, path)?,
            }),
        }
    }

    fn output(
        &self,
        task: &belljar_dag_specs::TaskName,
        path: &OutPath,
    ) -> Result<OutputRef, ServiceError> {
        if path.is_result() {
            return Ok(OutputRef::Result);
        }
        let unknown = || ServiceError::Stored(format!("`{task}` makes no `{path}`"));
        let index = self.dag.index_of(task).ok_or_else(unknown)?;
        let upstream = self.found(self.dag.task(index))?;
        let (name, _) = upstream.manifest.artifact_at(path).ok_or_else(unknown)?;
        Ok(OutputRef::Artifact(id(name.as_str())?))
    }
}

fn pools(task: &Task) -> Result<Vec<PoolNeed>, ServiceError> {
    let need = |pool: &belljar_dag_specs::PoolUse| {
        Ok(PoolNeed {
            pool: id(pool.name.as_str())?,
            slots: pool.slots,
        })
    };
    task.pools.iter().map(need).collect()
}

fn retries(task: &Task) -> RetryPolicy {
    let policy = &task.retries;
    RetryPolicy {
        max_attempts: policy.max_attempts,
        initial_ms: policy.initial.as_millis(),
        factor: f64::from(policy.factor.thousandths()) / 1_000.0,
        max_interval_ms: policy.max_interval.as_millis(),
        jitter: policy.jitter == Jitter::Full,
    }
}
