//! belljar-api.

pub mod executor;
