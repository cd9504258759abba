//! Much at once, and many at once.

use crate::support::*;
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use belljar_store::{RunFilter, Store};
use std::time::Duration;

on_both! {
    a_large_batch_is_one_commit
    an_abandoned_commit_is_whole_or_nothing
    many_open_a_new_database_at_once
}

async fn a_large_batch_is_one_commit(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut batch = Batch::default();
    let mut seq = 0;
    for number in 1..=1_000 {
        batch
            .changes
            .push(new_run(number, "daily", RunState::Running));
        for task in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            let row = task_row(instance(number, task), TaskState::Ready);
            batch.changes.push(Change::Task(row));
            seq += 1;
            batch.events.push(event(seq, Some(run_id(number))));
        }
    }
    leader.commit_batch(batch).await;
    let snapshot = store.snapshot_load().await.unwrap();
    assert_eq!(snapshot.last_seq, EventSeq(10_000));
    assert_eq!(snapshot.runs.len(), 1_000);
    assert!(snapshot.runs.is_sorted_by_key(|run| run.row.run));
    assert!(snapshot.runs.iter().all(|run| run.tasks.len() == 10));
}

/// A leader whose future is dropped at any point has written the batch or has not, and can tell.
async fn an_abandoned_commit_is_whole_or_nothing(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut whole = 0;
    for round in 1..=60_u64 {
        let changes = vec![
            new_run(round, "daily", RunState::Running),
            Change::Task(task_row(instance(round, "a"), TaskState::Ready)),
        ];
        let patience = Duration::from_micros(round * 50);
        let _ = tokio::time::timeout(patience, leader.attempt(changes)).await;
        let at = store
            .leader_batch(leader.term.epoch)
            .await
            .unwrap()
            .unwrap();
        let committed = at == leader.term.batch + 1;
        assert!(committed || at == leader.term.batch);
        let stored = store.run_load(run_id(round)).await.unwrap();
        assert_eq!(stored.map(|run| run.tasks.len()), committed.then_some(1));
        leader.term.batch = at;
        whole += u32::from(committed);
    }
    leader
        .commit(vec![new_run(100, "daily", RunState::Running)])
        .await;
    let page = store
        .run_list(&tenant(), &RunFilter::default(), None, 200)
        .await
        .unwrap();
    assert_eq!(page.items.len() as u32, whole + 1);
}

async fn many_open_a_new_database_at_once(db: TestDb) {
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = db.url.clone();
        opening.spawn(async move { Store::open(&url).await });
    }
    for store in opening.join_all().await {
        store.unwrap().leader_take("x", "").await.unwrap();
    }
    assert_eq!(
        db.store().await.leader_peek().await.unwrap().epoch,
        Epoch(4)
    );
}
