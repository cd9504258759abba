//! Names that people choose.

use crate::InvalidId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Whether `text` is a name: 1 to 63 of `a-z`, `0-9` and `-`, the first a letter or digit.
///
/// The charset is that of a DNS label (RFC 1123) less upper case: it is safe in a path, a URL, a
/// container's name and SQL without any escaping.
fn check(text: &str) -> Result<(), &'static str> {
    let mut bytes = text.bytes();
    let letter_or_digit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match bytes.next() {
        None => return Err("it is empty"),
        Some(first) if !letter_or_digit(first) => {
            return Err("it must start with a letter a-z or a digit");
        }
        Some(_) => {}
    }
    if text.len() > 63 {
        return Err("it is longer than 63 characters");
    }
    if bytes.any(|b| !letter_or_digit(b) && b != b'-') {
        return Err("only a-z, 0-9 and `-` are allowed");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 63 of `a-z`, `0-9` and `-`, the first a letter or digit.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text).map_err(|problem| InvalidId::new($kind, text, problem))?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// Whose data and runs these are. Everything stored is kept apart by tenant.
    TenantId,
    "tenant"
);
name!(
    /// The name of a DAG within its tenant.
    DagName,
    "DAG name"
);
name!(
    /// The name of a task within its DAG.
    TaskName,
    "task name"
);
name!(
    /// The name of an analysis within its tenant.
    AnalysisName,
    "analysis name"
);
name!(
    /// The name of a dataset within its tenant.
    DatasetName,
    "dataset name"
);
name!(
    /// The name of a pool within its tenant.
    PoolName,
    "pool name"
);
name!(
    /// The name of an input that an analysis declares.
    InputName,
    "input name"
);
name!(
    /// The key of an artifact in an analysis's manifest.
    ArtifactName,
    "artifact name"
);
name!(
    /// Who acts: a person or a service.
    PrincipalName,
    "principal"
);

impl TenantId {
    /// The tenant of an installation that has only one.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_and_shown_escaped() {
        for text in [
            "",
            "-a",
            "A",
            "a_b",
            "a/b",
            "..",
            "a\0b",
            "á",
            &"a".repeat(64),
            "a b",
            "a.",
        ] {
            assert!(text.parse::<DagName>().is_err(), "{text:?}");
        }
        for text in ["a", "0", "a-b", &"a".repeat(63), "social-insights"] {
            assert_eq!(text.parse::<DagName>().unwrap().as_str(), text);
        }
        let error = "a\u{1b}[31m".parse::<TaskName>().unwrap_err().to_string();
        assert_eq!(
            error,
            r"`a\u{1b}[31m` is not a valid task name: only a-z, 0-9 and `-` are allowed"
        );
    }
}
