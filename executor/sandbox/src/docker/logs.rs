//! Following a container's log with byte offsets that survive a restart.
//!
//! The engine's `local` driver keeps what was written; offsets are counted per stream over the raw
//! bytes from its beginning, so a follower that starts again skips what was delivered. The time in
//! front of every piece is taken off and kept beside it.
//!
//! A log far over its cap loses its beginning to rotation. Then offsets would mean something else,
//! so the time of the first piece ever seen is kept in a file, and a log that begins with another
//! one counts as cut.
//!
//! The cap is by bytes and by pieces, both counted from the beginning, so the cut is at the same
//! byte whoever reads and however often.

use super::engine::sorted;
use crate::plan::LogPlan;
use crate::runtime::{LogEvent, LogFollower, LogFrame, LogOffsets, LogStream};
use belljar_ids::Micros;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Buf, Bytes};
use futures::{StreamExt, stream};
use std::path::{Path, PathBuf};

/// Follows from the offsets until the container ended and everything was read. After the cap the
/// engine is still drained, so that the program is never blocked by a full pipe.
/// `begins` is the file that keeps when the log began.
pub(super) fn follow(
    docker: &Docker,
    name: &str,
    plan: &LogPlan,
    from: LogOffsets,
    begins: PathBuf,
) -> LogFollower {
    let options = LogsOptionsBuilder::default()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .tail("all")
        .build();
    let cutter = Cutter::new(plan, from, Some(begins));
    let pieces = docker.logs(name, Some(options)).boxed();
    stream::unfold((pieces, cutter), |(mut pieces, mut cutter)| async move {
        loop {
            let event = match pieces.next().await? {
                Ok(piece) => cutter.piece(piece).map(Ok),
                Err(error) => Some(Err(sorted("read the log", error))),
            };
            if let Some(event) = event {
                return Some((event, (pieces, cutter)));
            }
        }
    })
    .boxed()
}

/// Counts pieces and decides which part of each is delivered.
struct Cutter {
    from: LogOffsets,
    at: LogOffsets,
    bytes_left: u64,
    frames_left: u64,
    cut: bool,
    /// Where the beginning is kept, until the first piece.
    begins: Option<PathBuf>,
}

impl Cutter {
    fn new(plan: &LogPlan, from: LogOffsets, begins: Option<PathBuf>) -> Self {
        Self {
            from,
            at: LogOffsets::default(),
            bytes_left: plan.cap_bytes,
            frames_left: plan.cap_frames,
            cut: false,
            begins,
        }
    }

    fn piece(&mut self, piece: LogOutput) -> Option<LogEvent> {
        let (stream, raw) = match piece {
            LogOutput::StdErr { message } => (LogStream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                (LogStream::Stdout, message)
            }
            LogOutput::StdIn { .. } => return None,
        };
        let (at, bytes) = split_time(raw);
        if self
            .begins
            .take()
            .is_some_and(|file| begins_elsewhere(&file, at))
        {
            self.cut = true;
            return Some(LogEvent::Truncated(self.from));
        }
        if self.cut || bytes.is_empty() {
            return None;
        }
        if self.frames_left == 0 || self.bytes_left == 0 {
            self.cut = true;
            return Some(LogEvent::Truncated(self.at));
        }
        self.frames_left -= 1;
        let kept = bytes.slice(
            ..bytes
                .len()
                .min(usize::try_from(self.bytes_left).unwrap_or(usize::MAX)),
        );
        self.bytes_left -= kept.len() as u64;
        self.deliver(stream, at, kept)
    }

    fn deliver(&mut self, stream: LogStream, at: Micros, mut bytes: Bytes) -> Option<LogEvent> {
        let (position, from) = match stream {
            LogStream::Stdout => (&mut self.at.stdout, self.from.stdout),
            LogStream::Stderr => (&mut self.at.stderr, self.from.stderr),
        };
        let start = *position;
        *position += bytes.len() as u64;
        if *position <= from {
            return None;
        }
        let skip = from.saturating_sub(start);
        bytes.advance(usize::try_from(skip).unwrap_or(0));
        Some(LogEvent::Frame(LogFrame {
            stream,
            offset: start + skip,
            at,
            bytes,
        }))
    }
}

/// Whether a log begins at another time than when it was first seen. The first one to see it
/// leaves its time in the file; one that cannot be read or written is taken to be the same.
fn begins_elsewhere(file: &Path, at: Micros) -> bool {
    match std::fs::read_to_string(file) {
        Ok(text) => text.parse() != Ok(at.0),
        Err(_) => {
            let _ = std::fs::write(file, at.0.to_string());
            false
        }
    }
}

/// Takes the engine's time (RFC 3339 with nanoseconds and a space) off a piece. A piece without
/// one is left whole.
fn split_time(mut piece: Bytes) -> (Micros, Bytes) {
    let head = &piece[..piece.len().min(40)];
    let Some(space) = head.iter().position(|&b| b == b' ') else {
        return (Micros(0), piece);
    };
    let time = std::str::from_utf8(&head[..space]).ok().and_then(micros);
    match time {
        Some(at) => {
            piece.advance(space + 1);
            (at, piece)
        }
        None => (Micros(0), piece),
    }
}

/// A time of the engine: RFC 3339 in UTC, as `2026-11-20T13:51:41.775888173Z`; `None` for anything
/// else and for its zero (year 1).
pub(super) fn micros(text: &str) -> Option<Micros> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March
    // (H. Hinnant, chrono-compatible low-level date algorithms, days_from_civil).
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, month) = (shifted / 400, (month + 9) % 12);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Micros(seconds * 1_000_000 + digits.parse::<i64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cap_bytes: u64, cap_frames: u64) -> LogPlan {
        LogPlan {
            driver: "local".to_owned(),
            max_size_bytes: 1,
            max_files: 2,
            cap_bytes,
            cap_frames,
        }
    }

    fn out(text: &str) -> LogOutput {
        let message = format!("2026-11-20T13:51:41.775888173Z {text}").into();
        LogOutput::StdOut { message }
    }

    fn read(plan: &LogPlan, from: LogOffsets, pieces: &[&str]) -> Vec<LogEvent> {
        let mut cutter = Cutter::new(plan, from, None);
        pieces
            .iter()
            .filter_map(|text| cutter.piece(out(text)))
            .collect()
    }

    #[test]
    fn times_are_read_as_the_engine_writes_them() {
        assert_eq!(micros("1970-01-01T00:00:00Z"), Some(Micros(0)));
        assert_eq!(
            micros("2026-11-20T13:51:41.775888173Z"),
            Some(Micros(1_795_182_701_775_888))
        );
        assert_eq!(
            micros("2024-02-29T23:59:59.5Z"),
            Some(Micros(1_709_251_199_500_000))
        );
        assert_eq!(micros("0001-01-01T00:00:00Z"), None);
        assert_eq!(micros("yesterday"), None);
    }

    #[test]
    fn reading_again_from_any_offset_gives_the_rest_and_the_same_cut() {
        let pieces = ["one\n", "two two\n", "three\n", "four\n"];
        let plan = plan(14, 100);
        let text = |from: u64| {
            let events = read(
                &plan,
                LogOffsets {
                    stdout: from,
                    stderr: 0,
                },
                &pieces,
            );
            let mut text = Vec::new();
            for event in &events {
                match event {
                    LogEvent::Frame(frame) => {
                        assert_eq!(frame.offset, from + text.len() as u64);
                        text.extend_from_slice(&frame.bytes);
                    }
                    LogEvent::Truncated(at) => assert_eq!(at.stdout, 14),
                }
            }
            assert_eq!(
                events
                    .iter()
                    .filter(|e| matches!(e, LogEvent::Truncated(_)))
                    .count(),
                1
            );
            String::from_utf8(text).unwrap()
        };
        let whole = "one\ntwo two\nth";
        for from in 0..=14 {
            assert_eq!(
                text(from),
                whole[usize::try_from(from).unwrap()..],
                "from {from}"
            );
        }
    }

    #[test]
    fn a_log_whose_beginning_was_rotated_away_counts_as_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("begins");
        let plan = plan(100, 100);
        let from = LogOffsets {
            stdout: 2,
            stderr: 0,
        };
        let first = |piece, from| Cutter::new(&plan, from, Some(file.clone())).piece(piece);
        let frame = first(out("one\n"), LogOffsets::default());
        assert!(matches!(frame, Some(LogEvent::Frame(_))));
        assert!(matches!(
            first(out("one\n"), from),
            Some(LogEvent::Frame(_))
        ));
        let later = LogOutput::StdOut {
            message: "2026-11-20T14:00:00Z many\n".into(),
        };
        assert_eq!(first(later, from), Some(LogEvent::Truncated(from)));
    }

    #[test]
    fn empty_lines_are_capped_by_number() {
        let events = read(&plan(1_000_000, 3), LogOffsets::default(), &["\n"; 10]);
        assert_eq!(events.len(), 4);
        let at = LogOffsets {
            stdout: 3,
            stderr: 0,
        };
        assert_eq!(events.last(), Some(&LogEvent::Truncated(at)));
    }
}
