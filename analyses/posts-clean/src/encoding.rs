//! From bytes to text: which encoding a file is in, and reading it in that one.
//!
//! UTF-8 if every byte of the file decodes, else windows-1252. Nothing is
//! repaired and decoding never fails. What the text means is left to others.

use std::fmt;
use std::io::{self, Read};

use serde::Serialize;

/// How many bytes are read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// The two encodings that an export is read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// UTF-8 (RFC 3629); a byte order mark at the start is dropped.
    #[serde(rename = "utf-8")]
    Utf8,
    /// windows-1252, with the five unassigned bytes 81 8D 8F 90 9D as U+FFFD.
    /// The WHATWG Encoding Standard gives C1 controls there, so that its
    /// decoders do not serve here.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "utf-8",
            Self::Windows1252 => "windows-1252",
        })
    }
}

impl Encoding {
    /// Reads a whole file and says which encoding it is in.
    ///
    /// # Errors
    ///
    /// What reading gave.
    pub fn detect(mut file: impl Read) -> io::Result<Self> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut pending = 0;
        loop {
            let read = read_some(&mut file, &mut buffer[pending..])?;
            let filled = pending + read;
            match std::str::from_utf8(&buffer[..filled]) {
                Ok(_) => pending = 0,
                // A character that the end of the chunk cut in two.
                Err(error) if error.error_len().is_none() && read > 0 => {
                    buffer.copy_within(error.valid_up_to()..filled, 0);
                    pending = filled - error.valid_up_to();
                }
                Err(_) => return Ok(Self::Windows1252),
            }
            if read == 0 {
                return Ok(Self::Utf8);
            }
        }
    }
}

fn read_some(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads a file as text, a piece at a time.
pub struct Decoder<R> {
    encoding: Encoding,
    file: R,
    buffer: Vec<u8>,
    /// Bytes at the start of `buffer` that wait for the rest of their character.
    pending: usize,
    at_start: bool,
    text: String,
}

impl<R: Read> Decoder<R> {
    /// A decoder for a file whose encoding [`Encoding::detect`] has told.
    pub fn new(encoding: Encoding, file: R) -> Self {
        Self {
            encoding,
            file,
            buffer: vec![0; CHUNK_BYTES],
            pending: 0,
            at_start: true,
            text: String::new(),
        }
    }

    /// The next piece of text, or `None` at the end.
    ///
    /// # Errors
    ///
    /// What reading gave; `InvalidData` when the file is no longer the UTF-8
    /// that it was when its encoding was found.
    pub fn next_text(&mut self) -> io::Result<Option<&str>> {
        let read = read_some(&mut self.file, &mut self.buffer[self.pending..])?;
        if read == 0 {
            return Ok(None);
        }
        self.text.clear();
        let filled = self.pending + read;
        match self.encoding {
            Encoding::Windows1252 => self
                .text
                .extend(self.buffer[..filled].iter().map(|byte| windows_1252(*byte))),
            Encoding::Utf8 => self.push_utf8(filled)?,
        }
        Ok(Some(&self.text))
    }

    fn push_utf8(&mut self, filled: usize) -> io::Result<()> {
        let bytes = &self.buffer[..filled];
        let whole = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).map_err(invalid)?
            }
            Err(error) => return Err(invalid(error)),
        };
        let used = whole.len();
        let text = match whole.strip_prefix('\u{feff}') {
            Some(rest) if self.at_start => rest,
            _ => whole,
        };
        self.text.push_str(text);
        // A mark cut in two by a short first read leaves `used` at 0.
        self.at_start &= used == 0;
        self.buffer.copy_within(used..filled, 0);
        self.pending = filled - used;
        Ok(())
    }
}

fn invalid(error: std::str::Utf8Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The character of a windows-1252 byte
/// (<https://www.unicode.org/Public/MAPPINGS/VENDORS/MICSFT/WINDOWS/CP1252.TXT>).
pub fn windows_1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '\u{20ac}', '\u{fffd}', '\u{201a}', '\u{0192}', '\u{201e}', '\u{2026}', '\u{2020}',
        '\u{2021}', '\u{02c6}', '\u{2030}', '\u{0160}', '\u{2039}', '\u{0152}', '\u{fffd}',
        '\u{017d}', '\u{fffd}', '\u{fffd}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}',
        '\u{2022}', '\u{2013}', '\u{2014}', '\u{02dc}', '\u{2122}', '\u{0161}', '\u{203a}',
        '\u{0153}', '\u{fffd}', '\u{017e}', '\u{0178}',
    ];
    match byte {
        0x80..=0x9f => FROM_80[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of the sizes asked for, over and over.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(buffer.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    fn read(bytes: &[u8], piece: usize) -> (Encoding, String) {
        let encoding = Encoding::detect(Pieces(bytes, piece)).unwrap();
        let mut decoder = Decoder::new(encoding, Pieces(bytes, piece));
        let mut text = String::new();
        while let Some(part) = decoder.next_text().unwrap() {
            text.push_str(part);
        }
        (encoding, text)
    }

    #[test]
    fn utf8_in_pieces_of_any_size() {
        let text = "\u{feff}a\u{feff}é€\u{1f600}\u{fffd}z";
        for piece in 1..=text.len() {
            let expected = text.strip_prefix('\u{feff}').unwrap().to_owned();
            assert_eq!(read(text.as_bytes(), piece), (Encoding::Utf8, expected));
        }
    }

    #[test]
    fn one_bad_byte_makes_all_of_it_windows_1252() {
        let (encoding, text) = read(
            b"\xef\xbb\xbfcaf\xc3\xa9 \x80\x81\x8d\x8f\x90\x9d\x9f\xff",
            3,
        );
        assert_eq!(encoding, Encoding::Windows1252);
        assert_eq!(text, "ï»¿cafÃ© €\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}Ÿÿ");
    }

    #[test]
    fn a_character_cut_off_at_the_end_is_not_utf8() {
        for end in [&b"\xe2"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
            assert_eq!(read(&[b"abc", end].concat(), 2).0, Encoding::Windows1252);
        }
    }

    #[test]
    fn surrogates_and_overlong_forms_are_not_utf8() {
        assert_eq!(read(b"\xed\xa0\x80", 9).0, Encoding::Windows1252);
        assert_eq!(read(b"\xc0\x80", 9).0, Encoding::Windows1252);
    }

    #[test]
    fn nothing_is_utf8() {
        assert_eq!(read(b"", 1), (Encoding::Utf8, String::new()));
    }
}
