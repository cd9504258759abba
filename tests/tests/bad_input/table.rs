//! The table in `docs/bad-input.md`, and comparing an answer with its row.

use belljar_tests::{Answer, root};

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    pub case: String,
    code: String,
    /// Pieces of the message, in their order.
    message: Vec<String>,
}

/// What a case was answered.
#[derive(Debug)]
pub struct Seen {
    pub case: &'static str,
    code: String,
    text: String,
}

impl Seen {
    /// A command's exit code, and everything that it wrote.
    pub fn command(case: &'static str, answer: &Answer) -> Self {
        Self::new(
            case,
            format!("exit {}", answer.code),
            format!("{}\n{}", answer.out, answer.err),
        )
    }

    /// A call's status and body.
    pub fn call(case: &'static str, status: &str, body: &str) -> Self {
        Self::new(case, format!("status {status}"), body.to_owned())
    }

    fn new(case: &'static str, code: String, text: String) -> Self {
        Self { case, code, text }
    }

    /// With more that a person gets to read, for example a log.
    pub fn and(mut self, text: &str) -> Self {
        self.text.push('\n');
        self.text.push_str(text);
        self
    }
}

impl Row {
    /// How `seen` is not what this row says; none where it is.
    pub fn differs(&self, seen: &Seen) -> Option<String> {
        let text = plain(&seen.text);
        let mut rest = text.as_str();
        let mut missing = None;
        for piece in &self.message {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => missing = missing.or(Some(piece)),
            }
        }
        (missing.is_some() || self.code != seen.code).then(|| {
            format!(
                "{}: documented {}, got {}; missing in the message: {missing:?}; got:\n{}",
                self.case, self.code, seen.code, seen.text
            )
        })
    }
}

/// Without what a page cannot show as it is: line breaks and runs of spaces, escapes of JSON.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace("\\\"", "\"")
}

/// Every row of every table in the document whose first column is `case`.
pub fn rows() -> Vec<Row> {
    let path = root().join("docs/bad-input.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [case, _how, code, message] = cells[..] else {
            panic!("a row has four cells: {line}");
        };
        // What stands between backquotes is literal; two of them enclose one with backquotes in it.
        let message: Vec<String> = message.split(" … ").map(unquote).collect();
        assert!(
            message.iter().all(|piece| !piece.is_empty()),
            "no message: {line}"
        );
        rows.push(Row {
            case: unquote(case),
            code: code.to_owned(),
            message,
        });
    }
    assert!(
        rows.len() > 30,
        "the table is not there: {} rows",
        rows.len()
    );
    rows
}

fn unquote(cell: &str) -> String {
    let text = cell.trim();
    match text
        .strip_prefix("``")
        .and_then(|text| text.strip_suffix("``"))
    {
        Some(inner) => plain(inner),
        None => plain(text.trim_matches('`')),
    }
}
