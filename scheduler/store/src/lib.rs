//! belljar-store.
