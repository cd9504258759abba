//! belljar-sandbox.
