//! The clock that goes on while the machine sleeps.
//!
//! Owns: reading `CLOCK_BOOTTIME` and the host's boot id. Leaves to others: what the time means.
//! Deadlines of leases are kept on this clock because a suspended host or a paused virtual machine
//! must find them in the past when it wakes up (clock_gettime(2)).

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Where the kernel tells the id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A moment since the host booted, time asleep included. Comparable within one boot only.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct BootTime(pub Duration);

impl BootTime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        // The kernel counts both from 0 upwards and keeps nanoseconds below a second.
        Self(Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        ))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The id of this boot of the host: another one means that nothing that ran before runs now.
///
/// # Errors
///
/// Where `/proc` does not tell it.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string(BOOT_ID)?.trim().to_owned())
}

/// Whole milliseconds of `duration`, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_and_the_boot_has_an_id() {
        let before = BootTime::now();
        let after = BootTime::now();
        assert!(after >= before);
        assert_eq!(
            before.since(after.plus(Duration::from_secs(1))),
            Duration::ZERO
        );
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
