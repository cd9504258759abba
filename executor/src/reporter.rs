//! Telling the scheduler how attempts ended.
//!
//! Owns: the queue of reports, sent together when several wait, with a claim for the slots that
//! they free. Leaves to others: what is in a report ([`crate::report`]) and the blobs that it
//! names, which are stored before it is queued.
//!
//! A report is held until it is answered, however long the scheduler is away. One that the
//! scheduler fails at is sent again apart from the others; one that it does not understand goes
//! back to its attempt, which has something shorter to say.

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
/// How long to wait before a report that was refused for a reason outside of it is sent again, at
/// first.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long at most.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// What became of a report.
#[derive(Debug)]
pub enum Answer {
    /// The scheduler has settled it.
    Verdict(ReportVerdict),
    /// The scheduler does not understand it, and never will; this is what it said.
    Malformed(String),
}

/// A report and whom to tell what became of it.
#[derive(Debug)]
pub struct Queued {
    /// The report.
    pub report: Report,
    /// Gets the answer.
    pub done: oneshot::Sender<Answer>,
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
        send(node, std::mem::take(&mut batch)).await?;
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

/// Sends reports together, and each alone where that is refused: one that is at fault must not
/// hold up the others.
async fn send(node: &Arc<Node>, batch: Vec<Queued>) -> Result<(), ClientError> {
    fence_first(node);
    match complete(node, &batch).await {
        Ok(verdicts) => settle(batch, verdicts),
        Err(ClientError::Fenced) => return Err(ClientError::Fenced),
        Err(error) if batch.len() > 1 => {
            tracing::warn!(%error, reports = batch.len(), "the scheduler did not take reports together; sending each alone");
            for queued in batch {
                Box::pin(send(node, vec![queued])).await?;
            }
        }
        Err(error) => {
            for queued in batch {
                refused(node, queued, &error);
            }
        }
    }
    Ok(())
}

fn settle(batch: Vec<Queued>, verdicts: Vec<ReportVerdict>) {
    for (queued, verdict) in batch.into_iter().zip(verdicts) {
        // An attempt that was dropped meanwhile is in the journal.
        let _ = queued.done.send(Answer::Verdict(verdict));
    }
}

/// One report alone was refused: for good, or to be sent again apart from the others.
fn refused(node: &Arc<Node>, queued: Queued, error: &ClientError) {
    let key = &queued.report.lease.key;
    if is_about_content(error) {
        tracing::error!(run = %key.run, task = %key.task, %error, "the scheduler does not take a report");
        let _ = queued.done.send(Answer::Malformed(error.to_string()));
        return;
    }
    tracing::error!(run = %key.run, task = %key.task, %error, "the scheduler refused a report; it is held and sent again");
    // No answer to it is going to bring work for the slot that it freed.
    node.registry.capacity_changed.notify_one();
    node.spawn(hold(Arc::clone(node), queued));
}

/// Sends one report again and again until it is answered.
async fn hold(node: Arc<Node>, queued: Queued) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(REFUSED_PAUSE);
        fence_first(&node);
        match complete(&node, std::slice::from_ref(&queued)).await {
            Ok(verdicts) => return settle(vec![queued], verdicts),
            // The other calls find that out as well, and end the executor.
            Err(ClientError::Fenced) => return,
            Err(error) if is_about_content(&error) => return refused(&node, queued, &error),
            Err(error) => {
                tracing::debug!(run = %queued.report.lease.key.run, %error, "a report was refused again");
            }
        }
    }
}

/// Whether a report itself was refused, so that sending it again is pointless.
fn is_about_content(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status, .. } if matches!(status, 400 | 413 | 422))
}

/// One call, with a claim if there is room; one verdict for each report. The same call again means
/// the same.
async fn complete(node: &Arc<Node>, batch: &[Queued]) -> Result<Vec<ReportVerdict>, ClientError> {
    let claim = ClaimId::from_uuid(uuid::Uuid::now_v7());
    let free = pull_loop::free_slots(node);
    let completed: Completed = node
        .as_incarnation(|epoch| async move {
            let message = Complete {
                executor: node.home.id(),
                epoch,
                reports: batch.iter().map(|queued| queued.report.clone()).collect(),
                claim: (free > 0)
                    .then(|| pull_loop::message(node, claim, epoch, free, Duration::ZERO)),
            };
            node.client.complete(&message).await
        })
        .await?;
    // First, so that a freed slot is taken before its attempt leaves the registry.
    pull_loop::take(node, completed.claimed);
    if completed.verdicts.len() == batch.len() {
        return Ok(completed.verdicts);
    }
    Err(ClientError::Protocol {
        scheduler: "the scheduler".to_owned(),
        detail: format!(
            "{} verdicts for {} reports",
            completed.verdicts.len(),
            batch.len()
        ),
    })
}
