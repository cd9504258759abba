//! The codes of problems that only a server can find; documented in `docs/api.md`.

use belljar_manifest::Diagnostic;
use belljar_manifest::code::Code;

/// The bytes that a dataset version is to be made of.
pub(super) const BLOB: Code = Code {
    id: "BJ0500",
    title: "the bytes are not in the blob store",
    text: "Bytes are put with `PUT /api/v1/blobs/<digest>` before anything is made of them, and \
           named with the number of bytes they have.",
};
/// Where an image can be had.
pub(super) const IMAGE_SOURCE: Code = Code {
    id: "BJ0501",
    title: "the image cannot be had from there",
    text: "An image is named by its digest and at least one place where it can be had: an OCI \
           archive in the blob store, or a registry reference that ends in the same digest.",
};

/// A problem of one of these codes.
pub(super) fn problem(code: &Code, pointer: &str, message: String) -> Diagnostic {
    Diagnostic {
        docs_url: Some(format!("api.md#{}", code.id.to_ascii_lowercase())),
        ..Diagnostic::error(code, pointer, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../../docs/api.md");
        for code in [BLOB, IMAGE_SOURCE] {
            let anchor = format!("<a id=\"{}\"></a>", code.id.to_ascii_lowercase());
            assert!(page.contains(&anchor), "{anchor}");
            assert!(
                page.contains(code.title) && page.contains(code.text),
                "{}",
                code.id
            );
        }
    }
}
