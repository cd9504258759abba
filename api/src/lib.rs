//! belljar-api.
