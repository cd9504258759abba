//! Lists: order, filters, and pages without a gap or a double.

use crate::support::*;
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use belljar_store::{Cursor, PAGE_MAX, Page, RunFilter, Store, StoreError};
use std::future::Future;

on_both! {
    runs_are_listed_newest_first
    pages_hold_while_runs_are_added
    every_list_gives_each_row_once
    a_foreign_cursor_is_refused
    limits_are_kept
}

/// All items of a list, by pages of `limit`.
async fn all<T, F>(limit: u32, page: impl Fn(Option<Cursor>, u32) -> F) -> Vec<T>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let next = page(cursor, limit).await.unwrap();
        assert!(next.items.len() <= limit as usize);
        assert!(!next.items.is_empty() || next.next.is_none());
        items.extend(next.items);
        // As the HTTP layer does: by way of its text.
        cursor = next.next.map(|cursor| cursor.to_string().parse().unwrap());
        if cursor.is_none() {
            return items;
        }
    }
}

async fn numbers(store: &Store, filter: &RunFilter, limit: u32) -> Vec<u64> {
    let t = tenant();
    let rows = all(limit, |cursor, limit| {
        let t = &t;
        async move { store.run_list(t, filter, cursor.as_ref(), limit).await }
    })
    .await;
    rows.iter().map(|row| number(row.run)).collect()
}

fn number(run: RunId) -> u64 {
    (1..=1000).find(|number| run_id(*number) == run).unwrap()
}

async fn runs_are_listed_newest_first(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut changes = Vec::new();
    for number in 1..=60 {
        let dag = ["a", "b", "c"][number as usize % 3];
        let mut new = run_new(number, dag, RunState::ALL[number as usize % 6]);
        // All of one moment: the id alone must decide.
        new.row.created_at = Micros(1);
        changes.push(Change::RunNew(Box::new(new)));
    }
    let mut other = run_new(61, "a", RunState::Running);
    other.row.tenant = name("other");
    changes.push(Change::RunNew(Box::new(other)));
    changes.reverse();
    leader.commit(changes).await;
    for dag in [None, Some("a"), Some("c"), Some("none")] {
        for state in [None, Some(RunState::Queued), Some(RunState::Failed)] {
            let filter = RunFilter {
                dag: dag.map(name),
                state,
            };
            let fits = |n: &u64| {
                dag.is_none_or(|dag| dag == ["a", "b", "c"][*n as usize % 3])
                    && state.is_none_or(|state| state == RunState::ALL[*n as usize % 6])
            };
            let expected: Vec<u64> = (1..=60).rev().filter(fits).collect();
            for limit in [1, 7, 20, 60, 200] {
                assert_eq!(
                    numbers(&store, &filter, limit).await,
                    expected,
                    "{filter:?}"
                );
            }
        }
    }
}

async fn pages_hold_while_runs_are_added(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let t = tenant();
    let even = (1..=30).map(|n| new_run(2 * n, "a", RunState::Running));
    leader.commit(even.collect()).await;
    let (mut seen, mut cursor, mut added) = (Vec::new(), None, 1);
    loop {
        let filter = RunFilter::default();
        let page = store
            .run_list(&t, &filter, cursor.as_ref(), 7)
            .await
            .unwrap();
        seen.extend(page.items.iter().map(|row| number(row.run)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        // One before, one after where the reader stands, and one that is there changes.
        for n in [added, 100 + added] {
            leader
                .commit(vec![new_run(n, "a", RunState::Running)])
                .await;
        }
        let changed = Change::Run(run_row(2 * added, "a", RunState::Failed));
        leader.commit(vec![changed]).await;
        added += 2;
    }
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let even: Vec<u64> = seen.iter().copied().filter(|n| n % 2 == 0).collect();
    assert_eq!(even, (1..=30).rev().map(|n| 2 * n).collect::<Vec<_>>());
}

async fn every_list_gives_each_row_once(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let t = &tenant();
    let store = &store;
    leader.commit(many_rows()).await;
    for limit in [1, 4, 9, 10, 200] {
        let rows = all(limit, |c, l| async move {
            store.dag_list(t, 3, c.as_ref(), l).await
        })
        .await;
        assert_eq!(rows.len(), 10);
        assert!(rows.is_sorted_by(|a, b| a.dag.dag < b.dag.dag));
        let rows = all(limit, |c, l| async move {
            store.dag_version_list(t, &name("d0"), c.as_ref(), l).await
        })
        .await;
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            descending(10)
        );
        let rows = all(limit, |c, l| async move {
            store.analysis_list(t, c.as_ref(), l).await
        })
        .await;
        assert_eq!(rows.len(), 10);
        assert!(
            rows.iter().all(|row| row.version == "1.9.0"),
            "the one submitted last"
        );
        let rows = all(limit, |c, l| async move {
            store.dataset_list(t, c.as_ref(), l).await
        })
        .await;
        assert_eq!(rows.len(), 10);
        let rows = all(limit, |c, l| async move {
            store
                .dataset_version_list(t, &name("d0"), c.as_ref(), l)
                .await
        })
        .await;
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            descending(10)
        );
        let rows = all(limit, |c, l| async move {
            store.pool_list(t, c.as_ref(), l).await
        })
        .await;
        assert_eq!(rows.len(), 10);
        let rows = all(limit, |c, l| async move {
            store.executor_list(t, c.as_ref(), l).await
        })
        .await;
        assert!(rows.len() == 10 && rows.is_sorted_by_key(|row| row.executor));
        let rows = all(limit, |c, l| async move {
            store.token_list(t, c.as_ref(), l).await
        })
        .await;
        assert!(rows.len() == 10 && rows.is_sorted_by_key(|row| row.token));
        let rows = all(limit, |c, l| async move {
            store.attempt_list(t, run_id(1), None, c.as_ref(), l).await
        })
        .await;
        assert_eq!(rows.len(), 20);
        let key = |row: &AttemptRow| (row.key.clone(), row.fence);
        assert!(rows.is_sorted_by(|a, b| key(a) < key(b)));
        let rows = all(limit, |c, l| async move {
            store
                .attempt_list(t, run_id(1), Some(&name("a")), c.as_ref(), l)
                .await
        })
        .await;
        assert_eq!(rows.len(), 10);
    }
}

fn descending(from: u32) -> Vec<u32> {
    (1..=from).rev().collect()
}

/// Ten rows of every list.
fn many_rows() -> Vec<Change> {
    let mut changes = vec![new_run(1, "d0", RunState::Running)];
    for n in 0..10_u8 {
        let number = u32::from(n) + 1;
        let dag = format!("d{n}");
        changes.push(Change::Dag(dag_row(&dag)));
        changes.push(Change::DagVersion(DagVersionRow {
            tenant: tenant(),
            dag: name("d0"),
            version: digest(n),
            number,
            source: String::new(),
            spec: serde_json::json!({}),
            created_by: name("olga"),
            created_at: Micros(1),
        }));
        for minor in 0..10 {
            changes.push(Change::Analysis(AnalysisRow {
                digest: digest(10 * n + minor),
                ..analysis_row(&dag, &format!("1.{minor}.0"), minor)
            }));
        }
        changes.push(Change::Dataset(DatasetRow {
            tenant: tenant(),
            dataset: name(&dag),
            owner: name("olga"),
            description: String::new(),
            latest: 1,
            created_at: Micros(1),
        }));
        changes.push(Change::DatasetVersion(DatasetVersionRow {
            tenant: tenant(),
            dataset: name("d0"),
            number,
            blob: belljar_engine::plan::BlobRef {
                digest: digest(1),
                size: 1,
            },
            media_type: String::new(),
            created_by: name("olga"),
            created_at: Micros(1),
        }));
        changes.push(Change::Pool(PoolRow {
            tenant: tenant(),
            pool: name(&dag),
            slots: 1,
            description: String::new(),
            updated_at: Micros(1),
        }));
        changes.push(Change::Executor(ExecutorRow {
            tenant: tenant(),
            executor: ExecutorId::from_uuid(uuid(n.into())),
            name: String::new(),
            epoch: Epoch(1),
            slots: 1,
            info: serde_json::json!({}),
            registered_at: Micros(1),
        }));
        changes.push(Change::Token(TokenRow {
            tenant: tenant(),
            token: TokenId::from_uuid(uuid(n.into())),
            principal: name("p"),
            role: "admin".to_owned(),
            secret_hash: digest(1),
            created_at: Micros(1),
            revoked_at: None,
        }));
        for (task, index) in [("a", i32::from(n) - 1), ("b", -1)] {
            let key = InstanceKey {
                map_index: MapIndex(index),
                ..instance(1, task)
            };
            changes.push(Change::Task(task_row(key.clone(), TaskState::Ready)));
            changes.push(attempt(attempt_row(key, number.into(), false)));
        }
    }
    changes
}

async fn a_foreign_cursor_is_refused(db: TestDb) {
    let store = db.store().await;
    let t = &tenant();
    for text in ["", " ", "a b", "\0", "é", &"a".repeat(401)] {
        assert!(text.parse::<Cursor>().is_err(), "{text:?}");
    }
    let cursor = |text: &str| text.parse::<Cursor>().unwrap();
    let two = cursor("a/b");
    let filter = RunFilter::default();
    let refused = store.run_list(t, &filter, Some(&two), 9).await;
    assert!(matches!(refused, Err(StoreError::Cursor)), "{refused:?}");
    let refused = store
        .dataset_version_list(t, &name("d"), Some(&two), 9)
        .await;
    assert!(matches!(refused, Err(StoreError::Cursor)), "{refused:?}");
    let words = cursor("a/x/y");
    let refused = store
        .attempt_list(t, run_id(1), None, Some(&words), 9)
        .await;
    assert!(matches!(refused, Err(StoreError::Cursor)), "{refused:?}");
    // Right in form and of no list: some page, never another tenant's row and never an error.
    for odd in ["'", "zzz", "%", "run_"] {
        store
            .run_list(t, &filter, Some(&cursor(odd)), 9)
            .await
            .unwrap();
    }
}

async fn limits_are_kept(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let runs = (1..=250).map(|n| new_run(n, "a", RunState::Queued));
    leader.commit(runs.collect()).await;
    let (t, filter) = (tenant(), RunFilter::default());
    for (asked, given) in [
        (0, 1),
        (1, 1),
        (199, 199),
        (200, 200),
        (201, 200),
        (u32::MAX, 200),
    ] {
        let page = store.run_list(&t, &filter, None, asked).await.unwrap();
        assert_eq!(page.items.len(), given);
        assert!(page.next.is_some());
    }
    assert_eq!(PAGE_MAX, 200);
}
