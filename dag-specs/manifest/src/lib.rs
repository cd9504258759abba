//! `analysis.yaml`: what an analysis is, needs and gives.
//!
//! This crate owns the manifest's types, their limits and defaults, the reading of the YAML with
//! all problems reported at once, the diagnostics machinery that `dag-specs` shares, canonical
//! JSON and the only use of a JSON Schema validator. It leaves to others how an analysis is run
//! (`executor/sandbox`) and how tasks use it (`dag-specs`). It imports no other crate of ours.

pub mod canonical;
pub mod diagnostic;
mod model;
pub mod names;
pub mod path;
mod text_serde;
pub mod units;

pub use canonical::Sha256Digest;
pub use diagnostic::{Diagnostic, Label, Severity, Span};
pub use model::{ArtifactSpec, InputKind, InputSpec, Manifest, Resources};
pub use names::{AnalysisName, ArtifactName, InputName, MediaType};
pub use path::{OutPath, RESULT_PATH};
pub use units::{Bytes, CpuMillis, DurationMs};
