//! The journal's file: lines that prove themselves.
//!
//! Owns: the bytes. Leaves to others: what a record means ([`super::record`]).
//!
//! The first line names the format. Each further line is `<length> <check> <JSON>`: the length of
//! the JSON in bytes as 8 hexadecimal digits, and the first 8 bytes of its SHA-256 as 16. A crash
//! while appending leaves a last line that does not prove itself; it was never acted upon, so it
//! is cut off. A line in the middle that does not prove itself is damage: what comes before it is
//! used, and the file is kept aside for a person.

use super::{JournalError, Record};
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The first line of every journal.
const HEADER: &[u8] = b"belljar-journal 1\n";
/// Bytes of `<length> <check> ` before the JSON.
const PREFIX: usize = 8 + 1 + 16 + 1;

/// What reading a journal gave.
#[derive(Debug)]
pub struct Recovered {
    /// Every record up to the first that does not prove itself.
    pub records: Vec<Record>,
    /// How many bytes they take, the header included.
    pub good_bytes: usize,
    /// What comes after them.
    pub rest: Rest,
}

/// What follows the last good record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Clean,
    /// A piece of a line, as a crash in the middle of an append leaves it.
    Torn,
    /// Whole lines that do not prove themselves: the file was damaged.
    Damaged,
}

/// The line of one record.
///
/// # Errors
///
/// Where the record cannot be written as JSON, which no value of it should bring about.
pub fn encode(record: &Record) -> Result<Vec<u8>, JournalError> {
    let json = serde_json::to_vec(record).map_err(JournalError::encode)?;
    let mut line = Vec::with_capacity(PREFIX + json.len() + 1);
    line.extend_from_slice(prefix(&json).as_bytes());
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn prefix(json: &[u8]) -> String {
    let check = hex::encode(&Sha256::digest(json)[..8]);
    format!("{:08x} {check} ", json.len())
}

/// Reads records from the bytes of a journal for as long as they prove themselves.
#[must_use]
pub fn decode(bytes: &[u8]) -> Recovered {
    let mut records = Vec::new();
    let mut at = 0;
    if bytes.starts_with(HEADER) {
        at = HEADER.len();
        while let Some((record, length)) = decode_line(&bytes[at..]) {
            records.push(record);
            at += length;
        }
    }
    let rest = match bytes[at..].iter().position(|b| *b == b'\n') {
        _ if at == bytes.len() => Rest::Clean,
        // An append writes whole lines and a crash keeps a beginning of what was appended, so the
        // end of a line is there only if the whole line was.
        Some(_) => Rest::Damaged,
        None => Rest::Torn,
    };
    Recovered {
        records,
        good_bytes: at,
        rest,
    }
}

/// The record of the first line and the line's length; none where it does not prove itself.
fn decode_line(bytes: &[u8]) -> Option<(Record, usize)> {
    let length = std::str::from_utf8(bytes.get(..8)?).ok()?;
    let length = usize::from_str_radix(length, 16).ok()?;
    let end = PREFIX.checked_add(length)?;
    let json = bytes.get(PREFIX..end)?;
    if bytes.get(end) != Some(&b'\n') || bytes[..PREFIX] != *prefix(json).as_bytes() {
        return None;
    }
    Some((serde_json::from_slice(json).ok()?, end + 1))
}

/// A journal open for appending.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl JournalFile {
    /// Reads the journal at `path`, which need not exist. A damaged one is copied aside.
    ///
    /// # Errors
    ///
    /// `Io` where the file cannot be read or the copy not be made.
    pub fn read(path: &Path) -> Result<Recovered, JournalError> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes)
                    .map_err(JournalError::io("read", path))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Recovered {
                    records: Vec::new(),
                    good_bytes: 0,
                    rest: Rest::Clean,
                });
            }
            Err(error) => return Err(JournalError::io("open", path)(error)),
        }
        let recovered = decode(&bytes);
        if recovered.rest == Rest::Damaged {
            let aside = path.with_extension("damaged");
            std::fs::copy(path, &aside).map_err(JournalError::io("copy aside", &aside))?;
            tracing::error!(
                journal = %path.display(), kept = %aside.display(), good_bytes = recovered.good_bytes,
                "the journal is damaged; what comes after the damage is not used"
            );
        }
        Ok(recovered)
    }

    /// Replaces the journal at `path` by one with just these records, durably, and opens it.
    ///
    /// # Errors
    ///
    /// `Io`, `Encode`; the old journal is untouched then.
    pub fn replace(path: &Path, records: &[Record]) -> Result<Self, JournalError> {
        let new = path.with_extension("new");
        let mut bytes = HEADER.to_vec();
        for record in records {
            bytes.extend_from_slice(&encode(record)?);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&new)
            .map_err(JournalError::io("create", &new))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(JournalError::io("write", &new))?;
        std::fs::rename(&new, path).map_err(JournalError::io("replace", path))?;
        // The new file has its name whatever comes of this, so it must be the one that is used.
        if let Err(error) = sync_folder(path) {
            tracing::warn!(%error, "the journal's new name may not survive a power failure");
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            length: bytes.len() as u64,
        })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has none, not even a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends whole lines and returns when they are on the disk (fdatasync(2)).
    ///
    /// # Errors
    ///
    /// `Io`; the file then ends where it did before, as far as the system allows.
    pub fn append(&mut self, lines: &[u8]) -> Result<(), JournalError> {
        let written = self
            .file
            .write_all(lines)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line in the middle of later ones would look like damage.
            let cut = self.file.set_len(self.length);
            let back = self.file.seek(SeekFrom::Start(self.length));
            if let Err(second) = cut.and(back.map(|_| ())) {
                tracing::error!(journal = %self.path.display(), error = %second, "failed to cut a half-written record off");
            }
            return Err(JournalError::io("append to", &self.path)(error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// Makes a new name in a folder durable.
fn sync_folder(path: &Path) -> Result<(), JournalError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(JournalError::io("sync", folder))
}
