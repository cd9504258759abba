//! Archives written by hand, honest and hostile.

use super::*;
use crate::plan::digest_of;
use std::io::Cursor;

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest_of(layer)).collect();
    serde_json::to_vec(&serde_json::json!({
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "config": {
            "Entrypoint": ["/app"],
            "Env": ["A=b"],
            "Volumes": {"/data": {}},
            "Labels": {"x": "y"},
            "Healthcheck": {"Test": ["CMD", "/app"]},
            "User": "0"
        }
    }))
    .unwrap()
}

fn archive(layers: &[Vec<u8>]) -> (Vec<u8>, ImageFacts) {
    let mut bytes = Vec::new();
    let facts = write_archive(&config(layers), layers, &mut bytes).unwrap();
    (bytes, facts)
}

/// The entries of an archive, changed and written again without any care.
fn rewritten(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        for (name, content) in change(&name, content) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            out.append_data(&mut header, name, &content[..]).unwrap();
        }
    }
    out.into_inner().unwrap()
}

fn inspect(bytes: &[u8]) -> Result<ImageFacts, ArchiveError> {
    inspect_archive(Cursor::new(bytes), &ArchiveLimits::default())
}

#[test]
fn what_is_written_is_read_and_the_same_image_gives_the_same_bytes() {
    let layers = [b"one".to_vec(), b"two".to_vec(), b"one".to_vec()];
    let (bytes, written) = archive(&layers);
    let read = inspect(&bytes).unwrap();
    assert_eq!(read, written);
    assert_eq!(read.config.entrypoint, ["/app"]);
    assert_eq!(read.config.volumes, ["/data"]);
    assert!(read.config.healthcheck);
    assert_eq!((read.platform.as_str(), read.bytes), ("linux/amd64", 9));
    assert_eq!(archive(&layers).0, bytes);
}

#[test]
fn archives_that_lie_are_refused() {
    let (bytes, facts) = archive(&[b"layer".to_vec()]);
    let error = |bytes: Vec<u8>| inspect(&bytes).unwrap_err().to_string();
    let only = |name: &str, content: &[u8]| {
        let (name, content) = (name.to_owned(), content.to_vec());
        rewritten(&bytes, move |found, old| {
            let content = if found == name { content.clone() } else { old };
            vec![(found.to_owned(), content)]
        })
    };
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    assert!(error(only(&blob(&facts.layers[0]), b"other")).contains("should be"));
    let tagged = br#"[{"Config":"x","Layers":[],"RepoTags":["debian:latest"]}]"#;
    assert!(error(only("manifest.json", tagged)).contains("canonical"));
    assert!(error(only("index.json", br#"{"manifests":[]}"#)).contains("0 manifests"));
    assert!(error(only("index.json", b"{")).contains("index.json"));
    let with = |name: &str| {
        let name = name.to_owned();
        rewritten(&bytes, move |found, old| {
            let mut entries = vec![(found.to_owned(), old)];
            if found == "oci-layout" {
                entries.push((name.clone(), b"x".to_vec()));
            }
            entries
        })
    };
    assert!(error(with("repositories")).contains("does not belong"));
    assert!(error(with("oci-layout")).contains("twice"));
    assert!(error(with(&blob(&digest_of(b"x")))).contains("belongs to nothing"));
    assert!(error(with(&blob(&digest_of(b"y")))).contains("should be"));
    assert!(error(b"not a tar".to_vec()).contains("read"));
    assert!(error(bytes[..bytes.len() / 2].to_vec()).len() > 5);
}

#[test]
fn foreign_layers_and_links_are_refused() {
    let (bytes, facts) = archive(&[b"layer".to_vec()]);
    let manifest = facts.manifest_digest.unwrap();
    let foreign = |old: &[u8]| {
        let text = String::from_utf8(old.to_vec()).unwrap();
        text.replacen(
            r#""layers":[{"#,
            r#""layers":[{"urls":["http://127.0.0.1/"],"#,
            1,
        )
        .into_bytes()
    };
    let changed = rewritten(&bytes, |name, old| {
        if name == format!("blobs/sha256/{}", manifest.hex()) {
            let new = foreign(&old);
            return vec![(format!("blobs/sha256/{}", digest_of(&new).hex()), new)];
        }
        if name == "index.json" {
            let text = String::from_utf8(old).unwrap();
            let size = text
                .split("\"size\":")
                .nth(1)
                .unwrap()
                .split('}')
                .next()
                .unwrap();
            let old_manifest = super::layout::manifest(
                (facts.id.0, config(&[b"layer".to_vec()]).len() as u64),
                &[(facts.layers[0], 5)],
            );
            let new = foreign(&old_manifest);
            let text = text
                .replace(&manifest.hex(), &digest_of(&new).hex())
                .replace(
                    &format!("\"size\":{size}"),
                    &format!("\"size\":{}", new.len()),
                );
            return vec![(name.to_owned(), text.into_bytes())];
        }
        vec![(name.to_owned(), old)]
    });
    let error = inspect(&changed).unwrap_err();
    assert!(matches!(error, ArchiveError::ForeignLayer(_)), "{error}");
    let mut out = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    out.append_link(&mut header, "index.json", "/etc/passwd")
        .unwrap();
    let error = inspect(&out.into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.contains("not a plain file"), "{error}");
}

#[test]
fn limits_hold() {
    let (bytes, _) = archive(&[vec![7; 100_000], b"b".to_vec()]);
    let small = |change: fn(&mut ArchiveLimits)| {
        let mut limits = ArchiveLimits::default();
        change(&mut limits);
        inspect_archive(Cursor::new(&bytes), &limits).unwrap_err()
    };
    for error in [
        small(|limits| limits.bytes = 50_000),
        small(|limits| limits.entries = 3),
        small(|limits| limits.layers = 1),
    ] {
        assert!(matches!(error, ArchiveError::TooLarge { .. }), "{error}");
    }
    small(|limits| limits.json_bytes = 10);
}

proptest::proptest! {
    /// Whatever is changed in an archive, it is refused or holds the same image: never a panic,
    /// never another image.
    #[test]
    fn changed_bytes_never_make_another_image(at in 0_usize..12_000, byte: u8, cut in 0_usize..20_000) {
        let (mut bytes, facts) = archive(&[b"one".to_vec(), vec![9; 3000]]);
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut.max(at + 1));
        if let Ok(found) = inspect(&bytes) {
            proptest::prop_assert_eq!(found, facts);
        }
    }
}
