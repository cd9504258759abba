//! Texts with `${{ … }}` in them.

use std::ops::Range;

/// A text, cut at its expressions.
pub(super) struct Template {
    /// The pieces, in order.
    pub parts: Vec<Part>,
}

/// A piece of a template.
pub(super) enum Part {
    /// Text as it stands.
    Text(String),
    /// The place of an expression in the whole text, without `${{`, `}}` and space around it.
    Expression(Range<usize>),
}

impl Template {
    /// Cuts `text`.
    ///
    /// # Errors
    ///
    /// The place of an expression that is empty or has no end, and a message.
    pub fn parse(text: &str) -> Result<Self, (Range<usize>, String)> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("${{").map(|found| at + found) {
            if text[..found].ends_with('$') && found > at {
                literal.push_str(&text[at..found - 1]);
                literal.push_str("${{");
                at = found + 3;
                continue;
            }
            literal.push_str(&text[at..found]);
            let inside = found + 3;
            let length = end(&text[inside..])
                .ok_or_else(|| (found..inside, "`${{` has no `}}` after it".to_owned()))?;
            let expression = &text[inside..inside + length];
            let start = inside + (expression.len() - expression.trim_start().len());
            let end = start + expression.trim().len();
            if start >= end {
                return Err((
                    found..inside + length + 2,
                    "the expression is empty".to_owned(),
                ));
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expression(start..end));
            at = inside + length + 2;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }
}

/// Where the `}}` is that ends an expression: the first that is in no quotes and closes no map.
fn end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut braces = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'{') => braces += 1,
            (None, b'}') if braces > 0 => braces -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, _) => {}
        }
        at += 1;
    }
    None
}
