//! belljar-manifest.
