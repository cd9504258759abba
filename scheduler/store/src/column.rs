//! How each type of value is kept in a column, the same in both databases.
//!
//! Owns: the stored forms. Leaves to others: tables and SQL.
//!
//! Rows travel to the database as one JSON document per table and batch. Ids, names and states are
//! text in their one form, moments and numbers 64-bit integers, JSON is text, which neither
//! database reorders or refuses. *Invariant*: no stored text contains a NUL, which PostgreSQL
//! cannot keep: see [`escape`].

use crate::StoreError;
use crate::db::Row;
use crate::error::Rejected;
use belljar_engine::plan::{BlobRef, Outputs, RunPlan};
use belljar_engine::{Cause, RunState, TaskState};
use belljar_ids::{
    AnalysisName, DagName, DatasetName, Digest, Epoch, EventSeq, ExecutorId, Fence, InputName,
    InstanceKey, MapIndex, Micros, PoolName, PrincipalName, RequestId, RunId, TaskName, TenantId,
    TokenId,
};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Something with a row.
pub(crate) trait Record: Sized {
    /// Reads it from a row.
    fn get(row: &Row<'_>) -> Result<Self, StoreError>;
}

/// Something that is written to a row.
pub(crate) trait Stored {
    /// Adds its columns to the document.
    fn put(&self, out: &mut Document) -> Result<(), Rejected>;
}

/// A JSON array of objects, one for each row to be written.
#[derive(Debug, Default)]
pub(crate) struct Document(String);

impl Document {
    /// The document of these rows.
    pub(crate) fn of<'a, T: Stored + 'a>(
        rows: impl IntoIterator<Item = &'a T>,
    ) -> Result<String, Rejected> {
        let mut out = Self("[".to_owned());
        for row in rows {
            out.0.push('{');
            row.put(&mut out)?;
            out.0.push_str("},");
        }
        if out.0.ends_with(',') {
            out.0.pop();
        }
        out.0.push(']');
        Ok(out.0)
    }

    /// Adds one column.
    pub(crate) fn column(
        &mut self,
        name: &'static str,
        value: &impl Column,
    ) -> Result<(), Rejected> {
        value.put(name, self)
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        let _ = write!(self.0, "\"{name}\":");
    }

    fn text(&mut self, value: &str) {
        // A string's JSON cannot fail to be written.
        self.0.push_str(&Value::from(value).to_string());
    }
}

/// A value that has one or more columns of its own.
pub(crate) trait Column: Sized {
    /// Adds them to a row.
    fn put(&self, name: &'static str, out: &mut Document) -> Result<(), Rejected>;
    /// Reads them.
    fn get(name: &'static str, row: &Row<'_>) -> Result<Self, StoreError>;
}

/// A value in one column.
trait Scalar: Sized {
    fn write(&self, name: &'static str, out: &mut Document) -> Result<(), Rejected>;
    /// None where the column is null.
    fn read(name: &'static str, row: &Row<'_>) -> Result<Option<Self>, StoreError>;
}

impl<T: Scalar> Column for T {
    fn put(&self, name: &'static str, out: &mut Document) -> Result<(), Rejected> {
        out.name(name);
        self.write(name, out)
    }

    fn get(name: &'static str, row: &Row<'_>) -> Result<Self, StoreError> {
        T::read(name, row)?.ok_or_else(|| unreadable(name, "it is null"))
    }
}

impl<T: Scalar> Column for Option<T> {
    fn put(&self, name: &'static str, out: &mut Document) -> Result<(), Rejected> {
        out.name(name);
        match self {
            Some(value) => value.write(name, out),
            None => {
                out.0.push_str("null");
                Ok(())
            }
        }
    }

    fn get(name: &'static str, row: &Row<'_>) -> Result<Self, StoreError> {
        T::read(name, row)
    }
}

/// A value of `column` that this program did not write.
pub(crate) fn unreadable(
    column: &'static str,
    problem: impl Into<Cow<'static, str>>,
) -> StoreError {
    StoreError::Unreadable {
        column,
        problem: problem.into(),
    }
}

fn read_text(name: &'static str, row: &Row<'_>) -> Result<Option<String>, StoreError> {
    row.text(name).map_err(StoreError::Database)
}

macro_rules! text_scalar {
    ($($type:ty),+ $(,)?) => { $(
        impl Scalar for $type {
            fn write(&self, _: &'static str, out: &mut Document) -> Result<(), Rejected> {
                // Nothing in these forms needs an escape in JSON.
                let _ = write!(out.0, "\"{self}\"");
                Ok(())
            }

            fn read(name: &'static str, row: &Row<'_>) -> Result<Option<Self>, StoreError> {
                let parse = |text: String| {
                    text.parse().map_err(|_| unreadable(name, concat!("it is no ", stringify!($type))))
                };
                read_text(name, row)?.map(parse).transpose()
            }
        }
    )+ };
}

text_scalar!(
    TenantId,
    DagName,
    TaskName,
    AnalysisName,
    DatasetName,
    PoolName,
    InputName,
    PrincipalName,
    RunId,
    RequestId,
    ExecutorId,
    TokenId,
    Digest,
    RunState,
    TaskState,
    Cause,
);

macro_rules! int_scalar {
    ($($type:ty: $to:expr, $from:expr;)+) => { $(
        impl Scalar for $type {
            fn write(&self, name: &'static str, out: &mut Document) -> Result<(), Rejected> {
                let too_large = |_| Rejected::Encoding {
                    column: name,
                    problem: "it is larger than 2^63 - 1".into(),
                };
                let int: i64 = i64::try_from($to(*self)).map_err(too_large)?;
                let _ = write!(out.0, "{int}");
                Ok(())
            }

            fn read(name: &'static str, row: &Row<'_>) -> Result<Option<Self>, StoreError> {
                let convert = |int: i64| {
                    let inner = int.try_into().map_err(|_| unreadable(name, "it is out of range"))?;
                    Ok($from(inner))
                };
                row.int(name).map_err(StoreError::Database)?.map(convert).transpose()
            }
        }
    )+ };
}

int_scalar! {
    i32: std::convert::identity, std::convert::identity;
    i64: std::convert::identity, std::convert::identity;
    u32: std::convert::identity, std::convert::identity;
    u64: std::convert::identity, std::convert::identity;
    Fence: |value: Fence| value.0, Fence;
    Epoch: |value: Epoch| value.0, Epoch;
    EventSeq: |value: EventSeq| value.0, EventSeq;
    MapIndex: |value: MapIndex| value.0, MapIndex;
    Micros: |value: Micros| value.0, Micros;
}

impl Scalar for bool {
    fn write(&self, _: &'static str, out: &mut Document) -> Result<(), Rejected> {
        let _ = write!(out.0, "{self}");
        Ok(())
    }

    fn read(name: &'static str, row: &Row<'_>) -> Result<Option<Self>, StoreError> {
        row.bool(name).map_err(StoreError::Database)
    }
}

impl Scalar for String {
    fn write(&self, _: &'static str, out: &mut Document) -> Result<(), Rejected> {
        out.text(&escape(self));
        Ok(())
    }

    fn read(name: &'static str, row: &Row<'_>) -> Result<Option<Self>, StoreError> {
        let plain =
            |text: String| unescape(text).ok_or_else(|| unreadable(name, "it has a wrong escape"));
        read_text(name, row)?.map(plain).transpose()
    }
}

macro_rules! json_scalar {
    ($($type:ty),+) => { $(
        impl Scalar for $type {
            fn write(&self, name: &'static str, out: &mut Document) -> Result<(), Rejected> {
                let unstorable = |problem| Rejected::Encoding { column: name, problem };
                let json = serde_json::to_string(self);
                let json = json.map_err(|error| unstorable(error.to_string().into()))?;
                if depth(&json) > DEPTH_MAX {
                    return Err(unstorable("it is nested too deeply to be read back".into()));
                }
                out.text(&json);
                Ok(())
            }

            fn read(name: &'static str, row: &Row<'_>) -> Result<Option<Self>, StoreError> {
                let parse = |text: String| {
                    // Where, but not what: the value may be private.
                    serde_json::from_str(&text).map_err(|e| unreadable(name, format!(
                        "its JSON is not as written, at column {}", e.column()
                    )))
                };
                read_text(name, row)?.map(parse).transpose()
            }
        }
    )+ };
}

json_scalar!(Value, Outputs, RunPlan);

/// How deep stored JSON may be nested: `serde_json` reads no more than 127 levels.
const DEPTH_MAX: usize = 127;

/// How deep the arrays and objects of a JSON text are nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl Column for InstanceKey {
    fn put(&self, _: &'static str, out: &mut Document) -> Result<(), Rejected> {
        out.column("run", &self.run)?;
        out.column("task", &self.task)?;
        out.column("map_index", &self.map_index)
    }

    fn get(_: &'static str, row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            run: Column::get("run", row)?,
            task: Column::get("task", row)?,
            map_index: Column::get("map_index", row)?,
        })
    }
}

impl Column for BlobRef {
    fn put(&self, _: &'static str, out: &mut Document) -> Result<(), Rejected> {
        out.column("blob_digest", &self.digest)?;
        out.column("blob_size", &self.size)
    }

    fn get(_: &'static str, row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            digest: Column::get("blob_digest", row)?,
            size: Column::get("blob_size", row)?,
        })
    }
}

/// Only receipts are blobs that may be missing.
impl Column for Option<BlobRef> {
    fn put(&self, _: &'static str, out: &mut Document) -> Result<(), Rejected> {
        out.column("receipt_digest", &self.as_ref().map(|blob| blob.digest))?;
        out.column("receipt_size", &self.as_ref().map(|blob| blob.size))
    }

    fn get(_: &'static str, row: &Row<'_>) -> Result<Self, StoreError> {
        let digest: Option<Digest> = Column::get("receipt_digest", row)?;
        let size: Option<u64> = Column::get("receipt_size", row)?;
        Ok(digest
            .zip(size)
            .map(|(digest, size)| BlobRef { digest, size }))
    }
}

/// `text` in a form without NUL: U+0010 (data link escape) and `0` for NUL, U+0010 twice for itself.
///
/// PostgreSQL cannot keep a NUL in a text and SQLite can. To refuse one here would fail a whole
/// batch for what a program printed; to drop it would give back another text. Texts without the
/// two characters, which are all in practice, are stored as they are.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', '\u{10}']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.replace('\u{10}', "\u{10}\u{10}")
            .replace('\0', "\u{10}0"),
    )
}

/// The text that [`escape`] was given; none where it gives no such text.
pub(crate) fn unescape(text: String) -> Option<String> {
    if !text.contains('\u{10}') {
        return Some(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\u{10}' => match chars.next()? {
                '0' => '\0',
                '\u{10}' => '\u{10}',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_survives_without_a_nul(text in "[\0\u{10}0a😀]{0,12}|\\PC{0,20}") {
            let stored = escape(&text).into_owned();
            prop_assert!(!stored.contains('\0'));
            prop_assert_eq!(unescape(stored), Some(text));
        }
    }

    #[test]
    fn a_wrong_escape_is_noticed() {
        assert_eq!(unescape("\u{10}1".to_owned()), None);
        assert_eq!(unescape("a\u{10}".to_owned()), None);
    }
}
