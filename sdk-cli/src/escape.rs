//! Making foreign text safe to show on a terminal.
//!
//! Owns: which characters may reach a terminal, and the decoder of byte streams that may not be
//! text at all. Leaves to others: where that is needed (`output`, `commands::logs`).
//!
//! Logs, messages and names were written by programs and people we do not know. A terminal obeys
//! control sequences: ECMA-48 has some that clear the screen or move the cursor, xterm's OSC 52 writes the
//! clipboard, OSC 0 the title, and both also start from the one-character C1 controls. None of
//! these gets through: every control character is replaced by a visible one. Unicode's
//! bidirectional controls (Unicode Technical Report 36) and other invisible characters are written
//! as `\u{202e}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether `c` may be shown as it is. Line feed and tab are left to the caller.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

/// Characters that are no control characters but reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    ) && c != '\u{200d}' // the joiner inside emoji and Indic words
}

/// Appends `c` in its visible form: a C0 control as its picture (ESC as `␛`), anything else that is
/// not harmless as `\u{…}`.
fn push_visible(out: &mut String, c: char) {
    match c {
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
        '\u{7f}' => out.push('\u{2421}'),
        _ if is_harmless(c) => out.push(c),
        _ => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
}

/// `text` as one line that is safe on a terminal: line breaks and tabs become visible, too.
///
/// For names and messages in tables and sentences.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        push_visible(&mut out, c);
    }
    Cow::Owned(out)
}

/// `text` as lines that are safe on a terminal: line feeds and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|c| is_harmless(c) || matches!(c, '\n' | '\t'))
    {
        return Cow::Borrowed(text);
    }
    let mut decoder = Decoder::default();
    let mut out = decoder.push(text.as_bytes());
    out.push_str(&decoder.finish());
    Cow::Owned(out)
}

/// JSON text with every character that is not harmless as a `\uXXXX` escape: the same value.
///
/// Such characters can only stand inside strings, where RFC 8259 section 7 lets any character be
/// escaped; line breaks between tokens stay.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|c| is_harmless(c) || matches!(c, '\n' | '\r' | '\t'))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmless(c) || matches!(c, '\n' | '\r' | '\t') {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

/// Turns a stream of unknown bytes into text that is safe on a terminal, piece by piece.
///
/// A character cut in two by the end of a piece is kept for the next one. Bytes that are not UTF-8
/// become U+FFFD. CR LF is a line break; a CR alone, with which programs redraw a line, is one too.
#[derive(Debug, Default)]
pub struct Decoder {
    /// At most three bytes: the beginning of a character.
    rest: Vec<u8>,
    /// Whether the last character was a CR, which is only known to be alone by the next one.
    after_cr: bool,
}

impl Decoder {
    /// The text of the next piece.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let bytes = std::mem::take(&mut self.rest);
        let mut out = String::with_capacity(bytes.len());
        let mut bytes = bytes.as_slice();
        loop {
            match std::str::from_utf8(bytes) {
                Ok(text) => {
                    self.show(text, &mut out);
                    return out;
                }
                Err(error) => {
                    let (good, bad) = bytes.split_at(error.valid_up_to());
                    self.show(std::str::from_utf8(good).unwrap_or_default(), &mut out);
                    let Some(length) = error.error_len() else {
                        self.rest = bad.to_vec();
                        return out;
                    };
                    self.show("\u{fffd}", &mut out);
                    bytes = &bad[length..];
                }
            }
        }
    }

    /// What is left at the end of the stream.
    #[must_use]
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        if !std::mem::take(&mut self.rest).is_empty() {
            self.show("\u{fffd}", &mut out);
        }
        if std::mem::take(&mut self.after_cr) {
            out.push('\n');
        }
        out
    }

    fn show(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            let after_cr = std::mem::replace(&mut self.after_cr, c == '\r');
            if after_cr {
                out.push('\n');
            }
            match c {
                '\r' => {}
                '\n' if after_cr => {}
                '\n' | '\t' => out.push(c),
                c => push_visible(out, c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> String {
        let mut decoder = Decoder::default();
        let mut text = decoder.push(bytes);
        text.push_str(&decoder.finish());
        text
    }

    /// Sequences that a terminal would obey.
    const HOSTILE: &[&str] = &[
        "\x1b]52;c;ZXZpbA==\x07",                   // OSC 52: sets the clipboard
        "\x1b]0;owned\x1b\\",                       // OSC 0: sets the title
        "\x1b[2J\x1b[H",                            // clears the screen
        "\x1b[?1049h",                              // switches to the other screen
        "\x1bP$q\"p\x1b\\",                         // DCS: makes the terminal answer
        "\x1b[6n",                        // asks where the cursor is: types into the shell
        "\x1bc",                          // resets the terminal
        "\u{9b}2J",                       // CSI as one C1 character
        "\u{9d}52;c;ZXZpbA==\u{9c}",      // OSC and ST as C1 characters
        "\u{90}x\u{9c}",                  // DCS as a C1 character
        "\x07\x08\x0b\x0c\x0e\x0f\x7f\0", // bell, backspace, shifts, delete
        "\x1b]8;;http://evil\x1b\\a\x1b]8;;\x1b\\", // a link under another text
        "user\u{202e}txt.exe\u{202c}",    // reorders what is shown
    ];

    #[test]
    fn no_control_sequence_gets_through() {
        for text in HOSTILE {
            for shown in [
                decoded(text.as_bytes()),
                line(text).into_owned(),
                lines(text).into_owned(),
            ] {
                assert!(
                    shown.chars().all(|c| is_harmless(c) || c == '\n'),
                    "{text:?} became {shown:?}"
                );
            }
        }
        assert_eq!(decoded(b"\x1b]52;c;x\x07"), "␛]52;c;x␇");
        assert_eq!(line("\u{9b}2J\u{202e}"), r"\u{9b}2J\u{202e}");
    }

    #[test]
    fn no_cut_lets_a_control_sequence_through() {
        let whole = HOSTILE.concat();
        for cut in 0..whole.len() {
            let mut decoder = Decoder::default();
            let mut text = decoder.push(&whole.as_bytes()[..cut]);
            text.push_str(&decoder.push(&whole.as_bytes()[cut..]));
            text.push_str(&decoder.finish());
            assert_eq!(text, decoded(whole.as_bytes()), "cut at {cut}");
        }
    }

    #[test]
    fn raw_c1_bytes_are_not_characters() {
        // 0x9b alone is not UTF-8, but some terminals take it for CSI.
        assert_eq!(decoded(b"a\x9b2Jb\xff"), "a\u{fffd}2Jb\u{fffd}");
        assert_eq!(decoded(b"half \xe2\x82"), "half \u{fffd}");
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "řádek ★ 👩‍💻\tx\nnext\n";
        assert_eq!(decoded(text.as_bytes()), text);
        assert!(matches!(lines(text), Cow::Borrowed(_)));
        assert!(matches!(line("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_redrawn_line_becomes_lines() {
        assert_eq!(decoded(b"10%\r20%\r\ndone\r\n\r"), "10%\n20%\ndone\n\n");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a": "\u{9b}2J \u{202e} \u{e0041} é \x1b" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(
            shown.chars().all(|c| is_harmless(c) || c == '\n'),
            "{shown:?}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
