//! Analyses and their versions; bytes on their way in.

use crate::time::Time;
use belljar_ids::{AnalysisName, Digest, PrincipalName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A version of an analysis to be published.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalysisSubmit {
    /// `analysis.yaml` as JSON.
    pub manifest: Value,
    /// The image.
    pub image: Image,
}

/// A container image, identified by its digest alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Digest of the OCI image manifest.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// Digest of the image's configuration: the id under which an engine keeps it.
    #[schema(value_type = String)]
    pub config: Digest,
    /// Where it can be had, best first; at least one.
    pub from: Vec<ImageSource>,
}

/// One place an image can be had from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// An OCI archive, put to `/blobs/{digest}` before.
    Blob(BlobRef),
    /// A reference by digest in a registry, for example `registry.example/team/name@sha256:…`.
    Registry(String),
}

/// Bytes in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// What they hash to.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// A version of an analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analysis {
    /// The name.
    #[schema(value_type = String)]
    pub analysis: AnalysisName,
    /// The version (semver.org 2.0.0).
    pub version: String,
    /// SHA-256 over manifest and image: the identity.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// One line on what it finds out.
    pub summary: String,
    /// Whether an operator allowed plain `runc`.
    pub trusted: bool,
    /// Whether new runs may no longer use it.
    pub withdrawn: bool,
    /// Who submitted it.
    #[schema(value_type = String)]
    pub publisher: PrincipalName,
    /// When.
    pub created_at: Time,
}

/// A version of an analysis with all that was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnalysisDetail {
    /// The version.
    pub analysis: Analysis,
    /// The manifest with its defaults; `params` in it is the JSON Schema for a form.
    pub manifest: Value,
    /// The image.
    pub image: Image,
}
