//! Task instances and their attempts.

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::extract::{Json, Path, Query};
use super::runs::{find, waits};
use crate::service::logs::LogKey;
use crate::service::views;
use axum::extract::State;
use belljar_api::executor::Stream;
use belljar_api::problem::{Code, Problem};
use belljar_api::runs::ExecutorRef;
use belljar_api::tasks::{Attempt, InstanceQuery, RunTasks, TaskDetail};
use belljar_engine::plan::RunPlan;
use belljar_engine::rows::{AttemptRow, TaskRow};
use belljar_ids::{ExecutorId, InstanceKey, RunId, TaskName};
use std::collections::HashMap;
use std::sync::Arc;

/// A name in a query.
pub(super) fn name<T: std::str::FromStr<Err = belljar_ids::InvalidId>>(
    text: Option<&str>,
) -> ApiResult<Option<T>> {
    let parse = |text: &str| {
        text.parse().map_err(|error: belljar_ids::InvalidId| {
            ApiError::new(Code::BadRequest, error.to_string())
        })
    };
    text.map(parse).transpose()
}

/// All task instances of a run.
#[utoipa::path(get, path = "/runs/{run}/tasks", tag = "runs", params(("run" = String, Path)),
    responses((status = 200, body = RunTasks)))]
pub(super) async fn task_list(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> ApiResult<Json<RunTasks>> {
    let (row, plan) = find(&app, &caller.tenant, run).await?;
    let waits = waits(&app, &row).await?;
    let rows = app.store().task_list(&caller.tenant, run).await?;
    Ok(Json(RunTasks {
        items: views::run_tasks(&plan, &rows, &waits.tasks, waits.now),
        as_of: waits.now.into(),
    }))
}

/// A task instance with its attempts.
#[utoipa::path(get, path = "/runs/{run}/tasks/{task}", tag = "runs",
    params(("run" = String, Path), ("task" = String, Path), InstanceQuery),
    responses((status = 200, body = TaskDetail),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn task_get(
    State(app): State<App>,
    caller: Caller,
    Path((run, task)): Path<(RunId, TaskName)>,
    Query(query): Query<InstanceQuery>,
) -> ApiResult<Json<TaskDetail>> {
    let key = key(run, task, query.index)?;
    let (row, plan) = find(&app, &caller.tenant, run).await?;
    let planned = plan
        .tasks
        .iter()
        .find(|planned| planned.name == key.task)
        .ok_or_else(|| ApiError::not_found("task", &key.task))?;
    let waits = waits(&app, &row).await?;
    let instance = app.store().task_get(&caller.tenant, &key).await?;
    let wait = waits.tasks.iter().find(|wait| wait.key == key);
    let wait = wait.map(|wait| views::wait(&wait.reason, waits.now));
    let attempts = attempts(&app, &caller, &key).await?;
    Ok(Json(views::task_detail(
        run,
        planned,
        instance.as_ref(),
        wait,
        attempts,
        waits.now,
    )))
}

/// The attempts of an instance, the newest first.
async fn attempts(app: &App, caller: &Caller, key: &InstanceKey) -> ApiResult<Vec<Attempt>> {
    let rows = attempt_rows(app, caller, key).await?;
    let mut names: HashMap<ExecutorId, Option<String>> = HashMap::new();
    let mut attempts = Vec::with_capacity(rows.len());
    for row in rows.into_iter().rev() {
        let executor = match names.get(&row.executor) {
            Some(name) => name.clone(),
            None => {
                let name = executor_ref(app, caller, row.executor).await?.name;
                names.insert(row.executor, name.clone());
                name
            }
        };
        let stdout = app
            .logs()
            .size(&log_key(caller, &row, Stream::Stdout))
            .await?;
        let stderr = app
            .logs()
            .size(&log_key(caller, &row, Stream::Stderr))
            .await?;
        attempts.push(views::attempt(row, executor, [stdout, stderr]));
    }
    Ok(attempts)
}

/// All attempts of an instance, by fence.
pub(super) async fn attempt_rows(
    app: &App,
    caller: &Caller,
    key: &InstanceKey,
) -> ApiResult<Vec<AttemptRow>> {
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let page = app
            .store()
            .attempt_list(
                &caller.tenant,
                key.run,
                Some(&key.task),
                cursor.as_ref(),
                belljar_store::PAGE_MAX,
            )
            .await?;
        rows.extend(page.items.into_iter().filter(|row| row.key == *key));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(rows),
        }
    }
}

pub(super) async fn executor_ref(
    app: &App,
    caller: &Caller,
    executor: ExecutorId,
) -> ApiResult<ExecutorRef> {
    let row = app.store().executor_get(&caller.tenant, executor).await?;
    Ok(ExecutorRef {
        executor,
        name: row.map(|row| row.name),
    })
}

pub(super) fn log_key(caller: &Caller, row: &AttemptRow, stream: Stream) -> LogKey {
    LogKey {
        tenant: caller.tenant.clone(),
        instance: row.key.clone(),
        fence: row.fence,
        stream,
    }
}

/// The key of an instance as a path and a query name it.
pub(super) fn key(run: RunId, task: TaskName, index: Option<i32>) -> ApiResult<InstanceKey> {
    views::instance(run, task, index).map_err(|problem| ApiError::new(Code::BadRequest, problem))
}

/// A task instance's row, if the run has the task.
pub(super) async fn row(
    app: &App,
    caller: &Caller,
    key: &InstanceKey,
) -> ApiResult<(Arc<RunPlan>, Option<TaskRow>)> {
    let (_, plan) = find(app, &caller.tenant, key.run).await?;
    if plan.tasks.iter().all(|planned| planned.name != key.task) {
        return Err(ApiError::not_found("task", &key.task));
    }
    let row = app.store().task_get(&caller.tenant, key).await?;
    Ok((plan, row))
}
