//! Ids that nobody chooses: UUIDv7 (RFC 9562) behind a prefix.

use crate::InvalidId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! random_id {
    ($(#[$doc:meta])* $type:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        ///
        #[doc = concat!("Written `", $prefix, "` and 32 lower-case hexadecimal digits.")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Uuid);

        impl $type {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The id with this UUID in it.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID in it.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                const PROBLEM: &str =
                    concat!("it must be `", $prefix, "` and 32 hexadecimal digits (0-9, a-f)");
                let wrong = || InvalidId::new($kind, text, PROBLEM);
                let hex = text.strip_prefix($prefix).ok_or_else(wrong)?;
                // One text form only: the parser of `uuid` takes hyphens, braces and upper case.
                let plain = hex.len() == 32
                    && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if !plain {
                    return Err(wrong());
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| wrong())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
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

random_id!(
    /// One execution of a DAG version.
    RunId,
    "run_",
    "run id"
);
random_id!(
    /// A requester's order for one analysis.
    RequestId,
    "req_",
    "request id"
);
random_id!(
    /// An executor, across its restarts.
    ExecutorId,
    "exe_",
    "executor id"
);
random_id!(
    /// One call for work by an executor; the same id again gets the same answer.
    ClaimId,
    "clm_",
    "claim id"
);
random_id!(
    /// An access token's public half.
    TokenId,
    "tok_",
    "token id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_form_only() {
        let id = RunId::from_uuid(Uuid::from_u128(0x0192_f00d));
        let text = id.to_string();
        assert_eq!(text, "run_0000000000000000000000000192f00d");
        assert_eq!(text.parse::<RunId>().unwrap(), id);
        assert!(text.to_uppercase().parse::<RunId>().is_err());
        assert!(text.replace("run_", "req_").parse::<RunId>().is_err());
        assert!(format!("run_{}", id.as_uuid()).parse::<RunId>().is_err());
        assert!(format!("{text} ").parse::<RunId>().is_err());
    }
}
