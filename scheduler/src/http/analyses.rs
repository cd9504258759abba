//! Analyses.

use super::App;
use super::auth::Caller;
use super::cursor::List;
use super::error::{ApiError, ApiResult};
use super::extract::{Json, Path, Query};
use crate::service::views;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use belljar_api::Page;
use belljar_api::analyses::{Analysis, AnalysisDetail, AnalysisSubmit};
use belljar_api::page::PageQuery;
use belljar_api::problem::Problem;
use belljar_engine::rows::AnalysisRow;
use belljar_ids::AnalysisName;

/// Publishes a version of an analysis.
#[utoipa::path(post, path = "/analyses", tag = "analyses", request_body = AnalysisSubmit,
    responses((status = 201, body = Analysis), (status = 200, body = Analysis, description = "The same was published before"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The version has another content"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn analysis_submit(
    State(app): State<App>,
    caller: Caller,
    Json(submit): Json<AnalysisSubmit>,
) -> ApiResult<Response> {
    let (row, created) = app.service().analysis_submit(&caller.by(), submit).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(views::analysis(row))).into_response())
}

/// All analyses by name, each with the version submitted last.
#[utoipa::path(get, path = "/analyses", tag = "analyses", params(PageQuery),
    responses((status = 200, body = Page<Analysis>)))]
pub(super) async fn analysis_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let list = List::new(&app, "/analyses", &[], &query)?;
    let page = app
        .store()
        .analysis_list(&caller.tenant, list.cursor.as_ref(), list.limit)
        .await?;
    Ok(list.answer(page, views::analysis))
}

/// The versions of an analysis, the highest first; all of them on one page, whatever its limit.
#[utoipa::path(get, path = "/analyses/{name}", tag = "analyses", params(("name" = String, Path), PageQuery),
    responses((status = 200, body = Page<Analysis>),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn analysis_versions(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<AnalysisName>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Analysis>>> {
    // There is no second page, so a limit is only checked, and no cursor can be right.
    List::new(&app, &format!("/analyses/{name}"), &[], &query)?;
    let mut rows = app.store().analysis_versions(&caller.tenant, &name).await?;
    if rows.is_empty() {
        return Err(ApiError::not_found("analysis", name));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(semver::Version::parse(&row.version).ok()));
    Ok(Json(Page {
        items: rows.into_iter().map(views::analysis).collect(),
        next_cursor: None,
    }))
}

/// A version of an analysis with its manifest and image.
#[utoipa::path(get, path = "/analyses/{name}/{version}", tag = "analyses",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = AnalysisDetail),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn analysis_get(
    State(app): State<App>,
    caller: Caller,
    Path((name, version)): Path<(AnalysisName, String)>,
) -> ApiResult<Json<AnalysisDetail>> {
    let row = find(&app, &caller, &name, &version).await?;
    let stored = || crate::service::ServiceError::Stored(format!("the image of {name}"));
    let detail = views::analysis_detail(row).ok_or_else(stored)?;
    Ok(Json(detail))
}

/// Lets a version run under plain `runc`, without gVisor.
#[utoipa::path(post, path = "/analyses/{name}/{version}/trust", tag = "analyses",
    params(("name" = String, Path), ("version" = String, Path)), responses((status = 200, body = Analysis)))]
pub(super) async fn analysis_trust(
    State(app): State<App>,
    caller: Caller,
    Path((name, version)): Path<(AnalysisName, String)>,
) -> ApiResult<Json<Analysis>> {
    trust(&app, &caller, name, version, true).await
}

/// Takes the trust back: new runs take gVisor.
#[utoipa::path(post, path = "/analyses/{name}/{version}/untrust", tag = "analyses",
    params(("name" = String, Path), ("version" = String, Path)), responses((status = 200, body = Analysis)))]
pub(super) async fn analysis_untrust(
    State(app): State<App>,
    caller: Caller,
    Path((name, version)): Path<(AnalysisName, String)>,
) -> ApiResult<Json<Analysis>> {
    trust(&app, &caller, name, version, false).await
}

async fn trust(
    app: &App,
    caller: &Caller,
    name: AnalysisName,
    version: String,
    trusted: bool,
) -> ApiResult<Json<Analysis>> {
    // Only what a version can be goes on to the leader.
    find(app, caller, &name, &version).await?;
    let row = app
        .service()
        .analysis_trust(&caller.by(), name, version, trusted)
        .await?;
    Ok(Json(views::analysis(row)))
}

async fn find(
    app: &App,
    caller: &Caller,
    name: &AnalysisName,
    version: &str,
) -> ApiResult<AnalysisRow> {
    let unknown = || ApiError::not_found("analysis", format!("{name}@{}", version.escape_debug()));
    let version = semver::Version::parse(version).map_err(|_| unknown())?;
    let row = app
        .store()
        .analysis_get(&caller.tenant, name, &version.to_string())
        .await?;
    row.ok_or_else(unknown)
}
