//! Every change is read back as it was written.

use crate::support::*;
use belljar_engine::plan::{Artifact, BlobRef, PlannedInput};
use belljar_engine::rows::*;
use belljar_engine::{Cause, RunState, TaskState};
use belljar_ids::*;
use serde_json::json;

on_both! {
    definitions_come_back
    a_run_comes_back_with_all_its_parts
    tasks_and_attempts_come_back
    executors_tokens_outbox_and_events_come_back
    immutable_rows_keep_their_first_value
    every_state_and_cause_is_storable
}

async fn definitions_come_back(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let dag = dag_row("daily");
    let version = DagVersionRow {
        tenant: tenant(),
        dag: name("daily"),
        version: digest(1),
        number: 1,
        source: "dag: daily\n# 🫙\n".to_owned(),
        spec: json!({"tasks": {"b": 1, "a": 2}}),
        created_by: name("olga"),
        created_at: Micros(i64::MAX),
    };
    let analysis = analysis_row("noop", "1.0.0", 1);
    let dataset = DatasetRow {
        tenant: tenant(),
        dataset: name("posts"),
        owner: name("olga"),
        description: "Posts".to_owned(),
        latest: u32::MAX,
        created_at: Micros(i64::MIN),
    };
    let dataset_version = DatasetVersionRow {
        tenant: tenant(),
        dataset: name("posts"),
        number: 1,
        blob: BlobRef {
            digest: digest(2),
            size: i64::MAX as u64,
        },
        media_type: "text/csv".to_owned(),
        created_by: name("olga"),
        created_at: Micros(3),
    };
    let pool = PoolRow {
        tenant: tenant(),
        pool: name("heavy"),
        slots: 0,
        description: String::new(),
        updated_at: Micros(4),
    };
    leader
        .commit(vec![
            Change::Dag(dag.clone()),
            Change::DagVersion(version.clone()),
            Change::Analysis(analysis.clone()),
            Change::Dataset(dataset.clone()),
            Change::DatasetVersion(dataset_version.clone()),
            Change::Pool(pool.clone()),
        ])
        .await;
    let t = tenant();
    assert_eq!(store.dag_get(&t, &dag.dag).await.unwrap().unwrap(), dag);
    let got = store
        .dag_version_get(&t, &dag.dag, &digest(1))
        .await
        .unwrap();
    assert_eq!(got.unwrap(), version);
    let got = store
        .analysis_get(&t, &analysis.analysis, "1.0.0")
        .await
        .unwrap();
    assert_eq!(got.unwrap(), analysis);
    let got = store
        .analysis_by_digest(&t, &analysis.digest)
        .await
        .unwrap();
    assert_eq!(got.unwrap(), analysis);
    assert_eq!(
        store
            .dataset_get(&t, &dataset.dataset)
            .await
            .unwrap()
            .unwrap(),
        dataset
    );
    let got = store
        .dataset_version_get(&t, &dataset.dataset, 1)
        .await
        .unwrap();
    assert_eq!(got.unwrap(), dataset_version);
    assert_eq!(store.pool_get(&t, &pool.pool).await.unwrap().unwrap(), pool);
    let other: TenantId = name("other");
    assert_eq!(store.dag_get(&other, &dag.dag).await.unwrap(), None);
    assert_eq!(
        store
            .analysis_by_digest(&other, &analysis.digest)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        store.dataset_get(&other, &dataset.dataset).await.unwrap(),
        None
    );
    assert_eq!(store.pool_get(&other, &pool.pool).await.unwrap(), None);
}

async fn a_run_comes_back_with_all_its_parts(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut new = run_new(1, "daily", RunState::Queued);
    let upstream = PlannedInput::Task {
        task: name("a"),
        output: belljar_engine::plan::OutputRef::Artifact(name("posts")),
    };
    new.plan = plan(
        "daily",
        vec![
            planned("a", vec![], work(&[("x", dataset_input("posts", 3))])),
            planned(
                "b",
                vec![0],
                work(&[("y", upstream), ("z", dataset_input("posts", 4))]),
            ),
        ],
    );
    let request = RequestRow {
        tenant: tenant(),
        request: RequestId::from_uuid(uuid(7)),
        run: new.row.run,
        analysis: name("noop"),
        analysis_digest: digest(9),
        inputs: json!({"x": "dataset:posts@3"}),
        params: json!({"deep": [[[["🫙"]]]]}),
        purpose: "to see".to_owned(),
        principal: name("paul"),
        created_at: Micros(1),
    };
    new.row.request = Some(request.request);
    new.request = Some(request.clone());
    let key = IdempotencyKey {
        tenant: tenant(),
        principal: name("paul"),
        route: "run_create".to_owned(),
        key: "k\u{0} \"'\\ ".to_owned(),
    };
    let fingerprint = digest(0xff);
    new.idempotency = Some(Idempotency {
        key: key.clone(),
        fingerprint,
    });
    leader
        .commit(vec![Change::RunNew(Box::new(new.clone()))])
        .await;

    let (row, plan) = store
        .run_get(&tenant(), new.row.run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&row, &plan), (&new.row, &new.plan));
    assert_eq!(
        store.run_get(&name("other"), new.row.run).await.unwrap(),
        None
    );
    let loaded = store.run_load(new.row.run).await.unwrap().unwrap();
    assert_eq!(loaded.idempotency, new.idempotency);
    let view = store
        .request_get(&tenant(), request.request)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.request, view.state), (request, RunState::Queued));
    let unknown = IdempotencyKey {
        key: "k".to_owned(),
        ..key.clone()
    };
    let found = store
        .idempotency_find(&[unknown, key.clone()])
        .await
        .unwrap();
    assert_eq!(found, [(key, fingerprint, new.row.run)]);
    assert_eq!(store.idempotency_find(&[]).await.unwrap(), []);
    let found = store.run_find(&[run_id(2), run_id(1)]).await.unwrap();
    assert_eq!(found, [new.row]);
}

async fn tasks_and_attempts_come_back(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let key = instance(1, "a");
    let mut task = task_row(key.clone(), TaskState::Succeeded);
    task.cause = Some(Cause::ExitCode);
    task.message = Some("line\nbreak \u{1b}[31m".to_owned());
    (task.fence, task.tries, task.losses) = (Fence(i64::MAX), u32::MAX, u32::MAX);
    task.due_at = Some(Micros(i64::MAX));
    (task.started_at, task.ended_at) = (Some(Micros(1)), Some(Micros(0)));
    let mut given = outputs(r#"{"z":1,"a":"\u0000","b":"\ud800"}"#);
    let artifact = Artifact {
        path: "a/b".to_owned(),
        media_type: "image/svg+xml".to_owned(),
        blob: BlobRef {
            digest: digest(1),
            size: 1,
        },
    };
    given.artifacts.insert(name("heatmap"), artifact);
    task.outputs = Some(given);
    let mapped = InstanceKey {
        map_index: MapIndex(i32::MAX),
        ..key.clone()
    };
    let mapped = task_row(mapped, TaskState::Pending);
    let mut ended = attempt_row(key.clone(), 1, false);
    ended.started_at = Some(Micros(10));
    (ended.outcome, ended.cause) = (Some(TaskState::Failed), Some(Cause::Memory));
    (ended.message, ended.exit_code) = (Some(String::new()), Some(i32::MIN));
    (ended.report_digest, ended.report) = (Some(digest(2)), Some(json!({"peak": u64::MAX})));
    ended.receipt = Some(BlobRef {
        digest: digest(3),
        size: 0,
    });
    let live = attempt_row(key.clone(), i64::MAX, true);
    let report = ReportRow {
        tenant: tenant(),
        key: key.clone(),
        fence: Fence(1),
        report_digest: digest(8),
        verdict: "stale_fence".to_owned(),
        received_at: Micros(9),
    };
    leader
        .commit(vec![
            new_run(1, "daily", RunState::Running),
            Change::Task(task.clone()),
            Change::Task(mapped.clone()),
            attempt(live.clone()),
            attempt(ended.clone()),
            Change::Report(report.clone()),
            Change::Report(report.clone()),
        ])
        .await;
    let t = tenant();
    assert_eq!(store.task_get(&t, &key).await.unwrap().unwrap(), task);
    assert_eq!(store.task_list(&t, key.run).await.unwrap(), [task, mapped]);
    let got = store.attempt_get(&t, &key, Fence(1)).await.unwrap();
    assert_eq!(got.unwrap(), ended);
    let page = store
        .attempt_list(&t, key.run, Some(&key.task), None, 9)
        .await
        .unwrap();
    assert_eq!(page.items, [ended.clone(), live.clone()]);
    assert_eq!(store.report_list(&t, &key, 9).await.unwrap(), [report]);
    let asked = [
        (key.clone(), Fence(1)),
        (key.clone(), Fence(2)),
        (key, live.fence),
    ];
    let mut found = store.attempt_find(&asked).await.unwrap();
    found.sort_by_key(|row| row.fence);
    assert_eq!(found, [ended, live]);
}

async fn executors_tokens_outbox_and_events_come_back(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let executor = ExecutorRow {
        tenant: tenant(),
        executor: ExecutorId::from_uuid(uuid(4)),
        name: "node 1".to_owned(),
        epoch: Epoch(2),
        slots: 8,
        info: json!({"runtimes": ["runsc"]}),
        registered_at: Micros(5),
    };
    let mut token = TokenRow {
        tenant: tenant(),
        token: TokenId::from_uuid(uuid(5)),
        principal: name("paul"),
        role: "admin".to_owned(),
        secret_hash: digest(1),
        created_at: Micros(1),
        revoked_at: None,
    };
    let mut message = OutboxRow {
        tenant: tenant(),
        seq: EventSeq(1),
        channel: "webhook".to_owned(),
        payload: json!({"to": "https://example.org"}),
        created_at: Micros(1),
        attempts: 0,
        delivered_at: None,
    };
    let first = event(1, Some(run_id(1)));
    let second = Event {
        run: None,
        ..event(2, None)
    };
    leader
        .commit_batch(Batch {
            changes: vec![
                Change::Executor(executor.clone()),
                Change::Token(token.clone()),
                Change::Outbox(message.clone()),
            ],
            events: vec![first.clone(), second.clone()],
        })
        .await;
    let t = tenant();
    let got = store.executor_get(&t, executor.executor).await.unwrap();
    assert_eq!(got.unwrap(), executor);
    assert_eq!(store.token_find(token.token).await.unwrap().unwrap(), token);
    assert_eq!(store.outbox_list_due(9).await.unwrap(), [message.clone()]);
    let none = belljar_store::EventFilter::default();
    let all = store.event_list(&t, &none, EventSeq(0), 9).await.unwrap();
    assert_eq!(all, [first.clone(), second.clone()]);
    let later = store.event_list(&t, &none, EventSeq(1), 9).await.unwrap();
    assert_eq!(later, [second]);
    let of_run = belljar_store::EventFilter { run: first.run };
    assert_eq!(
        store.event_list(&t, &of_run, EventSeq(0), 9).await.unwrap(),
        [first]
    );
    let others = store
        .event_list(&name("other"), &none, EventSeq(0), 9)
        .await
        .unwrap();
    assert_eq!(others, []);

    token.revoked_at = Some(Micros(9));
    (message.attempts, message.delivered_at) = (1, Some(Micros(9)));
    leader
        .commit(vec![Change::Token(token.clone()), Change::Outbox(message)])
        .await;
    assert_eq!(store.token_find(token.token).await.unwrap().unwrap(), token);
    assert_eq!(store.outbox_list_due(9).await.unwrap(), []);
}

async fn immutable_rows_keep_their_first_value(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let first = analysis_row("noop", "1.0.0", 1);
    let mut again = analysis_row("noop", "1.0.0", 2);
    again.trusted = true;
    leader
        .commit(vec![
            Change::Analysis(first.clone()),
            Change::Analysis(again.clone()),
        ])
        .await;
    let got = || async {
        let row = store
            .analysis_get(&tenant(), &first.analysis, "1.0.0")
            .await;
        row.unwrap().unwrap()
    };
    let trusted = AnalysisRow {
        trusted: true,
        ..first.clone()
    };
    assert_eq!(got().await, trusted);
    again.withdrawn = true;
    leader.commit(vec![Change::Analysis(again)]).await;
    assert_eq!(
        got().await,
        AnalysisRow {
            withdrawn: true,
            ..trusted
        }
    );

    let version = |created_by: &str| DatasetVersionRow {
        tenant: tenant(),
        dataset: name("posts"),
        number: 1,
        blob: BlobRef {
            digest: digest(2),
            size: 2,
        },
        media_type: String::new(),
        created_by: name(created_by),
        created_at: Micros(1),
    };
    let both = ["olga", "mallory"].map(|who| Change::DatasetVersion(version(who)));
    leader.commit(both.to_vec()).await;
    leader
        .commit(vec![Change::DatasetVersion(version("eve"))])
        .await;
    let got = store
        .dataset_version_get(&tenant(), &name("posts"), 1)
        .await
        .unwrap();
    assert_eq!(got.unwrap(), version("olga"));
}

async fn every_state_and_cause_is_storable(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut changes = vec![new_run(1, "daily", RunState::Running)];
    let mut rows = Vec::new();
    for (index, state) in (0..).zip(TaskState::ALL) {
        let key = InstanceKey {
            map_index: MapIndex(index),
            ..instance(1, "a")
        };
        rows.push(task_row(key, *state));
    }
    for (index, cause) in (0..).zip(Cause::ALL) {
        let key = InstanceKey {
            map_index: MapIndex(index),
            ..instance(1, "b")
        };
        rows.push(TaskRow {
            cause: Some(*cause),
            ..task_row(key, TaskState::Failed)
        });
    }
    changes.extend(rows.iter().cloned().map(Change::Task));
    for (number, state) in (2..).zip(RunState::ALL) {
        changes.push(new_run(number, "other", *state));
    }
    leader.commit(changes).await;
    assert_eq!(store.task_list(&tenant(), run_id(1)).await.unwrap(), rows);
    for (number, state) in (2..).zip(RunState::ALL) {
        let (row, _) = store
            .run_get(&tenant(), run_id(number))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.state, *state);
    }
}
