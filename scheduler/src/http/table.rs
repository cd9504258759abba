//! The route table: no route without a permission.
//!
//! Owns: what every route declares, and the check of it before the handler runs. A route can only be
//! added here, so none can be left open by oversight; `tests/permissions.rs` walks the table all the
//! same.

use super::App;
use super::auth::{self, Caller};
use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use belljar_api::problem::Code;
use std::time::Duration;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};

/// What a caller needs to be allowed to do. The role `admin`, the one there is, may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Nothing: health, and signing in.
    None,
    /// To see what there is, without data.
    Read,
    /// To read results, artifacts and logs.
    DataRead,
    /// To apply, pause and unpause DAGs.
    DagWrite,
    /// To start and cancel runs.
    RunWrite,
    /// To make and cancel requests.
    RequestWrite,
    /// To put bytes into the blob store.
    BlobWrite,
    /// To publish analyses.
    AnalysisWrite,
    /// To put in datasets.
    DatasetWrite,
    /// To set pools and to trust analyses.
    Operate,
    /// To act as an executor, with an executor's credential; no user has it.
    Executor,
}

impl Permission {
    /// Its name in the OpenAPI document, as `x-permission`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::DataRead => "data_read",
            Self::DagWrite => "dag_write",
            Self::RunWrite => "run_write",
            Self::RequestWrite => "request_write",
            Self::BlobWrite => "blob_write",
            Self::AnalysisWrite => "analysis_write",
            Self::DatasetWrite => "dataset_write",
            Self::Operate => "operate",
            Self::Executor => "executor",
        }
    }
}

/// How long a route may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It answers within [`QUICK`] or is given up with 503.
    Quick,
    /// It holds its answer back, or moves as many bytes as there are: it bounds itself.
    Long,
}

/// The longest that a quick route may take, its body's arrival included.
pub const QUICK: Duration = Duration::from_secs(30);

/// One route of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method, in capitals.
    pub method: &'static str,
    /// The path with its parameters in braces, below the table's prefix.
    pub path: String,
    /// What it needs.
    pub permission: Permission,
}

/// Routes, what they need, and their description.
pub struct Table {
    app: App,
    router: OpenApiRouter<App>,
    routes: Vec<Route>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(app: App, document: utoipa::openapi::OpenApi) -> Self {
        Self {
            app,
            router: OpenApiRouter::with_openapi(document),
            routes: Vec::new(),
        }
    }

    /// Adds routes of one path that need `permission`.
    #[must_use]
    pub fn add(
        mut self,
        permission: Permission,
        pace: Pace,
        (schemas, mut paths, methods): UtoipaMethodRouter<App>,
    ) -> Self {
        for (path, item) in &mut paths.paths {
            let operations = [
                ("GET", &mut item.get),
                ("HEAD", &mut item.head),
                ("POST", &mut item.post),
                ("PUT", &mut item.put),
                ("DELETE", &mut item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    declare(operation, permission);
                    self.routes.push(Route {
                        method,
                        path: path.clone(),
                        permission,
                    });
                }
            }
        }
        let guarded = (schemas, paths, methods).layer(from_fn_with_state(
            (self.app.clone(), permission, pace),
            guard,
        ));
        self.router = self.router.routes(guarded);
        self
    }

    /// Adds routes of one path that are no part of the described API: `methods` names what `router`
    /// answers.
    #[must_use]
    pub fn add_plain(
        mut self,
        permission: Permission,
        pace: Pace,
        path: &str,
        methods: &[&'static str],
        router: MethodRouter<App>,
    ) -> Self {
        self.routes.extend(methods.iter().map(|method| Route {
            method,
            path: path.to_owned(),
            permission,
        }));
        let state = (self.app.clone(), permission, pace);
        let guarded = router.layer(from_fn_with_state(state, guard));
        self.router = self.router.route(path, guarded);
        self
    }

    /// The router, its description and the list of its routes.
    pub fn finish(self) -> (axum::Router<App>, utoipa::openapi::OpenApi, Vec<Route>) {
        let (router, document) = self.router.split_for_parts();
        (router, document, self.routes)
    }
}

/// Says in the document what the operation needs.
fn declare(operation: &mut Operation, permission: Permission) {
    operation.extensions = Some(
        ExtensionsBuilder::new()
            .add("x-permission", permission.as_str())
            .build(),
    );
    if permission == Permission::None {
        operation.security = Some(Vec::new());
    }
}

async fn guard(
    State((app, permission, pace)): State<(App, Permission, Pace)>,
    mut request: Request,
    next: Next,
) -> Response {
    // Apart from the body, which cannot be shared between threads.
    let (method, headers) = (request.method().clone(), request.headers().clone());
    match authorize(&app, permission, &method, &headers).await {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(error) => return error.into_response(),
    }
    match pace {
        Pace::Long => next.run(request).await,
        Pace::Quick => match tokio::time::timeout(QUICK, next.run(request)).await {
            Ok(response) => response,
            Err(_) => ApiError::new(Code::Unavailable, "it took too long and was given up")
                .into_response(),
        },
    }
}

async fn authorize(
    app: &App,
    permission: Permission,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Caller>, ApiError> {
    match permission {
        Permission::None => Ok(None),
        Permission::Executor => auth::executor(app, headers).map(|()| None),
        _ => {
            let caller = auth::caller(app, method, headers).await?;
            if caller.may(permission) {
                Ok(Some(caller))
            } else {
                Err(ApiError::new(
                    Code::Forbidden,
                    format!("this needs the permission `{}`", permission.as_str()),
                ))
            }
        }
    }
}
