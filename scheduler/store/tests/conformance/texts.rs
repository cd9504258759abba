//! Texts, names and numbers that the two databases treat differently by themselves.

use crate::support::*;
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use serde_json::{Value, json};

on_both! {
    every_text_comes_back
    json_comes_back_as_it_was_written
    names_sort_by_code_point
}

/// NUL, the escape for it, quotes, backslashes, non-characters, combining and non-BMP characters.
const TEXTS: &[&str] = &[
    "",
    " ",
    "\0",
    "a\0b\0\0",
    "\u{10}",
    "\u{10}0",
    "\0\u{10}\u{10}0\0",
    "\u{1}\u{7f}\u{80}\u{feff}",
    "\\u0000 \\x00 '' \" $1 ?",
    "e\u{301} \u{e9}",
    "🫙👩‍👩‍👧𝔘\u{10ffff}\u{fffe}\u{fffd}\u{ffff}",
    "\r\n\t",
    "{\"a\": [1, null]}",
];

async fn every_text_comes_back(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let mut changes = vec![new_run(1, "daily", RunState::Running)];
    let mut tasks = Vec::new();
    for (index, text) in (0..).zip(TEXTS) {
        let key = InstanceKey {
            map_index: MapIndex(index),
            ..instance(1, "a")
        };
        let mut row = task_row(key, TaskState::Failed);
        row.message = Some((*text).to_owned());
        row.outputs = Some(outputs(text));
        tasks.push(row);
    }
    changes.extend(tasks.iter().cloned().map(Change::Task));
    leader.commit(changes).await;
    assert_eq!(store.task_list(&tenant(), run_id(1)).await.unwrap(), tasks);

    let event = |seq: i64, text: &str| Event {
        kind: text.to_owned(),
        subject: text.to_owned(),
        data: json!({ text: text }),
        ..event(seq, None)
    };
    let events: Vec<Event> = (1..)
        .zip(TEXTS)
        .map(|(seq, text)| event(seq, text))
        .collect();
    leader
        .commit_batch(Batch {
            changes: vec![],
            events: events.clone(),
        })
        .await;
    let filter = belljar_store::EventFilter::default();
    let got = store
        .event_list(&tenant(), &filter, EventSeq(0), 99)
        .await
        .unwrap();
    assert_eq!(got, events);
}

async fn json_comes_back_as_it_was_written(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let values = [
        Value::Null,
        json!(true),
        json!(""),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.1),
        json!(1.0),
        json!(5e-324),
        json!(f64::MAX),
        json!(123_456_789.123_456_78),
        json!({"b": 1, "a": 2, "": {"\0": "\0"}, "🫙": []}),
        json!([[], {}, [null, [false]]]),
    ];
    for (index, value) in (1..).zip(&values) {
        let mut row = analysis_row("noop", &format!("1.0.{index}"), index);
        row.manifest = value.clone();
        leader.commit(vec![Change::Analysis(row)]).await;
    }
    for (index, value) in (1..).zip(&values) {
        let version = format!("1.0.{index}");
        let row = store
            .analysis_get(&tenant(), &name("noop"), &version)
            .await
            .unwrap();
        let got = row.unwrap().manifest;
        assert_eq!(&got, value);
        // Not only equal: the same text, so the same kind of number and the same order of keys.
        assert_eq!(got.to_string(), value.to_string());
    }
    // An inline result is the program's own text, spaces, key order and lone surrogates included.
    let text = "{ \"b\":1,  \"a\":\"\\ud800\\u0000\", \"b\": 1e999 }";
    let mut row = task_row(instance(1, "a"), TaskState::Succeeded);
    row.outputs = Some(outputs(text));
    leader
        .commit(vec![
            new_run(1, "daily", RunState::Running),
            Change::Task(row.clone()),
        ])
        .await;
    assert_eq!(
        store.task_get(&tenant(), &row.key).await.unwrap().unwrap(),
        row
    );
}

async fn names_sort_by_code_point(db: TestDb) {
    let (store, mut leader) = db.led().await;
    // A language's collation would skip the hyphens: a1, a-2, a3.
    let names = [
        "0", "a", "a-", "a-2", "a-b", "a0", "a1", "a3", "aa", "b", "z-9", "z0",
    ];
    let mut shuffled = names;
    shuffled.reverse();
    shuffled.swap(2, 7);
    leader
        .commit(shuffled.map(|dag| Change::Dag(dag_row(dag))).to_vec())
        .await;
    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .dag_list(&tenant(), 1, cursor.as_ref(), 5)
            .await
            .unwrap();
        listed.extend(page.items.into_iter().map(|item| item.dag.dag.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, names);
    let snapshot = store.snapshot_load().await.unwrap();
    let all: Vec<_> = snapshot.dags.iter().map(|row| row.dag.as_str()).collect();
    assert_eq!(all, names);
}
