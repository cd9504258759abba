//! Datasets.

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
use belljar_api::datasets::{
    Dataset, DatasetDetail, DatasetUse, DatasetUsesQuery, DatasetVersion, DatasetVersionCreate,
};
use belljar_api::page::PageQuery;
use belljar_api::problem::Problem;
use belljar_ids::DatasetName;

/// How many versions come with a dataset.
const VERSIONS: u32 = 100;

/// Makes a dataset version of bytes that were put before.
#[utoipa::path(post, path = "/datasets/{name}/versions", tag = "datasets", params(("name" = String, Path)),
    request_body = DatasetVersionCreate,
    responses((status = 201, body = DatasetVersion), (status = 200, body = DatasetVersion, description = "The newest version has these bytes"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "Not its owner"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn dataset_put(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DatasetName>,
    Json(create): Json<DatasetVersionCreate>,
) -> ApiResult<Response> {
    let (row, created) = app
        .service()
        .dataset_put(&caller.by(), name, create)
        .await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(views::dataset_version(row))).into_response())
}

/// All datasets, by name.
#[utoipa::path(get, path = "/datasets", tag = "datasets", params(PageQuery),
    responses((status = 200, body = Page<Dataset>)))]
pub(super) async fn dataset_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let list = List::new(&app, "/datasets", &[], &query)?;
    let page = app
        .store()
        .dataset_list(&caller.tenant, list.cursor.as_ref(), list.limit)
        .await?;
    Ok(list.answer(page, views::dataset))
}

/// A dataset with its newest versions.
#[utoipa::path(get, path = "/datasets/{name}", tag = "datasets", params(("name" = String, Path)),
    responses((status = 200, body = DatasetDetail),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn dataset_get(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DatasetName>,
) -> ApiResult<Json<DatasetDetail>> {
    let row = app.store().dataset_get(&caller.tenant, &name).await?;
    let row = row.ok_or_else(|| ApiError::not_found("dataset", &name))?;
    let versions = app
        .store()
        .dataset_version_list(&caller.tenant, &name, None, VERSIONS)
        .await?;
    Ok(Json(DatasetDetail {
        dataset: views::dataset(row),
        versions: versions
            .items
            .into_iter()
            .map(views::dataset_version)
            .collect(),
    }))
}

/// Who used a dataset for what, the newest first. For its owner.
#[utoipa::path(get, path = "/datasets/{name}/uses", tag = "datasets",
    params(("name" = String, Path), DatasetUsesQuery),
    responses((status = 200, body = Page<DatasetUse>),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "Not its owner")))]
pub(super) async fn dataset_uses(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DatasetName>,
    Query(query): Query<DatasetUsesQuery>,
) -> ApiResult<Response> {
    let by = caller.by();
    app.service().dataset_owned(&by, &name).await?;
    let version = query.version.map(|version| version.to_string());
    let page = PageQuery {
        limit: query.limit,
        cursor: query.cursor,
    };
    let path = format!("/datasets/{name}/uses");
    let list = List::new(&app, &path, &[("version", version.as_deref())], &page)?;
    let page = app
        .store()
        .dataset_uses(
            &caller.tenant,
            &name,
            query.version,
            list.cursor.as_ref(),
            list.limit,
        )
        .await?;
    let items = app.service().dataset_uses(&by, page.items).await?;
    Ok(list.answer_items(items, page.next.as_ref()))
}
