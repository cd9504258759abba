//! What one batch does, and what it may not.

use crate::support::*;
use belljar_engine::plan::{BlobRef, RetryPolicy};
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use belljar_store::{CommitError, Rejected};
use serde_json::{Value, json};
use std::sync::Arc;

on_both! {
    the_last_value_of_a_row_wins
    a_batch_is_written_once
    another_epoch_writes_nothing
    events_have_no_gaps
    a_rejected_batch_leaves_nothing
    one_live_lease_and_one_result
    what_cannot_be_read_back_is_refused
    an_empty_batch_counts
}

async fn the_last_value_of_a_row_wins(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut done = run_row(1, "daily", RunState::Succeeded);
    done.ended_at = Some(Micros(8));
    let key = instance(1, "a");
    let mut ended = attempt_row(key.clone(), 1, false);
    ended.outcome = Some(TaskState::Succeeded);
    let states = [
        TaskState::Ready,
        TaskState::Leased,
        TaskState::Running,
        TaskState::Succeeded,
    ];
    let mut changes = vec![new_run(1, "daily", RunState::Running)];
    changes.extend(states.map(|state| Change::Task(task_row(key.clone(), state))));
    changes.push(attempt(attempt_row(key.clone(), 1, true)));
    changes.push(attempt(ended.clone()));
    changes.push(Change::Run(done.clone()));
    for paused in [true, false, true] {
        changes.push(Change::Dag(DagRow {
            paused,
            ..dag_row("daily")
        }));
    }
    leader.commit(changes).await;
    let t = tenant();
    let task = store.task_get(&t, &key).await.unwrap().unwrap();
    assert_eq!(task.state, TaskState::Succeeded);
    let found = store.attempt_get(&t, &key, Fence(1)).await.unwrap();
    assert_eq!(found.unwrap(), ended);
    assert_eq!(store.run_get(&t, run_id(1)).await.unwrap().unwrap().0, done);
    assert!(
        store
            .dag_get(&t, &name("daily"))
            .await
            .unwrap()
            .unwrap()
            .paused
    );
}

async fn a_batch_is_written_once(db: TestDb) {
    let (store, mut leader) = db.led().await;
    leader
        .commit(vec![new_run(1, "daily", RunState::Running)])
        .await;
    let batch = Batch {
        changes: vec![new_run(2, "daily", RunState::Running)],
        events: vec![],
    };
    let Leader { term, .. } = leader;
    for wrong in [term.batch, term.batch - 1, term.batch + 2, i64::MAX, 0] {
        let error = store
            .batch_commit(term.epoch, wrong, &batch)
            .await
            .unwrap_err();
        assert!(matches!(error, CommitError::Deposed), "{wrong}: {error:?}");
    }
    assert_eq!(
        store.leader_batch(term.epoch).await.unwrap(),
        Some(term.batch)
    );
    assert_eq!(store.run_get(&tenant(), run_id(2)).await.unwrap(), None);
    store
        .batch_commit(term.epoch, term.batch + 1, &batch)
        .await
        .unwrap();
    assert_eq!(
        store.leader_batch(term.epoch).await.unwrap(),
        Some(term.batch + 1)
    );
}

async fn another_epoch_writes_nothing(db: TestDb) {
    let (store, mut old) = db.led().await;
    old.commit(vec![Change::Dag(dag_row("daily"))]).await;
    let new = store.leader_take("other", "").await.unwrap();
    assert_eq!(new.epoch.0, old.term.epoch.0 + 1);
    assert_eq!(new.batch, old.term.batch);
    let error = old
        .attempt(vec![Change::Dag(dag_row("other"))])
        .await
        .unwrap_err();
    assert!(matches!(error, CommitError::Deposed), "{error:?}");
    assert_eq!(
        store.dag_get(&tenant(), &name("other")).await.unwrap(),
        None
    );
    assert_eq!(store.leader_batch(old.term.epoch).await.unwrap(), None);
    let batch = Batch::default();
    store
        .batch_commit(new.epoch, new.batch + 1, &batch)
        .await
        .unwrap();
}

async fn events_have_no_gaps(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let events = |seqs: &[i64]| Batch {
        changes: vec![Change::Dag(dag_row("x"))],
        events: seqs.iter().map(|seq| event(*seq, None)).collect(),
    };
    for wrong in [
        &[2][..],
        &[0],
        &[-1, 0],
        &[1, 3],
        &[1, 1],
        &[2, 1],
        &[i64::MAX, i64::MIN],
    ] {
        let error = store
            .batch_commit(leader.term.epoch, leader.term.batch + 1, &events(wrong))
            .await
            .unwrap_err();
        let gap = matches!(error, CommitError::Rejected(Rejected::EventGap { .. }));
        assert!(gap, "{wrong:?}: {error:?}");
    }
    assert_eq!(store.dag_get(&tenant(), &name("x")).await.unwrap(), None);
    leader.commit_batch(events(&[1, 2])).await;
    leader.commit(vec![]).await;
    leader.commit_batch(events(&[3])).await;
    assert_eq!(store.leader_peek().await.unwrap().last_seq, EventSeq(3));
    // The next leader goes on where this one stopped.
    let (_, mut leader) = db.led().await;
    leader.commit_batch(events(&[4])).await;
}

async fn a_rejected_batch_leaves_nothing(db: TestDb) {
    let (store, mut leader) = db.led().await;
    leader
        .commit(vec![new_run(1, "daily", RunState::Running)])
        .await;
    let orphan = InstanceKey {
        run: run_id(99),
        ..instance(1, "a")
    };
    let mut twice = run_new(2, "daily", RunState::Running);
    let key = IdempotencyKey {
        tenant: tenant(),
        principal: name("p"),
        route: "r".to_owned(),
        key: "k".to_owned(),
    };
    twice.idempotency = Some(Idempotency {
        key,
        fingerprint: digest(1),
    });
    let mut same_key = run_new(3, "daily", RunState::Running);
    same_key.idempotency = twice.idempotency.clone();
    let mut elsewhere = run_new(1, "daily", RunState::Running);
    elsewhere.row.tenant = name("other");
    let wrong = [
        (
            "a run made twice",
            vec![new_run(1, "daily", RunState::Queued)],
        ),
        (
            "a run id of another tenant",
            vec![Change::RunNew(Box::new(elsewhere))],
        ),
        (
            "a run without a plan",
            vec![Change::Run(run_row(99, "daily", RunState::Running))],
        ),
        (
            "a task of no run",
            vec![Change::Task(task_row(orphan, TaskState::Ready))],
        ),
        (
            "an attempt of no task",
            vec![attempt(attempt_row(instance(1, "a"), 1, true))],
        ),
        (
            "an idempotency key used twice",
            vec![
                Change::RunNew(Box::new(twice)),
                Change::RunNew(Box::new(same_key)),
            ],
        ),
    ];
    for (what, changes) in wrong {
        let mut all = vec![Change::Dag(dag_row("left"))];
        all.extend(changes);
        let error = leader.attempt(all).await.unwrap_err();
        let constraint = matches!(error, CommitError::Rejected(Rejected::Constraint { .. }));
        assert!(constraint, "{what}: {error:?}");
        assert_eq!(
            store.dag_get(&tenant(), &name("left")).await.unwrap(),
            None,
            "{what}"
        );
        assert_eq!(
            store.leader_peek().await.unwrap().batch,
            leader.term.batch,
            "{what}"
        );
    }
    // The connection is as good as new.
    leader.commit(vec![Change::Dag(dag_row("left"))]).await;
}

async fn one_live_lease_and_one_result(db: TestDb) {
    let (_, mut leader) = db.led().await;
    let key = instance(1, "a");
    let live = |fence| attempt(attempt_row(key.clone(), fence, true));
    let ended = |fence, outcome| {
        attempt(AttemptRow {
            outcome: Some(outcome),
            ..attempt_row(key.clone(), fence, false)
        })
    };
    leader
        .commit(vec![
            new_run(1, "daily", RunState::Running),
            Change::Task(task_row(key.clone(), TaskState::Running)),
            live(1),
        ])
        .await;
    let error = leader.attempt(vec![live(2)]).await.unwrap_err();
    assert!(
        matches!(error, CommitError::Rejected(Rejected::Constraint { .. })),
        "{error:?}"
    );
    // One lease ends and the next begins in a batch, whatever the order of the changes.
    leader
        .commit(vec![live(2), ended(1, TaskState::Crashed)])
        .await;
    leader
        .commit(vec![ended(2, TaskState::Succeeded), live(3)])
        .await;
    let error = leader
        .attempt(vec![ended(3, TaskState::Succeeded)])
        .await
        .unwrap_err();
    assert!(
        matches!(error, CommitError::Rejected(Rejected::Constraint { .. })),
        "{error:?}"
    );
    leader.commit(vec![ended(3, TaskState::Failed)]).await;
}

async fn what_cannot_be_read_back_is_refused(db: TestDb) {
    let (_, mut leader) = db.led().await;
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let with_params = |params: Value| {
        let mut new = run_new(1, "daily", RunState::Running);
        let plan = Arc::make_mut(&mut new.plan);
        plan.params = params;
        new
    };
    let mut infinite = run_new(1, "daily", RunState::Running);
    Arc::make_mut(&mut infinite.plan).tasks[0].retries = RetryPolicy {
        factor: f64::INFINITY,
        ..RetryPolicy::default()
    };
    let huge = DatasetVersionRow {
        tenant: tenant(),
        dataset: name("posts"),
        number: 1,
        blob: BlobRef {
            digest: digest(2),
            size: u64::MAX,
        },
        media_type: String::new(),
        created_by: name("olga"),
        created_at: Micros(1),
    };
    let wrong = [
        Change::RunNew(Box::new(with_params(nested(127)))),
        Change::RunNew(Box::new(infinite)),
        Change::DatasetVersion(huge),
    ];
    for change in wrong {
        let error = leader.attempt(vec![change]).await.unwrap_err();
        let encoding = matches!(error, CommitError::Rejected(Rejected::Encoding { .. }));
        assert!(encoding, "{error:?}");
    }
    let deepest = with_params(nested(126));
    leader
        .commit(vec![Change::RunNew(Box::new(deepest.clone()))])
        .await;
    let loaded = leader.store.run_load(run_id(1)).await.unwrap().unwrap();
    assert_eq!(loaded.plan, deepest.plan);
}

async fn an_empty_batch_counts(db: TestDb) {
    let (store, mut leader) = db.led().await;
    leader.commit(vec![]).await;
    leader.commit(vec![]).await;
    assert_eq!(
        store.leader_batch(leader.term.epoch).await.unwrap(),
        Some(leader.term.batch)
    );
}
