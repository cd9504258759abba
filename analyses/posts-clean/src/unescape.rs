//! HTML5 character references, resolved as Python's `html.unescape` does.
//!
//! That function follows the HTML Standard (13.2.5.72–80) with these choices:
//! the longest known name wins even inside a longer word, references to
//! non-characters and most controls vanish, and what is no reference stays.
//! The names are in `entities.tsv`, made by `tests/entities.py`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Names (with their semicolon, where they have one) and what they stand for.
static ENTITIES: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let hex = |code: &str| u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
    include_str!("entities.tsv")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, codes)| (name, codes.split(' ').filter_map(hex).collect()))
        .collect()
});

/// How many characters after `&` may belong to a name, its semicolon not counted.
const NAME_CHARACTERS_MAX: usize = 32;

/// The text with each character reference resolved once.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = match after.strip_prefix('#') {
            Some(number) => numeric(number, &mut out),
            None => named(after, &mut out),
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Resolves what follows `&#`, and gives back what follows the reference.
fn numeric<'a>(after: &'a str, out: &mut String) -> &'a str {
    let (radix, digits) = match after.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, after),
    };
    let length = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    if length == 0 {
        out.push_str("&#");
        return after;
    }
    let (digits, rest) = digits.split_at(length);
    // Numbers of any length are allowed; past the last code point they are all alike.
    let number = digits.chars().fold(0_u32, |number, digit| {
        let digit = digit.to_digit(radix).unwrap_or(0);
        number.saturating_mul(radix).saturating_add(digit)
    });
    out.extend(character(number));
    rest.strip_prefix(';').unwrap_or(rest)
}

/// The character of a number; `None` for one that vanishes.
fn character(number: u32) -> Option<char> {
    /// What the Standard puts for the numbers 80 to 9F, as windows-1252 with its gaps left.
    const FROM_80: &str = "\u{20ac}\u{81}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\u{2c6}\
        \u{2030}\u{160}\u{2039}\u{152}\u{8d}\u{17d}\u{8f}\u{90}\u{2018}\u{2019}\u{201c}\u{201d}\
        \u{2022}\u{2013}\u{2014}\u{2dc}\u{2122}\u{161}\u{203a}\u{153}\u{9d}\u{17e}\u{178}";
    match number {
        0 => Some('\u{fffd}'),
        0x80..=0x9f => FROM_80.chars().nth((number - 0x80) as usize),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        // A surrogate or past the last code point.
        _ => match char::from_u32(number) {
            Some(_) if number & 0xfffe == 0xfffe => None,
            Some(character) => Some(character),
            None => Some('\u{fffd}'),
        },
    }
}

/// Resolves what follows `&` if a known name begins it, and gives back what
/// follows the characters looked at.
fn named<'a>(after: &'a str, out: &mut String) -> &'a str {
    let mut end = after
        .char_indices()
        .take(NAME_CHARACTERS_MAX)
        .take_while(|(_, c)| !matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';'))
        .map(|(at, c)| at + c.len_utf8())
        .last()
        .unwrap_or(0);
    if end > 0 && after[end..].starts_with(';') {
        end += 1;
    }
    let (candidate, rest) = after.split_at(end);
    // No name is shorter than two characters.
    let known = (2..=end)
        .rev()
        .filter(|length| candidate.is_char_boundary(*length))
        .find_map(|length| Some((ENTITIES.get(&candidate[..length])?, length)));
    match known {
        Some((value, length)) => {
            out.push_str(value);
            out.push_str(&candidate[length..]);
        }
        None => {
            out.push('&');
            out.push_str(candidate);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_what_looks_like_them() {
        for (text, expected) in [
            ("a &amp; b", "a & b"),
            ("&amp;amp;", "&amp;"),
            ("&ampx &AMP &lt;b&gt", "&x & <b>"),
            ("&notit; &notin; &no", "¬it; ∉ &no"),
            ("&NotEqualTilde;", "\u{2242}\u{338}"),
            ("&nbsp;&eacute&Eacute;", "\u{a0}éÉ"),
            ("&&amp;&", "&&&"),
            ("&#65;&#65&#x41;&#X41 &#0;", "AAAA \u{fffd}"),
            (
                "&#xD800;&#x110000;&#99999999999999999999;",
                "\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("&#1;&#x7f;&#xfdd0;&#x1ffff;&#11;", ""),
            ("&#13;&#10;&#9;", "\r\n\t"),
            ("&#x80;&#129;&#x99;", "€\u{81}™"),
            ("&#;&#x;&#xg;&#g", "&#;&#x;&#xg;&#g"),
            ("&unknown; &; & &é;", "&unknown; &; & &é;"),
            ("&CounterClockwiseContourIntegral;", "∳"),
            ("&#٣;", "&#٣;"),
        ] {
            assert_eq!(unescape(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_without_references_is_not_copied() {
        assert!(matches!(unescape("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn the_whole_table_is_there() {
        assert_eq!(ENTITIES.len(), include_str!("entities.tsv").lines().count());
        assert_eq!(ENTITIES.len(), 2231);
    }
}
