//! The stand-in's side of each call.

use super::{CREDENTIAL, Standin, World, image};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use belljar_api::executor::{
    CancelRef, Claim, Claimed, Complete, Completed, Heartbeat, HeartbeatAnswer, HeldLease,
    LEASE_TOKEN_HEADER, LeaseQuery, LeaseRef, LeaseTiming, LeaseVerdict, LogQuery, LogWritten,
    Register, Registered, Release, Report, ReportVerdict,
};
use belljar_ids::{Cause, Digest, Epoch, Fence, InstanceKey};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

type Shared = State<Arc<Standin>>;

/// All calls of the protocol.
pub fn router(standin: Arc<Standin>) -> Router {
    Router::new()
        .route("/executor/v1/register", post(register))
        .route("/executor/v1/claim", post(claim))
        .route("/executor/v1/heartbeat", post(heartbeat))
        .route("/executor/v1/complete", post(complete))
        .route("/executor/v1/release", post(release))
        .route("/executor/v1/blobs/{digest}", put(blob_put).get(blob_get))
        .route("/executor/v1/logs", put(log_put))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(standin)
}

/// A refusal: status and code.
struct Refused(u16, &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, code) = self;
        let body = json!({
            "type": format!("urn:belljar:problem:{code}"), "title": code, "status": status,
            "detail": "a test wants it", "instance": "/", "code": code, "request_id": "r",
        });
        (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
    }
}

fn answer(value: &impl serde::Serialize) -> Response {
    axum::Json(serde_json::to_value(value).unwrap()).into_response()
}

/// Refuses a call for reasons that come before its content.
fn gate(world: &World, headers: &HeaderMap, epoch: Option<Epoch>) -> Result<(), Refused> {
    let credential = headers.get("authorization").and_then(|v| v.to_str().ok());
    assert_eq!(credential, Some(format!("Bearer {CREDENTIAL}").as_str()));
    if world.faults.away {
        return Err(Refused(503, "not_leader"));
    }
    match epoch {
        Some(_) if !world.known => Err(Refused(409, "executor_unknown")),
        Some(epoch) if epoch.0 != world.epoch => Err(Refused(409, "executor_fenced")),
        _ => Ok(()),
    }
}

/// Loses the answer to a call, if that was asked for.
fn maybe_lost(standin: &Standin, call: &'static str, response: Response) -> Response {
    let mut world = standin.world();
    let lose = world.faults.lose_answer.entry(call).or_default();
    if *lose == 0 {
        return response;
    }
    *lose -= 1;
    // A body that breaks off is a lost answer to the client.
    let broken = futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("the connection breaks"))
    });
    axum::body::Body::from_stream(broken).into_response()
}

async fn register(State(s): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let message: Register = serde_json::from_slice(&body).unwrap();
    let registered: Result<_, Refused> = s.change(|world| {
        if let Err(refused) = gate(world, &headers, None) {
            world.turned_away.push(message);
            return Err(refused);
        }
        world.epoch += 1;
        world.known = true;
        world.executor = Some(message.executor);
        let verdicts = verdicts(world, &message.held);
        // What is not in its journal never began.
        let held: HashSet<_> = message
            .held
            .iter()
            .map(|held| key_of(&held.lease))
            .collect();
        let never: Vec<_> = world
            .live
            .keys()
            .filter(|k| !held.contains(*k))
            .cloned()
            .collect();
        for key in never {
            let mut lease = world.live.remove(&key).unwrap();
            lease.lease.fence = lease.lease.fence.next();
            world.ready.push(lease);
        }
        world.registered.push(message);
        Ok(Registered {
            epoch: Epoch(world.epoch),
            timing: LeaseTiming {
                ttl_ms: 4000,
                heartbeat_ms: 500,
                self_fence_ms: 2600,
            },
            verdicts,
        })
    });
    match registered {
        Ok(registered) => maybe_lost(&s, "register", answer(&registered)),
        Err(refused) => refused.into_response(),
    }
}

fn key_of(lease: &LeaseRef) -> (InstanceKey, Fence) {
    (lease.key.clone(), lease.fence)
}

fn verdicts(world: &mut World, held: &[HeldLease]) -> Vec<LeaseVerdict> {
    world.max_held = world.max_held.max(held.len());
    held.iter()
        .map(|held| {
            let key = key_of(&held.lease);
            if !world.live.contains_key(&key) {
                return LeaseVerdict::Gone;
            }
            world.phases.insert(key.clone(), held.phase);
            if world.cancel.contains(&key) {
                LeaseVerdict::Cancel
            } else {
                LeaseVerdict::Ok
            }
        })
        .collect()
}

/// Grants what is ready and says what is cancelled.
fn grant(world: &mut World, claim: &Claim) -> Claimed {
    if let Some(leases) = world.answered.get(&claim.claim.to_string()) {
        return Claimed {
            leases: leases.clone(),
            cancel: Vec::new(),
        };
    }
    let count = world.ready.len().min(claim.free_slots as usize);
    let leases: Vec<_> = world.ready.drain(..count).collect();
    for lease in &leases {
        world.live.insert(key_of(&lease.lease), lease.clone());
    }
    let cancel: Vec<_> = world
        .cancel
        .iter()
        .filter(|key| world.live.contains_key(*key) && !world.cancel_told.contains(*key))
        .cloned()
        .collect();
    world.cancel_told.extend(cancel.iter().cloned());
    if !leases.is_empty() {
        world
            .answered
            .insert(claim.claim.to_string(), leases.clone());
    }
    Claimed {
        leases,
        cancel: cancel
            .into_iter()
            .map(|(key, fence)| CancelRef { key, fence })
            .collect(),
    }
}

async fn claim(State(s): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let message: Claim = serde_json::from_slice(&body).unwrap();
    let mine = s.change(|world| {
        world.parked += 1;
        world.parked
    });
    let until = tokio::time::Instant::now() + Duration::from_millis(message.wait_ms);
    let claimed = loop {
        let changed = s.changed.notified();
        {
            let mut world = s.world();
            if let Err(refused) = gate(&world, &headers, Some(message.epoch)) {
                return refused.into_response();
            }
            // A newer claim has taken its place.
            if world.parked != mine {
                break Claimed::default();
            }
            let claimed = grant(&mut world, &message);
            if !claimed.leases.is_empty() || !claimed.cancel.is_empty() {
                break claimed;
            }
        }
        if tokio::time::timeout_at(until, changed).await.is_err() {
            break Claimed::default();
        }
    };
    s.changed.notify_waiters();
    maybe_lost(&s, "claim", answer(&claimed))
}

async fn heartbeat(State(s): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let message: Heartbeat = serde_json::from_slice(&body).unwrap();
    let verdicts: Result<_, Refused> = s.change(|world| {
        gate(world, &headers, Some(message.epoch))?;
        if world.faults.fenced {
            return Err(Refused(409, "executor_fenced"));
        }
        let verdicts = verdicts(world, &message.leases);
        world.heartbeats.push(message);
        Ok(HeartbeatAnswer { verdicts })
    });
    match verdicts {
        Ok(verdicts) => maybe_lost(&s, "heartbeat", answer(&verdicts)),
        Err(refused) => refused.into_response(),
    }
}

async fn complete(State(s): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let message: Complete = serde_json::from_slice(&body).unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let completed: Result<_, Refused> = s.change(|world| {
        gate(world, &headers, Some(message.epoch))?;
        if world.faults.hold_reports {
            world.reports_held += 1;
            return Err(Refused(503, "busy"));
        }
        if let Some((status, at_fault)) = world.faults.refuse_report
            && message.reports.iter().any(at_fault)
        {
            world.reports_refused.push(message.reports.len());
            return Err(Refused(status, "a_report"));
        }
        let verdicts = message
            .reports
            .iter()
            .zip(sent["reports"].as_array().unwrap())
            .map(|(report, sent)| accept(world, report, sent))
            .collect();
        let claimed = message.claim.as_ref().map(|claim| grant(world, claim));
        Ok(Completed {
            verdicts,
            claimed: claimed.unwrap_or_default(),
        })
    });
    match completed {
        Ok(completed) => maybe_lost(&s, "complete", answer(&completed)),
        Err(refused) => refused.into_response(),
    }
}

/// As the engine does: by fence, then by digest.
fn accept(world: &mut World, report: &Report, sent: &Value) -> ReportVerdict {
    let key = key_of(&report.lease);
    let text = serde_json::to_vec(&report.outcome).unwrap();
    assert_eq!(image::sha256(&text), report.digest, "{sent}");
    world.reports_seen.push((key.0.clone(), report.digest));
    if let Some(earlier) = world.accepted.get(&key) {
        return if earlier.digest == report.digest {
            ReportVerdict::Accepted
        } else {
            ReportVerdict::DigestMismatch
        };
    }
    let Some(mut lease) = world.live.remove(&key) else {
        return ReportVerdict::StaleFence;
    };
    if world.faults.invalid == Some(key.0.task.as_str()) {
        return ReportVerdict::Invalid;
    }
    let lost = matches!(
        report.outcome.cause,
        Some(Cause::ExecutorError | Cause::EngineRestarted)
    );
    if lost && world.faults.retry_lost {
        lease.lease.fence = lease.lease.fence.next();
        world.ready.push(lease);
    }
    world.accepted.insert(key, report.clone());
    ReportVerdict::Accepted
}

async fn release(State(s): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let message: Release = serde_json::from_slice(&body).unwrap();
    s.change(|world| {
        if let Err(refused) = gate(world, &headers, Some(message.epoch)) {
            return refused.into_response();
        }
        for lease in message.leases {
            if let Some(mut live) = world.live.remove(&key_of(&lease)) {
                live.lease.fence = live.lease.fence.next();
                world.ready.push(live);
            }
            world.released.push(lease);
        }
        StatusCode::NO_CONTENT.into_response()
    })
}

/// Whether a blob or log call is made under a live lease.
fn under(world: &World, headers: &HeaderMap, key: &(InstanceKey, Fence)) -> Result<(), Refused> {
    gate(world, headers, None)?;
    let token = headers
        .get(LEASE_TOKEN_HEADER)
        .and_then(|v| v.to_str().ok());
    match world.live.get(key) {
        Some(lease) if Some(lease.lease.token.as_str()) == token => Ok(()),
        // Its report may have been accepted with the answer lost.
        None if world.accepted.contains_key(key) => Ok(()),
        _ => Err(Refused(409, "lease_gone")),
    }
}

fn instance(query: &LeaseQuery) -> (InstanceKey, Fence) {
    let key = InstanceKey {
        run: query.run,
        task: query.task.clone(),
        map_index: query.map_index,
    };
    (key, query.fence)
}

async fn blob_get(
    State(s): Shared,
    Path(digest): Path<Digest>,
    Query(query): Query<LeaseQuery>,
    headers: HeaderMap,
) -> Response {
    let world = s.world();
    if let Err(refused) = under(&world, &headers, &instance(&query)) {
        return refused.into_response();
    }
    match world.blobs.get(&digest) {
        Some(bytes) => bytes.clone().into_response(),
        None => Refused(404, "not_found").into_response(),
    }
}

async fn blob_put(
    State(s): Shared,
    Path(digest): Path<Digest>,
    Query(query): Query<LeaseQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    s.change(|world| {
        if let Err(refused) = under(world, &headers, &instance(&query)) {
            return refused.into_response();
        }
        if image::sha256(&body) != digest {
            return Refused(422, "digest_mismatch").into_response();
        }
        world.blobs.insert(digest, body.to_vec());
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn log_put(
    State(s): Shared,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let lease = LeaseQuery {
        run: query.run,
        task: query.task,
        map_index: query.map_index,
        fence: query.fence,
    };
    let key = instance(&lease);
    let written: Result<_, Refused> = s.change(|world| {
        under(world, &headers, &key)?;
        let log = world.logs.entry((key.0, key.1, query.stream)).or_default();
        let offset = usize::try_from(query.offset).unwrap();
        if offset <= log.len() {
            let known = (log.len() - offset).min(body.len());
            assert_eq!(
                log[offset..offset + known],
                body[..known],
                "other bytes than before"
            );
            log.extend_from_slice(&body[known..]);
        }
        Ok(LogWritten {
            size: log.len() as u64,
        })
    });
    match written {
        Ok(written) => maybe_lost(&s, "logs", answer(&written)),
        Err(refused) => refused.into_response(),
    }
}
