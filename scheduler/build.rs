//! Finds the web page that is embedded: `web/dist` where it was built, else a page that says that it
//! was not, so that this crate always builds.

use std::path::{Path, PathBuf};

const PLACEHOLDER: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<title>Belljar</title><h1>Belljar</h1><p>This program was built without its web page. \
Build it with <code>make build</code>. The API is at <code>/api/v1</code>.</p></html>\n";

fn main() {
    // Cargo sets both for every build script.
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let dist = root.join("../web/dist");
    // An empty folder, so that cargo sees when something comes into it; where it cannot be made, the
    // next build looks again.
    if root.join("../web").is_dir() {
        let _ = std::fs::create_dir_all(&dist);
    }
    let folder = if dist.join("index.html").is_file() {
        dist.clone()
    } else {
        placeholder(&out)
    };
    println!("cargo::rerun-if-changed=build.rs");
    if dist.is_dir() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    println!("cargo::rustc-env=BELLJAR_WEB_DIST={}", folder.display());
}

fn placeholder(out: &Path) -> PathBuf {
    let folder = out.join("web");
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("index.html"), PLACEHOLDER));
    if let Err(error) = written {
        println!("cargo::error=failed to write {}: {error}", folder.display());
    }
    folder
}
