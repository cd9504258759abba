//! What a valid post is, and how it is written to `posts.jsonl`.
//!
//! From a record to a [`Post`] or to the [`Reason`] why it is none. Reading the
//! record is [`crate::records`]'s, reading times [`crate::time`]'s.

use std::borrow::Cow;

use regex::Regex;
use serde::{Serialize, Serializer};

use crate::HEADER;
use crate::records::Record;
use crate::time::Instant;
use crate::unescape::unescape;

/// The largest count that is taken, 2⁶³ − 1: what every reader of the posts can hold.
pub const COUNT_MAX: u64 = i64::MAX as u64;

/// Why a row is no post. Its text is the `reason` of the result.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Reason {
    /// The file ended before the closing quote.
    #[error("cut off inside a quoted field")]
    CutOff,
    /// The record is longer than [`crate::records::RECORD_BYTES_MAX`].
    #[error("longer than 16 MiB")]
    TooLong,
    /// The record ends before this column.
    #[error("missing column {0}")]
    MissingColumn(&'static str),
    /// `created_at` is neither `M/D/YY H:MM` nor RFC 3339.
    #[error("bad time in created_at")]
    BadTime,
    /// The column holds no integer from 0 to [`COUNT_MAX`].
    #[error("bad count in {0}")]
    BadCount(&'static str),
}

/// The patterns that find URLs, hashtags and mentions, built once.
#[derive(Debug)]
pub struct Tags {
    url: Regex,
    hashtag: Regex,
    mention: Regex,
}

impl Default for Tags {
    fn default() -> Self {
        Self::new()
    }
}

impl Tags {
    /// Builds the patterns.
    #[expect(
        clippy::expect_used,
        reason = "the patterns are constants that every test compiles"
    )]
    pub fn new() -> Self {
        let pattern = |text| Regex::new(text).expect("a constant pattern");
        Self {
            url: pattern(r"https?://\S+"),
            hashtag: pattern(r"#[\p{L}\p{Nd}_]+"),
            mention: pattern(r"@[\p{L}\p{Nd}_]+"),
        }
    }
}

/// What kind of post it is, by how its text begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Anything that is not one of the others.
    Original,
    /// Begins with `@`.
    Reply,
    /// Begins with `RT @`.
    Retweet,
}

impl Kind {
    /// The kind of a text with its character references resolved, not trimmed.
    pub fn of(text: &str) -> Self {
        if text.starts_with('@') {
            Self::Reply
        } else if text.starts_with("RT @") {
            Self::Retweet
        } else {
            Self::Original
        }
    }
}

/// A post, as it is in one line of `posts.jsonl`.
#[derive(Debug)]
pub struct Post<'a> {
    row: u64,
    created_at: Instant,
    text: Cow<'a, str>,
    url: &'a str,
    user: &'a str,
    /// Replies, retweets, favorites.
    counts: [u64; 3],
    tags: &'a Tags,
}

impl<'a> Post<'a> {
    /// The post of a record.
    ///
    /// # Errors
    ///
    /// The first [`Reason`], in the order of its variants, why it is none.
    pub fn from_record(row: u64, record: &'a Record, tags: &'a Tags) -> Result<Self, Reason> {
        if record.is_cut_off() {
            return Err(Reason::CutOff);
        }
        if record.is_too_long() {
            return Err(Reason::TooLong);
        }
        let fields = record.fields();
        let [created_at, text, url, replies, retweets, favorites, user] = fields else {
            return Err(Reason::MissingColumn(HEADER[fields.len()]));
        };
        Ok(Self {
            row,
            created_at: Instant::parse(created_at).ok_or(Reason::BadTime)?,
            counts: [
                count("replies", replies)?,
                count("retweets", retweets)?,
                count("favorites", favorites)?,
            ],
            text: unescape(text),
            url,
            user,
            tags,
        })
    }

    /// How many characters of the text could not be read.
    pub fn replaced_characters(&self) -> u64 {
        self.text.matches('\u{fffd}').map(|_| 1).sum()
    }
}

impl Serialize for Post<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let matches = |regex, sign_bytes| Matches {
            text: &self.text,
            regex,
            sign_bytes,
        };
        let [replies, retweets, favorites] = self.counts;
        Line {
            row: self.row,
            created_at: self.created_at.to_string(),
            text: &self.text,
            url: self.url,
            user: self.user,
            kind: Kind::of(&self.text),
            urls: matches(&self.tags.url, 0),
            hashtags: matches(&self.tags.hashtag, 1),
            mentions: matches(&self.tags.mention, 1),
            replies,
            retweets,
            favorites,
        }
        .serialize(serializer)
    }
}

/// The keys of a line, in their order.
#[derive(Serialize)]
struct Line<'a> {
    row: u64,
    created_at: String,
    text: &'a str,
    url: &'a str,
    user: &'a str,
    kind: Kind,
    urls: Matches<'a>,
    hashtags: Matches<'a>,
    mentions: Matches<'a>,
    replies: u64,
    retweets: u64,
    favorites: u64,
}

fn count(column: &'static str, text: &str) -> Result<u64, Reason> {
    let bad = Reason::BadCount(column);
    // `parse` would take a plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad);
    }
    match text.parse() {
        Ok(value) if value <= COUNT_MAX => Ok(value),
        _ => Err(bad),
    }
}

/// The matches of a pattern in a text, found while they are written: a text of
/// nothing but `#a#a#a…` would otherwise need many times its size.
struct Matches<'a> {
    text: &'a str,
    regex: &'a Regex,
    /// Bytes to leave out at the start of each match.
    sign_bytes: usize,
}

impl Serialize for Matches<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.regex
                .find_iter(self.text)
                .map(|found| &found.as_str()[self.sign_bytes..]),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Records;

    fn post(line: &str) -> Result<serde_json::Value, Reason> {
        let tags = Tags::new();
        let mut result = None;
        let mut sink = |record: &Record| {
            result = Some(
                Post::from_record(1, record, &tags)
                    .map(|post| serde_json::to_value(&post).unwrap()),
            );
        };
        let mut records = Records::new();
        records.feed(line, &mut sink);
        records.finish(&mut sink);
        result.unwrap()
    }

    #[test]
    fn a_whole_post() {
        let post =
            post("10/2/17 12:41,@a &amp; RT #b_1\u{301}#ž٣ http://x/#c@d\u{a0}e,u,1,02,3,me,extra");
        assert_eq!(
            post.unwrap(),
            serde_json::json!({
                "row": 1, "created_at": "2017-10-02T12:41:00Z",
                "text": "@a & RT #b_1\u{301}#ž٣ http://x/#c@d\u{a0}e", "url": "u", "user": "me",
                "kind": "reply", "urls": ["http://x/#c@d"], "hashtags": ["b_1", "ž٣", "c"],
                "mentions": ["a", "d"], "replies": 1, "retweets": 2, "favorites": 3,
            })
        );
    }

    #[test]
    fn kinds_come_from_the_unescaped_untrimmed_text() {
        let kind =
            |text: &str| post(&format!("1/1/17 1:00,{text},,0,0,0,")).unwrap()["kind"].clone();
        assert_eq!(kind("@x"), "reply");
        assert_eq!(kind("&commat;x"), "reply");
        assert_eq!(kind("&#64;x"), "reply");
        assert_eq!(kind(" @x"), "original");
        assert_eq!(kind("RT @x"), "retweet");
        assert_eq!(kind("RT &#x40;x"), "retweet");
        assert_eq!(kind("rt @x"), "original");
        assert_eq!(kind("RT x"), "original");
        assert_eq!(kind(""), "original");
    }

    #[test]
    fn reasons_in_their_order() {
        let reason = |line: &str| post(line).unwrap_err().to_string();
        assert_eq!(reason("x"), "missing column text");
        assert_eq!(reason("1/1/17 1:00,t,u,1,1,1"), "missing column user");
        assert_eq!(reason("x,t,u,x,1,1,me"), "bad time in created_at");
        assert_eq!(reason("1/1/17 1:00,t,u,,x,1,me"), "bad count in replies");
        assert_eq!(reason("1/1/17 1:00,t,u,1,-1,x,me"), "bad count in retweets");
        assert_eq!(
            reason("1/1/17 1:00,t,u,1,1,+1,me"),
            "bad count in favorites"
        );
        assert_eq!(
            reason("1/1/17 1:00,t,u,1,1,\"1"),
            "cut off inside a quoted field"
        );
    }

    #[test]
    fn counts_are_integers_up_to_the_limit() {
        assert_eq!(count("c", "9223372036854775807"), Ok(COUNT_MAX));
        assert_eq!(count("c", "000000000000000000000000000007"), Ok(7));
        for bad in [
            "",
            "9223372036854775808",
            "99999999999999999999999",
            "1.0",
            " 1",
            "1e3",
            "٣",
        ] {
            assert_eq!(count("c", bad), Err(Reason::BadCount("c")), "{bad:?}");
        }
    }
}
