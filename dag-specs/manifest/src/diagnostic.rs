//! Problems in a file, with the place where they are.
//!
//! One type serves all: a terminal ([`render`]), `--output json` and the API's `errors[]`. Whoever
//! finds a problem names the place by JSON Pointer; [`crate::Source::locate`] turns pointers into
//! spans where the text is at hand.

use crate::code::{Code, MORE_PROBLEMS};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a diagnostic is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted; somebody should look.
    Warning,
}

/// A range of a source text. Lines and columns are counted from 1, columns in Unicode scalar
/// values; the end is exclusive; bytes are offsets into the UTF-8 text.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub struct Span {
    /// Line of the first character, from 1.
    pub line: u32,
    /// Column of the first character, from 1.
    pub col: u32,
    /// Line of the position just after the last character, from 1.
    pub end_line: u32,
    /// Column just after the last character, from 1.
    pub end_col: u32,
    /// Byte offset of the first character.
    pub start: usize,
    /// Byte offset just after the last character.
    pub end: usize,
}

/// A second place that explains a diagnostic, with what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there, for example `first defined here`.
    pub message: String,
}

/// Which part of a member a pointer means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// Its value.
    #[default]
    Value,
    /// Its key.
    Key,
    /// The item with this text, of a list of texts.
    Item(String),
    /// These bytes of its text, as decoded.
    Part(std::ops::Range<usize>),
}

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// The stable code, `BJ` and four digits; explained by `explain`.
    pub code: String,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The file's name as the caller gave it.
    pub file: String,
    /// JSON Pointer (RFC 6901) to the value in the document; empty for the whole document.
    pub pointer: String,
    /// Which part of the value is meant; only until the diagnostic is located.
    #[serde(skip)]
    pub target: Target,
    /// The place in the text; absent where no text is at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// Other places that matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where more is written about the code, relative to the documentation's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
}

impl Diagnostic {
    /// An error at the value that `pointer` names.
    #[must_use]
    pub fn error(code: &Code, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.id.to_owned(),
            severity: Severity::Error,
            message: shorten(message.into()),
            file: String::new(),
            pointer: pointer.into(),
            target: Target::Value,
            span: None,
            labels: Vec::new(),
            help: None,
            docs_url: Some(format!("diagnostics.md#{}", code.id.to_ascii_lowercase())),
        }
    }

    /// A warning at the value that `pointer` names.
    #[must_use]
    pub fn warning(code: &Code, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, pointer, message)
        }
    }

    /// The same with help.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(shorten(help.into())),
            ..self
        }
    }

    /// The same at another part of the value.
    #[must_use]
    pub fn at(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// The same at a known place.
    #[must_use]
    pub fn spanned(self, span: Span) -> Self {
        Self {
            span: Some(span),
            ..self
        }
    }

    /// The same with another place that explains it.
    #[must_use]
    pub fn label(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            message: message.into(),
        });
        self
    }
}

impl fmt::Display for Diagnostic {
    /// One line: `file:line:col: error[BJ0020]: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(span) = self.span {
            write!(f, ":{}:{}", span.line, span.col)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}[{}]: {}", self.code, self.message)
    }
}

/// `text` cut to 400 characters, so that hostile input cannot flood a terminal or an answer.
fn shorten(text: String) -> String {
    const MAX: usize = 400;
    match text.char_indices().nth(MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A list of diagnostics that stops growing: beyond 100 the rest is only counted.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Diagnostic>,
    dropped: usize,
    errors: bool,
}

/// The most diagnostics that are kept for one file.
pub const MAX_PROBLEMS: usize = 100;

impl Problems {
    /// Adds one, or counts it where there are 100 already.
    pub fn push(&mut self, problem: Diagnostic) {
        self.errors |= problem.severity == Severity::Error;
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.dropped += 1;
        }
    }

    /// Whether further errors are only counted; making them elaborate is then in vain.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.list.len() >= MAX_PROBLEMS
    }

    /// Counts an error without looking at it.
    pub const fn count_error(&mut self) {
        self.errors = true;
        self.dropped += 1;
    }

    /// Whether there is an error among them.
    #[must_use]
    pub const fn has_errors(&self) -> bool {
        self.errors
    }

    /// All of them; the last says how many were only counted.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<Diagnostic> {
        if self.dropped > 0 {
            let message = format!("{} more problems are not shown", self.dropped);
            self.list
                .push(Diagnostic::error(&MORE_PROBLEMS, "", message));
        }
        self.list
    }
}

impl Extend<Diagnostic> for Problems {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, problems: T) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

/// Whether a terminal gets colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With ANSI escape sequences.
    Colour,
}

/// `diagnostics` for people: message, the line underlined, help. `text` is the file's content, to
/// which the spans belong; without it only messages and places are shown.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], text: Option<&str>, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let mut group = group(diagnostic, text);
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out
}

fn group<'a>(diagnostic: &'a Diagnostic, text: Option<&'a str>) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str());
    let (Some(text), Some(span)) = (text, diagnostic.span) else {
        let separator = if diagnostic.pointer.is_empty() {
            ""
        } else {
            ": at "
        };
        let origin = format!("in {}{separator}{}", diagnostic.file, diagnostic.pointer);
        return Group::with_title(title).element(Level::NOTE.message(origin));
    };
    let spans = || {
        diagnostic
            .labels
            .iter()
            .map(|label| label.span)
            .chain([span])
    };
    let window = window(text, spans());
    let first_line = spans().map(|span| span.line).min().unwrap_or(1);
    let within = |at: usize| at.min(text.len()).saturating_sub(window.start);
    let range = |span: Span| within(span.start)..within(span.end);
    let mut snippet = Snippet::source(&text[window.clone()])
        .line_start(first_line as usize)
        .path(diagnostic.file.as_str())
        .annotation(AnnotationKind::Primary.span(range(span)));
    for label in &diagnostic.labels {
        let annotation = AnnotationKind::Context
            .span(range(label.span))
            .label(label.message.as_str());
        snippet = snippet.annotation(annotation);
    }
    title.element(snippet)
}

/// The lines that hold all `spans`, so that the renderer need not go through a whole large file.
fn window(text: &str, spans: impl Iterator<Item = Span> + Clone) -> std::ops::Range<usize> {
    let start = spans
        .clone()
        .map(|span| span.start)
        .min()
        .unwrap_or(0)
        .min(text.len());
    let end = spans
        .map(|span| span.end)
        .max()
        .unwrap_or(0)
        .clamp(start, text.len());
    let start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    start..end
}

/// The candidate that is nearest to `text`, where one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.chars().count() > 63 {
        return None;
    }
    let allowed = (text.chars().count() / 4).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 63)
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance: insertions, deletions, substitutions and swaps of
/// neighbours (Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// `pointer` extended by one member or index, escaped as in RFC 6901.
#[must_use]
pub fn join_pointer(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(
            nearest("analisys", ["analysis", "inputs"]),
            Some("analysis")
        );
        assert_eq!(nearest("need", ["needs", "name"]), Some("needs"));
        assert_eq!(nearest("schedule", ["analysis", "inputs"]), None);
        assert_eq!(nearest(&"x".repeat(1_000), ["x"]), None);
    }

    #[test]
    fn problems_stop_growing() {
        let mut problems = Problems::default();
        for _ in 0..1_000 {
            problems.push(Diagnostic::error(&MORE_PROBLEMS, "", "x".repeat(10_000)));
        }
        let list = problems.into_vec();
        assert_eq!(list.len(), MAX_PROBLEMS + 1);
        assert!(list.iter().all(|problem| problem.message.len() < 1_000));
        assert_eq!(
            list[MAX_PROBLEMS].message,
            "900 more problems are not shown"
        );
    }
}
