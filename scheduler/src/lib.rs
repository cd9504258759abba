//! The scheduler: the leader that decides, the service that translates, and the HTTP they are
//! reached by.
//!
//! Owns: commands' way to the engine and the database, sign-in, the public API, the executor
//! protocol's server side, blobs and logs on disk, and the web UI's files. Leaves to others:
//! decisions (`belljar-engine`), SQL (`belljar-store`), containers (the executor).

pub mod blobs;
pub mod http;
pub mod leader;
pub mod server;
pub mod service;

pub use belljar_engine::Config as EngineConfig;
