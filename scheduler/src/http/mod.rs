//! How the scheduler is reached: the public API, the executor protocol, the web page.
//!
//! Owns: routes, sign-in, limits, headers, status codes, cursors, streams. Leaves to others: what things
//! mean (`service`) and every change (the leader). Handlers only translate.
//!
//! *Invariant*: no route but health and sign-in answers without a credential ([`table::Table`] is the
//! only way to add one).

mod analyses;
mod artifacts;
pub mod auth;
mod blobs;
mod cursor;
mod dags;
mod datasets;
mod error;
mod events;
mod executor;
mod executor_wire;
mod executors;
mod extract;
mod headers;
mod logs;
mod origin;
mod pools;
mod requests;
mod runs;
mod session;
mod sign;
pub mod table;
mod tasks;
mod ui;

pub use auth::Caller;
pub use error::{ApiError, ApiResult};
pub use sign::SigningKey;

use crate::blobs::BlobStore;
use crate::leader::LeaderHandle;
use crate::service::logs::LogStore;
use crate::service::{By, Service};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use belljar_api::executor::LeaseTiming;
use belljar_api::problem::Code;
use belljar_engine::Config as EngineConfig;
use belljar_ids::{Digest, Micros};
use belljar_store::Store;
use std::sync::Arc;
use std::time::Duration;
use table::{Pace, Permission, Route, Table};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa_axum::routes;

/// Where the public API is.
pub const API: &str = "/api/v1";
/// Where the executor protocol is.
pub const EXECUTOR: &str = "/executor/v1";

/// The longest that an answer is held back for a run.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Names, without a port, under which browsers may call this server, beside the loopback names.
    pub allowed_hosts: Vec<String>,
    /// The secret that signs sessions and cursors.
    pub key: SigningKey,
    /// SHA-256 of each executor credential's text ([`auth::credential_hash`]).
    pub executor_credentials: Vec<Digest>,
    /// The largest body of a call that is no blob, bytes; default 5 MiB: a DAG may have 4.
    pub body_bytes: usize,
    /// The largest blob, bytes; default 16 GiB.
    pub blob_bytes: u64,
    /// How leases are timed, as executors are told; must be what the engine was told.
    pub lease_timing: LeaseTiming,
}

impl HttpConfig {
    /// The defaults with this key.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self {
            allowed_hosts: Vec::new(),
            key,
            executor_credentials: Vec::new(),
            body_bytes: 5 << 20,
            blob_bytes: 16 << 30,
            lease_timing: lease_timing(&EngineConfig::default()),
        }
    }
}

/// What executors are told of an engine's time limits: four heartbeats in a lease's lifetime, and its last
/// third for an executor that hears nothing to stop before the lease is given to somebody else.
#[must_use]
pub fn lease_timing(engine: &EngineConfig) -> LeaseTiming {
    let ttl_ms = u64::try_from(engine.lease_ttl.as_millis()).unwrap_or(u64::MAX);
    LeaseTiming {
        ttl_ms,
        heartbeat_ms: (ttl_ms / 4).max(1),
        self_fence_ms: ttl_ms / 3 * 2,
    }
}

/// What the HTTP side works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What an operator set.
    pub config: HttpConfig,
    /// The database.
    pub store: Store,
    /// The leader.
    pub leader: LeaderHandle,
    /// The blobs.
    pub blobs: BlobStore,
    /// The logs.
    pub logs: LogStore,
    /// Ends streams and long polls when the server stops.
    pub stop: CancellationToken,
}

/// The state of every handler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: HttpConfig,
    service: Service,
    logs: LogStore,
    stop: CancellationToken,
}

impl App {
    /// The state made of these.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            service: Service::new(parts.store, parts.leader, parts.blobs),
            config: parts.config,
            logs: parts.logs,
            stop: parts.stop,
        }))
    }

    fn config(&self) -> &HttpConfig {
        &self.0.config
    }

    fn service(&self) -> &Service {
        &self.0.service
    }

    fn store(&self) -> &Store {
        &self.0.service.store
    }

    fn leader(&self) -> &LeaderHandle {
        &self.0.service.leader
    }

    fn blobs(&self) -> &BlobStore {
        &self.0.service.blobs
    }

    fn logs(&self) -> &LogStore {
        &self.0.logs
    }

    fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

impl Caller {
    fn by(&self) -> By {
        By {
            tenant: self.tenant.clone(),
            principal: self.principal.clone(),
        }
    }
}

/// The system's clock, for what only this process judges: sessions, and the moment of an answer.
fn now() -> Micros {
    Micros(jiff::Timestamp::now().as_microsecond())
}

/// Everything that this server answers.
pub fn router(app: App) -> Router {
    let (public, document, _) = public(app.clone()).finish();
    let (executors, _, _) = executor_table(app.clone()).finish();
    let (health, _, _) = health(app.clone()).finish();
    let body_bytes = app.config().body_bytes;
    let public = public
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::Extension(Document(Arc::new(document))))
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(from_fn(headers::api))
        .layer(from_fn_with_state(app.clone(), origin::check));
    let executors = executors
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(executor::BODY_BYTES))
        .layer(from_fn(headers::api));
    let pages = Router::new()
        .fallback(ui::page)
        .layer(from_fn_with_state(app.clone(), origin::check));
    Router::new()
        .nest(API, public)
        .nest(EXECUTOR, executors)
        .merge(health.method_not_allowed_fallback(wrong_method))
        .fallback_service(pages.with_state(app.clone()))
        .layer(headers::catch_panic())
        .layer(from_fn(headers::outermost))
        .with_state(app)
}

/// The OpenAPI document of the public API.
#[must_use]
pub fn openapi(app: App) -> OpenApi {
    public(app).finish().1
}

/// Every route of the server with what it needs, for the test that walks them.
#[must_use]
pub fn all_routes(app: App) -> Vec<Route> {
    let under = |prefix: &'static str, table: Table| {
        let (_, _, routes) = table.finish();
        routes.into_iter().map(move |route| Route {
            path: format!("{prefix}{}", route.path.trim_start_matches(prefix)),
            ..route
        })
    };
    under(API, public(app.clone()))
        .chain(under(EXECUTOR, executor_table(app.clone())))
        .chain(under("", health(app)))
        .collect()
}

#[derive(Clone)]
struct Document(Arc<OpenApi>);

async fn unknown(uri: axum::http::Uri) -> ApiError {
    ApiError::new(
        Code::NotFound,
        format!("there is no route `{}`", uri.path().escape_debug()),
    )
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        "this path does not take this method",
    )
}

fn health(app: App) -> Table {
    let document = utoipa::openapi::OpenApiBuilder::new().build();
    Table::new(app, document)
        .add(Permission::None, Pace::Quick, routes!(session::livez))
        .add(Permission::None, Pace::Quick, routes!(session::readyz))
}

fn executor_table(app: App) -> Table {
    use Pace::{Long, Quick};
    use Permission::Executor;
    let document = utoipa::openapi::OpenApiBuilder::new().build();
    const POST: &[&str] = &["POST"];
    Table::new(app, document)
        .add_plain(Executor, Quick, "/register", POST, post(executor::register))
        .add_plain(Executor, Long, "/claim", POST, post(executor::claim))
        .add_plain(
            Executor,
            Quick,
            "/heartbeat",
            POST,
            post(executor::heartbeat),
        )
        .add_plain(Executor, Quick, "/complete", POST, post(executor::complete))
        .add_plain(Executor, Quick, "/release", POST, post(executor::release))
        .add_plain(
            Executor,
            Long,
            "/blobs/{digest}",
            &["GET", "PUT"],
            get(executor::blob_get).put(executor::blob_put),
        )
        .add_plain(Executor, Quick, "/logs", &["PUT"], put(executor::log_put))
}

/// What the OpenAPI document says of the whole.
fn document() -> OpenApi {
    let mut document = utoipa::openapi::OpenApiBuilder::new()
        .info(
            utoipa::openapi::InfoBuilder::new()
                .title("Belljar")
                .version("1")
                .description(Some(
                    "The public API. Lists are paged by cursor, errors are problem details \
                     (RFC 9457); docs/api.md has the rules.",
                ))
                .build(),
        )
        .servers(Some([utoipa::openapi::Server::new(API)]))
        .security(Some([
            SecurityRequirement::new("token", [] as [&str; 0]),
            SecurityRequirement::new("session", [] as [&str; 0]),
        ]))
        .build();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("bj_<id>_<secret>"))
        .build();
    let session = ApiKey::Cookie(ApiKeyValue::new(belljar_api::SESSION_COOKIE));
    let mut components = utoipa::openapi::Components::new();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    document.components = Some(components);
    document
}

fn public(app: App) -> Table {
    use Pace::{Long, Quick};
    use Permission as P;
    Table::new(app, document())
        .add(P::Read, Quick, routes!(session::openapi_document))
        .add(P::Read, Quick, routes!(session::version))
        .add(P::None, Quick, routes!(session::session_create))
        .add(P::Read, Quick, routes!(session::session_delete))
        .add(P::Read, Quick, routes!(session::whoami))
        .add(P::Read, Quick, routes!(dags::dag_list))
        .add(P::DagWrite, Quick, routes!(dags::dag_apply))
        .add(P::Read, Quick, routes!(dags::dag_validate))
        .add(P::Read, Quick, routes!(dags::dag_get))
        .add(P::Read, Quick, routes!(dags::dag_versions))
        .add(P::DagWrite, Quick, routes!(dags::dag_pause))
        .add(P::DagWrite, Quick, routes!(dags::dag_unpause))
        .add(P::RunWrite, Quick, routes!(runs::run_start))
        .add(P::Read, Quick, routes!(runs::run_list))
        .add(P::Read, Long, routes!(runs::run_get))
        .add(P::Read, Quick, routes!(runs::run_why))
        .add(P::RunWrite, Quick, routes!(runs::run_cancel))
        .add(P::Read, Quick, routes!(tasks::task_list))
        .add(P::Read, Quick, routes!(tasks::task_get))
        .add(P::DataRead, Long, routes!(artifacts::task_result))
        .add(P::Read, Quick, routes!(artifacts::task_artifacts))
        .add(P::DataRead, Long, routes!(artifacts::task_artifact))
        .add(P::DataRead, Long, routes!(logs::task_logs))
        .add(P::Read, Long, routes!(artifacts::attempt_receipt))
        .add(
            P::BlobWrite,
            Long,
            routes!(blobs::blob_put, blobs::blob_head),
        )
        .add(P::AnalysisWrite, Quick, routes!(analyses::analysis_submit))
        .add(P::Read, Quick, routes!(analyses::analysis_list))
        .add(P::Read, Quick, routes!(analyses::analysis_versions))
        .add(P::Read, Quick, routes!(analyses::analysis_get))
        .add(P::Operate, Quick, routes!(analyses::analysis_trust))
        .add(P::Operate, Quick, routes!(analyses::analysis_untrust))
        .add(P::DatasetWrite, Quick, routes!(datasets::dataset_put))
        .add(P::Read, Quick, routes!(datasets::dataset_list))
        .add(P::Read, Quick, routes!(datasets::dataset_get))
        .add(P::Read, Quick, routes!(datasets::dataset_uses))
        .add(P::RequestWrite, Long, routes!(requests::request_create))
        .add(P::Read, Quick, routes!(requests::request_list))
        .add(P::Read, Long, routes!(requests::request_get))
        .add(P::DataRead, Long, routes!(requests::request_result))
        .add(P::Read, Quick, routes!(requests::request_artifacts))
        .add(P::DataRead, Long, routes!(requests::request_artifact))
        .add(P::RequestWrite, Quick, routes!(requests::request_cancel))
        .add(P::Read, Quick, routes!(pools::pool_list))
        .add(P::Read, Quick, routes!(pools::pool_get))
        .add(P::Operate, Quick, routes!(pools::pool_put))
        .add(P::Read, Quick, routes!(executors::executor_list))
        .add(P::Read, Long, routes!(events::events))
}
