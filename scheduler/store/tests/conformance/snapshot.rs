//! What a new leader starts from.

use crate::support::*;
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;

on_both! {
    an_empty_database_has_an_empty_snapshot
    a_snapshot_has_the_active_runs_whole
    queued_runs_are_loaded_oldest_first
    snapshots_are_of_one_moment
}

async fn an_empty_database_has_an_empty_snapshot(db: TestDb) {
    let store = db.store().await;
    assert_eq!(store.snapshot_load().await.unwrap(), Snapshot::default());
    assert_eq!(store.run_load(run_id(1)).await.unwrap(), None);
}

async fn a_snapshot_has_the_active_runs_whole(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let key = instance(2, "a");
    let ready = task_row(key.clone(), TaskState::Running);
    let live = attempt_row(key.clone(), 2, true);
    let given = Idempotency {
        key: IdempotencyKey {
            tenant: tenant(),
            principal: name("p"),
            route: "run_create".to_owned(),
            key: "k".to_owned(),
        },
        fingerprint: digest(1),
    };
    let mut keyed = run_new(2, "daily", RunState::Running);
    keyed.idempotency = Some(given.clone());
    let mut foreign = run_new(3, "daily", RunState::Cancelling);
    foreign.row.tenant = name("other");
    let mut queued = run_new(9, "daily", RunState::Queued);
    queued.row.tenant = name("other");
    let ended = [RunState::Succeeded, RunState::Failed, RunState::Cancelled];
    let mut changes: Vec<Change> = (4..)
        .zip(ended)
        .map(|(n, state)| new_run(n, "daily", state))
        .collect();
    let mut batch = Batch::default();
    changes.extend([
        Change::Dag(dag_row("daily")),
        Change::Analysis(analysis_row("noop", "1.0.0", 1)),
        Change::RunNew(Box::new(foreign.clone())),
        Change::RunNew(Box::new(keyed.clone())),
        Change::RunNew(Box::new(queued)),
        new_run(7, "daily", RunState::Queued),
        new_run(8, "daily", RunState::Queued),
        Change::Task(ready.clone()),
        attempt(attempt_row(key, 1, false)),
        attempt(live.clone()),
    ]);
    batch.changes = changes;
    batch.events = (1..=5).map(|seq| event(seq, None)).collect();
    leader.commit_batch(batch).await;
    let snapshot = store.snapshot_load().await.unwrap();
    let expected = Snapshot {
        last_seq: EventSeq(5),
        dags: vec![dag_row("daily")],
        analyses: vec![analysis_row("noop", "1.0.0", 1)],
        runs: vec![
            StoredRun {
                row: keyed.row.clone(),
                plan: keyed.plan,
                idempotency: Some(given),
                tasks: vec![ready],
                attempts: vec![live],
            },
            StoredRun {
                row: foreign.row,
                plan: foreign.plan,
                idempotency: None,
                tasks: vec![],
                attempts: vec![],
            },
        ],
        queued: vec![
            (tenant(), name("daily"), 2),
            (name("other"), name("daily"), 1),
        ],
        ..Snapshot::default()
    };
    assert_eq!(snapshot, expected);
    let one = store.run_load(keyed.row.run).await.unwrap().unwrap();
    assert_eq!(one, snapshot.runs[0]);
}

async fn queued_runs_are_loaded_oldest_first(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut changes: Vec<Change> = (1..=9)
        .rev()
        .map(|n| new_run(n, "daily", RunState::Queued))
        .collect();
    changes.push(new_run(20, "other", RunState::Queued));
    changes.push(Change::Task(task_row(instance(1, "a"), TaskState::Pending)));
    leader.commit(changes).await;
    leader
        .commit(vec![Change::Run(run_row(2, "daily", RunState::Running))])
        .await;
    let runs = store
        .run_load_queued(&tenant(), &name("daily"), 3)
        .await
        .unwrap();
    let ids: Vec<_> = runs.iter().map(|run| run.row.run).collect();
    assert_eq!(ids, [1, 3, 4].map(run_id));
    assert_eq!(runs[0].tasks.len(), 1);
    let others = store
        .run_load_queued(&name("other"), &name("daily"), 3)
        .await
        .unwrap();
    assert_eq!(others, []);
}

/// Every batch writes the same number into all rows: a reader must never see two of them.
async fn snapshots_are_of_one_moment(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let tasks = ["a", "b", "c", "d"];
    let changes = |tries: u32| {
        let mut all = vec![Change::Pool(PoolRow {
            tenant: tenant(),
            pool: name("p"),
            slots: tries,
            description: String::new(),
            updated_at: Micros(1),
        })];
        for task in tasks {
            let mut row = task_row(instance(1, task), TaskState::Ready);
            row.tries = tries;
            all.push(Change::Task(row));
        }
        all
    };
    let mut first = vec![new_run(1, "daily", RunState::Running)];
    first.extend(changes(0));
    leader.commit(first).await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, done) = (store.clone(), done.clone());
        readers.spawn(async move {
            let (mut seen, mut last) = (0, 0);
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let snapshot = store.snapshot_load().await.unwrap();
                let now = snapshot.pools[0].slots;
                assert!(snapshot.runs[0].tasks.iter().all(|task| task.tries == now));
                assert!(now >= last, "time went backwards");
                seen += i32::from(now > last);
                last = now;
            }
            seen
        });
    }
    for tries in 1..=200 {
        leader.commit(changes(tries)).await;
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let seen: Vec<i32> = readers.join_all().await;
    assert!(
        seen.iter().sum::<i32>() > 0,
        "no reader read during the commits"
    );
}
