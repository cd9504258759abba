//! Results, artifacts and receipts: bytes that other people's programs wrote.
//!
//! *Invariant*: nothing here is ever served in a way that lets it run a script or fetch anything in the
//! reader's browser, whatever it claims to be.

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::extract::{Json, Path, Query};
use super::tasks::{key, row};
use crate::service::views;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use belljar_api::problem::{Code, Problem};
use belljar_api::tasks::{ArtifactQuery, Artifacts, InstanceQuery};
use belljar_engine::plan::{BlobRef, Payload};
use belljar_engine::rows::TaskRow;
use belljar_ids::{Fence, RunId, TaskName, TenantId};

/// What a shown artifact may do: nothing but be looked at, inside our own pages.
const SHOWN: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                     frame-ancestors 'self'";
/// What one that is to be saved may do.
const SAVED: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// The bytes of a task instance's `/out/result.json`.
#[utoipa::path(get, path = "/runs/{run}/tasks/{task}/result", tag = "runs",
    params(("run" = String, Path), ("task" = String, Path), InstanceQuery),
    responses((status = 200, description = "The result as the program wrote it", content_type = "application/json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is none yet")))]
pub(super) async fn task_result(
    State(app): State<App>,
    caller: Caller,
    Path((run, task)): Path<(RunId, TaskName)>,
    Query(query): Query<InstanceQuery>,
) -> ApiResult<Response> {
    let key = key(run, task, query.index)?;
    let (_, found) = row(&app, &caller, &key).await?;
    result(&app, &caller.tenant, found.as_ref()).await
}

pub(super) async fn result(
    app: &App,
    tenant: &TenantId,
    row: Option<&TaskRow>,
) -> ApiResult<Response> {
    let outputs = row.and_then(|row| row.outputs.as_ref());
    let Some(outputs) = outputs else {
        let state = row.map_or("pending", |row| row.state.as_str());
        let detail = format!("there is no result: the task is `{state}`");
        return Err(ApiError::new(Code::Conflict, detail));
    };
    let Payload { blob, inline } = &outputs.result;
    let body = match inline {
        Some(text) => Body::from(text.clone()),
        None => stream(app, tenant, blob).await?,
    };
    Ok(saved(body, "application/json", "result.json", blob.size))
}

/// The artifacts of a task instance.
#[utoipa::path(get, path = "/runs/{run}/tasks/{task}/artifacts", tag = "runs",
    params(("run" = String, Path), ("task" = String, Path), InstanceQuery),
    responses((status = 200, body = Artifacts)))]
pub(super) async fn task_artifacts(
    State(app): State<App>,
    caller: Caller,
    Path((run, task)): Path<(RunId, TaskName)>,
    Query(query): Query<InstanceQuery>,
) -> ApiResult<Json<Artifacts>> {
    let key = key(run, task, query.index)?;
    let (_, found) = row(&app, &caller, &key).await?;
    Ok(Json(Artifacts {
        items: found.as_ref().map_or_else(Vec::new, views::artifacts),
    }))
}

/// The bytes of an artifact, by its key in the manifest or its path below `/out`.
#[utoipa::path(get, path = "/runs/{run}/tasks/{task}/artifacts/{name}", tag = "runs",
    params(("run" = String, Path), ("task" = String, Path), ("name" = String, Path), ArtifactQuery),
    responses((status = 200, description = "The bytes", content_type = "application/octet-stream"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn task_artifact(
    State(app): State<App>,
    caller: Caller,
    Path((run, task, name)): Path<(RunId, TaskName, String)>,
    Query(query): Query<ArtifactQuery>,
) -> ApiResult<Response> {
    let key = key(run, task, query.index)?;
    let (_, found) = row(&app, &caller, &key).await?;
    artifact(&app, &caller.tenant, found.as_ref(), &name, query.inline).await
}

pub(super) async fn artifact(
    app: &App,
    tenant: &TenantId,
    row: Option<&TaskRow>,
    name: &str,
    inline: Option<u8>,
) -> ApiResult<Response> {
    let outputs = row.and_then(|row| row.outputs.as_ref());
    if name == "result.json" && outputs.is_some() {
        return result(app, tenant, row).await;
    }
    let mut artifacts = outputs.into_iter().flat_map(|outputs| &outputs.artifacts);
    let found = artifacts.find(|(key, artifact)| key.as_str() == name || artifact.path == name);
    let (_, artifact) =
        found.ok_or_else(|| ApiError::not_found("artifact", name.escape_debug()))?;
    let body = stream(app, tenant, &artifact.blob).await?;
    let mut response = saved(
        body,
        &artifact.media_type,
        file_name(&artifact.path),
        artifact.blob.size,
    );
    if inline == Some(1) && views::can_inline(&artifact.media_type) {
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("inline"),
        );
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(SHOWN),
        );
    }
    Ok(response)
}

/// The record of what ran in an attempt.
#[utoipa::path(get, path = "/runs/{run}/tasks/{task}/attempts/{fence}/receipt", tag = "runs",
    params(("run" = String, Path), ("task" = String, Path), ("fence" = i64, Path), InstanceQuery),
    responses((status = 200, description = "The receipt", content_type = "application/json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn attempt_receipt(
    State(app): State<App>,
    caller: Caller,
    Path((run, task, fence)): Path<(RunId, TaskName, Fence)>,
    Query(query): Query<InstanceQuery>,
) -> ApiResult<Response> {
    let key = key(run, task, query.index)?;
    let attempt = app
        .store()
        .attempt_get(&caller.tenant, &key, fence)
        .await?
        .ok_or_else(|| ApiError::not_found("attempt", fence))?;
    let receipt = attempt
        .receipt
        .ok_or_else(|| ApiError::not_found("receipt of attempt", fence))?;
    let body = stream(&app, &caller.tenant, &receipt).await?;
    Ok(saved(
        body,
        "application/json",
        "receipt.json",
        receipt.size,
    ))
}

async fn stream(app: &App, tenant: &TenantId, blob: &BlobRef) -> ApiResult<Body> {
    let reading = app.blobs().open_blob(tenant, blob.digest).await?;
    Ok(Body::from_stream(reading.stream))
}

/// An answer that a browser saves as a file.
fn saved(body: Body, media_type: &str, name: &str, size: u64) -> Response {
    let disposition = format!("attachment; filename*=UTF-8''{}", percent(name));
    let media_type = HeaderValue::try_from(media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(SAVED),
    );
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `text` in the encoding of RFC 8187 (`attr-char` as it is, everything else by its bytes).
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_leave_their_header() {
        assert_eq!(
            percent("a b\"\r\n;é/.svg"),
            "a%20b%22%0D%0A%3B%C3%A9%2F.svg"
        );
        assert_eq!(file_name("plots/a.svg"), "a.svg");
    }

    #[test]
    fn what_can_be_shown() {
        assert!(views::can_inline("image/svg+xml"));
        assert!(views::can_inline("TEXT/HTML; charset=utf-8"));
        assert!(!views::can_inline("application/xhtml+xml"));
        assert!(!views::can_inline("text/xml"));
        assert!(!views::can_inline("application/pdf"));
        assert!(!views::can_inline("text/javascript"));
    }
}
