//! The executor protocol's server side: messages to commands, and bytes under leases.
//!
//! Owns: translation, and the check of a lease before any of its bytes move. Leaves to others: who gets,
//! keeps and ends a lease (the engine). Log bytes and blobs never pass through the engine or the
//! database.

use super::App;
use super::blobs::announced;
use super::error::{ApiError, ApiResult};
use super::executor_wire::{
    blob_ref, claim_of, claimed_of, held, lease_of, output_blob, outputs_of, report_verdict,
    verdict,
};
use super::extract::{Json, Path, Query};
use crate::leader::LeaderError;
use crate::service::logs::{LogError, LogKey};
use crate::service::views::ReportDetail;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belljar_api::executor as wire;
use belljar_api::problem::Code;
use belljar_engine::command::{self, Command, Reply};
use belljar_engine::plan::{BlobRef, ImageSource, Outputs, Payload, PlannedInput, RunPlan, Work};
use belljar_engine::rows::AttemptRow;
use belljar_ids::{Digest, Fence, InstanceKey, MapIndex, TenantId};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// The largest message, bytes: reports of many attempts, each with a small result.
pub(super) const BODY_BYTES: usize = 16 << 20;
/// Bytes allowed beyond `/out` for what an executor itself writes under a lease: the receipt.
const RECEIPT_BYTES: u64 = 4 << 20;

/// An executor begins.
pub(super) async fn register(
    State(app): State<App>,
    Json(message): Json<wire::Register>,
) -> ApiResult<Json<wire::Registered>> {
    if message.protocol != wire::PROTOCOL_VERSION {
        let detail = format!("this scheduler speaks version {}", wire::PROTOCOL_VERSION);
        return Err(ApiError::new(Code::ProtocolVersion, detail));
    }
    let mut info = message.info;
    if let serde_json::Value::Object(info) = &mut info {
        info.insert("boot_id".to_owned(), message.boot_id.into());
    }
    let command = Command::ExecutorRegister(Box::new(command::Register {
        tenant: TenantId::default_tenant(),
        executor: message.executor,
        name: message.name,
        slots: message.slots.max(1),
        gvisor: message.gvisor,
        info,
        held: message.held.into_iter().map(held).collect(),
    }));
    let Reply::Registered { epoch, verdicts } = app.leader().send(command).await? else {
        return Err(LeaderError::Internal.into());
    };
    Ok(Json(wire::Registered {
        epoch,
        timing: app.config().lease_timing,
        verdicts: verdicts.into_iter().map(verdict).collect(),
    }))
}

/// An executor asks for work; held back while there is none.
pub(super) async fn claim(
    State(app): State<App>,
    Json(message): Json<wire::Claim>,
) -> ApiResult<Json<wire::Claimed>> {
    // Dropping the wait abandons the claim: what it would have got goes to others.
    let claimed = tokio::select! {
        claimed = app.leader().claim(claim_of(message)) => claimed?,
        () = app.stop().cancelled() => {
            return Err(ApiError::new(Code::NotLeader, "this scheduler is stopping"));
        }
    };
    Ok(Json(claimed_of(claimed)))
}

/// An executor lists its leases.
pub(super) async fn heartbeat(
    State(app): State<App>,
    Json(message): Json<wire::Heartbeat>,
) -> ApiResult<Json<wire::HeartbeatAnswer>> {
    let command = Command::Heartbeat(command::Heartbeat {
        executor: message.executor,
        epoch: message.epoch,
        leases: message.leases.into_iter().map(held).collect(),
        unavailable: message.unavailable,
    });
    let Reply::Heartbeat(verdicts) = app.leader().send(command).await? else {
        return Err(LeaderError::Internal.into());
    };
    Ok(Json(wire::HeartbeatAnswer {
        verdicts: verdicts.into_iter().map(verdict).collect(),
    }))
}

/// Attempts ended.
pub(super) async fn complete(
    State(app): State<App>,
    Json(message): Json<wire::Complete>,
) -> ApiResult<Json<wire::Completed>> {
    let mut reports = Vec::with_capacity(message.reports.len());
    for report in message.reports {
        reports.push(report_of(&app, report).await?);
    }
    let command = Command::Complete(command::Complete {
        executor: message.executor,
        epoch: message.epoch,
        reports,
        claim: message.claim.map(claim_of),
    });
    let Reply::Completed { verdicts, claimed } = app.leader().send(command).await? else {
        return Err(LeaderError::Internal.into());
    };
    Ok(Json(wire::Completed {
        verdicts: verdicts.into_iter().map(report_verdict).collect(),
        claimed: claimed_of(claimed),
    }))
}

/// Leases come back unused.
pub(super) async fn release(
    State(app): State<App>,
    Json(message): Json<wire::Release>,
) -> ApiResult<StatusCode> {
    let command = Command::Release {
        executor: message.executor,
        epoch: message.epoch,
        leases: message.leases.into_iter().map(lease_of).collect(),
    };
    app.leader().send(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Bytes that the lease's work reads.
pub(super) async fn blob_get(
    State(app): State<App>,
    Path(digest): Path<Digest>,
    Query(query): Query<wire::LeaseQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let key = instance(query.run, query.task, query.map_index);
    let lease = Held::check(&app, &key, query.fence, &headers).await?;
    if !lease.may_read(&app, digest).await? {
        return Err(ApiError::new(
            Code::Forbidden,
            "these bytes are not an input or the image of this lease",
        ));
    }
    let reading = app.blobs().open_blob(&lease.attempt.tenant, digest).await?;
    let headers = [(header::CONTENT_LENGTH, reading.size.to_string())];
    Ok((headers, Body::from_stream(reading.stream)).into_response())
}

/// Bytes that the lease's work wrote.
pub(super) async fn blob_put(
    State(app): State<App>,
    Path(digest): Path<Digest>,
    Query(query): Query<wire::LeaseQuery>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<StatusCode> {
    let key = instance(query.run, query.task, query.map_index);
    let lease = Held::check(&app, &key, query.fence, &headers).await?;
    let out = lease.work(&key)?.resources.disk_bytes;
    let max = out
        .saturating_add(RECEIPT_BYTES)
        .min(app.config().blob_bytes);
    announced(&headers, max)?;
    let put = app
        .blobs()
        .put(&lease.attempt.tenant, digest, max, body.into_data_stream())
        .await?;
    Ok(if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    })
}

/// Bytes of a log, from an offset.
pub(super) async fn log_put(
    State(app): State<App>,
    Query(query): Query<wire::LogQuery>,
    headers: HeaderMap,
    bytes: Bytes,
) -> ApiResult<Json<wire::LogWritten>> {
    let instance = instance(query.run, query.task, query.map_index);
    let attempt = Held::attempt(&app, &instance, query.fence, &headers).await?;
    let key = LogKey {
        tenant: attempt.tenant,
        instance,
        fence: query.fence,
        stream: query.stream,
    };
    let size = match app.logs().append(key, query.offset, bytes).await {
        // The executor goes on from there.
        Err(LogError::Gap { end }) => end,
        appended => appended?,
    };
    Ok(Json(wire::LogWritten { size }))
}

fn instance(
    run: belljar_ids::RunId,
    task: belljar_ids::TaskName,
    map_index: MapIndex,
) -> InstanceKey {
    InstanceKey {
        run,
        task,
        map_index,
    }
}

/// A live lease whose token was sent.
struct Held {
    attempt: AttemptRow,
    plan: Arc<RunPlan>,
}

impl Held {
    /// The attempt under this lease, if it lives and the token is its own.
    async fn attempt(
        app: &App,
        key: &InstanceKey,
        fence: Fence,
        headers: &HeaderMap,
    ) -> ApiResult<AttemptRow> {
        let gone = || ApiError::new(Code::LeaseGone, "the lease is not the current one");
        let token = headers.get(wire::LEASE_TOKEN_HEADER).ok_or_else(gone)?;
        let sent: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let found = app.store().attempt_find(&[(key.clone(), fence)]).await?;
        let attempt = found.into_iter().next().filter(|attempt| attempt.live);
        let attempt = attempt.ok_or_else(gone)?;
        if bool::from(attempt.token_hash.as_bytes().ct_eq(&sent)) {
            Ok(attempt)
        } else {
            Err(gone())
        }
    }

    async fn check(
        app: &App,
        key: &InstanceKey,
        fence: Fence,
        headers: &HeaderMap,
    ) -> ApiResult<Self> {
        let attempt = Self::attempt(app, key, fence, headers).await?;
        let (_, plan) = super::runs::find(app, &attempt.tenant, key.run).await?;
        Ok(Self { attempt, plan })
    }

    fn work(&self, key: &InstanceKey) -> ApiResult<&Work> {
        let mut tasks = self.plan.tasks.iter();
        let task = tasks.find(|task| task.name == key.task);
        let task = task.ok_or_else(|| ApiError::not_found("task", &key.task))?;
        Ok(&task.work)
    }

    /// Whether these bytes are the image or an input of the lease's work.
    async fn may_read(&self, app: &App, digest: Digest) -> ApiResult<bool> {
        let work = self.work(&self.attempt.key)?;
        let of_image = work
            .image
            .from
            .iter()
            .any(|source| matches!(source, ImageSource::Blob(blob) if blob.digest == digest));
        if of_image {
            return Ok(true);
        }
        for input in work.inputs.values() {
            let found = match input {
                PlannedInput::Dataset { blob, .. } => blob.digest == digest,
                PlannedInput::Task { task, output } => {
                    let key = InstanceKey {
                        task: task.clone(),
                        ..self.attempt.key.clone()
                    };
                    let row = app.store().task_get(&self.attempt.tenant, &key).await?;
                    let outputs = row.and_then(|row| row.outputs);
                    outputs.is_some_and(|outputs| {
                        output_blob(&outputs, output).is_some_and(|blob| blob.digest == digest)
                    })
                }
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A report as the engine takes it. One that names bytes which are not there is made to contradict
/// itself, so that the engine refuses it: nothing accepted may be missing afterwards.
async fn report_of(app: &App, report: wire::Report) -> ApiResult<command::Report> {
    let outcome = report.outcome;
    let detail = ReportDetail {
        logs: outcome.logs,
        peaks: outcome.peaks,
        timings_ms: outcome.timings_ms,
        dropped_files: outcome.dropped_files,
    };
    let receipt = outcome.receipt.map(blob_ref);
    let outputs = outcome.outputs.map(outputs_of);
    let attempt = app
        .store()
        .attempt_find(&[(report.lease.key.clone(), report.lease.fence)])
        .await?;
    let complete = match attempt.first() {
        Some(attempt) => stored(app, &attempt.tenant, outputs.as_ref(), receipt.as_ref()).await?,
        // The engine says what it is.
        None => true,
    };
    Ok(command::Report {
        lease: lease_of(report.lease),
        digest: report.digest,
        cause: outcome.cause,
        message: outcome.message,
        ended_by_itself: outcome.ended_by_itself,
        exit_code: outcome.exit_code,
        started_ms_ago: outcome.started_ms_ago,
        outputs: outputs.filter(|_| complete),
        detail: serde_json::to_value(detail).unwrap_or_default(),
        receipt,
    })
}

/// Whether every blob that a report names is there, and a result in place is what it says.
async fn stored(
    app: &App,
    tenant: &TenantId,
    outputs: Option<&Outputs>,
    receipt: Option<&BlobRef>,
) -> ApiResult<bool> {
    let mut wanted: Vec<&BlobRef> = receipt.into_iter().collect();
    if let Some(outputs) = outputs {
        wanted.extend(outputs.artifacts.values().map(|artifact| &artifact.blob));
        match &outputs.result.inline {
            None => wanted.push(&outputs.result.blob),
            Some(text) => {
                let blob = &outputs.result.blob;
                let right = text.len() <= Payload::INLINE_MAX
                    && text.len() as u64 == blob.size
                    && crate::service::views::hashes_to(text.as_bytes(), &blob.digest);
                if !right {
                    return Ok(false);
                }
            }
        }
    }
    for blob in wanted {
        if app.blobs().size(tenant, blob.digest).await? != Some(blob.size) {
            tracing::warn!(digest = %blob.digest, "a report names bytes that are not here");
            return Ok(false);
        }
    }
    Ok(true)
}
