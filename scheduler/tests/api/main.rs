//! The API as its callers meet it: a real server on a loopback port, a real database in a file of its
//! own, a real leader, and an executor that speaks the protocol and runs nothing.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod blobs;
mod browser;
mod catalogue;
mod data;
mod events;
mod executor;
mod harness;
mod lists;
mod openapi;
mod permissions;
mod requests;
mod runs;
