//! The names in a manifest, and the macro and rule that the names of a DAG spec share.

use std::fmt;

/// A name that breaks the rule of [`check_name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {problem}", text.escape_debug())]
pub struct InvalidName {
    /// What the name should have named, for example `analysis name`.
    pub kind: &'static str,
    /// The text that was given.
    pub text: String,
    /// Which part of the rule it breaks.
    pub problem: &'static str,
}

/// Checks that `text` is a name: 1 to 63 of `a-z`, `0-9` and `-`, the first a letter or digit.
///
/// The charset is that of a DNS label (RFC 1123) less upper case, so a name needs no escaping in
/// a path, a URL, a container's name or SQL.
///
/// # Errors
///
/// The part of the rule that `text` breaks.
pub fn check_name(text: &str) -> Result<(), &'static str> {
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

/// Defines a newtype of a name: `parse`, `as_str`, `Display`, serde both ways, schemars.
#[macro_export]
macro_rules! define_name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 63 of `a-z`, `0-9` and `-`, the first a letter or digit.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(::std::sync::Arc<str>);

        impl $type {
            /// What this kind of name is called in messages.
            pub const KIND: &'static str = $kind;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::names::InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match $crate::names::check_name(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(problem) => Err($crate::names::InvalidName {
                        kind: $kind,
                        text: text.to_owned(),
                        problem,
                    }),
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl ::std::fmt::Debug for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl ::std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }

        impl ::schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({
                    "type": "string",
                    "pattern": $crate::names::NAME_PATTERN,
                })
            }
        }
    };
}

/// The rule of [`check_name`] as a regular expression for JSON Schema.
pub const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

define_name!(
    /// The name of an analysis within its tenant.
    AnalysisName,
    "analysis name"
);
define_name!(
    /// The name of an input that an analysis declares; the input appears at `/in/<name>`.
    InputName,
    "input name"
);
define_name!(
    /// The key of an artifact in a manifest.
    ArtifactName,
    "artifact name"
);

/// A media type without parameters, for example `application/x-ndjson`.
///
/// Type and subtype follow `restricted-name` of RFC 6838, section 4.2, and are compared without
/// regard to case: they are stored in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaType(String);

/// A text that is not a media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a media type: write `type/subtype`, for example `text/csv`, without parameters",
    .0.escape_debug()
)]
pub struct InvalidMediaType(String);

impl MediaType {
    /// The media type in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type of `/out/result.json`.
    #[must_use]
    pub fn json() -> Self {
        Self("application/json".to_owned())
    }
}

/// Whether `text` is a `restricted-name` of RFC 6838.
fn is_restricted_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    first
        && text.len() <= 127
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

impl std::str::FromStr for MediaType {
    type Err = InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((main, sub)) if is_restricted_name(main) && is_restricted_name(sub) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            _ => Err(InvalidMediaType(text.to_owned())),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

crate::text_serde!(
    MediaType,
    "^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$"
);
