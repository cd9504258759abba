//! The one clock that decides: the leader's monotonic clock, anchored to the database's time when it
//! took office. Steps of the system clock do not reach it.

use belljar_ids::Micros;
use std::time::{Duration, Instant};

/// Tells the leader's time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Micros,
    since: Instant,
}

impl Clock {
    /// A clock that says `now` at this moment.
    #[must_use]
    pub fn anchored(now: Micros) -> Self {
        Self {
            anchor: now,
            since: Instant::now(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.anchor.plus(self.since.elapsed())
    }

    /// How long it is until `moment`; zero where it has passed.
    #[must_use]
    pub fn until(&self, moment: Micros) -> Duration {
        moment.since(self.now())
    }
}
