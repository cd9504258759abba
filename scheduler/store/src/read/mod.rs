//! What the API reads: the present as it is stored, a tenant at a time, in pages.
//!
//! Owns: the reads and the shapes that join tables. Leaves to others: permissions, wait reasons and
//! queue order (the leader knows them), and the wire format.
//!
//! Every list takes where the last page ended and how many items to give, at most [`crate::PAGE_MAX`].

mod analysis;
mod dag;
mod dataset;
mod event;
mod plain;
mod request;
mod run;
mod task;

pub use dag::DagSummary;
pub use dataset::{AttemptUse, DatasetUse};
pub use event::EventFilter;
pub use request::RequestView;
pub use run::{RunCounts, RunFilter};

/// Sorts before every id and name, and after none: where an ascending list starts.
const FIRST: &str = "";

/// Sorts after every id and name, all of which are ASCII below it: where a descending list starts.
const LAST: &str = "~";
