//! Everything before the program starts: inputs, image, container.

use super::{Attempt, Halt, Step, heed};
use crate::clock::BootTime;
use crate::images::{self, ImageError};
use crate::inputs::{Held, InputError};
use crate::journal::{Record, Start};
use crate::order::{OrderError, Taker, attempt_spec, check_inputs};
use crate::registry::Stop;
use crate::report::{Failure, failure_of_error};
use crate::scheduler_client::{ClientError, Under};
use belljar_api::executor::Phase;
use belljar_ids::{Cause, InputName};
use belljar_sandbox::{AttemptSpec, ImageId, SandboxError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What must live as long as the container.
#[derive(Debug)]
pub(super) struct Prepared {
    _inputs: BTreeMap<InputName, Held>,
}

impl Attempt {
    /// Fetches what is needed and has the container made.
    pub(super) async fn prepare(&mut self) -> Result<Prepared, Halt> {
        self.node
            .home
            .make_attempt(&self.name)
            .map_err(|error| self.not_here(&error))?;
        let begun = Instant::now();
        let inputs = tokio::select! {
            biased;
            stop = self.told(Step::Unstarted) => return Err(Halt::Stop(stop)),
            fetched = self.fetch() => fetched?,
        };
        self.timed("fetch", begun);

        let paths = inputs
            .iter()
            .map(|(name, held)| (name.clone(), held.path()))
            .collect();
        let taker = Taker {
            executor: self.node.home.id(),
            epoch: self.epoch,
            slot: self.place.slot,
            log_bytes: self.node.config.log_bytes,
        };
        let spec = attempt_spec(&self.lease, taker, &paths).map_err(contradiction)?;
        let creating = Record::Creating {
            attempt: self.place.key().clone(),
            place: self.node.here(),
        };
        self.node
            .journal
            .write(creating)
            .await
            .map_err(|error| self.not_here(&error))?;
        let begun = Instant::now();
        self.create(&spec).await?;
        self.timed("create", begun);
        Ok(Prepared { _inputs: inputs })
    }

    /// Inputs and image, side by side.
    async fn fetch(&self) -> Result<BTreeMap<InputName, Held>, Halt> {
        check_inputs(&self.lease.work).map_err(contradiction)?;
        let under = Under(&self.lease.lease);
        let inputs = self.lease.work.inputs.iter().map(async |(name, input)| {
            let held = self.node.cache.input(&self.node.client, under, input).await;
            held.map(|held| (name.clone(), held))
                .map_err(|error| self.input_failure(name, &error))
        });
        let inputs = futures::future::try_join_all(inputs);
        let image = async {
            images::ensure(&self.node, under, &self.lease.work.image)
                .await
                .map_err(|error| self.image_failure(&error))
        };
        let (inputs, ()) = futures::try_join!(inputs, image)?;
        Ok(inputs.into_iter().collect())
    }

    async fn create(&self, spec: &AttemptSpec) -> Result<(), Halt> {
        // Not broken off half-way: what it makes must be known.
        let _preparing = self.node.preparing.read().await;
        self.check_stop(Step::Unstarted)?;
        let runtime = self
            .node
            .engine
            .runtime()
            .map_err(|e| self.unprepared(&e))?;
        match runtime.prepare(spec).await {
            Ok(()) => Ok(()),
            Err(SandboxError::ImageMissing(ImageId(_))) => {
                // Somebody has removed it since it was looked for.
                self.node.engine.forget_image(spec.image);
                images::ensure(&self.node, Under(&self.lease.lease), &self.lease.work.image)
                    .await
                    .map_err(|error| self.image_failure(&error))?;
                let again = runtime.prepare(spec).await;
                again.map_err(|error| self.unprepared(&error))
            }
            Err(error) => Err(self.unprepared(&error)),
        }
    }

    /// Waits for its turn and starts the program.
    pub(super) async fn start(&mut self) -> Result<Start, Halt> {
        let turn = Arc::clone(&self.node.running);
        self.permit = tokio::select! {
            biased;
            stop = self.told(Step::Unstarted) => return Err(Halt::Stop(stop)),
            // Never closed.
            permit = turn.acquire_owned() => permit.ok(),
        };
        let begun = Instant::now();
        let runtime = self
            .node
            .engine
            .runtime()
            .map_err(|e| self.unprepared(&e))?;
        let start = Start {
            boot_time: BootTime::now(),
        };
        if let Err(error) = runtime.start(&self.name).await {
            heed(&self.node, &error);
            if !matches!(error, SandboxError::EngineUnavailable { .. }) {
                // It may run all the same; that must be over before it is reported.
                self.remove().await;
                return Err(Halt::Failed(failure_of_error(&error)));
            }
            // It may have started: watching finds out when the engine is back.
        }
        self.timed("start", begun);
        self.node.journal.note(Record::Started {
            attempt: self.place.key().clone(),
            place: self.node.here(),
            start,
        });
        self.place.phase(Phase::Running);
        Ok(start)
    }

    /// An error before the start: the lease goes back where the engine is away, which keeps others
    /// from being taken.
    fn unprepared(&self, error: &SandboxError) -> Halt {
        heed(&self.node, error);
        match error {
            SandboxError::EngineUnavailable { .. } => Halt::Release(error.to_string()),
            _ => Halt::Failed(failure_of_error(error)),
        }
    }

    fn image_failure(&self, error: &ImageError) -> Halt {
        match error {
            ImageError::Sandbox(error) => self.unprepared(error),
            ImageError::Fetch(error) => {
                self.fetch_failure(error, Cause::ImageUnavailable, error.to_string())
            }
            ImageError::NoSource => {
                Halt::Failed(Failure::new(Cause::ImageUnavailable, error.to_string()))
            }
        }
    }

    fn input_failure(&self, name: &InputName, error: &InputError) -> Halt {
        let message = format!("input `{name}`: {error}");
        self.fetch_failure(error, Cause::InputUnavailable, message)
    }

    fn fetch_failure(&self, error: &InputError, cause: Cause, message: String) -> Halt {
        match error {
            InputError::Client(ClientError::LeaseGone | ClientError::Fenced) => {
                Halt::Stop(Stop::Gone)
            }
            InputError::NoRoom { .. }
            | InputError::Io { .. }
            | InputError::Client(ClientError::Local { .. }) => self.not_here(error),
            _ => Halt::Failed(Failure::new(cause, message)),
        }
    }

    /// This host cannot do it: an infrastructure loss, not a lease given back, because that costs
    /// nothing and what fits no host would be leased for ever. Where only this attempt had no room,
    /// others may follow at once; a disk that is full altogether is found before they are taken.
    fn not_here(&self, error: &(dyn std::error::Error + 'static)) -> Halt {
        if !is_lack_of_room(error) {
            self.node.availability.pause(error.to_string());
        }
        Halt::Failed(Failure::new(Cause::ExecutorError, error.to_string()))
    }
}

/// Whether there was too little space, and nothing else is wrong with the disk.
fn is_lack_of_room(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::{Error, ErrorKind};
    if let Some(InputError::NoRoom { .. }) = error.downcast_ref() {
        return true;
    }
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let found = error
            .downcast_ref::<Error>()
            .or_else(|| error.downcast_ref::<Arc<Error>>().map(AsRef::as_ref));
        matches!(
            found.map(Error::kind),
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        )
    })
}

/// A lease that contradicts itself is refused like a bad image: nobody could run it.
fn contradiction(error: OrderError) -> Halt {
    Halt::Failed(Failure::new(Cause::ImageRefused, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::HomeError;
    use crate::journal::JournalError;
    use std::io::{Error, ErrorKind};

    #[test]
    fn lack_of_room_is_told_from_a_broken_disk() {
        for (kind, wanted) in [
            (ErrorKind::StorageFull, true),
            (ErrorKind::QuotaExceeded, true),
            (ErrorKind::ReadOnlyFilesystem, false),
        ] {
            let (doing, path) = ("write", std::path::PathBuf::from("/x"));
            let local = ClientError::Local {
                doing,
                source: kind.into(),
            };
            let home = HomeError::Io {
                doing,
                path: path.clone(),
                source: kind.into(),
            };
            let journal = JournalError::Io {
                doing,
                path,
                source: Arc::new(Error::from(kind)),
            };
            assert_eq!(is_lack_of_room(&InputError::Client(local)), wanted);
            assert_eq!(is_lack_of_room(&home), wanted);
            assert_eq!(is_lack_of_room(&journal), wanted);
        }
    }
}
