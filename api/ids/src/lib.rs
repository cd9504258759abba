//! belljar-ids.
