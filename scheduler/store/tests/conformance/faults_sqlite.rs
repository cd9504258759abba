//! SQLite when the disk is full, somebody else writes, or the file is not ours.

use crate::support::*;
use belljar_engine::rows::Change;
use belljar_store::{CommitError, OpenError, Store, StoreUrl};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn path(db: &TestDb) -> PathBuf {
    match &db.url {
        StoreUrl::Sqlite(path) => path.clone(),
        StoreUrl::Postgres(_) => panic!("this is not SQLite"),
    }
}

async fn connection(db: &TestDb) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path(db))
        .connect()
        .await
        .unwrap()
}

#[test]
fn the_settings_are_in_force() {
    on_sqlite(|db| async move {
        let _store = db.store().await;
        let mut other = connection(&db).await;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
        for suffix in ["", "-wal", "-shm"] {
            let file = format!("{}{suffix}", path(&db).display());
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    });
}

#[test]
fn another_writer_delays_and_does_not_harm() {
    on_sqlite(|db| async move {
        let (_, mut leader) = db.led().await;
        let mut other = connection(&db).await;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut other)
            .await
            .unwrap();
        let error = leader
            .attempt(vec![Change::Dag(dag_row("a"))])
            .await
            .unwrap_err();
        assert!(matches!(error, CommitError::NotCommitted(_)), "{error:?}");
        sqlx::query("COMMIT").execute(&mut other).await.unwrap();
        leader.commit(vec![Change::Dag(dag_row("a"))]).await;
    });
}

/// In a process of its own whose files may not grow past 2 MiB (`RLIMIT_FSIZE`): the write fails in
/// the kernel, as on a broken disk.
#[test]
fn a_write_that_fails_is_an_io_error() {
    if std::env::var_os("BELLJAR_TEST_SMALL_FILES").is_some() {
        on_sqlite(fill);
        return;
    }
    let test = "faults_sqlite::a_write_that_fails_is_an_io_error";
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" --exact \"$1\" --nocapture";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env("BELLJAR_TEST_SMALL_FILES", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("1 passed") && said.contains("full after"),
        "{said}"
    );
}

async fn fill(db: TestDb) {
    let (store, mut leader) = db.led().await;
    let error = loop {
        let mut row = analysis_row("a", &leader.term.batch.to_string(), 0);
        row.digest = belljar_ids::Digest::from_bytes(std::array::from_fn(|i| {
            leader.term.batch.to_le_bytes().get(i).copied().unwrap_or(0)
        }));
        row.manifest = serde_json::Value::String("x".repeat(100_000));
        match leader.attempt(vec![Change::Analysis(row)]).await {
            Ok(()) => leader.term.batch += 1,
            Err(error) => break error,
        }
        assert!(leader.term.batch < 1_000, "the files may grow");
    };
    assert!(matches!(error, CommitError::Full(_)), "{error:?}");
    println!("full after {} batches", leader.term.batch);
    // What was answered is there, and what was not is not.
    let snapshot = store.snapshot_load().await.unwrap();
    assert_eq!(snapshot.analyses.len() as i64, leader.term.batch);
    assert_eq!(store.leader_peek().await.unwrap().batch, leader.term.batch);
}

#[test]
fn what_is_no_database_is_left_alone() {
    on_sqlite(|db| async move {
        let text = b"id,text\n1,this is somebody's data and not a database\n".repeat(100);
        std::fs::write(path(&db), &text).unwrap();
        let error = Store::open(&db.url).await.unwrap_err();
        assert!(matches!(error, OpenError::Database(_)), "{error:?}");
        assert_eq!(std::fs::read(path(&db)).unwrap(), text);
        let nowhere = StoreUrl::sqlite("/nowhere/at/all.db");
        let error = Store::open(&nowhere).await.unwrap_err();
        assert!(matches!(error, OpenError::File { .. }), "{error:?}");
    });
}

#[test]
fn a_newer_database_is_refused() {
    on_sqlite(|db| async move {
        db.store().await.close().await;
        let mut other = connection(&db).await;
        let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                      execution_time) VALUES (9999, 'later', TRUE, x'00', 0)";
        sqlx::query(insert).execute(&mut other).await.unwrap();
        let error = Store::open(&db.url).await.unwrap_err();
        assert!(matches!(error, OpenError::Migrate(_)), "{error:?}");
    });
}
