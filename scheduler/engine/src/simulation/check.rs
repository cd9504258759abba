//! The invariants, numbered as in the design's list of safety properties.

use super::world::{ACTIVE_RUNS, ACTIVE_TASKS, Db, MAX_ATTEMPTS, SLOTS, World, config, tenant};
use crate::permits::Permit;
use crate::ready::Place;
use crate::rows::{Batch, Change};
use crate::{RunState, TaskState};
use belljar_ids::Micros;
use std::collections::BTreeMap;

/// What one batch may do to what is stored.
pub(super) fn batch(db: &Db, batch: &Batch, now: Micros) {
    // I8: events are gapless, and none comes without changes.
    for (seq, event) in (db.events.len() + 1..).zip(&batch.events) {
        assert_eq!(usize::try_from(event.seq.0).unwrap(), seq);
        assert_eq!(event.time, now);
    }
    for change in &batch.changes {
        match change {
            Change::Task(row) => {
                let Some(old) = db.tasks.get(&row.key) else {
                    continue;
                };
                // I6: terminal is final.
                assert!(!old.state.is_terminal(), "{} left {}", row.key, old.state);
                // I3: fences never go back.
                assert!(row.fence >= old.fence);
            }
            Change::Attempt(row) => {
                // I3: a new lease has a fence that no lease of the instance had.
                if !db.attempts.contains_key(&(row.key.clone(), row.fence)) && row.live {
                    let fences = db.attempts.keys().filter(|(key, _)| *key == row.key);
                    assert!(
                        fences
                            .map(|(_, fence)| *fence)
                            .all(|fence| fence < row.fence)
                    );
                }
                if let Some(old) = db.attempts.get(&(row.key.clone(), row.fence)) {
                    assert!(
                        old.live,
                        "an ended attempt of {} was written again",
                        row.key
                    );
                }
            }
            Change::Run(row) => {
                if let Some(old) = db.runs.get(&row.run) {
                    assert!(!old.state.is_terminal(), "{} left {}", row.run, old.state);
                }
            }
            _ => {}
        }
    }
}

/// What must hold of all that is stored, and of the engine beside it.
pub(super) fn state(world: &World) {
    let db = &world.db;
    let mut leases_by_executor: BTreeMap<_, u32> = BTreeMap::new();
    let mut successes: BTreeMap<_, u32> = BTreeMap::new();
    let mut live: BTreeMap<_, u32> = BTreeMap::new();
    for row in db.attempts.values() {
        if row.live {
            *live.entry(&row.key).or_default() += 1;
            *leases_by_executor.entry(row.executor).or_default() += 1;
        }
        if row.outcome == Some(TaskState::Succeeded) {
            *successes.entry(&row.key).or_default() += 1;
        }
    }
    // I1, I4.
    assert!(successes.values().all(|n| *n == 1) && live.values().all(|n| *n == 1));
    // I17.
    assert!(
        leases_by_executor.values().all(|n| *n <= SLOTS),
        "{leases_by_executor:?}"
    );
    for row in db.tasks.values() {
        let plan = &db.plans[&row.key.run];
        let index = plan
            .tasks
            .iter()
            .position(|t| t.name == row.key.task)
            .unwrap();
        assert_eq!(
            row.state.is_leased(),
            live.contains_key(&row.key),
            "{}",
            row.key
        );
        assert_eq!(
            row.state == TaskState::Succeeded,
            successes.contains_key(&row.key)
        );
        assert_eq!(row.state == TaskState::Succeeded, row.outputs.is_some());
        // I16.
        assert!(row.tries <= MAX_ATTEMPTS && row.losses <= config().infra_budget);
        // I7: nothing is ready before all upstream succeeded.
        if row.state == TaskState::Ready || row.state.is_leased() || row.fence.0 > 0 {
            for up in &plan.tasks[index].upstream {
                let mut key = row.key.clone();
                key.task = plan.tasks[*up as usize].name.clone();
                assert_eq!(db.tasks[&key].state, TaskState::Succeeded);
            }
        }
    }
    runs(db);
    permits(world);
    conserving(world);
    world.engine.ready.check();
}

/// A run has ended exactly when all its instances have, and never more are active than may be.
fn runs(db: &Db) {
    let mut active: BTreeMap<_, u32> = BTreeMap::new();
    for row in db.runs.values() {
        let mut tasks = db.tasks.values().filter(|t| t.key.run == row.run);
        assert_eq!(
            row.state.is_terminal(),
            tasks.all(|t| t.state.is_terminal()),
            "{row:?}"
        );
        assert_eq!(row.state.is_terminal(), row.ended_at.is_some());
        if row.started_at.is_some() && !row.state.is_terminal() {
            *active.entry(&row.dag).or_default() += 1;
        }
        if row.state == RunState::Succeeded {
            let mut tasks = db.tasks.values().filter(|t| t.key.run == row.run);
            assert!(tasks.all(|t| t.state == TaskState::Succeeded));
        }
    }
    assert!(active.values().all(|n| *n <= ACTIVE_RUNS), "{active:?}");
}

/// What is held is exactly what live leases need, and no limit but a lowered pool's is exceeded.
fn permits(world: &World) {
    let mut needed: BTreeMap<Permit, u64> = BTreeMap::new();
    for active in world.engine.runs.values() {
        for (slot, instance) in active.slots() {
            if instance.phase.lease().is_some() {
                for (permit, slots) in active.permits(slot) {
                    *needed.entry(permit).or_default() += u64::from(slots);
                }
            }
        }
    }
    let mut held: BTreeMap<Permit, u64> = BTreeMap::new();
    for (permit, _, slots, used) in world.engine.holdings.all() {
        *held.entry(permit.clone()).or_default() += u64::from(slots);
        assert_eq!(used, world.engine.holdings.used(permit));
    }
    assert_eq!(needed, held);
    for (permit, n) in &held {
        assert_eq!(*n, world.engine.holdings.used(permit));
        match permit {
            Permit::Global => assert!(*n <= u64::from(config().active_tasks.unwrap())),
            Permit::Dag(..) => assert!(*n <= u64::from(ACTIVE_TASKS)),
            Permit::Pool(..) => {}
        }
    }
}

/// No instance stays ready that has all its permits and an executor with room; and every ready one has
/// a reason to wait.
fn conserving(world: &World) {
    let engine = &world.engine;
    for (run, active) in &engine.runs {
        for (slot, instance) in active.slots() {
            if instance.phase.state() != TaskState::Ready {
                continue;
            }
            let room = engine
                .executors
                .values()
                .any(|e| e.can_take(active.class(slot)));
            let fits = active.permits(slot).iter().all(|(permit, need)| {
                engine.holdings.used(permit) + u64::from(*need) <= engine.limit(permit, active)
            });
            assert!(
                !(room && fits),
                "{slot:?} could run: {:?}",
                engine.ready.place(slot)
            );
            let blocked = matches!(engine.ready.place(slot), Some(Place::Blocked(..)));
            // A list holds nobody who would fit, unless what is free was promised to others.
            assert!(
                !(blocked && fits && engine.woken.is_empty()),
                "{slot:?} was not woken"
            );
        }
        let waits = engine.waits(&tenant(), *run).unwrap();
        for wait in waits {
            assert!(!wait.reason.sentence(world.now).is_empty());
        }
    }
}
