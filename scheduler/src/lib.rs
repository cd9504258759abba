//! belljar-scheduler.
