//! What happened, as a stream of server-sent events (HTML Living Standard, section 9.2).
//!
//! Each event's `id` is its place in the installation's one log, its `event` the kind, its `data` an
//! [`Event`]. A reader that reconnects sends `Last-Event-ID` and gets what it missed; where that is
//! not kept any more, an event `reset` (without an id) tells it to read everything anew. Lines that
//! begin with a colon come every 15 s and mean nothing.

use crate::time::Time;
use belljar_ids::{EventSeq, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which events.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only events of this run.
    #[param(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// Begin after this place, as `Last-Event-ID` does; where neither is given, with what comes now.
    pub after: Option<i64>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the log, from 1.
    #[schema(value_type = i64)]
    pub seq: EventSeq,
    /// What happened, for example `task.running`.
    pub kind: String,
    /// To what: `run_…/task`, `dag/name`, `dataset/name`.
    pub subject: String,
    /// The run it belongs to, if any.
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// When.
    pub time: Time,
    /// The details; an object.
    pub data: Value,
}

/// The data of an event `reset`: what was missed is not kept any more; read everything anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reset {
    /// Where the stream goes on: the newest event's place.
    #[schema(value_type = i64)]
    pub seq: EventSeq,
}
