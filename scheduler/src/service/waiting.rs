//! Waiting for something to happen to a run.

use crate::leader::EventRing;
use belljar_ids::{EventSeq, RunId};

/// The newest event's place.
#[must_use]
pub fn newest(ring: &EventRing) -> EventSeq {
    *ring.last().borrow()
}

/// Waits until something happens to `run` after `place`, and says where to go on from. Comes back
/// without a reason too, where what happened meanwhile is not kept any more.
pub async fn run_changed(ring: &EventRing, run: RunId, mut place: EventSeq) -> EventSeq {
    let mut news = ring.last();
    loop {
        let newest = *news.borrow_and_update();
        match ring.after(place, 1_024) {
            Err(_) => return newest,
            Ok(events) => {
                if let Some(event) = events.iter().find(|event| event.run == Some(run)) {
                    return event.seq;
                }
                if let Some(last) = events.last() {
                    place = last.seq;
                    continue;
                }
            }
        }
        if news.changed().await.is_err() {
            // The ring, which is borrowed here, holds the sender.
            return place;
        }
    }
}
