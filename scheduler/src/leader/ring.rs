//! The committed events of late, in memory: what the event streams are fed from.

use belljar_engine::rows::Event;
use belljar_ids::EventSeq;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How many events are kept.
const KEPT: usize = 65_536;

/// A subscriber asked for events that are not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events after {after} are gone; the oldest kept is {oldest}")]
pub struct FellBehind {
    /// What was asked for.
    pub after: EventSeq,
    /// The oldest one kept.
    pub oldest: EventSeq,
}

/// The newest events, by sequence without gaps.
#[derive(Debug)]
pub struct EventRing {
    events: Mutex<VecDeque<Arc<Event>>>,
    last: watch::Sender<EventSeq>,
}

impl Default for EventRing {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            last: watch::Sender::new(EventSeq(0)),
        }
    }
}

impl EventRing {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        // A panic while it was held leaves a deque that is still whole.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest event's place, and news of it.
    #[must_use]
    pub fn last(&self) -> watch::Receiver<EventSeq> {
        self.last.subscribe()
    }

    /// The kept events after `seq`, at most `limit`.
    ///
    /// # Errors
    ///
    /// Where some of them are not kept any more; the database has them.
    pub fn after(&self, seq: EventSeq, limit: usize) -> Result<Vec<Arc<Event>>, FellBehind> {
        let events = self.lock();
        let last = *self.last.borrow();
        if seq >= last {
            return Ok(Vec::new());
        }
        let oldest = events
            .front()
            .map_or(EventSeq(last.0 + 1), |event| event.seq);
        if seq.0 + 1 < oldest.0 {
            return Err(FellBehind { after: seq, oldest });
        }
        let skip = usize::try_from(seq.0 + 1 - oldest.0).unwrap_or(usize::MAX);
        Ok(events.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Adds committed events. Where they do not follow the last one (another process led in
    /// between), what was kept is dropped.
    pub(super) fn publish(&self, new: Vec<Event>) {
        let Some(last) = new.last().map(|event| event.seq) else {
            return;
        };
        {
            let mut events = self.lock();
            let follows = events
                .back()
                .is_none_or(|old| old.seq.0 + 1 == new[0].seq.0);
            if !follows {
                events.clear();
            }
            events.extend(new.into_iter().map(Arc::new));
            let surplus = events.len().saturating_sub(KEPT);
            events.drain(..surplus);
        }
        self.last.send_replace(last);
    }

    /// Starts at `seq`: nothing older is kept.
    pub(super) fn start(&self, seq: EventSeq) {
        let mut events = self.lock();
        if *self.last.borrow() != seq {
            events.clear();
        }
        drop(events);
        self.last.send_replace(seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_ids::{Micros, TenantId};

    fn event(seq: i64) -> Event {
        Event {
            tenant: TenantId::default_tenant(),
            seq: EventSeq(seq),
            kind: "test".into(),
            subject: String::new(),
            run: None,
            time: Micros(0),
            data: serde_json::Value::Null,
        }
    }

    fn seqs(ring: &EventRing, after: i64, limit: usize) -> Vec<i64> {
        ring.after(EventSeq(after), limit)
            .unwrap()
            .iter()
            .map(|event| event.seq.0)
            .collect()
    }

    #[test]
    fn resumes_from_any_kept_event_and_says_when_one_is_gone() {
        let ring = EventRing::default();
        ring.start(EventSeq(10));
        assert_eq!(ring.after(EventSeq(9), 5).unwrap_err().oldest, EventSeq(11));
        ring.publish((11..=13).map(event).collect());
        assert_eq!(seqs(&ring, 10, 9), [11, 12, 13]);
        assert_eq!(seqs(&ring, 12, 9), [13]);
        assert_eq!(seqs(&ring, 10, 2), [11, 12]);
        assert_eq!(seqs(&ring, 13, 9), [0; 0]);
        assert!(ring.after(EventSeq(9), 9).is_err());
        // Another leader wrote 14 to 20 meanwhile.
        ring.publish(vec![event(21)]);
        assert!(ring.after(EventSeq(13), 9).is_err());
        assert_eq!(seqs(&ring, 20, 9), [21]);
    }

    #[test]
    fn keeps_a_bounded_number() {
        let ring = EventRing::default();
        let many = i64::try_from(KEPT).unwrap() + 5;
        ring.publish((1..=many).map(event).collect());
        assert!(ring.after(EventSeq(4), 1).is_err());
        assert_eq!(seqs(&ring, 5, 1), [6]);
    }
}
