//! `analysis.yaml`: what an analysis is, needs and gives.
//!
//! This crate owns the manifest's types, their limits and defaults, the reading of the YAML with
//! all problems reported at once, the diagnostics machinery that `dag-specs` shares, canonical
//! JSON and the only use of a JSON Schema validator. It leaves to others how an analysis is run
//! (`executor/sandbox`) and how tasks use it (`dag-specs`). It imports no other crate of ours.

pub mod canonical;
mod check;
pub mod code;
pub mod diagnostic;
mod editor;
mod manifest_file;
mod model;
pub mod names;
pub mod path;
pub mod read;
pub mod schema;
pub mod source;
mod text_serde;
pub mod units;
mod yaml;

pub use canonical::Sha256Digest;
pub use diagnostic::{Diagnostic, Label, Severity, Span, Style, render};
pub use editor::editor_schema;
pub use manifest_file::{ParsedManifest, parse_manifest};
pub use model::{ArtifactSpec, InputKind, InputSpec, Manifest, Resources};
pub use names::{AnalysisName, ArtifactName, InputName, MediaType};
pub use path::{OutPath, RESULT_PATH};
pub use schema::{CompiledSchema, InstanceProblem, InstanceProblems, apply_defaults};
pub use source::{Source, decode};
pub use units::{Bytes, CpuMillis, DurationMs};

/// The JSON Schema (draft 2020-12) of `analysis.yaml`, for editors.
#[must_use]
pub fn manifest_json_schema() -> serde_json::Value {
    editor_schema::<Manifest>()
}
