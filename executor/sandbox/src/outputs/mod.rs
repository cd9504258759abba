//! Outputs: everything below `/out` was written by an attacker.
//!
//! Owns: which bytes leave an attempt. Leaves to others: storing and serving them.

use belljar_ids::{ArtifactName, Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One artifact that a manifest declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredArtifact {
    /// Its path below `/out`: names separated by `/`, no `.`, no `..`.
    pub path: String,
    /// Its media type, copied to the output; nothing here looks inside.
    pub media_type: String,
    /// Its largest size, in bytes.
    pub max_bytes: u64,
}

/// What a manifest declares as outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The JSON Schema of `/out/result.json`.
    pub result_schema: serde_json::Value,
    /// The artifacts by name.
    pub artifacts: BTreeMap<ArtifactName, DeclaredArtifact>,
}

/// One accepted output, staged as a file named by the hexadecimal digits of `digest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// The declared path below `/out`.
    pub path: String,
    /// The SHA-256 of its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Its declared media type.
    pub media_type: String,
}

/// What was in `/out`, not declared and therefore not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Regular files.
    pub files: u64,
    /// Folders that hold nothing declared.
    pub folders: u64,
    /// Apparent size of the files, in bytes.
    pub bytes: u64,
}

/// What an attempt produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// `/out/result.json`, valid against the schema.
    pub result: OutputFile,
    /// The declared artifacts, all of them.
    pub artifacts: BTreeMap<ArtifactName, OutputFile>,
    /// What was there besides.
    pub dropped: Dropped,
}
