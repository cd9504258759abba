//! From text to records: CSV as RFC 4180 has it, read a piece at a time.
//!
//! Lenient where the RFC is silent, in the way common readers are: a quote
//! inside a bare field is a character, text after a closing quote belongs to the
//! field, a lone CR ends a record as CR LF and LF do. Unlike common readers it
//! tells a record that the end of the file cut off inside a quote. What the
//! fields mean is left to [`crate::post`].

use crate::HEADER;

/// The longest record that is kept, in bytes of its fields as UTF-8. A longer
/// one is rejected whole, so that a hostile file cannot fill the memory.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One record. Of a record with more fields than an export has, only the first
/// ones are kept, but all are counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Record {
    fields: Vec<String>,
    field_count: usize,
    bytes: usize,
    cut_off: bool,
}

impl Record {
    /// The fields, at most as many as an export has columns.
    pub fn fields(&self) -> &[String] {
        &self.fields[..self.field_count.min(HEADER.len())]
    }

    /// Whether the record was an empty line: no record by anyone's count.
    pub fn is_blank(&self) -> bool {
        self.field_count == 0
    }

    /// Whether the end of the file came inside a quoted field.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Whether its fields are longer than [`RECORD_BYTES_MAX`]; they are cut then.
    pub fn is_too_long(&self) -> bool {
        self.bytes > RECORD_BYTES_MAX
    }

    /// Whether the record is whole and has exactly these fields.
    pub fn is_exactly(&self, fields: &[&str]) -> bool {
        !self.cut_off && self.field_count == fields.len() && self.fields() == fields
    }

    /// The record in a few words, for a message.
    pub fn describe(&self) -> String {
        if self.is_blank() {
            return "it starts with an empty line".to_owned();
        }
        let line = self.fields().join(",");
        let start: String = line.chars().take(60).collect();
        let dots = if start.len() < line.len() { "…" } else { "" };
        format!("it starts with {start:?}{dots}")
    }

    fn clear(&mut self) {
        self.field_count = 0;
        self.bytes = 0;
        self.cut_off = false;
    }

    fn open_field(&mut self) {
        if self.field_count < HEADER.len() {
            match self.fields.get_mut(self.field_count) {
                Some(field) => field.clear(),
                None => self.fields.push(String::new()),
            }
        }
        self.field_count += 1;
    }

    fn push(&mut self, character: char) {
        self.bytes += character.len_utf8();
        if self.bytes <= RECORD_BYTES_MAX && self.field_count <= HEADER.len() {
            self.fields[self.field_count - 1].push(character);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RecordStart,
    FieldStart,
    Bare,
    Quoted,
    QuoteInQuoted,
}

/// A reader of records that is fed with text.
#[derive(Debug)]
pub struct Records {
    state: State,
    after_cr: bool,
    record: Record,
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    /// A reader at the start of a file.
    pub fn new() -> Self {
        Self {
            state: State::RecordStart,
            after_cr: false,
            record: Record::default(),
        }
    }

    /// Takes the next piece of the text; `sink` gets each record that it ends,
    /// empty lines included.
    pub fn feed(&mut self, text: &str, sink: &mut impl FnMut(&Record)) {
        for character in text.chars() {
            if self.step(character) {
                sink(&self.record);
                self.record.clear();
                self.state = State::RecordStart;
            }
        }
    }

    /// Says that the file is over; `sink` gets the record that it ended, if any.
    pub fn finish(mut self, sink: &mut impl FnMut(&Record)) {
        match self.state {
            State::RecordStart => return,
            State::FieldStart | State::Bare | State::QuoteInQuoted => {}
            State::Quoted => self.record.cut_off = true,
        }
        sink(&self.record);
    }

    /// Whether the character ended the record.
    fn step(&mut self, character: char) -> bool {
        let after_cr = std::mem::take(&mut self.after_cr);
        if after_cr && character == '\n' {
            return false;
        }
        let line_end = matches!(character, '\r' | '\n');
        if self.state == State::Quoted {
            match character {
                '"' => self.state = State::QuoteInQuoted,
                _ => self.record.push(character),
            }
            return false;
        }
        if line_end {
            self.after_cr = character == '\r';
            return true;
        }
        if self.state == State::RecordStart {
            self.record.open_field();
            self.state = State::FieldStart;
        }
        self.state = match (self.state, character) {
            (_, ',') => {
                self.record.open_field();
                State::FieldStart
            }
            (State::FieldStart, '"') => State::Quoted,
            (State::QuoteInQuoted, '"') => {
                self.record.push('"');
                State::Quoted
            }
            _ => {
                self.record.push(character);
                State::Bare
            }
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records as (fields, cut off), read in pieces of `piece` characters.
    fn read(text: &str, piece: usize) -> Vec<(Vec<String>, bool)> {
        let mut all = Vec::new();
        let mut sink = |r: &Record| all.push((r.fields().to_vec(), r.is_cut_off()));
        let mut records = Records::new();
        let characters: Vec<char> = text.chars().collect();
        for part in characters.chunks(piece) {
            records.feed(&part.iter().collect::<String>(), &mut sink);
        }
        records.finish(&mut sink);
        all
    }

    fn check(text: &str, expected: &[&[&str]]) {
        for piece in [1, 2, 1000] {
            let fields: Vec<Vec<String>> = read(text, piece).into_iter().map(|r| r.0).collect();
            assert_eq!(fields, expected, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn quotes_commas_and_line_breaks() {
        check("a,b\nc,d\n", &[&["a", "b"], &["c", "d"]]);
        check("a,b\r\nc,d", &[&["a", "b"], &["c", "d"]]);
        check("a\rb", &[&["a"], &["b"]]);
        check("\"a,\r\nb\",\"c\"\"d\"\n", &[&["a,\r\nb", "c\"d"]]);
        check("a\"b\",c", &[&["a\"b\"", "c"]]);
        check("\"a\"b,c", &[&["ab", "c"]]);
        check("\"a\"b\"c\"", &[&["ab\"c\""]]);
        check(" \"a\"", &[&[" \"a\""]]);
        check(",\n\"\"\n,,", &[&["", ""], &[""], &["", "", ""]]);
        check("a\0b", &[&["a\0b"]]);
    }

    #[test]
    fn empty_lines_are_blank_records() {
        check("", &[]);
        check("\n", &[&[]]);
        check("a\r\n\r\nb\n", &[&["a"], &[], &["b"]]);
    }

    #[test]
    fn a_file_that_ends_inside_a_quote() {
        for text in ["a,\"b", "a,\"b\n", "a,\"b\"\"", "\""] {
            assert!(read(text, 1).last().unwrap().1, "{text:?}");
        }
        for text in ["a,\"b\"", "a,b\"", "\"\""] {
            assert!(!read(text, 1).last().unwrap().1, "{text:?}");
        }
    }

    #[test]
    fn more_fields_than_columns_are_counted_but_not_kept() {
        let mut count = 0;
        let mut records = Records::new();
        let mut sink = |r: &Record| {
            count += 1;
            assert_eq!((r.fields().len(), r.field_count), (7, 1001));
            assert!(!r.is_exactly(&HEADER));
        };
        records.feed(&",".repeat(1000), &mut sink);
        records.finish(&mut sink);
        assert_eq!(count, 1);
    }

    #[test]
    fn a_long_record_is_marked_and_the_next_one_is_not() {
        let mut seen = Vec::new();
        let mut records = Records::new();
        let mut sink = |r: &Record| seen.push((r.is_too_long(), r.fields()[0].len()));
        records.feed(&"é".repeat(RECORD_BYTES_MAX / 2), &mut sink);
        records.feed("\n", &mut sink);
        records.feed(&"x".repeat(RECORD_BYTES_MAX + 1), &mut sink);
        records.feed("\nshort\n", &mut sink);
        records.finish(&mut sink);
        let limit = RECORD_BYTES_MAX;
        assert_eq!(seen, [(false, limit), (true, limit), (false, 5)]);
    }
}
