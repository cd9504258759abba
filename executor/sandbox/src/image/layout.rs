//! The documents of an archive: OCI manifest and index, Docker's `manifest.json`, and the part of
//! the image's configuration that is read.

use super::{ArchiveError, ImageConfig};
use belljar_ids::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const INDEX: &str = "index.json";
pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const DOCKER: &str = "manifest.json";
pub(super) const BLOBS: &str = "blobs/sha256/";
pub(super) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// A blob by digest and size in bytes.
pub(super) type Blob = (Digest, u64);

/// Where a blob is in the archive.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

/// The OCI manifest (image specification 1.1) of an image.
pub(super) fn manifest(config: Blob, layers: &[Blob]) -> Vec<u8> {
    let descriptor = |kind: &str, (digest, size): Blob| json!({"mediaType": kind, "digest": digest, "size": size});
    let layers: Vec<_> = layers
        .iter()
        .map(|&layer| descriptor(LAYER_TYPE, layer))
        .collect();
    crate::receipt::canonical_json(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, config),
        "layers": layers,
    }))
}

/// The OCI index with that one manifest.
pub(super) fn index(manifest: Blob) -> Vec<u8> {
    crate::receipt::canonical_json(&json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": MANIFEST_TYPE, "digest": manifest.0, "size": manifest.1}],
    }))
}

/// The OCI layout's version file.
pub(super) fn layout() -> Vec<u8> {
    crate::receipt::canonical_json(&json!({"imageLayoutVersion": "1.0.0"}))
}

/// Docker's list of images: this one, without any tag, so that loading moves none.
pub(super) fn docker_manifest(config: &Digest, layers: &[Blob]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|(digest, _)| blob_path(digest)).collect();
    crate::receipt::canonical_json(&json!([{
        "Config": blob_path(config),
        "Layers": layers,
        "RepoTags": null,
    }]))
}

/// One entry of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerEntry {
    pub config: String,
    pub layers: Vec<String>,
}

/// What is read of an image's configuration (`application/vnd.oci.image.config.v1+json`, and
/// Docker's form of it).
#[derive(Deserialize)]
pub(super) struct ConfigFile {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    rootfs: RootFs,
    #[serde(default)]
    config: Option<RawConfig>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    user: String,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: String,
    volumes: Option<BTreeMap<String, Value>>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, Value>>,
    healthcheck: Option<Healthcheck>,
    stop_signal: String,
    on_build: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    test: Option<Vec<String>>,
}

impl ConfigFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        serde_json::from_slice(bytes)
            .map_err(|error| ArchiveError::Malformed(format!("the image's configuration: {error}")))
    }

    pub(super) fn platform(&self) -> String {
        let name = |text: &str| -> String {
            text.chars()
                .take(40)
                .flat_map(char::escape_default)
                .collect()
        };
        format!("{}/{}", name(&self.os), name(&self.architecture))
    }

    pub(super) fn layers(&self) -> &[Digest] {
        &self.rootfs.diff_ids
    }

    pub(super) fn into_config(self) -> ImageConfig {
        let raw = self.config.unwrap_or_default();
        let test = raw
            .healthcheck
            .and_then(|check| check.test)
            .unwrap_or_default();
        ImageConfig {
            entrypoint: raw.entrypoint.unwrap_or_default(),
            cmd: raw.cmd.unwrap_or_default(),
            env: raw.env.unwrap_or_default(),
            working_dir: raw.working_dir,
            user: raw.user,
            volumes: raw.volumes.unwrap_or_default().into_keys().collect(),
            labels: raw.labels.unwrap_or_default(),
            exposed_ports: raw.exposed_ports.unwrap_or_default().into_keys().collect(),
            healthcheck: test.first().is_some_and(|word| word != "NONE"),
            stop_signal: raw.stop_signal,
            on_build: raw.on_build.unwrap_or_default(),
        }
    }
}
