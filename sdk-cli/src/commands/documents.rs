//! YAML documents and what is wrong with them.

use super::read_file;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::io::{Io, Place};
use belljar_manifest::{Diagnostic, Severity, Style, render};
use std::path::Path;

/// A file's text, with the name that diagnostics call it by.
#[derive(Debug)]
pub struct Document {
    /// The name: the path as it was typed, or `<stdin>`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Reads a YAML document.
///
/// # Errors
///
/// Where it cannot be read, is too large, or is not text.
pub fn read(path: &Path, io: &Io) -> Result<Document> {
    let name = if path == Path::new("-") {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    };
    let bytes = read_file(path, belljar_manifest::source::MAX_BYTES)?;
    match belljar_manifest::decode(&bytes, &name) {
        Ok(text) => Ok(Document {
            text: text.to_owned(),
            name,
        }),
        Err(diagnostics) => Err(refused(&diagnostics, None, &name, io)),
    }
}

/// The error that shows these diagnostics of a document.
pub fn refused(
    diagnostics: &[Diagnostic],
    text: Option<&str>,
    name: &str,
    io: &Io,
) -> CommandError {
    CommandError::Document {
        shown: shown(diagnostics, text, io.stderr),
        summary: format!("{}: {}", escape::line(name), counted(diagnostics)),
    }
}

/// Diagnostics with their source lines, safe to print at `place`.
pub fn shown(diagnostics: &[Diagnostic], text: Option<&str>, place: Place) -> String {
    let plain = render(diagnostics, text, Style::Plain);
    match escape::lines(&plain) {
        // Nothing to hide: what is left are the renderer's own colours.
        std::borrow::Cow::Borrowed(_) if place.colour => render(diagnostics, text, Style::Colour),
        safe => safe.into_owned(),
    }
}

/// `2 errors, 1 warning`.
pub fn counted(diagnostics: &[Diagnostic]) -> String {
    let count = |severity, word: &str| {
        let count = diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count();
        match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{count} {word}s")),
        }
    };
    let parts = [
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "no problems".to_owned()
    } else {
        parts.join(", ")
    }
}

/// The API's diagnostics as those that can be shown with source lines: the same document on the wire.
pub fn from_api(diagnostics: &[belljar_api::problem::Diagnostic]) -> Vec<Diagnostic> {
    let convert = |diagnostic| serde_json::from_value(serde_json::to_value(diagnostic).ok()?).ok();
    diagnostics.iter().filter_map(convert).collect()
}
