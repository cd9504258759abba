//! What the client commands need of the sandbox crate, which they do not know: the binary gives it.

use belljar_ids::{ArtifactName, Digest, InputName};
use belljar_manifest::Manifest;
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why the local side of a command failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// The process's exit code.
    pub code: crate::ExitCode,
    /// What is wrong; may be hostile text.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// An image that was built and exported.
#[derive(Debug)]
pub struct BuiltImage {
    /// Digest of the OCI image manifest.
    pub manifest_digest: Digest,
    /// Digest of the image's configuration.
    pub config_digest: Digest,
    /// The OCI archive. It is deleted when this value is dropped.
    pub archive: tempfile::TempPath,
}

/// What `analysis test` is to run.
#[derive(Debug, Clone)]
pub struct TestOrder {
    /// The folder with `analysis.yaml`, from which `image` is built.
    pub folder: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// A file or folder for each input; checked to be there, and each declared in the manifest.
    pub inputs: BTreeMap<InputName, PathBuf>,
    /// The parameters with the schema's defaults; valid against it.
    pub params: Map<String, Value>,
    /// Where result and artifacts are to be kept.
    pub out: Option<PathBuf>,
    /// Whether a sandbox that is not the production sandbox will do.
    pub weaker_sandbox: bool,
}

/// How a test ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TestReport {
    /// The bytes of `/out/result.json` as text, where the test succeeded.
    pub result: Option<Value>,
    /// Why it did not succeed, as in a run's task; none where it did.
    pub cause: Option<String>,
    /// One sentence on that; hostile text.
    pub message: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// What the sandbox was, for people: `gVisor 20240729 (systrap)`.
    pub sandbox: String,
    /// Whether it was the production sandbox; said aloud where it was not.
    pub production_sandbox: bool,
    /// Peak memory, bytes, the sandbox's own included.
    pub peak_memory_bytes: Option<u64>,
    /// Processor time, milliseconds.
    pub cpu_ms: Option<u64>,
    /// Wall clock of the program, milliseconds.
    pub time_ms: u64,
    /// What the sandbox refused: system calls, paths, outputs; one sentence each, hostile text.
    pub refusals: Vec<String>,
    /// The artifacts: name, path below `/out`, bytes.
    pub artifacts: Vec<TestArtifact>,
    /// Files in `/out` that nothing declares.
    pub dropped_files: u64,
    /// What the program wrote to standard output; hostile text, perhaps cut.
    pub stdout: String,
    /// What the program wrote to standard error; hostile text, perhaps cut.
    pub stderr: String,
}

/// An artifact of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestArtifact {
    /// Its key in the manifest.
    pub name: ArtifactName,
    /// Its path below `/out`.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// Where it was kept.
    pub kept: Option<PathBuf>,
}

/// The sandbox crate, as far as the commands need it. A call that is dropped (Ctrl-C) must leave nothing behind.
pub trait ImagePort: Send + Sync {
    /// Builds the image that the manifest in `folder` names, and exports it as an OCI archive. `say` tells
    /// people what is going on, a line at a time, safe to print.
    fn build_and_export<'a>(
        &'a self,
        folder: &'a Path,
        manifest: &'a Manifest,
        say: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<BuiltImage, PortError>>;

    /// Runs an analysis in the sandbox of this machine.
    fn test<'a>(
        &'a self,
        order: &'a TestOrder,
        say: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<TestReport, PortError>>;
}

/// The program that these commands are part of.
pub struct Binary<'a> {
    /// Its whole command line, for the completions.
    pub command: fn() -> clap::Command,
    /// The sandbox crate.
    pub images: &'a dyn ImagePort,
}

impl std::fmt::Debug for Binary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Binary")
    }
}
