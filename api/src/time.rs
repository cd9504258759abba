//! Moments on the wire.

use belljar_ids::Micros;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type};

/// A moment, written as RFC 3339 in UTC with `Z` and at most six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub jiff::Timestamp);

impl From<Micros> for Time {
    /// The same moment; one beyond what a calendar can write becomes the last (or first) that it can.
    fn from(micros: Micros) -> Self {
        Self(
            jiff::Timestamp::from_microsecond(micros.0).unwrap_or(if micros.0 < 0 {
                jiff::Timestamp::MIN
            } else {
                jiff::Timestamp::MAX
            }),
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl utoipa::PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Time {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_in_utc_and_never_out_of_range() {
        let time = Time::from(Micros(1_600_000_000_123_456));
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            r#""2020-09-13T12:26:40.123456Z""#
        );
        assert_eq!(Time::from(Micros(i64::MAX)).0, jiff::Timestamp::MAX);
        assert_eq!(Time::from(Micros(i64::MIN)).0, jiff::Timestamp::MIN);
    }
}
