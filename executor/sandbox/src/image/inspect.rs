//! Reading an archive that somebody else wrote: one pass, nothing unpacked, everything bounded,
//! every digest computed, and nothing in it that we would not have written.

use super::layout::{self, BLOBS, ConfigFile, LAYER_TYPE};
use super::{ArchiveError, ArchiveLimits, ImageFacts, ImageId};
use belljar_ids::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use tar::{Archive, EntryType};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What was seen of one entry.
struct Seen {
    digest: Digest,
    size: u64,
    /// The content, where it is small enough to be a document.
    bytes: Option<Vec<u8>>,
}

/// Checks an archive and says what image it holds.
///
/// # Errors
/// [`ArchiveError`]: more than the limits, not the format, a digest that does not match, a foreign
/// layer.
pub fn inspect_archive<R: Read>(
    reader: R,
    limits: &ArchiveLimits,
) -> Result<ImageFacts, ArchiveError> {
    let seen = read(reader, limits)?;
    let index: Index = document(&seen, layout::INDEX)?;
    let [entry] = &index.manifests[..] else {
        let count = index.manifests.len();
        return Err(ArchiveError::Malformed(format!(
            "it holds {count} manifests"
        )));
    };
    let manifest: Manifest = document(&seen, &blob(&seen, entry)?)?;
    if manifest.layers.len() > limits.layers {
        return Err(ArchiveError::TooLarge {
            what: "layers",
            limit: limits.layers as u64,
        });
    }
    for layer in &manifest.layers {
        if !layer.urls.is_empty() || layer.media_type.contains("nondistributable") {
            return Err(ArchiveError::ForeignLayer(layer.digest.to_string()));
        }
        if layer.media_type != LAYER_TYPE {
            return Err(ArchiveError::Malformed(format!(
                "layer {} is not an uncompressed OCI layer",
                layer.digest
            )));
        }
        blob(&seen, layer)?;
    }
    let config = document_bytes(&seen, &blob(&seen, &manifest.config)?)?;
    let config = ConfigFile::parse(config)?;
    let layers: Vec<_> = manifest.layers.iter().map(|layer| layer.digest).collect();
    if config.layers() != layers {
        return Err(ArchiveError::Malformed(
            "the configuration names other layers than the manifest".to_owned(),
        ));
    }
    nothing_else(&seen, entry, &manifest)?;
    Ok(ImageFacts {
        id: ImageId(manifest.config.digest),
        manifest_digest: Some(entry.digest),
        layers,
        bytes: manifest.layers.iter().map(|layer| layer.size).sum(),
        platform: config.platform(),
        config: config.into_config(),
    })
}

/// Reads and hashes every entry. Raw, so that no extension header is followed: our names are short
/// and plain.
fn read<R: Read>(
    reader: R,
    limits: &ArchiveLimits,
) -> Result<BTreeMap<String, Seen>, ArchiveError> {
    let mut seen = BTreeMap::new();
    let mut left = limits.bytes;
    // A few documents are needed; an archive full of them must not fill the memory.
    let mut keep = limits.json_bytes.saturating_mul(4);
    let mut archive = Archive::new(reader.take(limits.bytes.saturating_add(1)));
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let name = name(&entry.path_bytes())?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(ArchiveError::Malformed(format!(
                "`{name}` is not a plain file"
            )));
        }
        let too_large = |what, limit| ArchiveError::TooLarge { what, limit };
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| too_large("bytes", limits.bytes))?;
        let content = content(&mut entry, &name, limits, keep)?;
        keep -= content.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if let Some(hex) = name.strip_prefix(BLOBS)
            && hex != content.digest.hex()
        {
            return Err(ArchiveError::Digest {
                what: name.clone(),
                wanted: format!("sha256:{hex}").parse().unwrap_or(content.digest),
                found: content.digest,
            });
        }
        if seen.insert(name.clone(), content).is_some() {
            return Err(ArchiveError::Malformed(format!("`{name}` is there twice")));
        }
        if seen.len() > limits.entries {
            return Err(too_large("entries", limits.entries as u64));
        }
    }
    Ok(seen)
}

/// The name of an entry, if it is one that our archives have.
fn name(bytes: &[u8]) -> Result<String, ArchiveError> {
    let name = String::from_utf8_lossy(bytes).into_owned();
    let known = match name.strip_prefix(BLOBS) {
        Some(hex) => format!("sha256:{hex}").parse::<Digest>().is_ok(),
        None => [layout::INDEX, layout::LAYOUT, layout::DOCKER].contains(&name.as_str()),
    };
    if known {
        return Ok(name);
    }
    let shown: String = name
        .chars()
        .take(120)
        .flat_map(char::escape_default)
        .collect();
    Err(ArchiveError::Malformed(format!(
        "`{shown}` does not belong there"
    )))
}

fn content(
    entry: &mut impl Read,
    name: &str,
    limits: &ArchiveLimits,
    keep: u64,
) -> Result<Seen, ArchiveError> {
    let mut hasher = Sha256::new();
    let mut size = 0_u64;
    let mut kept = Some(Vec::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = entry.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
        if size > limits.json_bytes.min(keep) {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&buffer[..read]);
        }
    }
    if kept.is_none() && !name.starts_with(BLOBS) {
        return Err(ArchiveError::TooLarge {
            what: "bytes in a JSON document",
            limit: limits.json_bytes,
        });
    }
    // A layer is small at times; a document it is only if it begins like one.
    let kept = kept.filter(|bytes| matches!(bytes.first(), Some(b'{' | b'[')));
    Ok(Seen {
        digest: Digest::from_bytes(hasher.finalize().into()),
        size,
        bytes: kept,
    })
}

/// The path of the blob that a descriptor names, which must be there in the size it says.
fn blob(seen: &BTreeMap<String, Seen>, descriptor: &Descriptor) -> Result<String, ArchiveError> {
    let path = layout::blob_path(&descriptor.digest);
    match seen.get(&path) {
        Some(blob) if blob.size == descriptor.size => Ok(path),
        Some(_) => Err(ArchiveError::Malformed(format!(
            "`{path}` has another size"
        ))),
        None => Err(ArchiveError::Malformed(format!("`{path}` is missing"))),
    }
}

fn document_bytes<'a>(
    seen: &'a BTreeMap<String, Seen>,
    name: &str,
) -> Result<&'a [u8], ArchiveError> {
    let document = seen.get(name).and_then(|entry| entry.bytes.as_deref());
    document.ok_or_else(|| ArchiveError::Malformed(format!("`{name}` is missing or no document")))
}

fn document<T: serde::de::DeserializeOwned>(
    seen: &BTreeMap<String, Seen>,
    name: &str,
) -> Result<T, ArchiveError> {
    serde_json::from_slice(document_bytes(seen, name)?)
        .map_err(|error| ArchiveError::Malformed(format!("`{name}`: {error}")))
}

/// The documents must be byte for byte those that we would write for this image: Docker's list
/// above all, which could otherwise name another image or move a tag. And no blob is left over.
fn nothing_else(
    seen: &BTreeMap<String, Seen>,
    entry: &Descriptor,
    manifest: &Manifest,
) -> Result<(), ArchiveError> {
    let layers: Vec<_> = manifest.layers.iter().map(|l| (l.digest, l.size)).collect();
    let config = (manifest.config.digest, manifest.config.size);
    for (name, wanted) in [
        (
            layout::INDEX.to_owned(),
            layout::index((entry.digest, entry.size)),
        ),
        (layout::LAYOUT.to_owned(), layout::layout()),
        (
            layout::DOCKER.to_owned(),
            layout::docker_manifest(&config.0, &layers),
        ),
        (
            layout::blob_path(&entry.digest),
            layout::manifest(config, &layers),
        ),
    ] {
        if document_bytes(seen, &name)? != wanted {
            return Err(ArchiveError::Malformed(format!(
                "`{name}` is not in the canonical form"
            )));
        }
    }
    let mut used: Vec<_> = manifest.layers.iter().map(|layer| layer.digest).collect();
    used.extend([entry.digest, manifest.config.digest]);
    let used = |name: &str| used.iter().any(|digest| layout::blob_path(digest) == name);
    match seen
        .keys()
        .find(|name| name.starts_with(BLOBS) && !used(name))
    {
        Some(name) => Err(ArchiveError::Malformed(format!(
            "`{name}` belongs to nothing"
        ))),
        None => Ok(()),
    }
}
