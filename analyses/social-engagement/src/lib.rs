//! social-engagement: when and how people engage with posts.
//!
//! This module owns reading the input and writing the outputs. The numbers are
//! [`measure`]'s, the arithmetic behind them [`mean`]'s, the picture
//! [`heatmap`]'s. The definitions are in `README.md`.

pub mod heatmap;
pub mod mean;
pub mod measure;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::measure::{EngagementResult, Kind, Measure};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum EngagementError {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The parameters are not what the manifest asks for.
    #[error("{} is wrong: {source}. It holds an object such as {{\"timezone\": \"Europe/Prague\"}}", path.display())]
    Params {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// A line of the input is not a post.
    #[error("{}:{line} is not a clean post: {source}. The input `posts` is the posts.jsonl of posts-clean", path.display())]
    Post {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// The time zone has no entry in the database.
    #[error("the timezone {name:?} is not known. Use an IANA name such as Europe/Prague or UTC")]
    TimeZone {
        /// The name asked for.
        name: String,
    },
}

/// What `params.json` may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(default = "utc")]
    timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What is read of a line of `posts.jsonl`.
#[derive(Debug, Deserialize)]
struct Post {
    #[serde(deserialize_with = "utc_time")]
    created_at: DateTime,
    kind: Kind,
    replies: u64,
    retweets: u64,
    favorites: u64,
}

/// posts-clean writes every time in UTC with a `Z`.
fn utc_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.strip_suffix('Z')
        .and_then(|time| time.parse().ok())
        .ok_or_else(|| {
            D::Error::custom("created_at is not a time in UTC such as 2017-10-02T12:41:00Z")
        })
}

/// Reads `in_dir/posts` and `in_dir/params.json`; writes `out_dir/heatmap.svg`
/// and, last, `out_dir/result.json`.
///
/// # Errors
///
/// [`EngagementError`] when an input is missing or wrong or an output cannot be
/// written.
pub fn analyse(in_dir: &Path, out_dir: &Path) -> Result<EngagementResult, EngagementError> {
    let params = read_params(&in_dir.join("params.json"))?;
    let zone = zone(&params.timezone)?;
    let measure = read_posts(&in_dir.join("posts"), zone)?;
    let svg = heatmap::draw(measure.cells(), &params.timezone);
    let result = measure.result();
    write(&out_dir.join("heatmap.svg"), svg.as_bytes())?;
    let path = out_dir.join("result.json");
    let mut json = serde_json::to_vec_pretty(&result)
        .map_err(|source| io_error("write", &path)(source.into()))?;
    json.push(b'\n');
    write(&path, &json)?;
    Ok(result)
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> EngagementError {
    let path = path.to_owned();
    move |source| EngagementError::Io {
        action,
        path: path.clone(),
        source,
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EngagementError> {
    std::fs::write(path, bytes).map_err(io_error("write", path))
}

/// No file at all is a try outside a sandbox: the defaults.
fn read_params(path: &Path) -> Result<Params, EngagementError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    serde_json::from_slice(&text).map_err(|source| EngagementError::Params {
        path: path.to_owned(),
        source,
    })
}

/// Only from the bundled database, so that the same version of this analysis
/// gives the same numbers everywhere.
fn zone(name: &str) -> Result<TimeZone, EngagementError> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| EngagementError::TimeZone {
            name: name.to_owned(),
        })
}

fn read_posts(path: &Path, zone: TimeZone) -> Result<Measure, EngagementError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let mut measure = Measure::new(zone);
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(io_error("read", path))?;
        if read == 0 {
            break;
        }
        let post: Post = serde_json::from_slice(&line).map_err(|source| EngagementError::Post {
            path: path.to_owned(),
            line: number,
            source,
        })?;
        let engagement =
            u128::from(post.replies) + u128::from(post.retweets) + u128::from(post.favorites);
        measure.add(post.created_at, post.kind, engagement);
    }
    Ok(measure)
}
