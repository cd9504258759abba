//! Leadership.

use crate::support::*;
use belljar_ids::Epoch;
use std::time::{SystemTime, UNIX_EPOCH};

on_both! {
    terms_follow_one_another
    only_one_takes_an_office_seen_vacant
    the_clock_is_the_databases
    an_old_file_is_found_again
}

async fn terms_follow_one_another(db: TestDb) {
    let store = db.store().await;
    let before = store.leader_peek().await.unwrap();
    assert_eq!(
        (before.epoch, before.batch, before.last_seq.0),
        (Epoch(0), 0, 0)
    );
    let first = store.leader_take("a \u{0} ☂", "127.0.0.1:1").await.unwrap();
    assert_eq!((first.epoch, first.batch), (Epoch(1), 0));
    let row = store.leader_peek().await.unwrap();
    assert_eq!(
        (row.holder.as_str(), row.address.as_str()),
        ("a \u{0} ☂", "127.0.0.1:1")
    );
    assert!(store.leader_renew(Epoch(1)).await.unwrap());
    let renewed = store.leader_peek().await.unwrap();
    assert_eq!(
        (renewed.renewals, renewed.epoch),
        (row.renewals + 1, Epoch(1))
    );
    let second = store.leader_take("b", "").await.unwrap();
    assert_eq!(second.epoch, Epoch(2));
    assert!(!store.leader_renew(Epoch(1)).await.unwrap());
    assert!(store.leader_renew(Epoch(2)).await.unwrap());
}

async fn only_one_takes_an_office_seen_vacant(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let seen = store.leader_peek().await.unwrap();
    leader.commit(vec![]).await;
    // A batch shows life as much as a renewal does.
    assert_eq!(store.leader_take_if(&seen, "b", "").await.unwrap(), None);
    let seen = store.leader_peek().await.unwrap();
    store.leader_renew(leader.term.epoch).await.unwrap();
    assert_eq!(store.leader_take_if(&seen, "b", "").await.unwrap(), None);

    let seen = store.leader_peek().await.unwrap();
    let mut rivals = tokio::task::JoinSet::new();
    for rival in 0..8 {
        let (store, seen) = (store.clone(), seen.clone());
        rivals.spawn(async move { store.leader_take_if(&seen, &rival.to_string(), "").await });
    }
    let taken: Vec<_> = rivals
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].epoch.0, seen.epoch.0 + 1);
}

async fn the_clock_is_the_databases(db: TestDb) {
    let store = db.store().await;
    let host = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros() as i64
    };
    let before = host();
    let now = store.db_now().await.unwrap().0;
    // Both run on this machine; SQLite's clock is cut to milliseconds.
    assert!(
        (before - 1_000..=host() + 1_000).contains(&now),
        "{now} is not {before}"
    );
}

async fn an_old_file_is_found_again(db: TestDb) {
    let (store, mut leader) = db.led().await;
    leader
        .commit(vec![belljar_engine::rows::Change::Dag(dag_row("daily"))])
        .await;
    store.close().await;
    assert!(store.leader_peek().await.is_err());
    let (store, again) = db.led().await;
    assert_eq!(again.term.epoch.0, leader.term.epoch.0 + 1);
    assert_eq!(again.term.batch, leader.term.batch);
    assert_eq!(
        store.snapshot_load().await.unwrap().dags,
        [dag_row("daily")]
    );
}
