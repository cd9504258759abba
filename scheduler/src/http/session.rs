//! Health, what this server is, and signing in.

use super::auth::{self, Caller};
use super::error::{ApiError, ApiResult};
use super::extract::Json;
use super::{App, Document};
use crate::leader::State as Leading;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, SameSite};
use belljar_api::problem::{Code, Problem};
use belljar_api::session::{Health, SignIn, Version, WhoAmI};
use belljar_api::{SESSION_COOKIE, executor::PROTOCOL_VERSION};

/// Whether the process is there.
#[utoipa::path(get, path = "/livez", responses((status = 200, body = Health)))]
pub(super) async fn livez() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
    })
}

/// Whether this server leads and its database answers.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let leads = *app.leader().leading().borrow() == Leading::Leading;
    if leads && app.store().db_now().await.is_ok() {
        return livez().await.into_response();
    }
    let health = Health {
        status: "unavailable".to_owned(),
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, "1")],
        Json(health),
    )
        .into_response()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server",
    responses((status = 200, description = "The OpenAPI 3.1 document", content_type = "application/json")))]
pub(super) async fn openapi_document(Extension(document): Extension<Document>) -> Response {
    axum::Json(&*document.0).into_response()
}

/// What this server is.
#[utoipa::path(get, path = "/version", tag = "server", responses((status = 200, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v1".to_owned(),
        executor_protocol: PROTOCOL_VERSION,
    })
}

/// Exchanges a token for a session cookie.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn,
    responses((status = 204, description = "Signed in; the cookie is set"),
        (status = 401, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn session_create(
    State(app): State<App>,
    headers: HeaderMap,
    Json(sign_in): Json<SignIn>,
) -> ApiResult<Response> {
    // A page elsewhere must not sign a visitor in as somebody of its choice.
    if headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN) {
        super::origin::check_write(&headers)?;
    }
    let row = auth::token_row(&app, sign_in.token.trim())
        .await
        .map_err(|error| match error.code {
            Code::Unauthenticated => {
                ApiError::new(Code::Unauthenticated, "this token is not known here")
            }
            _ => error,
        })?;
    let value = auth::session_value(&app, row.token, super::now());
    Ok(with_cookie(value, auth::SESSION_SECS))
}

/// Ends the browser's session.
#[utoipa::path(delete, path = "/session", tag = "session",
    responses((status = 204, description = "Signed out; the cookie is gone")))]
pub(super) async fn session_delete() -> Response {
    with_cookie(String::new(), 0)
}

fn with_cookie(value: String, secs: i64) -> Response {
    let mut cookie = Cookie::new(SESSION_COOKIE, value);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_path("/");
    // Seconds, by the text, so that no type of another crate is needed.
    let header = format!("{cookie}; Max-Age={secs}");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, header)]).into_response()
}

/// Who the server takes the caller for.
#[utoipa::path(get, path = "/whoami", tag = "session", responses((status = 200, body = WhoAmI)))]
pub(super) async fn whoami(caller: Caller) -> Json<WhoAmI> {
    Json(WhoAmI {
        tenant: caller.tenant,
        principal: caller.principal,
        role: caller.role,
        by: caller.by,
    })
}
