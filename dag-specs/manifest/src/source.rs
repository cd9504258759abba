//! A file as a tree with the place of every value.
//!
//! What a scalar means (text, number, truth value) is decided by who reads the tree.

use crate::code;
use crate::diagnostic::{Diagnostic, Problems, Span, Target};
use crate::yaml::Builder;
use std::sync::Arc;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// A file that was read, with the place of every value.
#[derive(Debug, Clone)]
pub struct Source {
    file: String,
    text: Arc<str>,
    root: Node,
}

/// One value of a file.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is.
    pub span: Span,
    /// What it is.
    pub value: NodeValue,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum NodeValue {
    /// A scalar: its text after unescaping, and whether it was written without quotes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it was written without quotes and may thus be a number, truth value or null.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file, each key once.
    Map(Vec<Entry>),
}

/// A member of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// The text of a file's bytes.
///
/// # Errors
///
/// BJ0001 for more than 4 MiB, BJ0002 for bytes that are not UTF-8 (with the place of the first).
pub fn decode<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, Vec<Diagnostic>> {
    let named = |problem: Diagnostic| {
        vec![Diagnostic {
            file: file.to_owned(),
            ..problem
        }]
    };
    if bytes.len() > MAX_BYTES {
        return Err(named(too_large()));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("byte {at}, in line {line}, is not part of UTF-8 text");
        let help = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            "the file looks like UTF-16; save it as UTF-8"
        } else {
            "save the file as UTF-8"
        };
        named(Diagnostic::error(&code::NOT_UTF8, "", message).help(help))
    })
}

/// Without the file's size: who reads from a stream stops after one byte too many.
pub(crate) fn too_large() -> Diagnostic {
    let message = format!("the file has more than {MAX_BYTES} bytes (4 MiB)");
    Diagnostic::error(&code::FILE_TOO_LARGE, "", message)
        .help("put data into a dataset, not into the file: `belljar dataset put <name> <file>`")
}

impl Source {
    /// Reads `text` as one YAML document; `file` is its name in diagnostics.
    ///
    /// # Errors
    ///
    /// Every problem found, located: codes BJ0001 to BJ0013.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let root = Builder::new(text, &mut problems).build();
        match root {
            Some(root) if !problems.has_errors() => Ok(Self {
                file: file.to_owned(),
                text: text.into(),
                root,
            }),
            _ => {
                let mut list = problems.into_vec();
                list.iter_mut()
                    .for_each(|problem| file.clone_into(&mut problem.file));
                settle(text, &mut list);
                Err(list)
            }
        }
    }

    /// The file's name in diagnostics.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outermost value.
    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// The diagnostics with the file's name and, where they have none yet, the place that their
    /// pointer names; sorted by place.
    #[must_use]
    pub fn locate(&self, mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        for diagnostic in &mut diagnostics {
            diagnostic.file.clone_from(&self.file);
            if diagnostic.span.is_none() && diagnostic.code != code::MORE_PROBLEMS.id {
                diagnostic.span = Some(self.span_of(&diagnostic.pointer, &diagnostic.target));
            }
            diagnostic.target = Target::Value;
        }
        settle(&self.text, &mut diagnostics);
        diagnostics.sort_by_key(|d| {
            (
                d.span.is_none(),
                d.span.map(|span| span.start),
                d.code.clone(),
            )
        });
        diagnostics
    }

    /// The place of what `pointer` names; of its nearest parent where it is absent.
    #[must_use]
    pub fn span_of(&self, pointer: &str, target: &Target) -> Span {
        let mut node = &self.root;
        let mut key = match &node.value {
            NodeValue::Map(entries) => entries.first().map(|entry| entry.key_span),
            _ => None,
        };
        for member in pointer.split('/').skip(1) {
            let member = member.replace("~1", "/").replace("~0", "~");
            let next = match &node.value {
                NodeValue::Map(entries) => entries
                    .iter()
                    .find(|entry| entry.key == member)
                    .map(|entry| (&entry.value, Some(entry.key_span))),
                NodeValue::List(items) => member
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (item, None)),
                NodeValue::Scalar { .. } => None,
            };
            let Some((next, next_key)) = next else { break };
            (node, key) = (next, next_key);
        }
        let span = match (target, key) {
            (Target::Key, Some(key)) => key,
            (Target::Item(text), _) => item_of(node, text).unwrap_or(node.span),
            (Target::Part(part), _) => self.part_of(node, part.clone()).unwrap_or(node.span),
            (_, Some(key)) if !matches!(node.value, NodeValue::Scalar { .. }) => key,
            (_, Some(key)) if node.span.start == node.span.end => key,
            _ => node.span,
        };
        self.first_line(span)
    }

    /// The place of a part of a scalar's text, where the file has the text as it stands.
    fn part_of(&self, node: &Node, part: std::ops::Range<usize>) -> Option<Span> {
        let NodeValue::Scalar { text, .. } = &node.value else {
            return None;
        };
        let raw = self.text.get(node.span.start..node.span.end)?;
        let start = match raw.find(text.as_str()) {
            Some(at) => at + part.start,
            // Escapes or folding changed the text; its part may still stand there unchanged.
            None => raw.find(text.get(part.clone())?)?,
        };
        let start = node.span.start + start;
        Some(span_of_bytes(start, start + part.len()))
    }

    /// `span` without what comes after its first line.
    fn first_line(&self, span: Span) -> Span {
        let text = self.text.get(span.start..span.end).unwrap_or_default();
        match text.find(['\n', '\r']) {
            Some(length) if length > 0 => span_of_bytes(span.start, span.start + length),
            _ => span,
        }
    }
}

/// The span of a range of bytes, with lines and columns still to be settled.
pub(crate) fn span_of_bytes(start: usize, end: usize) -> Span {
    Span {
        start,
        end,
        ..Span::default()
    }
}

/// Computes lines and columns of all spans from their bytes. The parser's own are not used: at the
/// end of a file they are one line too far, and counting once for all keeps it linear.
pub(crate) fn settle(text: &str, diagnostics: &mut [Diagnostic]) {
    let starts: Vec<_> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let place = |at: usize| {
        let line = starts.partition_point(|start| *start <= at);
        let column = text
            .get(starts[line - 1]..at)
            .map_or(0, |before| before.chars().count());
        (narrow(line), narrow(column + 1))
    };
    for diagnostic in diagnostics {
        let labels = diagnostic.labels.iter_mut().map(|label| &mut label.span);
        for span in labels.chain(&mut diagnostic.span) {
            (span.line, span.col) = place(span.start);
            (span.end_line, span.end_col) = place(span.end);
        }
    }
}

/// The place of the item of a list that has this text.
fn item_of(node: &Node, wanted: &str) -> Option<Span> {
    let NodeValue::List(items) = &node.value else {
        return None;
    };
    let is_wanted =
        |item: &&Node| matches!(&item.value, NodeValue::Scalar { text, .. } if text == wanted);
    items.iter().find(is_wanted).map(|item| item.span)
}
