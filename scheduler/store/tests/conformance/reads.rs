//! Reads that put tables together.

use crate::support::*;
use belljar_engine::plan::BlobRef;
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use serde_json::json;

on_both! {
    a_datasets_uses_tell_who_read_what
    dags_come_with_their_newest_runs
    requests_show_their_runs_state
    runs_are_counted_by_state
    a_deleted_plan_takes_its_run_along
}

fn request(number: u64, run: u64, principal: &str) -> RequestRow {
    RequestRow {
        tenant: tenant(),
        request: RequestId::from_uuid(uuid(number)),
        run: run_id(run),
        analysis: name("noop"),
        analysis_digest: digest(9),
        inputs: json!({}),
        params: json!({}),
        purpose: "research".to_owned(),
        principal: name(principal),
        created_at: Micros(1),
    }
}

/// A run whose task `a` reads version `version` of `posts` by two inputs, and `b` nothing.
fn reader(number: u64, version: u32) -> RunNew {
    let mut new = run_new(number, "daily", RunState::Running);
    let inputs = [
        ("x", dataset_input("posts", version)),
        ("y", dataset_input("posts", version)),
        ("z", dataset_input("other", 1)),
    ];
    new.plan = plan(
        "daily",
        vec![
            planned("a", vec![], work(&inputs)),
            planned("b", vec![], work(&[])),
        ],
    );
    new
}

async fn a_datasets_uses_tell_who_read_what(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let t = tenant();
    let mut asked = reader(2, 2);
    let order = request(5, 2, "paul");
    (asked.row.request, asked.request) = (Some(order.request), Some(order));
    let mut receipt = attempt_row(instance(2, "a"), 2, false);
    receipt.receipt = Some(BlobRef {
        digest: digest(77),
        size: 7,
    });
    receipt.outcome = Some(TaskState::Succeeded);
    leader
        .commit(vec![
            Change::RunNew(Box::new(reader(1, 1))),
            Change::RunNew(Box::new(asked)),
            Change::RunNew(Box::new(reader(3, 1))),
            Change::Task(task_row(instance(2, "a"), TaskState::Succeeded)),
            Change::Task(task_row(instance(2, "b"), TaskState::Succeeded)),
            attempt(attempt_row(instance(2, "a"), 1, false)),
            attempt(receipt.clone()),
            attempt(attempt_row(instance(2, "b"), 1, false)),
        ])
        .await;
    let page = store
        .dataset_uses(&t, &name("posts"), None, None, 200)
        .await
        .unwrap();
    let keys: Vec<_> = page
        .items
        .iter()
        .map(|u| (u.run, u.input.as_str(), u.version))
        .collect();
    let (one, two, three) = (run_id(1), run_id(2), run_id(3));
    let expected = [
        (three, "y", 1),
        (three, "x", 1),
        (two, "y", 2),
        (two, "x", 2),
        (one, "y", 1),
        (one, "x", 1),
    ];
    assert_eq!(keys, expected);
    assert_eq!(page.next, None);
    let used = &page.items[2];
    assert_eq!(used.task, name("a"));
    assert_eq!(used.request, Some(RequestId::from_uuid(uuid(5))));
    assert_eq!(used.purpose.as_deref(), Some("research"));
    assert_eq!(used.principal, name("paul"));
    let fences: Vec<_> = used.attempts.iter().map(|a| a.fence.0).collect();
    assert_eq!(fences, [1, 2]);
    assert_eq!(used.attempts[1].receipt, receipt.receipt);
    assert_eq!(used.attempts[1].outcome, Some(TaskState::Succeeded));
    assert_eq!(page.items[3].attempts, used.attempts);
    assert!(page.items[0].attempts.is_empty() && page.items[0].purpose.is_none());

    let posts: DatasetName = name("posts");
    let of_version = |version| store.dataset_uses(&t, &posts, Some(version), None, 9);
    let ones = of_version(1).await.unwrap().items;
    assert_eq!(
        ones.iter().map(|u| u.run).collect::<Vec<_>>(),
        [three, three, one, one]
    );
    assert_eq!(of_version(3).await.unwrap().items, []);
    // By pages the same, one at a time.
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let next = store
            .dataset_uses(&t, &name("posts"), None, cursor.as_ref(), 1)
            .await
            .unwrap();
        paged.extend(next.items);
        cursor = next.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, page.items);
    let foreign = store
        .dataset_uses(&name("other"), &name("posts"), None, None, 9)
        .await;
    assert_eq!(foreign.unwrap().items, []);
}

async fn dags_come_with_their_newest_runs(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut changes: Vec<Change> = ["a", "b", "c"]
        .map(|dag| Change::Dag(dag_row(dag)))
        .to_vec();
    changes.extend((1..=9).map(|n| new_run(n, "a", RunState::Running)));
    changes.extend((10..=11).map(|n| new_run(n, "c", RunState::Failed)));
    // A request's run has a DAG's name and no DAG.
    changes.push(new_run(12, "bb", RunState::Running));
    let mut foreign = run_new(13, "b", RunState::Running);
    foreign.row.tenant = name("other");
    changes.push(Change::RunNew(Box::new(foreign)));
    leader.commit(changes).await;
    let page = store.dag_list(&tenant(), 3, None, 9).await.unwrap();
    let runs: Vec<Vec<RunId>> = page
        .items
        .iter()
        .map(|item| item.runs.iter().map(|row| row.run).collect())
        .collect();
    let newest: [&[u64]; 3] = [&[9, 8, 7], &[], &[11, 10]];
    assert_eq!(
        runs,
        newest.map(|ids| ids.iter().copied().map(run_id).collect::<Vec<_>>())
    );
    let none = store.dag_list(&tenant(), 0, None, 9).await.unwrap();
    assert!(none.items.iter().all(|item| item.runs.is_empty()));
}

async fn requests_show_their_runs_state(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let t = tenant();
    let make = |number: u64, principal: &str| {
        let mut new = run_new(number, "noop", RunState::Running);
        let row = request(number, number, principal);
        (new.row.request, new.request) = (Some(row.request), Some(row));
        Change::RunNew(Box::new(new))
    };
    leader
        .commit(vec![make(1, "paul"), make(2, "eve"), make(3, "paul")])
        .await;
    let mut done = run_row(3, "noop", RunState::Succeeded);
    done.ended_at = Some(Micros(8));
    leader.commit(vec![Change::Run(done)]).await;
    let list = |principal: Option<&'static str>| {
        let (store, t) = (&store, &t);
        async move {
            let principal = principal.map(name);
            let page = store
                .request_list(t, principal.as_ref(), None, 9)
                .await
                .unwrap();
            page.items
        }
    };
    let all = list(None).await;
    assert_eq!(
        all.iter().map(|view| view.request.run).collect::<Vec<_>>(),
        [3, 2, 1].map(run_id)
    );
    assert_eq!(
        (all[0].state, all[0].ended_at),
        (RunState::Succeeded, Some(Micros(8)))
    );
    assert_eq!(all[1].state, RunState::Running);
    let of_paul = list(Some("paul")).await;
    assert_eq!(
        of_paul.iter().map(|v| v.request.run).collect::<Vec<_>>(),
        [3, 1].map(run_id)
    );
    let row = store.run_get(&t, run_id(3)).await.unwrap().unwrap().0;
    assert!(
        row.request.is_some(),
        "a run's later rows change its state and nothing else"
    );
}

async fn runs_are_counted_by_state(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let at = |millis: u64, n: u64| {
        let id = uuid::Uuid::from_u64_pair(millis << 16 | 0x7000, 0x8000_0000_0000_0000 | n);
        RunId::from_uuid(id)
    };
    let mut changes = Vec::new();
    for (n, (millis, state)) in (0..).zip([
        (1_000, RunState::Running),
        (1_000, RunState::Succeeded),
        (1_999, RunState::Failed),
        (2_000, RunState::Succeeded),
        (2_001, RunState::Succeeded),
        (2_001, RunState::Queued),
    ]) {
        let mut new = run_new(1, "a", state);
        new.row.run = at(millis, n);
        changes.push(Change::RunNew(Box::new(new)));
    }
    leader.commit(changes).await;
    let since = |millis: i64| {
        let (store, t) = (&store, tenant());
        async move {
            store
                .run_counts(&t, Micros(millis * 1000))
                .await
                .unwrap()
                .runs
        }
    };
    let (queued, running) = ((RunState::Queued, 1), (RunState::Running, 1));
    let succeeded = |count| (RunState::Succeeded, count);
    assert_eq!(since(2_000).await, [queued, running, succeeded(2)]);
    assert_eq!(
        since(0).await,
        [(RunState::Failed, 1), queued, running, succeeded(3)]
    );
    assert_eq!(since(i64::MAX / 1000).await, [queued, running]);
}

/// What retention stands on: one row deleted, and nothing of the run is left but what happened.
async fn a_deleted_plan_takes_its_run_along(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let t = tenant();
    let mut new = reader(1, 1);
    let order = request(5, 1, "paul");
    let id = order.request;
    (new.row.request, new.request) = (Some(id), Some(order));
    let key = IdempotencyKey {
        tenant: tenant(),
        principal: name("paul"),
        route: "request_create".to_owned(),
        key: "k".to_owned(),
    };
    new.idempotency = Some(Idempotency {
        key: key.clone(),
        fingerprint: digest(1),
    });
    let again = Change::RunNew(Box::new(new));
    let changes = vec![
        again.clone(),
        new_run(2, "daily", RunState::Running),
        Change::Task(task_row(instance(1, "a"), TaskState::Running)),
        attempt(attempt_row(instance(1, "a"), 1, true)),
    ];
    let events = vec![event(1, Some(run_id(1)))];
    leader.commit_batch(Batch { changes, events }).await;
    db.execute("DELETE FROM run_plan WHERE run = 'run_01920000000070008000000000000001'")
        .await;
    assert_eq!(
        store.run_find(&[run_id(1), run_id(2)]).await.unwrap().len(),
        1
    );
    assert_eq!(store.task_list(&t, run_id(1)).await.unwrap(), []);
    let attempts = store.attempt_list(&t, run_id(1), None, None, 9).await;
    assert_eq!(attempts.unwrap().items, []);
    assert_eq!(store.request_get(&t, id).await.unwrap(), None);
    assert_eq!(store.idempotency_find(&[key]).await.unwrap(), []);
    let uses = store.dataset_uses(&t, &name("posts"), None, None, 9).await;
    assert_eq!(uses.unwrap().items, []);
    let filter = belljar_store::EventFilter::default();
    let events = store.event_list(&t, &filter, EventSeq(0), 9).await.unwrap();
    assert_eq!(events.len(), 1);
    leader.commit(vec![again]).await;
}
