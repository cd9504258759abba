//! Telling the scheduler: logs and blobs first, then the report, until it is answered.

use super::{Attempt, Ended};
use crate::journal::{Record, Upload};
use crate::report::{Circumstances, Failure, failed};
use crate::reporter::{Answer, Queued};
use crate::scheduler_client::{ClientError, Under};
use belljar_api::executor::{Outcome, Report, ReportVerdict};
use belljar_ids::{Cause, Digest};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::sync::oneshot;

/// Uploads of more bytes than this are not waited for before the slot is offered again.
const LARGE_BYTES: u64 = 1 << 20;
/// How long to wait before a refused upload is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// Why an upload did not come about.
enum Upstream {
    /// The lease is not ours any more; the report's answer will say so.
    NotOurs,
    /// The bytes are not here or not what they were.
    Damaged(String),
}

impl Attempt {
    /// Reports, whatever it takes, and cleans up.
    pub(super) async fn deliver(mut self, outcome: Box<Outcome>, uploads: Vec<Upload>) {
        self.place.vacate();
        self.permit = None;
        if uploads.iter().map(|upload| upload.size).sum::<u64>() > LARGE_BYTES {
            self.node.registry.capacity_changed.notify_one();
        }
        if self.sending.is_none() {
            // An earlier incarnation fixed the outcome; some of the log may still be here.
            self.log_ends().await;
            if let Some(spool) = self.spool.clone() {
                self.send_logs(spool, true);
            }
        }
        let mut outcome = outcome;
        let sending = self.sending.take();
        let logs = async {
            if let Some(sending) = sending {
                // It has logged what went wrong; the report counts all the same.
                let _ = sending.await;
            }
        };
        let (stored, ()) = futures::join!(self.store(&uploads), logs);
        if let Err(Upstream::Damaged(what)) = stored {
            let circumstances = Circumstances {
                logs: outcome.logs.clone(),
                ..Circumstances::default()
            };
            let failure = Failure::new(Cause::ExecutorError, what);
            let again = self
                .collected(failed(failure, &circumstances), Vec::new())
                .await;
            if let Ended::Outcome(replaced, _) = again {
                outcome = replaced;
            }
        }
        let mut answer = self.report(*outcome).await;
        if let Some(Answer::Malformed(what)) = answer {
            answer = self.report_malformed(&what).await;
        }
        match answer {
            Some(Answer::Verdict(verdict)) => {
                self.node.journal.note(Record::Reported {
                    attempt: self.place.key().clone(),
                    verdict,
                });
                self.clean_up();
            }
            // Nothing can be said of it that the scheduler takes; its lease must end all the same.
            Some(Answer::Malformed(what)) => self.release(&what).await,
            None => {}
        }
    }

    /// Reports that the report was not understood, with nothing of it: that costs a loss, where a
    /// lease given back would have the same happen again for ever.
    async fn report_malformed(&mut self, what: &str) -> Option<Answer> {
        let message = format!("the scheduler does not take the attempt's report: {what}");
        let failure = Failure::new(Cause::ExecutorError, message);
        let bare = failed(failure, &Circumstances::default());
        match self.collected(bare, Vec::new()).await {
            Ended::Outcome(outcome, _) => self.report(*outcome).await,
            Ended::Gone | Ended::Released(_) => None,
        }
    }

    /// Stores blobs under the lease.
    async fn store(&self, uploads: &[Upload]) -> Result<(), Upstream> {
        for upload in uploads {
            self.store_one(upload).await?;
        }
        Ok(())
    }

    async fn store_one(&self, upload: &Upload) -> Result<(), Upstream> {
        let file = self.staging().join(upload.digest.hex());
        loop {
            let put = self
                .node
                .client
                .blob_put(Under(&self.lease.lease), upload.digest, upload.size, &file)
                .await;
            match put {
                Ok(()) => return Ok(()),
                Err(ClientError::LeaseGone | ClientError::Fenced) => return Err(Upstream::NotOurs),
                Err(error @ ClientError::Local { .. }) => {
                    return Err(Upstream::Damaged(format!("an output was lost: {error}")));
                }
                Err(ClientError::Refused {
                    status: 400 | 413 | 422,
                    detail,
                    ..
                }) => {
                    return Err(Upstream::Damaged(format!(
                        "the scheduler does not take an output: {detail}"
                    )));
                }
                Err(error) => {
                    tracing::error!(attempt = %self.name, %error, "an output was refused; it is held and sent again");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }

    /// Queues the report and waits for its answer; none where the executor exits meanwhile.
    async fn report(&self, outcome: Outcome) -> Option<Answer> {
        let sha256 = |bytes: &[u8]| Digest::from_bytes(Sha256::digest(bytes).into());
        let report = match Report::new(self.lease.lease.clone(), outcome, sha256) {
            Ok(report) => report,
            Err(error) => {
                // No value of an outcome brings this about.
                tracing::error!(attempt = %self.name, %error, "the outcome cannot be written as JSON");
                return None;
            }
        };
        let (done, answered) = oneshot::channel();
        self.node.reports.send(Queued { report, done }).ok()?;
        let answer = answered.await.ok()?;
        let Answer::Verdict(verdict) = answer else {
            return Some(answer);
        };
        match verdict {
            ReportVerdict::Accepted => {
                tracing::info!(attempt = %self.place.key(), "reported");
            }
            ReportVerdict::StaleFence => {
                tracing::warn!(attempt = %self.place.key(), "reported too late; the outcome is dropped");
            }
            ReportVerdict::DigestMismatch | ReportVerdict::Invalid => {
                tracing::error!(attempt = %self.place.key(), ?verdict, "the scheduler did not take the report");
            }
        }
        Some(answer)
    }
}
