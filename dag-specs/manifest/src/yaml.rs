//! YAML text to a tree, within a budget.
//!
//! serde stops at the first error and forgets places, so this reads the parser's events itself:
//! the budget, duplicate keys, tags and merge keys are checked here, for specs and manifests
//! alike.

use crate::code;
use crate::diagnostic::{Diagnostic, Problems, Span};
use crate::source::{Entry, MAX_BYTES, Node, NodeValue, span_of_bytes, too_large};
use granit_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::HashMap;

const MAX_EVENTS: usize = 1_000_000;
const MAX_NODES: usize = 500_000;
const MAX_DEPTH: usize = 32;
const MAX_SCALAR: usize = 256 << 10;
const MAX_ANCHORS: usize = 256;
const MAX_ALIASES: usize = 256;
const MAX_COPIED_NODES: usize = 100_000;
const MAX_COPIED_BYTES: usize = 4 << 20;

/// A collection whose end has not been seen.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    /// The keys so far, with their places; of a mapping.
    seen: HashMap<String, Span>,
}

/// A key whose value has not been seen.
enum Key {
    Good(String, Span),
    /// A key that was refused; its value is read and dropped.
    Bad,
}

pub(crate) struct Builder<'a> {
    text: &'a str,
    problems: &'a mut Problems,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    /// Anchors in all; the map only has those that are complete.
    anchor_count: usize,
    alias_count: usize,
    nodes: usize,
    copied_nodes: usize,
    copied_bytes: usize,
    /// Where the tag of the event at hand is, if it has one.
    tag: Option<Span>,
}

/// Reading cannot go on; the problem was pushed.
struct Stop;

impl<'a> Builder<'a> {
    pub(crate) fn new(text: &'a str, problems: &'a mut Problems) -> Self {
        Self {
            text,
            problems,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            anchor_count: 0,
            alias_count: 0,
            nodes: 0,
            copied_nodes: 0,
            copied_bytes: 0,
            tag: None,
        }
    }

    pub(crate) fn build(mut self) -> Option<Node> {
        self.check_characters().ok()?;
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH + 1,
            block_nesting_limit: MAX_DEPTH + 1,
        };
        let mut documents = 0;
        for (count, event) in Parser::new_from_str_with_options(self.text, options).enumerate() {
            let (event, span) = match event {
                Ok((event, span)) => {
                    self.tag = span.tag_span().map(|tag| self.span(tag.start, tag.end));
                    (event, self.span(span.start, span.end))
                }
                Err(error) => {
                    self.syntax_error(&error);
                    return None;
                }
            };
            if count >= MAX_EVENTS {
                self.stop(
                    &code::TOO_COMPLEX,
                    span,
                    "the file has more than 1,000,000 parser events",
                );
                return None;
            }
            if let Event::DocumentStart(..) = event {
                documents += 1;
                if documents > 1 {
                    self.stop(
                        &code::SEVERAL_DOCUMENTS,
                        span,
                        "a second document starts here",
                    );
                    return None;
                }
            }
            self.event(event, span).ok()?;
        }
        let is_nothing = |node: &Node| match &node.value {
            NodeValue::Scalar { text, plain } => *plain && is_nothing(text),
            _ => false,
        };
        if self.root.as_ref().is_none_or(is_nothing) {
            self.stop(&code::EMPTY, Span::default(), "the file holds no value");
            return None;
        }
        self.root
    }

    fn stop(&mut self, code: &code::Code, span: Span, message: impl Into<String>) -> Stop {
        self.problems
            .push(Diagnostic::error(code, "", message).spanned(span));
        Stop
    }

    /// Size and characters, before the parser sees any.
    fn check_characters(&mut self) -> Result<(), Stop> {
        if self.text.len() > MAX_BYTES {
            self.problems.push(too_large());
            return Err(Stop);
        }
        let allowed = |at: usize, c: char| match c {
            '\t' | '\n' | '\r' | '\u{85}' => true,
            '\u{feff}' => at == 0,
            '\u{fffe}' | '\u{ffff}' => false,
            c => !c.is_control(),
        };
        let mut bad = self.text.char_indices().filter(|(at, c)| !allowed(*at, *c));
        let Some((at, c)) = bad.next() else {
            return Ok(());
        };
        let span = span_of_bytes(at, at + c.len_utf8());
        let message = format!(
            "the character U+{:04X} is not allowed in YAML",
            u32::from(c)
        );
        Err(self.stop(&code::FORBIDDEN_CHARACTER, span, message))
    }

    fn syntax_error(&mut self, error: &granit_parser::ScanError) {
        let at = *error.marker();
        let mut span = self.span(at, at);
        if let Some(c) = self
            .text
            .get(span.start..)
            .and_then(|rest| rest.chars().next())
            .filter(|c| *c != '\n')
        {
            span.end += c.len_utf8();
        }
        let text = error.info().to_owned();
        if text.contains("nesting") || text.contains("recursion") {
            self.stop(&code::TOO_COMPLEX, span, "more than 32 levels of nesting");
            return;
        }
        let line = self.text[..span.start]
            .rsplit('\n')
            .next()
            .unwrap_or_default();
        let tab = line.contains('\t') || self.text[span.start..].starts_with('\t');
        let mut problem = Diagnostic::error(&code::YAML_SYNTAX, "", text).spanned(span);
        if tab {
            problem = problem.help("YAML does not allow tabs in indentation; use spaces");
        }
        self.problems.push(problem);
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let byte = |marker: Marker| {
            marker
                .byte_offset()
                .unwrap_or_default()
                .min(self.text.len())
        };
        span_of_bytes(byte(start), byte(end))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.new_node(span, anchor, tag.is_some())?;
                if text.len() > MAX_SCALAR {
                    return Err(self.stop(
                        &code::TOO_COMPLEX,
                        span,
                        "a text is longer than 256 KiB",
                    ));
                }
                let plain = style == ScalarStyle::Plain;
                let node = Node {
                    span,
                    value: NodeValue::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                };
                self.finish(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(NodeValue::List(Vec::new()), span, anchor, tag.is_some())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.start(NodeValue::Map(Vec::new()), span, anchor, tag.is_some())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(mut open) => {
                    open.node.span.end = span.end;
                    self.finish(open.node, open.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let message = format!(
                    "no anchor `&{}` stands before this alias",
                    name.escape_debug()
                );
                Err(self.stop(&code::ALIAS, span, message))
            }
            _ => Ok(()),
        }
    }

    /// What holds for every value that is written out.
    fn new_node(&mut self, span: Span, anchor: usize, tagged: bool) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.stop(
                &code::TOO_COMPLEX,
                span,
                "the file has more than 500,000 values",
            ));
        }
        self.anchor_count += usize::from(anchor > 0);
        if self.anchor_count > MAX_ANCHORS {
            return Err(self.stop(&code::ALIAS, span, "the file has more than 256 anchors"));
        }
        if tagged {
            self.problems.push(
                Diagnostic::error(&code::TAG, "", "this value has a tag")
                    .spanned(self.tag.unwrap_or(span))
                    .help("leave the tag out; quote the value to make it a text"),
            );
        }
        Ok(())
    }

    fn start(
        &mut self,
        value: NodeValue,
        span: Span,
        anchor: usize,
        tagged: bool,
    ) -> Result<(), Stop> {
        self.new_node(span, anchor, tagged)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(self.stop(&code::TOO_COMPLEX, span, "more than 32 levels of nesting"));
        }
        self.open.push(Open {
            node: Node { span, value },
            anchor,
            key: None,
            seen: HashMap::new(),
        });
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Stop> {
        self.alias_count += 1;
        if self.alias_count > MAX_ALIASES {
            return Err(self.stop(&code::ALIAS, span, "the file has more than 256 aliases"));
        }
        if let Some(open) = self.open.last_mut()
            && matches!(open.node.value, NodeValue::Map(_))
            && open.key.is_none()
        {
            open.key = Some(Key::Bad);
            let problem = Diagnostic::error(&code::KEY_NOT_TEXT, "", "an alias cannot be a key");
            self.problems.push(problem.spanned(span));
            return Ok(());
        }
        let Some(mut node) = self.anchors.get(&id).cloned() else {
            return Err(self.stop(
                &code::ALIAS,
                span,
                "this alias stands inside the value that it names",
            ));
        };
        self.copy(&node, span)?;
        if self.open.len() + depth(&node) > MAX_DEPTH {
            return Err(self.stop(&code::TOO_COMPLEX, span, "more than 32 levels of nesting"));
        }
        node.span = span;
        self.finish(node, 0)
    }

    /// Charges a copy of `node` to the budget.
    fn copy(&mut self, node: &Node, span: Span) -> Result<(), Stop> {
        let (nodes, bytes) = size(node);
        self.copied_nodes += nodes;
        self.copied_bytes += bytes;
        if self.copied_nodes > MAX_COPIED_NODES || self.copied_bytes > MAX_COPIED_BYTES {
            let message =
                "anchors and aliases together copy more than 100,000 values or 4 MiB of text";
            return Err(self.stop(&code::ALIAS, span, message));
        }
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            self.copy(&node, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            NodeValue::List(items) => items.push(node),
            NodeValue::Map(entries) => match open.key.take() {
                None => open.key = Some(key(node, &mut open.seen, self.problems)),
                Some(Key::Bad) => {}
                Some(Key::Good(key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
            },
            NodeValue::Scalar { .. } => {}
        }
        Ok(())
    }
}

/// Whether a plain scalar stands for no value; the parser gives `~` for one that is left out.
fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "~")
}

/// What stands in the place of a key.
fn key(node: Node, seen: &mut HashMap<String, Span>, problems: &mut Problems) -> Key {
    let span = node.span;
    let NodeValue::Scalar { text, plain } = node.value else {
        problems
            .push(Diagnostic::error(&code::KEY_NOT_TEXT, "", "a key must be a text").spanned(span));
        return Key::Bad;
    };
    if plain && is_nothing(&text) {
        let problem = Diagnostic::error(&code::KEY_NOT_TEXT, "", "a key is missing here");
        problems.push(problem.spanned(span));
        return Key::Bad;
    }
    if plain && text == "<<" {
        let problem = Diagnostic::error(
            &code::MERGE_KEY,
            "",
            "the merge key `<<` is not part of YAML 1.2",
        );
        problems.push(
            problem
                .spanned(span)
                .help("write the fields out, or put them under `defaults`"),
        );
        return Key::Bad;
    }
    if let Some(first) = seen.get(&text) {
        if problems.is_full() {
            problems.count_error();
            return Key::Bad;
        }
        let shown: String = text.chars().take(80).collect();
        let message = format!("the key `{}` occurs twice", shown.escape_debug());
        let problem = Diagnostic::error(&code::DUPLICATE_KEY, "", message);
        problems.push(problem.spanned(span).label(*first, "first defined here"));
        return Key::Bad;
    }
    seen.insert(text.clone(), span);
    Key::Good(text, span)
}

/// The levels of collections in `node`; at most 32, for deeper ones were refused.
fn depth(node: &Node) -> usize {
    match &node.value {
        NodeValue::Scalar { .. } => 0,
        NodeValue::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeValue::Map(entries) => 1 + entries.iter().map(|e| depth(&e.value)).max().unwrap_or(0),
    }
}

/// The values in `node` and the bytes of their texts.
fn size(node: &Node) -> (usize, usize) {
    let add = |(nodes, bytes), (n, b)| (nodes + n, bytes + b);
    match &node.value {
        NodeValue::Scalar { text, .. } => (1, text.len()),
        NodeValue::List(items) => items.iter().map(size).fold((1, 0), add),
        NodeValue::Map(entries) => entries
            .iter()
            .map(|e| add(size(&e.value), (0, e.key.len())))
            .fold((1, 0), add),
    }
}
