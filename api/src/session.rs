//! Who calls, and what answers.

use belljar_ids::{PrincipalName, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token to be exchanged for a session cookie.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// `bj_<id>_<secret>`.
    pub token: String,
}

/// Who the server takes the caller for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The tenant.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The person or service.
    #[schema(value_type = String)]
    pub principal: PrincipalName,
    /// The role; `admin` is the one there is.
    pub role: String,
    /// Whether by a cookie or by a token in the call.
    pub by: SignedInBy,
}

/// How a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedInBy {
    /// By the header `Authorization: Bearer`.
    Token,
    /// By the session cookie.
    Session,
}

/// What the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Belljar's version (semver.org 2.0.0).
    pub version: String,
    /// The version of this API, `v1`.
    pub api: String,
    /// The version of the executor protocol.
    pub executor_protocol: u32,
}

/// Whether the server is there, or ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `unavailable` with status 503.
    pub status: String,
}
