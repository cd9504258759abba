//! Bytes on their way in.

use super::auth::Caller;
use super::error::ApiResult;
use super::extract::{Json, Path};
use super::{ApiError, App};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belljar_api::problem::{Code, Problem};
use belljar_api::tasks::BlobInfo;
use belljar_ids::Digest;

/// Stores bytes under what they hash to.
#[utoipa::path(put, path = "/blobs/{digest}", tag = "blobs", params(("digest" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = BlobInfo), (status = 200, body = BlobInfo, description = "They were there"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "They hash to something else"),
        (status = 413, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn blob_put(
    State(app): State<App>,
    caller: Caller,
    Path(digest): Path<Digest>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let max = app.config().blob_bytes;
    announced(&headers, max)?;
    let put = app
        .blobs()
        .put(&caller.tenant, digest, max, body.into_data_stream())
        .await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let body = BlobInfo {
        digest,
        size: put.size,
    };
    Ok((status, Json(body)).into_response())
}

/// Whether the bytes are there, and how many they are.
#[utoipa::path(head, path = "/blobs/{digest}", tag = "blobs", params(("digest" = String, Path)),
    responses((status = 200, description = "They are there; Content-Length says how many"),
        (status = 404, description = "They are not there")))]
pub(super) async fn blob_head(
    State(app): State<App>,
    caller: Caller,
    Path(digest): Path<Digest>,
) -> ApiResult<Response> {
    let size = app.blobs().size(&caller.tenant, digest).await?;
    let size = size.ok_or_else(|| ApiError::not_found("blob", digest))?;
    Ok([(header::CONTENT_LENGTH, size.to_string())].into_response())
}

/// Refuses a body that says it is too large, before any of it is read.
pub(super) fn announced(headers: &HeaderMap, max: u64) -> ApiResult<()> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max) {
        return Err(ApiError::new(
            Code::TooLarge,
            format!("a blob has at most {max} bytes"),
        ));
    }
    Ok(())
}
