//! posts-clean: an export of posts in, clean posts out, one JSON object a line.
//!
//! This module owns the order of the work: find the encoding, read the records,
//! make each a [`post::Post`] or a rejection, write both. How bytes become text
//! is [`encoding`]'s, how text becomes records is [`records`]'s, and what a
//! valid post is, [`post`]'s. The definitions are in `README.md`.

pub mod encoding;
pub mod post;
pub mod records;
pub mod time;
pub mod unescape;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::encoding::{Decoder, Encoding};
use crate::post::{Post, Tags};
use crate::records::{Record, Records};

/// The columns of an export, in their order. The first line must be exactly these.
pub const HEADER: [&str; 7] = [
    "created_at",
    "text",
    "url",
    "replies",
    "retweets",
    "favorites",
    "user",
];

/// How many rejected rows a result lists; the others are only counted.
pub const LISTED_REJECTIONS_MAX: usize = 1_000;

/// Why an export gives no result.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The export could not be opened or read.
    #[error("cannot read {}: {source}. The input `export` must be a readable file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An output could not be written.
    #[error("cannot write {}: {source}. A larger `disk` in analysis.yaml gives /out more room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not an export of posts.
    #[error(
        "{} is not an export of posts: {found}. Its first line must be exactly \
         `created_at,text,url,replies,retweets,favorites,user`: export the posts again as CSV",
        path.display()
    )]
    NotAnExport {
        /// The file.
        path: PathBuf,
        /// What was there instead, in words.
        found: String,
    },
}

/// A row that is not in `posts.jsonl`, and why.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Rejected {
    /// Number of the data row, from 1.
    pub row: u64,
    /// One of the reasons that `README.md` lists.
    pub reason: String,
}

/// What `result.json` says.
#[derive(Debug, Serialize)]
pub struct CleanResult {
    /// The encoding that the file was read in.
    pub encoding: Encoding,
    /// Data rows in the file.
    pub rows: u64,
    /// Rows written to `posts.jsonl`.
    pub kept: u64,
    /// The first [`LISTED_REJECTIONS_MAX`] rejected rows.
    pub rejected: Vec<Rejected>,
    /// U+FFFD characters in the kept texts.
    pub replaced_characters: u64,
}

/// Cleans `in_dir/export` into `out_dir/posts.jsonl` and `out_dir/result.json`.
///
/// The file is read twice, in pieces: once to know its encoding, once to clean
/// it. Memory holds one record, so that it is bounded by
/// [`records::RECORD_BYTES_MAX`] and not by the size of the file.
///
/// # Errors
///
/// [`CleanError`] when the export cannot be read or is not one, or an output
/// cannot be written. `result.json` is written last, so that a failure leaves none.
pub fn clean(in_dir: &Path, out_dir: &Path) -> Result<CleanResult, CleanError> {
    let export = in_dir.join("export");
    let read_error = |source| CleanError::Read {
        path: export.clone(),
        source,
    };
    let encoding = File::open(&export)
        .and_then(Encoding::detect)
        .map_err(read_error)?;
    let file = File::open(&export).map_err(read_error)?;

    let posts_path = out_dir.join("posts.jsonl");
    let write_error = |source| CleanError::Write {
        path: posts_path.clone(),
        source,
    };
    let posts = File::create(&posts_path).map_err(write_error)?;
    let mut cleaner = Cleaner::new(encoding, BufWriter::with_capacity(1 << 16, posts));

    let mut decoder = Decoder::new(encoding, file);
    let mut records = Records::new();
    while let Some(text) = decoder.next_text().map_err(read_error)? {
        records.feed(text, &mut |record| cleaner.record(record));
        cleaner.check(&export, write_error)?;
    }
    records.finish(&mut |record| cleaner.record(record));
    cleaner.check(&export, write_error)?;
    let result = cleaner.finish(&export, write_error)?;

    let result_path = out_dir.join("result.json");
    write_json(&result_path, &result).map_err(|source| CleanError::Write {
        path: result_path,
        source,
    })?;
    Ok(result)
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.flush()
}

/// What stopped the cleaning inside the record callback.
enum Stop {
    Header(String),
    Write(io::Error),
}

/// Takes records one after another, writes posts and keeps the counts.
struct Cleaner<W: Write> {
    posts: W,
    tags: Tags,
    header_seen: bool,
    stop: Option<Stop>,
    result: CleanResult,
}

impl<W: Write> Cleaner<W> {
    fn new(encoding: Encoding, posts: W) -> Self {
        Self {
            posts,
            tags: Tags::new(),
            header_seen: false,
            stop: None,
            result: CleanResult {
                encoding,
                rows: 0,
                kept: 0,
                rejected: Vec::new(),
                replaced_characters: 0,
            },
        }
    }

    fn record(&mut self, record: &Record) {
        if self.stop.is_some() {
            return;
        }
        if !self.header_seen {
            self.header_seen = true;
            if !record.is_exactly(&HEADER) {
                self.stop = Some(Stop::Header(record.describe()));
            }
            return;
        }
        if record.is_blank() {
            return;
        }
        self.result.rows += 1;
        match Post::from_record(self.result.rows, record, &self.tags) {
            Ok(post) => {
                self.result.kept += 1;
                self.result.replaced_characters += post.replaced_characters();
                if let Err(source) = write_line(&mut self.posts, &post) {
                    self.stop = Some(Stop::Write(source));
                }
            }
            Err(reason) => {
                if self.result.rejected.len() < LISTED_REJECTIONS_MAX {
                    self.result.rejected.push(Rejected {
                        row: self.result.rows,
                        reason: reason.to_string(),
                    });
                }
            }
        }
    }

    fn check(
        &mut self,
        export: &Path,
        write_error: impl Fn(io::Error) -> CleanError,
    ) -> Result<(), CleanError> {
        match self.stop.take() {
            None => Ok(()),
            Some(Stop::Write(source)) => Err(write_error(source)),
            Some(Stop::Header(found)) => Err(CleanError::NotAnExport {
                path: export.to_owned(),
                found,
            }),
        }
    }

    fn finish(
        mut self,
        export: &Path,
        write_error: impl Fn(io::Error) -> CleanError,
    ) -> Result<CleanResult, CleanError> {
        if !self.header_seen {
            return Err(CleanError::NotAnExport {
                path: export.to_owned(),
                found: "it is empty".to_owned(),
            });
        }
        self.posts.flush().map_err(write_error)?;
        Ok(self.result)
    }
}

fn write_line(out: &mut impl Write, post: &Post<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, post)?;
    out.write_all(b"\n")
}
