//! Read-back: is what is in force what was ordered?
//!
//! Owns: the comparison, field by field, each with the source it was read from. Leaves to others:
//! reading the sources ([`crate::docker`]).

use serde::{Deserialize, Serialize};

/// One setting of the sandbox and who confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The field of the plan.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Where it was read: `engine`, `cgroup`, `proc`, `spec`, `mountinfo`; `requested` where
    /// there is no source independent of the request.
    pub source: String,
}
