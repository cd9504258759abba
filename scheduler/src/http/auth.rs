//! Who calls.
//!
//! Owns: the one place where a call's credentials become a principal. A user sends a token, or a browser
//! the cookie it got for one; an executor sends its own credential, which is no user's. A session ends
//! with its token: each call looks the token up.

use super::error::ApiError;
use super::table::Permission;
use super::{App, origin};
use crate::service::tokens::Token;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use belljar_api::SESSION_COOKIE;
use belljar_api::problem::Code;
use belljar_api::session::SignedInBy;
use belljar_engine::rows::TokenRow;
use belljar_ids::{Digest, Micros, PrincipalName, TenantId, TokenId};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long a browser stays signed in, seconds: 7 days.
pub const SESSION_SECS: i64 = 7 * 86_400;

/// Who calls, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant.
    pub tenant: TenantId,
    /// The person or service.
    pub principal: PrincipalName,
    /// The role.
    pub role: String,
    /// How they are known.
    pub by: SignedInBy,
}

impl Caller {
    /// Whether the role includes the permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role == "admin" && permission != Permission::Executor
    }

    fn new(row: TokenRow, by: SignedInBy) -> Self {
        Self {
            tenant: row.tenant,
            principal: row.principal,
            role: row.role,
            by,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The table puts it there for every route that needs a permission.
        parts.extensions.get().cloned().ok_or_else(unknown)
    }
}

fn unknown() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        "send a valid token as `Authorization: Bearer bj_…`, or sign in",
    )
}

/// The caller of a user's route.
pub(super) async fn caller(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, ApiError> {
    if headers.contains_key(header::AUTHORIZATION) {
        let row = token_row(app, bearer(headers).ok_or_else(unknown)?).await?;
        return Ok(Caller::new(row, SignedInBy::Token));
    }
    let id = session(app, headers).ok_or_else(unknown)?;
    if !method.is_safe() {
        origin::check_write(headers)?;
    }
    let row = app.store().token_find(id).await?;
    let row = row.filter(|row| row.revoked_at.is_none());
    Ok(Caller::new(row.ok_or_else(unknown)?, SignedInBy::Session))
}

/// The row of a token, if it is one and counts.
///
/// # Errors
///
/// `unauthenticated` otherwise; the answer does not tell why.
pub(super) async fn token_row(app: &App, text: &str) -> Result<TokenRow, ApiError> {
    let token: Token = text.parse().map_err(|_| unknown())?;
    let row = app.store().token_find(token.id).await?;
    row.filter(|row| row.revoked_at.is_none() && token.fits(&row.secret_hash))
        .ok_or_else(unknown)
}

/// Whether an executor calls.
pub(super) fn executor(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let wrong = || {
        ApiError::new(
            Code::Unauthenticated,
            "send the executor's credential as `Authorization: Bearer …`",
        )
    };
    let sent: [u8; 32] = Sha256::digest(bearer(headers).ok_or_else(wrong)?).into();
    // All are compared, so that the time taken tells nothing of which is near.
    let known = app.config().executor_credentials.iter();
    let right = known.fold(subtle::Choice::from(0), |right, known| {
        right | known.as_bytes().ct_eq(&sent)
    });
    if right.into() { Ok(()) } else { Err(wrong()) }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// The cookie's value for a session by this token.
pub(super) fn session_value(app: &App, token: TokenId, now: Micros) -> String {
    let ends = now.0 / 1_000_000 + SESSION_SECS;
    let payload = format!("{token} {ends}");
    app.config().key.sign("session", payload.as_bytes())
}

/// The token of the session whose cookie was sent, if it has not run out.
fn session(app: &App, headers: &HeaderMap) -> Option<TokenId> {
    let jar = axum_extra::extract::CookieJar::from_headers(headers);
    let value = jar.get(SESSION_COOKIE)?.value();
    let payload = String::from_utf8(app.config().key.open("session", value)?).ok()?;
    let (token, ends) = payload.split_once(' ')?;
    let ends: i64 = ends.parse().ok()?;
    (super::now().0 / 1_000_000 < ends)
        .then(|| token.parse().ok())
        .flatten()
}

/// The hash under which an executor's credential is configured.
#[must_use]
pub fn credential_hash(text: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(text.trim()).into())
}
