//! Whether this executor takes work, and if not, why.
//!
//! Owns: the reasons and telling who needs to know when they change. Leaves to others: finding
//! them out. A reason goes away by itself when its cause does; only a quarantine lasts.

use crate::home::Home;
use crate::registry::Registry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no work is taken after an attempt could not begin here.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Reasons {
    /// The container engine does not answer, or the host cannot run sandboxes.
    engine: Option<String>,
    /// Too little space or the like, and until when that is believed without looking.
    disk: Option<(String, Instant)>,
    /// Something survives being killed; a person must look.
    quarantine: Option<String>,
    stopping: bool,
}

/// Why no work is taken.
#[derive(Debug)]
pub struct Availability {
    reasons: Mutex<Reasons>,
    registry: Arc<Registry>,
}

impl Availability {
    /// Not available until the engine was heard of.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        let reasons = Reasons {
            engine: Some("the container engine has not answered yet".to_owned()),
            ..Reasons::default()
        };
        Self {
            reasons: Mutex::new(reasons),
            registry,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reasons> {
        // No code that holds the lock can panic half-way through a change.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no work is taken; none where it is.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let reasons = self.lock();
        if reasons.stopping {
            return Some("the executor is stopping".to_owned());
        }
        let disk = reasons.disk.as_ref().map(|(reason, _)| reason);
        let first = reasons
            .quarantine
            .as_ref()
            .or(reasons.engine.as_ref())
            .or(disk);
        first.cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Reasons)) {
        let before = self.reason();
        change(&mut self.lock());
        let after = self.reason();
        if before == after {
            return;
        }
        match &after {
            Some(reason) if self.lock().stopping => tracing::info!(reason, "taking no work"),
            Some(reason) => tracing::warn!(reason, "taking no work"),
            None => tracing::info!("taking work"),
        }
        self.registry.heartbeat_wanted.notify_one();
        self.registry.capacity_changed.notify_one();
    }

    /// The engine answers and the host is fit, or it does not for this reason.
    pub fn engine(&self, reason: Option<String>) {
        self.change(|reasons| reasons.engine = reason);
    }

    /// No attempt could begin because of the disk or something like it: no more for a while.
    pub fn pause(&self, reason: String) {
        self.change(|reasons| reasons.disk = Some((reason, Instant::now() + PAUSE)));
    }

    /// Nothing is taken any more until a person has looked and the executor starts again.
    pub fn quarantine(&self, reason: String) {
        self.change(|reasons| reasons.quarantine = Some(reason));
    }

    /// The executor stops.
    pub fn stop(&self) {
        self.change(|reasons| reasons.stopping = true);
    }

    /// Looks at the disk: below `reserve` bytes free there is no work to be taken.
    pub fn check_disk(&self, home: &Home, reserve: u64) {
        let found = match home.free_bytes() {
            Ok(free) if free >= reserve => None,
            Ok(free) => Some(format!(
                "{} MiB are free in the data folder and {} MiB are kept in reserve",
                free >> 20,
                reserve >> 20
            )),
            Err(error) => Some(error.to_string()),
        };
        self.change(|reasons| match (found, &reasons.disk) {
            (Some(reason), _) => reasons.disk = Some((reason, Instant::now())),
            (None, Some((_, until))) if *until <= Instant::now() => reasons.disk = None,
            (None, _) => {}
        });
    }

    /// Whether the disk is the reason, so that it has to be looked at again.
    #[must_use]
    pub fn waits_for_disk(&self) -> bool {
        self.lock().disk.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_come_and_go_and_a_quarantine_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let availability = Availability::new(Arc::default());
        assert!(availability.reason().unwrap().contains("engine"));
        availability.engine(None);
        assert_eq!(availability.reason(), None);
        availability.check_disk(&home, u64::MAX);
        assert!(availability.reason().unwrap().contains("reserve"));
        assert!(availability.waits_for_disk());
        availability.check_disk(&home, 0);
        assert_eq!(availability.reason(), None);
        availability.pause("no room for /out".to_owned());
        availability.check_disk(&home, 0);
        assert!(availability.reason().is_some(), "believed for a while");
        availability.quarantine("pid 7 survives".to_owned());
        availability.engine(None);
        assert!(availability.reason().unwrap().contains("pid 7"));
    }
}
