//! belljar-executor.
