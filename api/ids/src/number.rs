//! Numbers that mean one thing each.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $type:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $type(pub $inner);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// The number that makes a late report harmless: it grows by one with every lease of a task
    /// instance and never goes back. 0 is an instance that was never leased.
    Fence(i64)
);
number!(
    /// Numbers the terms of office of scheduler leaders, or the incarnations of an executor.
    Epoch(i64)
);
number!(
    /// The place of an event in the installation's one log: from 1, without gaps.
    EventSeq(i64)
);
number!(
    /// Which of a mapped task's instances, from 0; -1 where the task is not mapped.
    MapIndex(i32)
);
number!(
    /// A moment: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    Micros(i64)
);

impl MapIndex {
    /// The index of the only instance of a task that is not mapped.
    pub const NONE: Self = Self(-1);
}

impl Fence {
    /// The fence of the next lease. Saturates: at 2⁶³−1 leases nothing new would be granted.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Micros {
    /// This moment and `duration` later, saturating at the end of time.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        let micros = self.0.saturating_sub(earlier.0);
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}
