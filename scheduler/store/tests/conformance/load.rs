//! Much at once, and many at once.

use crate::support::*;
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use belljar_store::{RunFilter, Store, StoreUrl};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

on_both! {
    a_large_batch_is_one_commit
    an_abandoned_commit_is_whole_or_nothing
    many_open_a_new_database_at_once
    a_killed_leader_has_stored_what_it_answered
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

/// `kill -9` in the middle of commits: what was answered is there, and nothing in halves.
async fn a_killed_leader_has_stored_what_it_answered(db: TestDb) {
    if std::env::var_os(LEAD).is_some() {
        commit_for_ever(&db).await;
    }
    let (url, kind) = match &db.url {
        StoreUrl::Sqlite(path) => (format!("sqlite:{}", path.display()), "sqlite"),
        StoreUrl::Postgres(url) => (url.clone(), "postgres"),
    };
    let store = db.store().await;
    let mut answered = 0;
    for _ in 0..3 {
        answered = lead_and_kill(&url, kind, answered).await;
        // Waits for what the killed one's connection may still be at.
        let epoch = store.leader_peek().await.unwrap().epoch;
        store.leader_batch(epoch).await.unwrap();
        let at = store.leader_peek().await.unwrap();
        // One more may have been stored and not been told of.
        assert!(
            (answered..=answered + 1).contains(&at.batch),
            "{answered}, {}",
            at.batch
        );
        let snapshot = store.snapshot_load().await.unwrap();
        assert_eq!(snapshot.runs.len() as i64, at.batch);
        assert!(snapshot.runs.iter().all(|run| run.tasks.len() == 1));
        assert_eq!(at.last_seq, EventSeq(at.batch));
        answered = at.batch;
    }
}

/// Commits a run with its task and an event, says so, and goes on.
async fn commit_for_ever(db: &TestDb) -> ! {
    let (_, mut leader) = db.led().await;
    loop {
        let number = leader.term.batch as u64 + 1;
        let changes = vec![
            new_run(number, "daily", RunState::Running),
            Change::Task(task_row(instance(number, "a"), TaskState::Ready)),
        ];
        let events = vec![event(leader.seq.0 + 1, Some(run_id(number)))];
        leader.commit_batch(Batch { changes, events }).await;
        println!("\ncommitted {number}");
    }
}

/// Starts another process that commits, and kills it once it has answered 20 batches after `from`.
/// Gives the last one it answered.
async fn lead_and_kill(url: &str, kind: &str, from: i64) -> i64 {
    let test = format!("load::{kind}::a_killed_leader_has_stored_what_it_answered");
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(LEAD, url)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answered = from;
    let mut killed = false;
    // To the end, which comes after the kill: what it said until then it had answered.
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(number) = line.strip_prefix("committed ") {
            answered = number.parse().unwrap();
        }
        if answered >= from + 20 && !killed {
            child.start_kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the leader ended by itself");
    child.wait().await.unwrap();
    answered
}
