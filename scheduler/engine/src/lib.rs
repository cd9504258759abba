//! The scheduling engine: every decision about runs, task instances, leases and permits, as pure
//! code.
//!
//! Owns: [`Engine`], the value that the leader holds, and [`Engine::apply`], the only way it
//! changes. Leaves to others: time and randomness (arguments), storage (`belljar-store` writes the
//! [`rows::Batch`] of changes that `apply` returns), HTTP, and what a dataset or an image is.
//!
//! *Invariant*: nothing here reads a clock, draws a random number of its own, or does I/O.

mod catalogue;
mod claims;
pub mod command;
mod cost;
mod engine;
mod instance;
mod leases;
pub mod permits;
pub mod plan;
mod ready;
mod reports;
pub mod rows;
mod runs;
#[cfg(test)]
mod simulation;
mod transition;
pub mod view;

pub use belljar_ids::{Cause, RunState, TaskState};
pub use cost::{Spends, final_state};
pub use engine::{BadSnapshot, Config, Engine, Output, Ticket};
