//! Executors as an operator sees them.

use super::App;
use super::auth::Caller;
use super::cursor::List;
use super::error::ApiResult;
use super::extract::Query;
use axum::extract::State;
use axum::response::Response;
use belljar_api::executors::{Executor, ExecutorLease, ExecutorState};
use belljar_api::page::PageQuery;
use belljar_api::{Page, Time};
use belljar_engine::rows::ExecutorRow;
use belljar_engine::view::ExecutorView;
use belljar_ids::{ExecutorId, TaskState};
use std::collections::HashMap;

/// All executors, by id.
#[utoipa::path(get, path = "/executors", tag = "executors", params(PageQuery),
    responses((status = 200, body = Page<Executor>)))]
pub(super) async fn executor_list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let list = List::new(&app, "/executors", &[], &query)?;
    let page = app
        .store()
        .executor_list(&caller.tenant, list.cursor.as_ref(), list.limit)
        .await?;
    let tenant = caller.tenant.clone();
    let live = app
        .leader()
        .query(move |engine, now| engine.executors(&tenant, now))
        .await?;
    let live: HashMap<ExecutorId, ExecutorView> = live
        .into_iter()
        .map(|view| (view.row.executor, view))
        .collect();
    let mut items = Vec::with_capacity(page.items.len());
    for row in page.items {
        let found = live.get(&row.executor);
        let leases = leases(&app, &caller, found).await?;
        items.push(view(row, found, leases));
    }
    Ok(list.answer_items(items, page.next.as_ref()))
}

async fn leases(
    app: &App,
    caller: &Caller,
    found: Option<&ExecutorView>,
) -> ApiResult<Vec<ExecutorLease>> {
    let mut leases = Vec::new();
    for (key, fence, state) in found.iter().flat_map(|found| &found.leases) {
        let row = app.store().attempt_get(&caller.tenant, key, *fence).await?;
        // Granted since the last commit that this read sees: it is in the next answer.
        let Some(row) = row else { continue };
        leases.push(ExecutorLease {
            run: key.run,
            task: key.task.clone(),
            map_index: key.map_index,
            fence: *fence,
            granted_at: row.granted_at.into(),
            started_at: row
                .started_at
                .filter(|_| *state != TaskState::Leased)
                .map(Time::from),
        });
    }
    Ok(leases)
}

fn view(row: ExecutorRow, found: Option<&ExecutorView>, leases: Vec<ExecutorLease>) -> Executor {
    let unavailable = found.and_then(|found| found.unavailable.clone());
    let state = match found {
        Some(found) if found.alive && unavailable.is_none() => ExecutorState::Online,
        Some(found) if found.alive => ExecutorState::Unavailable,
        _ => ExecutorState::Offline,
    };
    let silent = found.map(|found| found.silent_for.as_millis());
    let gvisor = row.info.get("gvisor").and_then(serde_json::Value::as_bool);
    Executor {
        executor: row.executor,
        name: row.name,
        state,
        unavailable,
        epoch: row.epoch.0,
        slots: row.slots,
        slots_used: u32::try_from(leases.len()).unwrap_or(u32::MAX),
        leases,
        last_heard_ms: silent.map(|silent| u64::try_from(silent).unwrap_or(u64::MAX)),
        gvisor: gvisor.unwrap_or(false),
        info: row.info,
        registered_at: row.registered_at.into(),
    }
}
