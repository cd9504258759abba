//! Paths below `/out`: declared artifacts and the references of downstream tasks to them.

use std::fmt;
use std::str::FromStr;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The path of every task's result below `/out`.
pub const RESULT_PATH: &str = "result.json";

/// A relative path below `/out` that is safe to create, list and compare on any file system.
///
/// At most 1,024 bytes of UTF-8 in Unicode normalisation form C, segments of at most 255 bytes
/// separated by single `/`; no segment is `.` or `..`; no control characters, no `\`, no
/// bidirectional or zero-width formatting character that could make one path look like another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutPath(String);

/// A text that is not an [`OutPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a path below /out: {problem}", text.escape_debug())]
pub struct InvalidPath {
    /// The text that was given.
    pub text: String,
    /// Which rule it breaks.
    pub problem: &'static str,
}

/// Characters that are invisible or turn the direction of text (Unicode TR 36, section 2.10).
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{61c}')
}

/// The rule that `text` breaks, if any.
fn problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > 1_024 {
        return Some("it is longer than 1024 bytes");
    }
    if text.starts_with('/') {
        return Some("it must be relative");
    }
    if text.chars().any(|c| c.is_control() || is_deceptive(c)) {
        return Some("control and invisible characters are not allowed");
    }
    if text.contains('\\') {
        return Some("separate folders with `/`, not `\\`");
    }
    if !is_nfc(text) {
        return Some("it must be in Unicode normalisation form C");
    }
    for segment in text.split('/') {
        match segment {
            "" => return Some("it has an empty segment"),
            "." | ".." => return Some("`.` and `..` are not allowed"),
            long if long.len() > 255 => return Some("a segment is longer than 255 bytes"),
            _ => {}
        }
    }
    None
}

impl OutPath {
    /// The path, relative to `/out`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the path of the result, `result.json`.
    #[must_use]
    pub fn is_result(&self) -> bool {
        self.0 == RESULT_PATH
    }

    /// The path with differences of case removed: two paths with the same key would collide on a
    /// file system that ignores case. Lower, upper, lower again, and form C, which comes close to
    /// the caseless matching of the Unicode Standard, section 3.13, and never separates more.
    #[must_use]
    pub fn case_key(&self) -> String {
        self.0
            .to_lowercase()
            .to_uppercase()
            .to_lowercase()
            .nfc()
            .collect()
    }
}

impl FromStr for OutPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        match problem(text) {
            None => Ok(Self(text.to_owned())),
            Some(problem) => Err(InvalidPath {
                text: text.chars().take(80).collect(),
                problem,
            }),
        }
    }
}

impl fmt::Display for OutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

crate::text_serde!(OutPath, r"^[^/\\]+(/[^/\\]+)*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        let long_segment = "a".repeat(256);
        let long_path = "a/".repeat(512) + "a";
        for text in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/..",
            "a/../b",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{7f}b",
            "a\u{85}b",
            "e\u{301}.txt",
            "a\u{202e}gpj.exe",
            "a\u{200b}b",
            &long_segment,
            &long_path,
        ] {
            assert!(text.parse::<OutPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn paths_that_collide_without_case_have_one_key() {
        let key = |text: &str| text.parse::<OutPath>().unwrap().case_key();
        assert_eq!(key("A/Straße.SVG"), key("a/strasse.svg"));
        assert_eq!(key("É.txt"), key("é.txt"));
        assert_ne!(key("a"), key("b"));
        assert!("result.json".parse::<OutPath>().unwrap().is_result());
        assert!(!"x/result.json".parse::<OutPath>().unwrap().is_result());
    }
}
