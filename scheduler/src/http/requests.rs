//! Requests.

use super::auth::Caller;
use super::cursor::List;
use super::error::{ApiError, ApiResult};
use super::extract::{IdempotencyKey, Json, Path, Query, wait_time};
use super::runs::{REPLAYED, cancel, ended};
use super::{API, App, WAIT_MAX, artifacts};
use crate::service::views;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belljar_api::Page;
use belljar_api::page::PageQuery;
use belljar_api::problem::Problem;
use belljar_api::requests::{Request, RequestCreate};
use belljar_api::runs::{RunCancelled, WaitQuery};
use belljar_api::tasks::{ArtifactQuery, Artifacts};
use belljar_engine::rows::TaskRow;
use belljar_ids::RequestId;
use belljar_store::RequestView;

/// Orders one analysis on given data. Checked whole before it is answered.
#[utoipa::path(post, path = "/requests", tag = "requests",
    params(WaitQuery, ("Idempotency-Key" = Option<String>, Header)), request_body = RequestCreate,
    responses((status = 202, body = Request, description = "Accepted; Location says where to look"),
        (status = 200, body = Request, description = "It ended within `wait`, or came again"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "A grant is missing"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn request_create(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WaitQuery>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<RequestCreate>,
) -> ApiResult<Response> {
    let wait = wait_time(query.wait.as_deref(), WAIT_MAX)?;
    let started = app
        .service()
        .request_create(&caller.by(), request, key)
        .await?;
    let id = started.row.request.ok_or_else(|| {
        crate::service::ServiceError::Stored("a request's run has no request".to_owned())
    })?;
    if let Some(wait) = wait {
        ended(&app, &caller.tenant, started.row.run, wait).await?;
    }
    let view = view(&app, &caller, find(&app, &caller, id).await?).await?;
    let status = if view.state.is_terminal() || !started.created {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let mut response = (status, Json(view)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(format!("{API}/requests/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    if !started.created {
        headers.insert(
            HeaderName::from_static(REPLAYED),
            HeaderValue::from_static("true"),
        );
    }
    Ok(response)
}

/// Requests, the newest first.
#[utoipa::path(get, path = "/requests", tag = "requests", params(PageQuery),
    responses((status = 200, body = Page<Request>)))]
pub(super) async fn request_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let list = List::new(&app, "/requests", &[], &query)?;
    let page = app
        .store()
        .request_list(&caller.tenant, None, list.cursor.as_ref(), list.limit)
        .await?;
    let mut items = Vec::with_capacity(page.items.len());
    for found in page.items {
        items.push(view(&app, &caller, found).await?);
    }
    Ok(list.answer_items(items, page.next.as_ref()))
}

/// A request. With `wait`, held back until its run has ended.
#[utoipa::path(get, path = "/requests/{id}", tag = "requests",
    params(("id" = String, Path), WaitQuery),
    responses((status = 200, body = Request),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn request_get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RequestId>,
    Query(query): Query<WaitQuery>,
) -> ApiResult<Json<Request>> {
    let wait = wait_time(query.wait.as_deref(), WAIT_MAX)?;
    let mut found = find(&app, &caller, id).await?;
    if let Some(wait) = wait {
        ended(&app, &caller.tenant, found.request.run, wait).await?;
        found = find(&app, &caller, id).await?;
    }
    Ok(Json(view(&app, &caller, found).await?))
}

/// The bytes of the request's result.
#[utoipa::path(get, path = "/requests/{id}/result", tag = "requests",
    params(("id" = String, Path)),
    responses((status = 200, description = "The result as the program wrote it", content_type = "application/json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is none yet")))]
pub(super) async fn request_result(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> ApiResult<Response> {
    let found = find(&app, &caller, id).await?;
    let row = task(&app, &caller, &found).await?;
    artifacts::result(&app, &caller.tenant, row.as_ref()).await
}

/// The artifacts of a request.
#[utoipa::path(get, path = "/requests/{id}/artifacts", tag = "requests",
    params(("id" = String, Path)), responses((status = 200, body = Artifacts)))]
pub(super) async fn request_artifacts(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> ApiResult<Json<Artifacts>> {
    let found = find(&app, &caller, id).await?;
    let row = task(&app, &caller, &found).await?;
    Ok(Json(Artifacts {
        items: row.as_ref().map_or_else(Vec::new, views::artifacts),
    }))
}

/// The bytes of an artifact of a request.
#[utoipa::path(get, path = "/requests/{id}/artifacts/{name}", tag = "requests",
    params(("id" = String, Path), ("name" = String, Path), ArtifactQuery),
    responses((status = 200, description = "The bytes", content_type = "application/octet-stream"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn request_artifact(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(RequestId, String)>,
    Query(query): Query<ArtifactQuery>,
) -> ApiResult<Response> {
    let found = find(&app, &caller, id).await?;
    let row = task(&app, &caller, &found).await?;
    artifacts::artifact(&app, &caller.tenant, row.as_ref(), &name, query.inline).await
}

/// Cancels a request.
#[utoipa::path(post, path = "/requests/{id}/cancel", tag = "requests",
    params(("id" = String, Path)),
    responses((status = 202, body = RunCancelled), (status = 200, body = RunCancelled, description = "It had ended")))]
pub(super) async fn request_cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> ApiResult<Response> {
    let found = find(&app, &caller, id).await?;
    cancel(&app, &caller, found.request.run).await
}

async fn find(app: &App, caller: &Caller, id: RequestId) -> ApiResult<RequestView> {
    let found = app.store().request_get(&caller.tenant, id).await?;
    found.ok_or_else(|| ApiError::not_found("request", id))
}

/// The run's one task.
async fn task(app: &App, caller: &Caller, found: &RequestView) -> ApiResult<Option<TaskRow>> {
    let rows = app
        .store()
        .task_list(&caller.tenant, found.request.run)
        .await?;
    Ok(rows.into_iter().next())
}

async fn view(app: &App, caller: &Caller, found: RequestView) -> ApiResult<Request> {
    let row = task(app, caller, &found).await?;
    let failure = row.map_or((None, None), |row| (row.cause, row.message));
    Ok(views::request(found, failure))
}
