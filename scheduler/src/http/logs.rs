//! Logs, as they arrive.

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::extract::{Path, Query, wait_time};
use super::tasks::{attempt_rows, key, log_key, row};
use crate::service::logs::LogKey;
use crate::service::{views, waiting};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use belljar_api::executor::Stream;
use belljar_api::problem::{Code, Problem};
use belljar_api::tasks::LogQuery;
use belljar_api::{LOG_COMPLETE_HEADER, LOG_NEXT_OFFSET_HEADER};
use belljar_engine::rows::AttemptRow;
use belljar_ids::{Fence, InstanceKey, RunId, TaskName};
use bytes::Bytes;
use std::time::Duration;

/// Bytes sent where the caller does not say.
const LIMIT: u64 = 1 << 20;
/// The most bytes sent at once.
const LIMIT_MAX: u64 = 4 << 20;
/// The longest that an answer is held back for bytes.
const FOLLOW_MAX: Duration = Duration::from_secs(30);
/// Header that says which attempt's log this is.
const ATTEMPT: &str = "belljar-log-attempt";

/// Bytes of an attempt's log from an offset on.
#[utoipa::path(get, path = "/runs/{run}/tasks/{task}/logs", tag = "runs",
    params(("run" = String, Path), ("task" = String, Path), LogQuery),
    responses((status = 200, description = "The bytes; headers Belljar-Log-Next-Offset, Belljar-Log-Complete, Belljar-Log-Attempt", content_type = "text/plain"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn task_logs(
    State(app): State<App>,
    caller: Caller,
    Path((run, task)): Path<(RunId, TaskName)>,
    Query(query): Query<LogQuery>,
) -> ApiResult<Response> {
    let instance = key(run, task, query.index)?;
    row(&app, &caller, &instance).await?;
    let stream = match query.stream.as_deref() {
        None | Some("stdout") => Stream::Stdout,
        Some("stderr") => Stream::Stderr,
        Some(_) => {
            let detail = "`stream` is `stdout` or `stderr`";
            return Err(ApiError::new(Code::BadRequest, detail));
        }
    };
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("`limit` is 1 to {LIMIT_MAX}");
        return Err(ApiError::new(Code::BadRequest, detail));
    }
    let follow = wait_time(query.follow.as_deref(), FOLLOW_MAX)?;
    let offset = query.offset.unwrap_or(0);
    let attempt = attempt(&app, &caller, &instance, query.attempt).await?;
    let wanted = Wanted {
        key: log_key(&caller, &attempt, stream),
        offset,
        limit,
    };
    let read = wanted.read(&app, &caller, follow).await?;
    Ok(answer(attempt.fence, offset, read))
}

/// The attempt with this fence, or the newest.
async fn attempt(
    app: &App,
    caller: &Caller,
    key: &InstanceKey,
    fence: Option<i64>,
) -> ApiResult<AttemptRow> {
    let found = match fence {
        Some(fence) => {
            app.store()
                .attempt_get(&caller.tenant, key, Fence(fence))
                .await?
        }
        None => attempt_rows(app, caller, key).await?.pop(),
    };
    found.ok_or_else(|| match fence {
        Some(fence) => ApiError::not_found("attempt", fence),
        None => ApiError::new(Code::NotFound, "the task has not been tried yet"),
    })
}

struct Wanted {
    key: LogKey,
    offset: u64,
    limit: u64,
}

struct Read {
    bytes: Bytes,
    complete: bool,
}

impl Wanted {
    /// What there is; where that is nothing, waits for more for at most `follow`.
    async fn read(&self, app: &App, caller: &Caller, follow: Option<Duration>) -> ApiResult<Read> {
        let until = follow.map(|follow| tokio::time::Instant::now() + follow);
        let ring = app.leader().events();
        let mut place = waiting::newest(ring);
        loop {
            // In this order: where the attempt has ended before, every byte was there before.
            let ended = self.final_size(app, caller).await?;
            let bytes = app.logs().read(&self.key, self.offset, self.limit).await?;
            let next = self.offset.saturating_add(bytes.len() as u64);
            let complete = match ended {
                Some(size) => next >= size || app.logs().size(&self.key).await? <= next,
                None => false,
            };
            let Some(until) = until.filter(|_| bytes.is_empty() && !complete) else {
                return Ok(Read { bytes, complete });
            };
            tokio::select! {
                grown = app.logs().grown(&self.key, self.offset) => grown?,
                changed = waiting::run_changed(ring, self.key.instance.run, place) => place = changed,
                () = tokio::time::sleep_until(until) => return Ok(Read { bytes, complete }),
                () = app.stop().cancelled() => return Ok(Read { bytes, complete }),
            }
        }
    }

    /// How long the log is, once the attempt has ended.
    async fn final_size(&self, app: &App, caller: &Caller) -> ApiResult<Option<u64>> {
        let row = app
            .store()
            .attempt_get(&caller.tenant, &self.key.instance, self.key.fence)
            .await?;
        let ended = row.filter(|row| !row.live);
        let ends = ended.map(|row| views::report_detail(&row).logs);
        Ok(ends.map(|ends| match self.key.stream {
            Stream::Stdout => ends.stdout.size,
            Stream::Stderr => ends.stderr.size,
        }))
    }
}

fn answer(fence: Fence, offset: u64, read: Read) -> Response {
    let next = offset.saturating_add(read.bytes.len() as u64);
    let mut response = read.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        HeaderName::from_static(LOG_NEXT_OFFSET_HEADER),
        HeaderValue::from(next),
    );
    headers.insert(
        HeaderName::from_static(LOG_COMPLETE_HEADER),
        HeaderValue::from_static(if read.complete { "true" } else { "false" }),
    );
    headers.insert(HeaderName::from_static(ATTEMPT), HeaderValue::from(fence.0));
    response
}
