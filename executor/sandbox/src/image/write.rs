//! Writing an archive: from parts, or from what `docker save` gives.

use super::layout::{self, Blob, ConfigFile, DockerEntry};
use super::{ArchiveError, ArchiveLimits, ImageFacts, ImageId};
use crate::plan::digest_of;
use belljar_ids::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use tar::{Archive, EntryType, Header};

/// Writes the archive of an image given as its configuration and uncompressed layers.
///
/// # Errors
/// `Malformed` where the configuration does not name exactly these layers, and the writer's.
pub fn write_archive<W: Write>(
    config: &[u8],
    layers: &[Vec<u8>],
    writer: W,
) -> Result<ImageFacts, ArchiveError> {
    let blobs: Vec<Blob> = layers
        .iter()
        .map(|layer| (digest_of(layer), layer.len() as u64))
        .collect();
    write(config, &blobs, writer, |index| Ok(&layers[index][..]))
}

/// Turns an engine's export into our archive. The export is read twice, so it must be a file.
///
/// # Errors
/// Where it is not the export of exactly one image, exceeds the limits, has compressed layers, or
/// content that is not what it is named by.
pub(crate) fn convert_docker_archive<W: Write>(
    mut source: File,
    writer: W,
    limits: &ArchiveLimits,
) -> Result<ImageFacts, ArchiveError> {
    let entries = index(&mut source, limits)?;
    let listing = small(&mut source, &entries, layout::DOCKER, limits)?;
    let images: Vec<DockerEntry> = serde_json::from_slice(&listing)
        .map_err(|error| ArchiveError::Malformed(format!("manifest.json: {error}")))?;
    let [image] = &images[..] else {
        return Err(ArchiveError::Malformed(format!(
            "it holds {} images",
            images.len()
        )));
    };
    let config = small(&mut source, &entries, &image.config, limits)?;
    let mut places = Vec::new();
    let mut blobs = Vec::new();
    for path in &image.layers {
        let place = find(&entries, path)?;
        blobs.push((hash(&mut source, place)?, place.size));
        places.push(place);
    }
    write(&config, &blobs, writer, |index| {
        let mut file = source.try_clone()?;
        file.seek(SeekFrom::Start(places[index].offset))?;
        Ok(file.take(places[index].size))
    })
}

/// Writes everything in one order with headers that say nothing but name and size.
fn write<W: Write, R: Read>(
    config: &[u8],
    layers: &[Blob],
    writer: W,
    mut open: impl FnMut(usize) -> std::io::Result<R>,
) -> Result<ImageFacts, ArchiveError> {
    let parsed = ConfigFile::parse(config)?;
    let found: Vec<Digest> = layers.iter().map(|(digest, _)| *digest).collect();
    if parsed.layers() != found {
        return Err(ArchiveError::Malformed(
            "its layers are compressed, or not those of its configuration".to_owned(),
        ));
    }
    let id = digest_of(config);
    let manifest = layout::manifest((id, config.len() as u64), layers);
    let manifest_digest = digest_of(&manifest);
    let index = layout::index((manifest_digest, manifest.len() as u64));
    enum Content {
        Bytes(Vec<u8>),
        Layer(usize, u64),
    }
    let mut entries = BTreeMap::from([
        (layout::INDEX.to_owned(), Content::Bytes(index)),
        (layout::LAYOUT.to_owned(), Content::Bytes(layout::layout())),
        (
            layout::DOCKER.to_owned(),
            Content::Bytes(layout::docker_manifest(&id, layers)),
        ),
        (layout::blob_path(&id), Content::Bytes(config.to_vec())),
        (
            layout::blob_path(&manifest_digest),
            Content::Bytes(manifest),
        ),
    ]);
    for (index, (digest, size)) in layers.iter().enumerate() {
        entries.insert(layout::blob_path(digest), Content::Layer(index, *size));
    }
    let mut tar = tar::Builder::new(writer);
    for (path, content) in entries {
        match content {
            Content::Bytes(bytes) => append(&mut tar, &path, bytes.len() as u64, &bytes[..])?,
            Content::Layer(index, size) => append(&mut tar, &path, size, open(index)?)?,
        }
    }
    tar.into_inner()?.flush()?;
    Ok(ImageFacts {
        id: ImageId(id),
        manifest_digest: Some(manifest_digest),
        layers: found,
        bytes: layers.iter().map(|(_, size)| size).sum(),
        platform: parsed.platform(),
        config: parsed.into_config(),
    })
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    size: u64,
    content: impl Read,
) -> Result<(), ArchiveError> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(tar.append(&header, content)?)
}

/// Where an entry's content is in the file.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    size: u64,
}

enum Entry {
    File(Place),
    /// Engines before 25 link equal layers to each other.
    Link(String),
}

fn index(
    source: &mut File,
    limits: &ArchiveLimits,
) -> Result<BTreeMap<String, Entry>, ArchiveError> {
    let mut found = BTreeMap::new();
    // Every layer of an old export is a folder with three files.
    let most = limits.entries * 4;
    let mut archive = Archive::new(source);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = entry
            .path()?
            .to_string_lossy()
            .trim_end_matches('/')
            .to_owned();
        let place = Place {
            offset: entry.raw_file_position(),
            size: entry.size(),
        };
        let entry = match entry.header().entry_type() {
            EntryType::Regular => Entry::File(place),
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name()?.unwrap_or_default();
                Entry::Link(target.to_string_lossy().into_owned())
            }
            _ => continue,
        };
        found.insert(path, entry);
        if found.len() > most {
            return Err(ArchiveError::TooLarge {
                what: "entries",
                limit: most as u64,
            });
        }
    }
    Ok(found)
}

fn find(entries: &BTreeMap<String, Entry>, path: &str) -> Result<Place, ArchiveError> {
    let missing = || ArchiveError::Malformed(format!("there is no `{}`", path.escape_debug()));
    match entries.get(path).ok_or_else(missing)? {
        Entry::File(place) => Ok(*place),
        Entry::Link(target) => {
            // `../<layer>/layer.tar`, one step only.
            let target = target.trim_start_matches("../");
            match entries.get(target) {
                Some(Entry::File(place)) => Ok(*place),
                _ => Err(missing()),
            }
        }
    }
}

fn small(
    source: &mut File,
    entries: &BTreeMap<String, Entry>,
    path: &str,
    limits: &ArchiveLimits,
) -> Result<Vec<u8>, ArchiveError> {
    let place = find(entries, path)?;
    if place.size > limits.json_bytes {
        return Err(ArchiveError::TooLarge {
            what: "bytes in a JSON document",
            limit: limits.json_bytes,
        });
    }
    let mut bytes = Vec::new();
    source.seek(SeekFrom::Start(place.offset))?;
    source.take(place.size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hash(source: &mut File, place: Place) -> Result<Digest, ArchiveError> {
    source.seek(SeekFrom::Start(place.offset))?;
    let mut content = source.take(place.size);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return Ok(Digest::from_bytes(hasher.finalize().into()));
        }
        hasher.update(&buffer[..read]);
    }
}
