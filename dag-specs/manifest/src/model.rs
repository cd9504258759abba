//! The types of a manifest, `analysis.yaml`.
//!
//! This module owns the shape, the defaults and the hard ceilings. Reading the YAML is
//! `read`'s work, the rules across fields are `check`'s.

use crate::canonical::{Sha256Digest, canonical_json};
use crate::names::{AnalysisName, ArtifactName, InputName, MediaType};
use crate::path::OutPath;
use crate::units::{Bytes, CpuMillis, DurationMs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an analysis is, needs and gives: the content of `analysis.yaml`.
///
/// A value that came through [`crate::parse_manifest`] or [`Manifest::check`] without a problem
/// keeps every rule of the format; one that was only deserialised keeps those of its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Belljar analysis manifest")]
pub struct Manifest {
    /// The name under which DAGs refer to the analysis.
    pub analysis: AnalysisName,
    /// The version, as in Semantic Versioning 2.0.0. A published version never changes.
    #[schemars(with = "String")]
    pub version: semver::Version,
    /// One line that says what the analysis finds out, at most 200 characters.
    pub summary: String,
    /// Where the image is built from or taken: a folder with a Dockerfile, or an image reference.
    pub image: String,
    /// The program and its arguments; without it, the image's own entrypoint and command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The data that the analysis reads, each mounted read-only at `/in/<name>`.
    #[serde(default)]
    pub inputs: BTreeMap<InputName, InputSpec>,
    /// A JSON Schema (draft 2020-12) of `/in/params.json`, an object. Without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// A JSON Schema (draft 2020-12) that `/out/result.json` must satisfy.
    pub result: Value,
    /// The other files that the analysis gives out.
    #[serde(default)]
    pub artifacts: BTreeMap<ArtifactName, ArtifactSpec>,
    /// What one attempt may use.
    #[serde(default)]
    pub resources: Resources,
}

/// One declared input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The media type that a dataset or artifact must have to be given here.
    pub media_type: MediaType,
    /// What the data is, for whoever connects it.
    #[serde(default)]
    pub description: String,
    /// Whether a file or a folder is given.
    #[serde(default)]
    pub kind: InputKind,
    /// Whether the analysis also runs without it; `/in/<name>` is then absent.
    #[serde(default)]
    pub optional: bool,
}

/// What appears at `/in/<input>`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A regular file, mode 0444.
    #[default]
    File,
    /// A folder, mode 0555.
    Folder,
}

/// One declared output file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSpec {
    /// Where the program writes it, below `/out`.
    pub path: OutPath,
    /// The media type of its content.
    pub media_type: MediaType,
    /// The largest size in bytes that is accepted; without it, the size of `/out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    /// What the file shows.
    #[serde(default)]
    pub description: String,
    /// Whether a successful attempt may leave it out.
    #[serde(default)]
    pub optional: bool,
}

impl ArtifactSpec {
    /// The largest size that is accepted: `max_bytes`, and never more than `/out` holds.
    #[must_use]
    pub fn size_limit(&self, resources: &Resources) -> Bytes {
        self.max_bytes
            .map_or(resources.disk, |max| max.min(resources.disk))
    }
}

/// What one attempt may use. Every field has a default and a hard ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Processor time; default 1, from 0.01 to 64 CPUs.
    pub cpu: CpuMillis,
    /// Memory of the program including its `/tmp`; default 256 MiB, from 6 MiB to 1 TiB.
    pub memory: Bytes,
    /// Size of `/out`; default 64 MiB, from 1 MiB to 1 TiB.
    pub disk: Bytes,
    /// Size of `/tmp`; default 32 MiB, from 0 to 64 GiB; no more than `memory`.
    pub tmp: Bytes,
    /// Threads of the program; default 64, from 1 to 32,768.
    pub pids: u32,
    /// Wall clock of one attempt; default 10 minutes, from 1 second to 7 days.
    pub timeout: DurationMs,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: CpuMillis::new(1_000),
            memory: Bytes::mib(256),
            disk: Bytes::mib(64),
            tmp: Bytes::mib(32),
            pids: 64,
            timeout: DurationMs::from_secs(600),
        }
    }
}

impl Resources {
    /// The least that may be asked for.
    pub const FLOOR: Self = Self {
        cpu: CpuMillis::new(10),
        memory: Bytes::mib(6),
        disk: Bytes::mib(1),
        tmp: Bytes::new(0),
        pids: 1,
        timeout: DurationMs::from_secs(1),
    };
    /// The most that may be asked for; an executor may have less and then does not match.
    pub const CEILING: Self = Self {
        cpu: CpuMillis::new(64_000),
        memory: Bytes::mib(1 << 20),
        disk: Bytes::mib(1 << 20),
        tmp: Bytes::mib(64 << 10),
        pids: 32_768,
        timeout: DurationMs::from_secs(7 * 86_400),
    };
}

impl Manifest {
    /// The manifest in canonical JSON (see [`crate::canonical`]), all fields with their defaults
    /// written out except an absent `command`, `params` or `max_bytes`.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        canonical_json(&self.to_value())
    }

    /// The identity of an analysis version: SHA-256 of the canonical JSON of
    /// `{"image": <image_digest>, "manifest": <the manifest without its field image>}`.
    ///
    /// `image_digest` is the digest of the image's OCI manifest. The manifest's own `image` says
    /// where the image came from, not what it is, and is left out: the same image and manifest
    /// built in another folder are the same version.
    #[must_use]
    pub fn digest(&self, image_digest: &Sha256Digest) -> Sha256Digest {
        let mut manifest = self.to_value();
        if let Some(members) = manifest.as_object_mut() {
            members.remove("image");
        }
        let whole = json!({ "image": image_digest.to_string(), "manifest": manifest });
        Sha256Digest::of(canonical_json(&whole).as_bytes())
    }

    fn to_value(&self) -> Value {
        // Every field serialises to JSON without a failing case: no map has keys other than text.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The declared artifact at `path` below `/out`, if there is one.
    #[must_use]
    pub fn artifact_at(&self, path: &OutPath) -> Option<(&ArtifactName, &ArtifactSpec)> {
        self.artifacts
            .iter()
            .find(|(_, artifact)| artifact.path == *path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
analysis: a
version: 1.0.0
summary: s
image: .
inputs: { x: { media_type: Text/CSV } }
result: { type: object }
artifacts: { b: { path: b.txt, media_type: text/plain } }
resources: { cpu: 0.5 }
";

    fn manifest(text: &str) -> Manifest {
        crate::parse_manifest(text, "analysis.yaml")
            .unwrap()
            .manifest
    }

    #[test]
    fn json_that_breaks_a_rule_is_refused() {
        let good = serde_json::to_value(manifest(TEXT)).unwrap();
        for (pointer, value) in [
            ("/analysis", json!("A")),
            ("/version", json!("1")),
            ("/inputs/x/media_type", json!("csv")),
            ("/inputs/x/kind", json!("device")),
            ("/artifacts/b/path", json!("../b")),
            ("/resources/cpu", json!(-1)),
            ("/resources/timeout", json!(5)),
            ("/command", json!([])),
            ("/command", json!(["a", "b\0"])),
            ("/result", json!({ "type": "objekt" })),
            ("/params", json!({ "type": "array" })),
            ("/artifacts/b/path", json!("RESULT.json")),
            ("/artifacts/b/max_bytes", json!(1_u64 << 40)),
            ("/resources/memory", json!(0)),
            ("/summary", json!("two\nlines")),
            ("/extra", json!(1)),
        ] {
            let mut bad = good.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            bad.pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .insert(name.to_owned(), value);
            let refused = match serde_json::from_value::<Manifest>(bad) {
                Ok(manifest) => manifest.check().is_err(),
                Err(_) => true,
            };
            assert!(refused, "{pointer}");
        }
        serde_json::from_value::<Manifest>(good)
            .unwrap()
            .check()
            .unwrap();
    }

    #[test]
    fn the_digest_is_of_what_runs_not_of_where_it_came_from() {
        let (one, other) = (Sha256Digest::of(b"1"), Sha256Digest::of(b"2"));
        let base = manifest(TEXT).digest(&one);
        assert_eq!(
            manifest(&TEXT.replace("image: .", "image: ./elsewhere")).digest(&one),
            base
        );
        assert_eq!(
            manifest(&TEXT.replace("0.5", "500m").replace("Text/CSV", "text/csv")).digest(&one),
            base
        );
        assert_eq!(
            manifest(&format!("{TEXT}params: {{ type: object }}\n")).digest(&one),
            { manifest(&format!("params: {{ 'type': \"object\" }}{TEXT}")).digest(&one) }
        );
        assert_ne!(manifest(TEXT).digest(&other), base);
        for (from, to) in [
            ("1.0.0", "1.0.1"),
            ("summary: s", "summary: t"),
            ("0.5", "0.6"),
            ("b.txt", "c.txt"),
        ] {
            assert_ne!(
                manifest(&TEXT.replace(from, to)).digest(&one),
                base,
                "{from}"
            );
        }
    }

    #[test]
    fn defaults_are_sane() {
        let manifest = manifest(TEXT);
        let default = Resources::default();
        assert_eq!(
            (manifest.resources.memory, manifest.resources.cpu.get()),
            (default.memory, 500)
        );
        assert!(default.tmp <= default.memory && Resources::FLOOR.timeout < default.timeout);
        let artifact = manifest.artifact_at(&"b.txt".parse().unwrap()).unwrap().1;
        assert_eq!(artifact.size_limit(&manifest.resources), default.disk);
        assert!(
            manifest
                .inputs
                .values()
                .all(|input| input.kind == InputKind::File && !input.optional)
        );
    }
}
