//! From the program's end to a fixed outcome.

use super::watch::Follower;
use super::{Attempt, Ended, heed};
use crate::journal::{Record, Start, Upload};
use crate::logs::small_text;
use crate::order::declared;
use crate::report::{self, Failure, INLINE_RESULT_BYTES, failure_of_error};
use belljar_api::executor::BlobEntry;
use belljar_ids::{Cause, Digest};
use belljar_sandbox::{Collect, Finished, SandboxError, StopReason};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a step is tried that fails although the engine answers.
const TRIES: u32 = 5;
/// How long to wait before the second try; four times as long before each later one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

impl Attempt {
    /// Has the program killed if it runs, collects what it left, and fixes the outcome. Whether it
    /// ended by itself is the sandbox's to say, which notes a kill before it happens.
    pub(super) async fn finish(
        &mut self,
        start: Start,
        reason: StopReason,
        follower: Option<Follower>,
    ) -> Ended {
        self.node.journal.note(Record::Exited {
            attempt: self.place.key().clone(),
            reason,
        });
        let mut follower = follower;
        if reason == StopReason::Exited {
            // Nothing runs any more that would need the slot.
            self.permit = None;
            // The engine forgets the log together with the container.
            if let Some(follower) = follower.take() {
                follower.drain(&self.name).await;
            }
        }
        let begun = Instant::now();
        let finished = self.collect(reason).await;
        self.timed("collect", begun);
        if finished.is_err() {
            // Nothing may run any more when that is reported.
            self.remove().await;
        }
        self.permit = None;
        self.place.vacate();
        if let Some(follower) = follower {
            // It ended with the program just now; what it has open outlives the container.
            follower.drain(&self.name).await;
        }
        match finished {
            Ok(finished) => self.settle(start, reason, &finished).await,
            Err(failure) => self.fail(failure, Some(start)).await,
        }
    }

    /// Has the sandbox end and judge the attempt.
    async fn collect(&self, reason: StopReason) -> Result<Finished, Failure> {
        let collect = Collect {
            staging: self.staging(),
            declared: declared(&self.lease.work)
                .map_err(|error| Failure::new(Cause::ImageRefused, error.to_string()))?,
        };
        let mut tries = 0;
        loop {
            let finished = match self.node.engine.runtime() {
                Ok(runtime) => runtime.finish(&self.name, reason, &collect).await,
                Err(error) => Err(error),
            };
            match finished {
                Ok(finished) => return Ok(finished),
                Err(error) => {
                    if reason != StopReason::Exited {
                        // That cannot wait for the engine.
                        self.kill_without_engine(&error).await;
                    }
                    self.again(error, &mut tries).await?;
                }
            }
        }
    }

    async fn kill_without_engine(&self, error: &SandboxError) {
        if !matches!(error, SandboxError::EngineUnavailable { .. }) {
            return;
        }
        if let Ok(runtime) = self.node.engine.runtime()
            && let Err(error) = runtime.kill(&self.name).await
        {
            tracing::debug!(attempt = %self.name, %error, "killed without the engine");
        }
    }

    /// Waits before a step is tried again, or says why it is not.
    async fn again(&self, error: SandboxError, tries: &mut u32) -> Result<(), Failure> {
        heed(&self.node, &error);
        match error {
            SandboxError::EngineUnavailable { .. } => {
                // As long as it takes: the outputs are on this host.
                self.node.engine.answers().await;
                Ok(())
            }
            SandboxError::NotFound(_) | SandboxError::Unkillable { .. } => {
                Err(failure_of_error(&error))
            }
            error => {
                *tries += 1;
                if *tries >= TRIES {
                    return Err(failure_of_error(&error));
                }
                tracing::warn!(attempt = %self.name, %error, "failed to finish an attempt; trying again");
                tokio::time::sleep(FIRST_PAUSE * 4u32.pow(*tries - 1)).await;
                Ok(())
            }
        }
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.node.home.attempt(&self.name).join("staging")
    }

    /// Turns the sandbox's judgement into the outcome and stages what it refers to.
    async fn settle(&mut self, start: Start, reason: StopReason, finished: &Finished) -> Ended {
        // Asked now, not before: an engine that is stopping ends programs before it goes.
        let continuous = self.node.engine.instance_now().await.as_ref() == Some(&self.seen_in);
        let circumstances = self.circumstances(Some(start), continuous).await;
        match self.stage(finished) {
            Ok((inline, receipt, uploads)) => {
                let outcome =
                    report::outcome(finished, reason, &circumstances, inline, Some(receipt));
                tracing::info!(
                    attempt = %self.place.key(), exit_code = outcome.exit_code,
                    cause = outcome.cause.map(belljar_ids::Cause::as_str), "ended"
                );
                self.collected(outcome, uploads).await
            }
            Err(error) => {
                let message = format!("failed to stage the outputs: {error}");
                let failure = Failure::new(Cause::ExecutorError, message);
                self.fail(failure, Some(start)).await
            }
        }
    }

    /// The text of a small result, the receipt's blob, and every blob to be stored.
    fn stage(
        &self,
        finished: &Finished,
    ) -> std::io::Result<(Option<String>, BlobEntry, Vec<Upload>)> {
        let staging = self.staging();
        std::fs::create_dir_all(&staging)?;
        let receipt = stage_bytes(&staging, &finished.receipt.canonical_json())?;
        let mut uploads = vec![Upload {
            digest: receipt.digest,
            size: receipt.size,
        }];
        let mut inline = None;
        if let Some(outputs) = &finished.outputs {
            let result = &outputs.result;
            inline = small_text(&staging.join(result.digest.hex()), INLINE_RESULT_BYTES)?;
            let large = inline.is_none().then_some(result);
            uploads.extend(
                large
                    .into_iter()
                    .chain(outputs.artifacts.values())
                    .map(|file| Upload {
                        digest: file.digest,
                        size: file.bytes,
                    }),
            );
        }
        Ok((inline, receipt, uploads))
    }
}

/// Writes bytes into the staging folder under their digest.
pub(super) fn stage_bytes(staging: &Path, bytes: &[u8]) -> std::io::Result<BlobEntry> {
    let digest = Digest::from_bytes(Sha256::digest(bytes).into());
    std::fs::write(staging.join(digest.hex()), bytes)?;
    Ok(BlobEntry {
        digest,
        size: bytes.len() as u64,
    })
}
