//! An attempt's two logs, on their way from the container to the scheduler.
//!
//! Owns: a file per stream on this host and sending it on, each byte once. Leaves to others:
//! reading the engine's stream and the cap (the sandbox).
//!
//! The engine forgets a log with its container, so every byte goes to a file first. The file's
//! length is where reading goes on after a restart; the scheduler's answer to each piece is where
//! sending goes on. Neither depends on the other, so an absent scheduler delays nothing here.

use crate::scheduler_client::{ClientError, SchedulerClient, Under};
use belljar_api::executor::{LeaseRef, LogEnd, LogEnds, Stream};
use belljar_ids::Digest;
use belljar_sandbox::{LogEvent, LogFrame, LogOffsets, LogStream};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long bytes may wait for company before they are sent.
const LINGER: Duration = Duration::from_millis(100);
/// Bytes that are sent without waiting, and at most at once.
const PIECE_BYTES: u64 = 256 << 10;
/// The file whose presence says that the cap was reached.
const TRUNCATED: &str = "truncated";

/// One stream's file.
#[derive(Debug)]
struct Spooled {
    file: File,
    length: AtomicU64,
}

/// The two files of one attempt.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    stdout: Spooled,
    stderr: Spooled,
    truncated: AtomicBool,
    /// Nothing will be added any more.
    complete: AtomicBool,
    changed: Notify,
}

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

impl Spool {
    /// The spool in `folder`, which exists; what an earlier incarnation read is in it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let open = |name: &str| {
            let file = OpenOptions::new()
                .create(true)
                .read(true)
                .write(true)
                .truncate(false)
                .open(folder.join(name))?;
            let length = AtomicU64::new(file.metadata()?.len());
            Ok::<_, std::io::Error>(Spooled { file, length })
        };
        Ok(Self {
            stdout: open("stdout")?,
            stderr: open("stderr")?,
            truncated: AtomicBool::new(folder.join(TRUNCATED).exists()),
            complete: AtomicBool::new(false),
            changed: Notify::new(),
            folder: folder.to_owned(),
        })
    }

    fn of(&self, stream: Stream) -> &Spooled {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// How far both streams have been read.
    #[must_use]
    pub fn offsets(&self) -> LogOffsets {
        LogOffsets {
            stdout: self.stdout.length.load(Ordering::Acquire),
            stderr: self.stderr.length.load(Ordering::Acquire),
        }
    }

    /// Takes in what the sandbox gave.
    ///
    /// # Errors
    ///
    /// The system's; a frame that leaves a gap is `InvalidData`.
    pub fn take(&self, event: LogEvent) -> std::io::Result<()> {
        match event {
            LogEvent::Frame(frame) => self.append(&frame)?,
            LogEvent::Truncated(_) => {
                File::create(self.folder.join(TRUNCATED))?;
                self.truncated.store(true, Ordering::Release);
            }
        }
        self.changed.notify_one();
        Ok(())
    }

    fn append(&self, frame: &LogFrame) -> std::io::Result<()> {
        let spooled = self.of(match frame.stream {
            LogStream::Stdout => Stream::Stdout,
            LogStream::Stderr => Stream::Stderr,
        });
        let length = spooled.length.load(Ordering::Acquire);
        // Bytes that were read before come again after a reconnect.
        let known = length.checked_sub(frame.offset).ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("the log jumps from byte {length} to {}", frame.offset),
            )
        })?;
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let Some(new) = frame.bytes.get(known..).filter(|new| !new.is_empty()) else {
            return Ok(());
        };
        spooled.file.write_all_at(new, length)?;
        spooled
            .length
            .store(length + new.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Says that nothing will be added any more: what is left is sent at once.
    pub fn close(&self) {
        self.complete.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// How both logs ended. Reads the files once.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ends(&self) -> std::io::Result<LogEnds> {
        Ok(LogEnds {
            stdout: self.end(Stream::Stdout)?,
            stderr: self.end(Stream::Stderr)?,
        })
    }

    fn end(&self, stream: Stream) -> std::io::Result<LogEnd> {
        let spooled = self.of(stream);
        let size = spooled.length.load(Ordering::Acquire);
        let mut hash = Sha256::new();
        let mut piece = vec![0; usize::try_from(size.min(64 << 10)).unwrap_or(0)];
        let mut at = 0;
        while at < size {
            let most = usize::try_from(size - at)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            let read = spooled.file.read_at(&mut piece[..most], at)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            hash.update(&piece[..read]);
            at += read as u64;
        }
        Ok(LogEnd {
            size,
            digest: (size > 0).then(|| Digest::from_bytes(hash.finalize().into())),
            truncated: self.truncated.load(Ordering::Acquire),
        })
    }

    /// The next bytes to be sent of a stream.
    fn piece(&self, stream: Stream, from: u64) -> std::io::Result<Bytes> {
        let spooled = self.of(stream);
        let length = spooled.length.load(Ordering::Acquire);
        let size = length.saturating_sub(from).min(PIECE_BYTES);
        let mut piece = vec![0; usize::try_from(size).unwrap_or(0)];
        spooled.file.read_exact_at(&mut piece, from)?;
        Ok(piece.into())
    }

    /// Sends everything there is and will be, until the spool is closed and empty. `resume` where
    /// an earlier incarnation may have sent some of it: the scheduler knows how much.
    ///
    /// # Errors
    ///
    /// `LeaseGone`, `Refused` and the like from the scheduler: nothing more can be sent.
    pub async fn send(
        &self,
        client: &SchedulerClient,
        lease: &LeaseRef,
        resume: bool,
    ) -> Result<(), ClientError> {
        let mut sent = [0u64; 2];
        if resume {
            for (stream, sent) in STREAMS.into_iter().zip(&mut sent) {
                *sent = client
                    .log_put(Under(lease), stream, 0, Bytes::new())
                    .await?;
            }
        }
        loop {
            // Read before looking for bytes: what is added later also notifies.
            let complete = self.complete.load(Ordering::Acquire);
            let mut idle = true;
            for (stream, sent) in STREAMS.into_iter().zip(&mut sent) {
                idle &= !self.send_piece(client, lease, stream, sent).await?;
            }
            if idle && complete {
                return Ok(());
            }
            if idle {
                self.changed.notified().await;
                self.linger(sent).await;
            }
        }
    }

    /// Sends one piece, if there is one.
    async fn send_piece(
        &self,
        client: &SchedulerClient,
        lease: &LeaseRef,
        stream: Stream,
        sent: &mut u64,
    ) -> Result<bool, ClientError> {
        let piece = self
            .piece(stream, *sent)
            .map_err(|source| ClientError::Local {
                doing: "read a log back",
                source,
            })?;
        if piece.is_empty() {
            return Ok(false);
        }
        let stored = client.log_put(Under(lease), stream, *sent, piece).await?;
        if stored == *sent {
            return Err(ClientError::Protocol {
                scheduler: "the scheduler".to_owned(),
                detail: format!("a log does not grow beyond {stored} bytes"),
            });
        }
        *sent = stored;
        Ok(true)
    }

    /// Waits a little for more, but not for what is large or last.
    async fn linger(&self, sent: [u64; 2]) {
        let wait = async {
            loop {
                let waiting: u64 = STREAMS
                    .into_iter()
                    .zip(sent)
                    .map(|(stream, sent)| {
                        let length = self.of(stream).length.load(Ordering::Acquire);
                        length.saturating_sub(sent)
                    })
                    .sum();
                if waiting >= PIECE_BYTES || self.complete.load(Ordering::Acquire) {
                    return;
                }
                self.changed.notified().await;
            }
        };
        // Either way it is time to send.
        let _ = tokio::time::timeout(LINGER, wait).await;
    }
}

/// The text of a small file, where it is small and UTF-8.
///
/// # Errors
///
/// The system's.
pub(crate) fn small_text(path: &Path, most: u64) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_ids::Micros;

    fn frame(offset: u64, text: &str) -> LogEvent {
        LogEvent::Frame(LogFrame {
            stream: LogStream::Stdout,
            offset,
            at: Micros(0),
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        })
    }

    #[test]
    fn bytes_that_come_again_are_kept_once_and_gaps_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.take(frame(0, "one\n")).unwrap();
        spool.take(frame(0, "one\ntwo\n")).unwrap();
        spool.take(frame(2, "e\n")).unwrap();
        assert!(spool.take(frame(9, "x")).is_err());
        let again = Spool::open(folder.path()).unwrap();
        assert_eq!(again.offsets().stdout, 8);
        again.take(frame(8, "three\n")).unwrap();
        assert_eq!(
            &again.piece(Stream::Stdout, 0).unwrap()[..],
            b"one\ntwo\nthree\n"
        );
        let ends = again.ends().unwrap();
        assert_eq!(ends.stdout.size, 14);
        assert_eq!(
            ends.stdout.digest.unwrap().as_bytes()[..],
            Sha256::digest(b"one\ntwo\nthree\n")[..]
        );
        assert_eq!(ends.stderr, LogEnd::default());
    }

    #[test]
    fn the_mark_of_truncation_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool
            .take(LogEvent::Truncated(LogOffsets::default()))
            .unwrap();
        drop(spool);
        assert!(
            Spool::open(folder.path())
                .unwrap()
                .ends()
                .unwrap()
                .stdout
                .truncated
        );
    }
}
