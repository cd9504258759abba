//! belljar-engine.
