//! DAGs.

use super::App;
use super::auth::Caller;
use super::cursor::List;
use super::error::{ApiError, ApiResult};
use super::extract::{Json, Path, Query, Source};
use crate::service::{ServiceError, diagnostics, views};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use belljar_api::Page;
use belljar_api::dags::{
    Dag, DagApplied, DagApplyQuery, DagDetail, DagSource, DagValidation, DagVersion,
};
use belljar_api::page::PageQuery;
use belljar_api::problem::Problem;
use belljar_engine::rows::DagRow;
use belljar_ids::DagName;
use belljar_store::RunFilter;

/// How many of a DAG's runs come with it.
const RECENT: u32 = 20;
/// The name of a document that came without one.
const FILE: &str = "dag.yaml";

/// All DAGs, by name.
#[utoipa::path(get, path = "/dags", tag = "dags", params(PageQuery),
    responses((status = 200, body = Page<Dag>)))]
pub(super) async fn dag_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let list = List::new(&app, "/dags", &[], &query)?;
    let page = app
        .store()
        .dag_list(&caller.tenant, 1, list.cursor.as_ref(), list.limit)
        .await?;
    let mut items = Vec::with_capacity(page.items.len());
    for found in page.items {
        let description = description(&app, &found.dag).await?;
        let last = found.runs.into_iter().next();
        items.push(views::dag(found.dag, description, last));
    }
    Ok(list.answer_items(items, page.next.as_ref()))
}

/// Applies a DAG: makes it, or gives it a new version. Never starts a run.
#[utoipa::path(post, path = "/dags", tag = "dags", params(DagApplyQuery),
    request_body(content((DagSource = "application/json"), (String = "text/yaml"))),
    responses((status = 201, body = DagApplied, description = "A new version"),
        (status = 200, body = DagApplied, description = "Nothing new, or a dry run"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Every problem in the text")))]
pub(super) async fn dag_apply(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DagApplyQuery>,
    source: Source,
) -> ApiResult<Response> {
    let file = source.file.or(query.file);
    let file = file.as_deref().unwrap_or(FILE);
    let applied = app
        .service()
        .dag_apply(
            &caller.by(),
            source.bytes,
            file,
            query.paused,
            query.dry_run,
        )
        .await?;
    let dag = match applied.row {
        Some(row) => Some(view(&app, row).await?),
        None => None,
    };
    let status = if applied.created && !query.dry_run {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let body = DagApplied {
        dag,
        version: applied.version,
        created: applied.created,
        warnings: diagnostics(applied.warnings),
    };
    Ok((status, Json(body)).into_response())
}

/// Checks a DAG against what is published, and changes nothing.
#[utoipa::path(post, path = "/dags/validate", tag = "dags", params(DagApplyQuery),
    request_body(content((DagSource = "application/json"), (String = "text/yaml"))),
    responses((status = 200, body = DagValidation, description = "Whether it is right or wrong")))]
pub(super) async fn dag_validate(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DagApplyQuery>,
    source: Source,
) -> ApiResult<Json<DagValidation>> {
    let file = source.file.or(query.file);
    let file = file.as_deref().unwrap_or(FILE);
    let checked = app
        .service()
        .dag_check(&caller.by(), source.bytes, file)
        .await?;
    let version = checked.dag.as_ref().map(|(dag, _)| dag.version());
    Ok(Json(DagValidation {
        valid: checked.is_valid(),
        dag: checked.name,
        version: version.map(|version| belljar_ids::Digest::from_bytes(*version.0.as_bytes())),
        diagnostics: diagnostics(checked.problems),
    }))
}

/// A DAG with its tasks and newest runs.
#[utoipa::path(get, path = "/dags/{dag}", tag = "dags", params(("dag" = String, Path)),
    responses((status = 200, body = DagDetail),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn dag_get(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DagName>,
) -> ApiResult<Json<DagDetail>> {
    let row = head(&app, &caller, &name).await?;
    let version = app
        .store()
        .dag_version_get(&caller.tenant, &name, &row.version)
        .await?
        .ok_or_else(|| ApiError::not_found("DAG", &name))?;
    let dag = spec(&version)?;
    let filter = RunFilter {
        dag: Some(name),
        state: None,
    };
    let runs = app
        .store()
        .run_list(&caller.tenant, &filter, None, RECENT)
        .await?;
    let (tasks, edges) = views::dag_tasks(&dag);
    let description = dag.spec().description.clone();
    Ok(Json(DagDetail {
        dag: views::dag(row, description, runs.items.first().cloned()),
        source: version.source,
        params_schema: dag.spec().params.clone(),
        tasks,
        edges,
        recent_runs: runs.items.into_iter().map(views::run).collect(),
    }))
}

/// The versions of a DAG, the newest first.
#[utoipa::path(get, path = "/dags/{dag}/versions", tag = "dags",
    params(("dag" = String, Path), PageQuery), responses((status = 200, body = Page<DagVersion>)))]
pub(super) async fn dag_versions(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DagName>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let row = head(&app, &caller, &name).await?;
    let path = format!("/dags/{name}/versions");
    let list = List::new(&app, &path, &[], &query)?;
    let page = app
        .store()
        .dag_version_list(&caller.tenant, &name, list.cursor.as_ref(), list.limit)
        .await?;
    Ok(list.answer(page, |version| {
        let is_head = version.version == row.version;
        views::dag_version(version, is_head)
    }))
}

/// Pauses a DAG: its queued runs stay queued; active ones go on.
#[utoipa::path(post, path = "/dags/{dag}/pause", tag = "dags", params(("dag" = String, Path)),
    responses((status = 200, body = Dag)))]
pub(super) async fn dag_pause(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DagName>,
) -> ApiResult<Json<Dag>> {
    let row = app.service().dag_pause(&caller.by(), name, true).await?;
    Ok(Json(view(&app, row).await?))
}

/// Lets a DAG's queued runs start again.
#[utoipa::path(post, path = "/dags/{dag}/unpause", tag = "dags", params(("dag" = String, Path)),
    responses((status = 200, body = Dag)))]
pub(super) async fn dag_unpause(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DagName>,
) -> ApiResult<Json<Dag>> {
    let row = app.service().dag_pause(&caller.by(), name, false).await?;
    Ok(Json(view(&app, row).await?))
}

async fn head(app: &App, caller: &Caller, name: &DagName) -> ApiResult<DagRow> {
    let row = app.store().dag_get(&caller.tenant, name).await?;
    row.ok_or_else(|| ApiError::not_found("DAG", name))
}

async fn view(app: &App, row: DagRow) -> ApiResult<Dag> {
    let description = description(app, &row).await?;
    let filter = RunFilter {
        dag: Some(row.dag.clone()),
        state: None,
    };
    let runs = app.store().run_list(&row.tenant, &filter, None, 1).await?;
    Ok(views::dag(row, description, runs.items.into_iter().next()))
}

async fn description(app: &App, row: &DagRow) -> ApiResult<Option<String>> {
    let version = app
        .store()
        .dag_version_get(&row.tenant, &row.dag, &row.version)
        .await?;
    let text = |spec: &serde_json::Value| Some(spec.get("description")?.as_str()?.to_owned());
    Ok(version.and_then(|version| text(&version.spec)))
}

fn spec(row: &belljar_engine::rows::DagVersionRow) -> Result<belljar_dag_specs::Dag, ServiceError> {
    belljar_dag_specs::Dag::from_canonical_json(&row.spec.to_string())
        .map_err(|_| ServiceError::Stored(format!("the spec of DAG {}", row.dag)))
}
