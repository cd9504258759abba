//! Outputs: everything below `/out` was written by an attacker.
//!
//! Owns: which bytes leave an attempt. Leaves to others: storing and serving them.

mod collect;
mod result;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use collect::collect;

use belljar_ids::{ArtifactName, Digest, InvalidId};
use belljar_manifest::{Manifest, OutPath};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One artifact that a manifest declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredArtifact {
    /// Its path below `/out`.
    pub path: OutPath,
    /// Its media type, copied to the output; nothing here looks inside.
    pub media_type: String,
    /// Its largest size, in bytes.
    pub max_bytes: u64,
    /// Whether a successful attempt may leave it out.
    pub optional: bool,
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
    /// The declared artifacts: all but optional ones that the program left out.
    pub artifacts: BTreeMap<ArtifactName, OutputFile>,
    /// What was there besides.
    pub dropped: Dropped,
}

impl Declared {
    /// What this manifest declares.
    ///
    /// # Errors
    /// An artifact whose name is not one: impossible for a manifest that was checked.
    pub fn of(manifest: &Manifest) -> Result<Self, InvalidId> {
        let mut artifacts = BTreeMap::new();
        for (name, artifact) in &manifest.artifacts {
            let declared = DeclaredArtifact {
                path: artifact.path.clone(),
                media_type: artifact.media_type.as_str().to_owned(),
                max_bytes: artifact.size_limit(&manifest.resources).get(),
                optional: artifact.optional,
            };
            artifacts.insert(name.as_str().parse()?, declared);
        }
        Ok(Self {
            result_schema: manifest.result.clone(),
            artifacts,
        })
    }
}

impl crate::finished::Cause {
    /// A cause with its sentence and hint.
    pub(crate) fn new(
        kind: crate::finished::CauseKind,
        message: impl Into<String>,
        hint: &str,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: hint.to_owned(),
        }
    }
}
