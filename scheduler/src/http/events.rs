//! The event stream.

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::extract::Query;
use crate::leader::{EventRing, FellBehind};
use crate::service::waiting;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use belljar_api::events::{Event, EventQuery, Reset};
use belljar_api::problem::Code;
use belljar_engine::rows;
use belljar_ids::{EventSeq, RunId, TenantId};
use futures::Stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often a comment says that the stream is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events taken from the ring at a time.
const CHUNK: usize = 256;

/// The data of one frame of the stream, for the OpenAPI document.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
enum Frame {
    /// Of an event named by its kind.
    Event(Event),
    /// Of an event `reset`.
    Reset(Reset),
}

/// What happens, as server-sent events. `id` is the event's place in the log.
#[utoipa::path(get, path = "/events", tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, body = inline(Frame), content_type = "text/event-stream", description = "Events `<kind>` with an Event each, and `reset` with a Reset")))]
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> ApiResult<Response> {
    let sent = headers.get("last-event-id");
    let sent = sent.map(|sent| sent.to_str().ok().and_then(|text| text.parse::<i64>().ok()));
    let after = match sent {
        Some(None) => {
            let detail = "Last-Event-ID is not an event's id";
            return Err(ApiError::new(Code::BadRequest, detail));
        }
        Some(after) => after,
        None => query.after,
    };
    let stream = stream(app, caller.tenant, query.run, after.map(EventSeq));
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    // A proxy that gathers bytes would hold events back.
    response.headers_mut().insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    Ok(response)
}

/// The stream; ends when the server stops.
fn stream(
    app: App,
    tenant: TenantId,
    run: Option<RunId>,
    after: Option<EventSeq>,
) -> impl Stream<Item = Result<Sent, Infallible>> {
    async_stream::stream! {
        let ring = app.leader().events();
        let mut news = ring.last();
        let mut place = after.unwrap_or_else(|| waiting::newest(ring));
        // So that the browser has its stream open before anything happens.
        yield Ok(Sent::default().comment("open"));
        loop {
            let newest = *news.borrow_and_update();
            match next(ring, place, newest) {
                Ok(events) => {
                    let last = events.last().map(|event| event.seq);
                    for event in events {
                        if event.tenant == tenant && (run.is_none() || event.run == run) {
                            yield Ok(sent(&event));
                        }
                    }
                    if let Some(last) = last {
                        place = last;
                        continue;
                    }
                }
                Err(reset) => {
                    place = reset.seq;
                    yield Ok(as_json(Sent::default().event("reset"), &reset));
                    continue;
                }
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { break },
                () = app.stop().cancelled() => break,
            }
        }
    }
}

/// What follows `place`, or that it cannot be told.
fn next(
    ring: &EventRing,
    place: EventSeq,
    newest: EventSeq,
) -> Result<Vec<Arc<rows::Event>>, Reset> {
    // A place that is not there yet is one of another log.
    if place > newest && place > waiting::newest(ring) {
        return Err(Reset { seq: newest });
    }
    ring.after(place, CHUNK).map_err(|FellBehind { .. }| Reset {
        seq: waiting::newest(ring),
    })
}

fn sent(event: &rows::Event) -> Sent {
    let frame = Sent::default().id(event.seq.to_string()).event(&event.kind);
    let view = Event {
        seq: event.seq,
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        run: event.run,
        time: event.time.into(),
        data: event.data.clone(),
    };
    as_json(frame, &view)
}

fn as_json(frame: Sent, data: &impl serde::Serialize) -> Sent {
    // Both types have no value that cannot be written.
    frame.json_data(data).unwrap_or_default()
}
