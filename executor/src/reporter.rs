//! Telling the scheduler how attempts ended.
//!
//! Owns: the queue of reports, sent together when several wait, with a claim for the slots that
//! they free. Leaves to others: what is in a report ([`crate::report`]) and the blobs that it
//! names, which are stored before it is queued.
//!
//! A report is held until it is answered, however long the scheduler is away.

use crate::clock::BootTime;
use crate::node::Node;
use crate::pull_loop;
use crate::registry::Stop;
use crate::scheduler_client::ClientError;
use crate::self_fence::{FenceAction, decide};
use belljar_api::executor::{Complete, Completed, Report, ReportVerdict};
use belljar_ids::ClaimId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Reports in one call at most.
const BATCH: usize = 64;
/// How long to wait before a call that was refused for a reason outside of the reports is sent
/// again.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// A report and whom to tell what became of it.
#[derive(Debug)]
pub struct Queued {
    /// The report.
    pub report: Report,
    /// Gets the verdict.
    pub done: oneshot::Sender<ReportVerdict>,
}

/// Sends reports as they come.
///
/// # Errors
///
/// `Fenced`: a later incarnation is at work.
pub async fn run(
    node: &Arc<Node>,
    queue: &mut mpsc::UnboundedReceiver<Queued>,
) -> Result<(), ClientError> {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut reports = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for queued in batch.drain(..) {
            reports.push(queued.report);
            waiting.push(queued.done);
        }
        fence_first(node);
        let verdicts = send(node, reports).await?;
        for (done, verdict) in waiting.into_iter().zip(verdicts) {
            // An attempt that was dropped meanwhile is in the journal.
            let _ = done.send(verdict);
        }
    }
    Ok(())
}

/// After a long sleep of the host, attempts that must not run any more are stopped before
/// anything is reported.
fn fence_first(node: &Node) {
    let (renewed, limit) = node.session.renewal();
    let policy = node.config.self_fence;
    if decide(policy, renewed, limit, BootTime::now()) == FenceAction::Kill {
        node.registry.stop_all(Stop::LeaseLost);
    }
}

/// Sends reports until they are answered; one verdict for each.
async fn send(node: &Arc<Node>, reports: Vec<Report>) -> Result<Vec<ReportVerdict>, ClientError> {
    loop {
        match complete(node, &reports).await {
            Ok(completed) => {
                // First, so that a freed slot is taken before its attempt leaves the registry.
                pull_loop::take(node, completed.claimed);
                return Ok(completed.verdicts);
            }
            Err(ClientError::Fenced) => return Err(ClientError::Fenced),
            Err(error) if is_about_content(&error) => {
                return send_each(node, reports, &error).await;
            }
            Err(error) => {
                tracing::error!(%error, "the scheduler refused a report; it is held and sent again");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// Whether a report itself was refused, so that sending it again is pointless.
fn is_about_content(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status, .. } if matches!(status, 400 | 413 | 422))
}

/// Finds the report that was refused by sending each alone.
async fn send_each(
    node: &Arc<Node>,
    reports: Vec<Report>,
    error: &ClientError,
) -> Result<Vec<ReportVerdict>, ClientError> {
    if let [report] = &reports[..] {
        tracing::error!(
            run = %report.lease.key.run, task = %report.lease.key.task, %error,
            "the scheduler does not take a report"
        );
        return Ok(vec![ReportVerdict::Invalid]);
    }
    let mut verdicts = Vec::with_capacity(reports.len());
    for report in reports {
        verdicts.extend(Box::pin(send(node, vec![report])).await?);
    }
    Ok(verdicts)
}

/// One call, with a claim if there is room. The same call again means the same.
async fn complete(node: &Arc<Node>, reports: &[Report]) -> Result<Completed, ClientError> {
    let claim = ClaimId::from_uuid(uuid::Uuid::now_v7());
    let free = pull_loop::free_slots(node);
    let completed = node
        .as_incarnation(|epoch| async move {
            let message = Complete {
                executor: node.home.id(),
                epoch,
                reports: reports.to_vec(),
                claim: (free > 0)
                    .then(|| pull_loop::message(node, claim, epoch, free, Duration::ZERO)),
            };
            node.client.complete(&message).await
        })
        .await?;
    if completed.verdicts.len() == reports.len() {
        return Ok(completed);
    }
    Err(ClientError::Protocol {
        scheduler: "the scheduler".to_owned(),
        detail: format!(
            "{} verdicts for {} reports",
            completed.verdicts.len(),
            reports.len()
        ),
    })
}
