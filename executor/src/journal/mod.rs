//! The journal: what this executor owes, on disk before it acts.
//!
//! Owns: an append-only file with one checked line per record, written by one thread that puts
//! waiting records into one `fdatasync`. Leaves to others: what is done about an entry after a
//! restart ([`crate::reconcile`]).
//!
//! Invariant: [`Journal::write`] returns only when the record is on the disk, so an act that
//! follows it is never unknown to the next incarnation.

pub mod file;
mod record;
#[cfg(test)]
mod tests;

pub use file::{JournalFile, Recovered, Rest};
pub use record::{AttemptKey, DropReason, Entry, Ledger, Place, Progress, Record, Start, Upload};

use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Beyond this size, and four times what its live entries need, the file is written anew.
const COMPACT_BYTES: u64 = 4 << 20;

/// Why the journal could not do its work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("failed to {doing} the journal {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::sync::Arc<std::io::Error>,
    },
    /// A record that cannot be written as JSON.
    #[error("failed to write a journal record as JSON: {0}")]
    Encode(std::sync::Arc<serde_json::Error>),
    /// The thread that writes it is gone.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source: std::sync::Arc::new(source),
        }
    }

    fn encode(error: serde_json::Error) -> Self {
        Self::Encode(std::sync::Arc::new(error))
    }
}

/// A record to be written, if there is one, and whom to tell when all before it are.
struct Job {
    record: Option<Record>,
    done: Option<oneshot::Sender<Result<(), JournalError>>>,
}

/// The open journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Journal {
    /// Reads the journal at `path`, writes it anew with only what still matters, and starts the
    /// thread that appends to it. Gives what it holds.
    ///
    /// # Errors
    ///
    /// `Io` where the file cannot be read or written.
    pub fn open(path: &Path) -> Result<(Self, Ledger), JournalError> {
        let mut ledger = Ledger::default();
        for record in JournalFile::read(path)?.records {
            ledger.apply(record);
        }
        let file = JournalFile::replace(path, &ledger.records())?;
        let (jobs, queue) = mpsc::unbounded_channel();
        let writer = Writer {
            path: path.to_owned(),
            live_bytes: file.len(),
            file,
            ledger: ledger.clone(),
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .stack_size(256 << 10)
            .spawn(move || writer.run(queue))
            .map_err(JournalError::io("start the writer of", path))?;
        Ok((Self { jobs }, ledger))
    }

    /// Writes a record and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// `Io` where it could not be written: the act it announces must not follow.
    pub async fn write(&self, record: Record) -> Result<(), JournalError> {
        self.wait(Some(record)).await
    }

    /// Returns when everything noted so far is on the disk.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub async fn flush(&self) -> Result<(), JournalError> {
        self.wait(None).await
    }

    async fn wait(&self, record: Option<Record>) -> Result<(), JournalError> {
        let (done, written) = oneshot::channel();
        let job = Job {
            record,
            done: Some(done),
        };
        self.jobs.send(job).map_err(|_| JournalError::Closed)?;
        written.await.map_err(|_| JournalError::Closed)?
    }

    /// Writes a record soon, after those before it: for steps that nothing waits for. A failure is
    /// logged.
    pub fn note(&self, record: Record) {
        // A closed journal has told everybody who waits.
        let _ = self.jobs.send(Job {
            record: Some(record),
            done: None,
        });
    }
}

/// The thread that owns the file.
struct Writer {
    path: PathBuf,
    file: JournalFile,
    ledger: Ledger,
    live_bytes: u64,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(job) = queue.try_recv() {
                batch.push(job);
            }
            let result = self.append(&batch);
            if let Err(error) = &result {
                tracing::error!(%error, "failed to write the journal");
            }
            for job in batch {
                if let (Ok(()), Some(record)) = (&result, job.record) {
                    self.ledger.apply(record);
                }
                if let Some(done) = job.done {
                    // Whoever waited may have been dropped.
                    let _ = done.send(result.clone());
                }
            }
            self.compact_if_large();
        }
    }

    fn append(&mut self, batch: &[Job]) -> Result<(), JournalError> {
        let mut lines = Vec::new();
        for record in batch.iter().filter_map(|job| job.record.as_ref()) {
            lines.extend_from_slice(&file::encode(record)?);
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.file.append(&lines)
    }

    fn compact_if_large(&mut self) {
        if self.file.len() < COMPACT_BYTES.max(self.live_bytes.saturating_mul(4)) {
            return;
        }
        match JournalFile::replace(&self.path, &self.ledger.records()) {
            Ok(file) => {
                self.live_bytes = file.len();
                self.file = file;
            }
            // The old file goes on; it is only larger than need be.
            Err(error) => tracing::warn!(%error, "failed to compact the journal"),
        }
    }
}
