//! Pools.

use super::App;
use super::auth::Caller;
use super::cursor::List;
use super::error::{ApiError, ApiResult};
use super::extract::{Json, Path, Query};
use super::tasks::executor_ref;
use crate::leader::LeaderError;
use crate::service::views;
use axum::extract::State;
use axum::response::Response;
use belljar_api::page::PageQuery;
use belljar_api::pools::{Pool, PoolDetail, PoolHolder, PoolSet};
use belljar_api::problem::{Code, Problem};
use belljar_api::{Page, Time};
use belljar_engine::command::{Command, Reply};
use belljar_engine::view::Holder;
use belljar_ids::{Micros, PoolName};
use std::collections::HashMap;

/// The most slots that a pool may have.
const SLOTS_MAX: u32 = 1_000_000;
/// The longest description, in characters.
const DESCRIPTION_MAX: usize = 1_000;

/// All pools, by name.
#[utoipa::path(get, path = "/pools", tag = "pools", params(PageQuery),
    responses((status = 200, body = Page<Pool>)))]
pub(super) async fn pool_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let list = List::new(&app, "/pools", &[], &query)?;
    let page = app
        .store()
        .pool_list(&caller.tenant, list.cursor.as_ref(), list.limit)
        .await?;
    let names: Vec<PoolName> = page.items.iter().map(|row| row.pool.clone()).collect();
    let (held, _) = holders(&app, &caller, names).await?;
    Ok(list.answer(page, |row| {
        let used = held.get(&row.pool).map_or(0, |holders| used(holders));
        views::pool(row, used)
    }))
}

/// A pool with who holds its slots.
#[utoipa::path(get, path = "/pools/{name}", tag = "pools", params(("name" = String, Path)),
    responses((status = 200, body = PoolDetail),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn pool_get(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<PoolName>,
) -> ApiResult<Json<PoolDetail>> {
    let row = app.store().pool_get(&caller.tenant, &name).await?;
    let row = row.ok_or_else(|| ApiError::not_found("pool", &name))?;
    let (mut held, now) = holders(&app, &caller, vec![name.clone()]).await?;
    let held = held.remove(&name).unwrap_or_default();
    let mut holders = Vec::with_capacity(held.len());
    for holder in &held {
        let attempts = super::tasks::attempt_rows(&app, &caller, &holder.key).await?;
        // A lease that ended since the question was asked holds nothing any more.
        if let Some(attempt) = attempts.into_iter().rfind(|attempt| attempt.live) {
            holders.push(PoolHolder {
                run: holder.key.run,
                task: holder.key.task.clone(),
                map_index: holder.key.map_index,
                slots: holder.slots,
                executor: executor_ref(&app, &caller, attempt.executor).await?,
                since: attempt.granted_at.into(),
            });
        }
    }
    Ok(Json(PoolDetail {
        pool: views::pool(row, used(&held)),
        holders,
        as_of: Time::from(now),
    }))
}

/// Makes or changes a pool.
#[utoipa::path(put, path = "/pools/{name}", tag = "pools", params(("name" = String, Path)),
    request_body = PoolSet,
    responses((status = 200, body = Pool),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn pool_put(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<PoolName>,
    Json(set): Json<PoolSet>,
) -> ApiResult<Json<Pool>> {
    if set.slots > SLOTS_MAX {
        let detail = format!("a pool has at most {SLOTS_MAX} slots");
        return Err(ApiError::new(Code::Invalid, detail));
    }
    let description = set.description.as_deref().unwrap_or_default();
    if description.chars().count() > DESCRIPTION_MAX {
        let detail = format!("a description has at most {DESCRIPTION_MAX} characters");
        return Err(ApiError::new(Code::Invalid, detail));
    }
    let command = Command::PoolPut {
        tenant: caller.tenant.clone(),
        pool: name.clone(),
        slots: set.slots,
        description: set.description,
        principal: caller.principal.clone(),
    };
    let Reply::Pool(row) = app.leader().send(command).await? else {
        return Err(LeaderError::Internal.into());
    };
    let (mut held, _) = holders(&app, &caller, vec![name.clone()]).await?;
    let used = used(&held.remove(&name).unwrap_or_default());
    Ok(Json(views::pool(row, used)))
}

fn used(holders: &[Holder]) -> u32 {
    holders
        .iter()
        .fold(0, |sum, holder| sum.saturating_add(holder.slots))
}

/// Who holds slots of these pools, at which moment.
async fn holders(
    app: &App,
    caller: &Caller,
    pools: Vec<PoolName>,
) -> ApiResult<(HashMap<PoolName, Vec<Holder>>, Micros)> {
    let tenant = caller.tenant.clone();
    let question = move |engine: &belljar_engine::Engine, now| {
        let of = |pool: PoolName| (pool.clone(), engine.pool_holders(&tenant, &pool));
        (pools.into_iter().map(of).collect(), now)
    };
    Ok(app.leader().query(question).await?)
}
