//! Runs.

use super::auth::Caller;
use super::cursor::List;
use super::error::{ApiError, ApiResult};
use super::extract::{IdempotencyKey, Json, Path, Query, wait_time};
use super::{API, App, WAIT_MAX};
use crate::leader::LeaderError;
use crate::service::{ServiceError, views, waiting};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use belljar_api::dags::RunStart;
use belljar_api::page::PageQuery;
use belljar_api::problem::Problem;
use belljar_api::runs::{
    Run, RunCancelled, RunDetail, RunListQuery, RunWhy, TaskWhy, Wait, WaitQuery,
};
use belljar_api::{Page, Time};
use belljar_engine::plan::RunPlan;
use belljar_engine::rows::RunRow;
use belljar_engine::view;
use belljar_ids::{DagName, Micros, RunId, RunState, TenantId};
use belljar_store::RunFilter;
use std::sync::Arc;
use std::time::Duration;

/// Header that says that a submission was one that came again.
pub(super) const REPLAYED: &str = "idempotency-replayed";

/// Starts a run of a DAG's newest version.
#[utoipa::path(post, path = "/dags/{dag}/runs", tag = "runs",
    params(("dag" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RunStart,
    responses((status = 201, body = Run), (status = 200, body = Run, description = "The same submission came again"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn run_start(
    State(app): State<App>,
    caller: Caller,
    Path(dag): Path<DagName>,
    IdempotencyKey(key): IdempotencyKey,
    Json(start): Json<RunStart>,
) -> ApiResult<Response> {
    let started = app
        .service()
        .run_start(&caller.by(), &dag, start.params, key)
        .await?;
    let location = format!("{API}/runs/{}", started.row.run);
    let body = Json(views::run(started.row));
    Ok(if started.created {
        (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
    } else {
        (
            [
                (header::LOCATION.as_str(), location.as_str()),
                (REPLAYED, "true"),
            ],
            body,
        )
            .into_response()
    })
}

/// Runs, the newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunListQuery),
    responses((status = 200, body = Page<Run>)))]
pub(super) async fn run_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<RunListQuery>,
) -> ApiResult<Response> {
    let dag: Option<DagName> = super::tasks::name(query.dag.as_deref())?;
    let filters = [
        ("dag", query.dag.as_deref()),
        ("state", query.state.map(RunState::as_str)),
    ];
    let page = PageQuery {
        limit: query.limit,
        cursor: query.cursor,
    };
    let list = List::new(&app, "/runs", &filters, &page)?;
    let filter = RunFilter {
        dag,
        state: query.state,
    };
    let page = app
        .store()
        .run_list(&caller.tenant, &filter, list.cursor.as_ref(), list.limit)
        .await?;
    Ok(list.answer(page, views::run))
}

/// A run with its tasks and why they wait. With `wait`, held back until the run has ended.
#[utoipa::path(get, path = "/runs/{run}", tag = "runs", params(("run" = String, Path), WaitQuery),
    responses((status = 200, body = RunDetail),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn run_get(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Query(query): Query<WaitQuery>,
) -> ApiResult<Json<RunDetail>> {
    if let Some(wait) = wait_time(query.wait.as_deref(), WAIT_MAX)? {
        ended(&app, &caller.tenant, run, wait).await?;
    }
    let (row, plan) = find(&app, &caller.tenant, run).await?;
    let waits = waits(&app, &row).await?;
    let rows = app.store().task_list(&caller.tenant, run).await?;
    Ok(Json(RunDetail {
        params: plan.params.clone(),
        tasks: views::run_tasks(&plan, &rows, &waits.tasks, waits.now),
        edges: views::edges(&plan),
        wait: waits.run,
        as_of: Time::from(waits.now),
        run: views::run(row),
    }))
}

/// Why a run, and everything unfinished in it, waits.
#[utoipa::path(get, path = "/runs/{run}/why", tag = "runs", params(("run" = String, Path)),
    responses((status = 200, body = RunWhy)))]
pub(super) async fn run_why(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> ApiResult<Json<RunWhy>> {
    let (row, _) = find(&app, &caller.tenant, run).await?;
    let waits = waits(&app, &row).await?;
    let why = |wait: &view::Wait| TaskWhy {
        task: wait.key.task.clone(),
        map_index: wait.key.map_index,
        wait: views::wait(&wait.reason, waits.now),
    };
    Ok(Json(RunWhy {
        run,
        tasks: waits.tasks.iter().map(why).collect(),
        as_of: waits.now.into(),
        wait: waits.run,
    }))
}

/// Cancels a run. It may be `cancelling` until its containers are gone.
#[utoipa::path(post, path = "/runs/{run}/cancel", tag = "runs", params(("run" = String, Path)),
    responses((status = 202, body = RunCancelled), (status = 200, body = RunCancelled, description = "It had ended")))]
pub(super) async fn run_cancel(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> ApiResult<Response> {
    cancel(&app, &caller, run).await
}

pub(super) async fn cancel(app: &App, caller: &Caller, run: RunId) -> ApiResult<Response> {
    let (row, ended_before) = app.service().run_cancel(&caller.by(), run).await?;
    let status = if ended_before {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let body = RunCancelled {
        run: views::run(row),
        ended_before,
    };
    Ok((status, Json(body)).into_response())
}

/// A run and its plan.
pub(super) async fn find(
    app: &App,
    tenant: &TenantId,
    run: RunId,
) -> ApiResult<(RunRow, Arc<RunPlan>)> {
    let found = app.store().run_get(tenant, run).await?;
    found.ok_or_else(|| ApiError::not_found("run", run))
}

/// Comes back when the run has ended, the time is over or the server stops.
pub(super) async fn ended(
    app: &App,
    tenant: &TenantId,
    run: RunId,
    wait: Duration,
) -> ApiResult<()> {
    let until = tokio::time::Instant::now() + wait;
    let ring = app.leader().events();
    // Before the read, so that what happens in between is seen.
    let mut place = waiting::newest(ring);
    loop {
        let (row, _) = find(app, tenant, run).await?;
        if row.state.is_terminal() {
            return Ok(());
        }
        tokio::select! {
            changed = waiting::run_changed(ring, run, place) => place = changed,
            () = tokio::time::sleep_until(until) => return Ok(()),
            () = app.stop().cancelled() => return Ok(()),
        }
    }
}

/// Why things wait, at one moment.
pub(super) struct Waits {
    pub tasks: Vec<view::Wait>,
    pub run: Option<Wait>,
    pub now: Micros,
}

/// Asks the leader why what is in a run waits. Empty where it has ended.
pub(super) async fn waits(app: &App, row: &RunRow) -> Result<Waits, ServiceError> {
    let none = Waits {
        tasks: Vec::new(),
        run: None,
        now: super::now(),
    };
    if row.state.is_terminal() {
        return Ok(none);
    }
    let (tenant, run, dag) = (row.tenant.clone(), row.run, row.dag.clone());
    let (state, request) = (row.state, row.request.is_some());
    let asked = app
        .leader()
        .query(move |engine, now| Waits {
            tasks: engine.waits(&tenant, run).unwrap_or_default(),
            run: (state == RunState::Queued).then(|| {
                let reason = engine.queued_reason(&tenant, &dag, request);
                views::wait(&reason, now)
            }),
            now,
        })
        .await;
    match asked {
        // The state is in the database; only the reasons are not at hand.
        Err(LeaderError::NotLeader) => Ok(none),
        asked => Ok(asked?),
    }
}
