//! Lists in pages: a page goes on where the last one ended, by key, never by number.
//!
//! A row that is put in between while somebody pages is seen if it lies ahead and never makes
//! another row be seen twice or not at all.

use crate::StoreError;
use std::fmt;
use std::str::FromStr;

/// Where a page ended. Opaque: only what the same list gave may be handed back to it.
///
/// Its text holds keys of the caller's own tenant and nothing secret; the HTTP layer encodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor behind an item with this key. No part contains a `/`: ids, names, digests, numbers.
    pub(crate) fn new(key: &[&dyn fmt::Display]) -> Self {
        let parts: Vec<String> = key.iter().map(ToString::to_string).collect();
        Self(parts.join("/"))
    }

    /// The key's parts; `first` for the list's beginning.
    pub(crate) fn parts<const N: usize>(
        cursor: Option<&Self>,
        first: [&str; N],
    ) -> Result<[String; N], StoreError> {
        match cursor {
            None => Ok(first.map(str::to_owned)),
            Some(Self(text)) => {
                let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
                parts.try_into().map_err(|_| StoreError::Cursor)
            }
        }
    }

    /// The key of a list by number; `first` for the list's beginning.
    pub(crate) fn number(cursor: Option<&Self>, first: i64) -> Result<i64, StoreError> {
        match cursor {
            None => Ok(first),
            Some(Self(text)) => text.parse().map_err(|_| StoreError::Cursor),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    /// Takes visible ASCII of at most 400 bytes: nothing that one of the databases would refuse.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let plain = !text.is_empty() && text.len() <= 400;
        if plain && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(StoreError::Cursor)
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts; none where this is the last.
    pub next: Option<Cursor>,
}

/// The most items that a page has, whatever was asked for.
pub const PAGE_MAX: u32 = 200;

/// How many rows to ask the database for: one more than the page has, to know whether more follow.
pub(crate) fn probe(limit: u32) -> i64 {
    i64::from(limit.clamp(1, PAGE_MAX)) + 1
}

impl<T> Page<T> {
    /// The page out of rows that were asked for with [`probe`].
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> Cursor) -> Self {
        let size = limit.clamp(1, PAGE_MAX) as usize;
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}
