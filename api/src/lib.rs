//! What crosses a process boundary: the types of the public API, `/api/v1`, and of the executor
//! protocol.
//!
//! Owns: the wire format, as serde types that also describe themselves for the OpenAPI document.
//! Leaves to others: what the values mean (the engine), and HTTP (the scheduler, the SDK). The routes
//! are listed in `docs/api.md`.
//!
//! In the public API a request with a field that is not known is refused; an answer may gain fields,
//! and its reader ignores those it does not know. Times are RFC 3339 in UTC, durations whole
//! milliseconds with the unit in the name, sizes bytes.

pub mod analyses;
pub mod dags;
pub mod datasets;
pub mod events;
pub mod executor;
pub mod executors;
pub mod page;
pub mod pools;
pub mod problem;
pub mod requests;
pub mod runs;
pub mod session;
pub mod tasks;
mod time;

pub use page::Page;
pub use problem::{Code, Problem};
pub use time::Time;

/// Header of a submission that may be repeated: the same key with the same content gives the same run.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
/// Header that names a call, in the answer and in the server's log.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Header of a log answer: the offset to ask for next.
pub const LOG_NEXT_OFFSET_HEADER: &str = "belljar-log-next-offset";
/// Header of a log answer: `true` where nothing will follow these bytes.
pub const LOG_COMPLETE_HEADER: &str = "belljar-log-complete";
/// Name of the browser's session cookie.
pub const SESSION_COOKIE: &str = "belljar_session";
