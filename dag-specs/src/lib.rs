//! belljar-dag-specs.
