//! An image with nothing but the sandbox's static probe in it, as an archive.

use belljar_ids::Digest;
use belljar_sandbox::ImageId;
use belljar_sandbox::image::write_archive;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// An image archive.
pub struct Image {
    pub id: ImageId,
    pub archive: Vec<u8>,
}

/// The probe's image, the same for all tests of one process.
pub fn probe() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let program = compile();
        let mut layer = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(program.len() as u64);
        layer
            .append_data(&mut header, "app/probe", &program[..])
            .unwrap();
        let layer = layer.into_inner().unwrap();
        let config = json!({
            "author": "belljar tests",
            "os": "linux",
            "architecture": "amd64",
            "config": {"Entrypoint": ["/app/probe"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]},
        });
        let mut archive = std::io::Cursor::new(Vec::new());
        let config = serde_json::to_vec(&config).unwrap();
        let facts = write_archive(&config, &[layer], &mut archive).unwrap();
        Image {
            id: facts.id,
            archive: archive.into_inner(),
        }
    })
}

pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn compile() -> Vec<u8> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/sandbox/tests/probe/probe.c");
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("probe");
    let output = Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .args([program.as_path(), Path::new(source)])
        .output()
        .expect("these tests need a C compiler: apt-get install gcc libc6-dev");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    std::fs::read(program).unwrap()
}
