//! The promises of the store, kept by both databases: one set of tests, run on each.
//!
//! PostgreSQL is the one that `BELLJAR_TEST_POSTGRES` names; each test makes a database of its own
//! there and drops it. Without the variable those tests fail.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking; clippy exempts only functions marked as tests"
)]

mod commit;
mod faults_postgres;
mod faults_sqlite;
mod leader;
mod load;
mod pages;
mod reads;
mod snapshot;
mod support;
mod texts;
mod writes;
