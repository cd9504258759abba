//! Images: what they say about themselves, and how they travel as archives.
//!
//! Owns: the archive format and its hostile parsing. Leaves to others: building images, and which
//! image an analysis may use.
//!
//! An image travels as one uncompressed tar: an OCI image layout (OCI image specification 1.1)
//! that also has Docker's `manifest.json`, so that engines from 20.10 on load it. Entries are
//! sorted and carry no times, owners or modes of their own; layers are uncompressed and named by
//! their SHA-256. The same image gives the same bytes, wherever it was exported.

mod inspect;
mod layout;
#[cfg(test)]
mod tests;
mod write;

pub use inspect::inspect_archive;
pub(crate) use write::convert_docker_archive;
pub use write::write_archive;

use belljar_ids::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The identity of an image: the SHA-256 of its configuration, which names every layer by the
/// SHA-256 of its uncompressed tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ImageId {
    type Err = belljar_ids::InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What an image wants to be run with. None of it is obeyed unread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub cmd: Vec<String>,
    /// `ENV`, as `NAME=value`.
    pub env: Vec<String>,
    /// `WORKDIR`; empty where there is none.
    pub working_dir: String,
    /// `USER`; ignored, shown in review.
    pub user: String,
    /// `VOLUME`s, sorted.
    pub volumes: Vec<String>,
    /// `LABEL`s.
    pub labels: BTreeMap<String, String>,
    /// `EXPOSE`d ports, sorted; ignored, shown in review.
    pub exposed_ports: Vec<String>,
    /// Whether there is a `HEALTHCHECK`; never run.
    pub healthcheck: bool,
    /// `STOPSIGNAL`; ignored.
    pub stop_signal: String,
    /// `ONBUILD`; ignored.
    pub on_build: Vec<String>,
}

/// What is known of an image without running it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Its identity.
    pub id: ImageId,
    /// The digest of its OCI manifest, where it came from an archive.
    pub manifest_digest: Option<Digest>,
    /// The SHA-256 of each uncompressed layer, lowest first.
    pub layers: Vec<Digest>,
    /// The size of all layers, in bytes.
    pub bytes: u64,
    /// `linux/amd64` and the like.
    pub platform: String,
    /// What it wants.
    pub config: ImageConfig,
}

/// How much of an archive is read at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveLimits {
    /// Bytes of the whole archive.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: usize,
    /// Layers of the image.
    pub layers: usize,
    /// Bytes of each JSON document in it.
    pub json_bytes: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            bytes: 8 << 30,
            entries: 1024,
            layers: 127,
            json_bytes: 4 << 20,
        }
    }
}

/// Why an archive is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It could not be read or written.
    #[error("failed to read or write the image archive: {0}")]
    Io(#[from] std::io::Error),
    /// A limit of [`ArchiveLimits`] is exceeded.
    #[error("the image archive has more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// It is no archive of one image.
    #[error("not an image archive: {0}")]
    Malformed(String),
    /// Content that does not have the digest it is named by.
    #[error("{what} should be {wanted} and is {found}")]
    Digest {
        /// Which content.
        what: String,
        /// The digest it is named by.
        wanted: Digest,
        /// Its digest.
        found: Digest,
    },
    /// A layer that is to be fetched from elsewhere.
    #[error("the image has a foreign layer ({0}); every layer must be in the archive")]
    ForeignLayer(String),
    /// The image is not the one that was expected.
    #[error("the archive holds image {found}, not {wanted}")]
    WrongImage {
        /// The image expected.
        wanted: ImageId,
        /// The image in the archive.
        found: ImageId,
    },
}
