//! PostgreSQL when connections are killed, answers are lost or locks are held: what each means for
//! the batch, and that what the error says of the batch is true.

use crate::support::*;
use belljar_engine::rows::{Batch, Change};
use belljar_store::{CommitError, OpenError, Store, StoreUrl};
use sqlx::postgres::PgPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

fn batch(dag: &str) -> Batch {
    Batch {
        changes: vec![Change::Dag(dag_row(dag))],
        events: vec![],
    }
}

/// Ends the backend that is at work on the batch, once it is where `state` says.
async fn kill_backend(admin: &PgPool, state: &'static str) {
    until("the batch's backend", || async {
        let killed: Vec<(bool,)> = sqlx::query_as(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'belljar' \
             AND state = 'active' AND (wait_event = $1 OR wait_event_type = $1)",
        )
        .bind(state)
        .fetch_all(admin)
        .await
        .unwrap();
        !killed.is_empty()
    })
    .await;
}

#[test]
fn a_backend_killed_before_the_commit_wrote_nothing() {
    on_postgres(|db| async move {
        let (store, leader) = db.led().await;
        let admin = db.postgres().await;
        // Holds the leader's row, so that the batch waits in its first statement.
        let mut lock = admin.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM leader FOR UPDATE")
            .execute(&mut *lock)
            .await
            .unwrap();
        let (epoch, number) = (leader.term.epoch, leader.term.batch + 1);
        let sent = tokio::spawn({
            let store = store.clone();
            async move { store.batch_commit(epoch, number, &batch("a")).await }
        });
        kill_backend(&admin, "Lock").await;
        let error = sent.await.unwrap().unwrap_err();
        assert!(matches!(error, CommitError::NotCommitted(_)), "{error:?}");
        lock.rollback().await.unwrap();
        assert_eq!(store.leader_batch(epoch).await.unwrap(), Some(number - 1));
        store
            .batch_commit(epoch, number, &batch("a"))
            .await
            .unwrap();
    });
}

#[test]
fn a_backend_killed_in_the_commit_leaves_it_unknown() {
    on_postgres(|db| async move {
        let (store, leader) = db.led().await;
        let admin = db.postgres().await;
        // A trigger that runs inside COMMIT, and holds it there.
        for statement in [
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON dag DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION hold()",
        ] {
            sqlx::query(statement).execute(&admin).await.unwrap();
        }
        let (epoch, number) = (leader.term.epoch, leader.term.batch + 1);
        let sent = tokio::spawn({
            let store = store.clone();
            async move { store.batch_commit(epoch, number, &batch("a")).await }
        });
        kill_backend(&admin, "PgSleep").await;
        let error = sent.await.unwrap().unwrap_err();
        assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
        assert_eq!(store.leader_batch(epoch).await.unwrap(), Some(number - 1));
        sqlx::query("DROP TRIGGER hold ON dag")
            .execute(&admin)
            .await
            .unwrap();
        store
            .batch_commit(epoch, number, &batch("a"))
            .await
            .unwrap();
        assert_eq!(store.leader_batch(epoch).await.unwrap(), Some(number));
    });
}

#[test]
fn a_lock_held_too_long_wrote_nothing() {
    on_postgres(|db| async move {
        let (store, leader) = db.led().await;
        let admin = db.postgres().await;
        let mut lock = admin.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM leader FOR UPDATE")
            .execute(&mut *lock)
            .await
            .unwrap();
        let (epoch, number) = (leader.term.epoch, leader.term.batch + 1);
        let error = store
            .batch_commit(epoch, number, &batch("a"))
            .await
            .unwrap_err();
        assert!(matches!(error, CommitError::NotCommitted(_)), "{error:?}");
        assert!(store.leader_batch(epoch).await.is_err());
        lock.rollback().await.unwrap();
        store
            .batch_commit(epoch, number, &batch("a"))
            .await
            .unwrap();
    });
}

/// What a [`proxy`] does with the next `COMMIT` that it sees.
const PASS: u8 = 0;
/// Hands it on and cuts the line before the answer.
const LOSE_ANSWER: u8 = 1;
/// Cuts the line without handing it on.
const LOSE_COMMIT: u8 = 2;
/// Cuts the line at whatever comes next.
const CUT: u8 = 3;
/// Says nothing any more, and does not hang up either.
const STALL: u8 = 4;

/// A line to the server that can be cut: as much of a failing network or a killed server as its
/// client can see.
async fn proxy(db: &TestDb) -> (StoreUrl, Arc<AtomicU8>) {
    let StoreUrl::Postgres(url) = db.url.clone() else {
        panic!("this is not PostgreSQL")
    };
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let orders = Arc::new(AtomicU8::new(PASS));
    let user = options.get_username().to_owned();
    let database = options.get_database().unwrap().to_owned();
    let password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map_or(String::new(), |(_, password)| format!(":{password}"));
    let given = orders.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let orders = orders.clone();
            let socket = options.get_socket().cloned().or_else(|| {
                options
                    .get_host()
                    .starts_with('/')
                    .then(|| options.get_host().into())
            });
            let (host, port) = (options.get_host().to_owned(), options.get_port());
            tokio::spawn(async move {
                if let Some(folder) = socket {
                    let path = folder.join(format!(".s.PGSQL.{port}"));
                    let (read, write) = UnixStream::connect(path).await.unwrap().into_split();
                    relay(client, read, write, orders).await;
                } else {
                    let server = TcpStream::connect((host, port)).await.unwrap();
                    let (read, write) = server.into_split();
                    relay(client, read, write, orders).await;
                }
            });
        }
    });
    let url = format!("postgres://{user}{password}@127.0.0.1:{port}/{database}?sslmode=disable");
    (StoreUrl::Postgres(url), given)
}

/// Carries bytes both ways until one side ends or the orders say so.
async fn relay(
    client: TcpStream,
    mut from_server: impl tokio::io::AsyncRead + Unpin,
    mut to_server: impl tokio::io::AsyncWrite + Unpin,
    orders: Arc<AtomicU8>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut asked, mut answered) = ([0; 65536], [0; 65536]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let bytes = match read { Ok(n) if n > 0 => &asked[..n], _ => return };
                let commit = bytes.windows(6).any(|window| window == b"COMMIT");
                match orders.load(Ordering::SeqCst) {
                    CUT => return,
                    STALL if commit => std::future::pending().await,
                    LOSE_COMMIT if commit => return,
                    LOSE_ANSWER if commit => {
                        to_server.write_all(bytes).await.unwrap();
                        // The answer is awaited, so that the commit has taken place, and is dropped.
                        let _ = from_server.read(&mut answered).await;
                        return;
                    }
                    _ => to_server.write_all(bytes).await.unwrap(),
                }
            }
            read = from_server.read(&mut answered) => {
                match read {
                    Ok(n) if n > 0 => if to_client.write_all(&answered[..n]).await.is_err() { return },
                    _ => return,
                }
            }
        }
    }
}

#[test]
fn a_lost_answer_is_settled_by_the_batch_number() {
    on_postgres(|db| async move {
        let (url, orders) = proxy(&db).await;
        let store = Store::open(&url).await.unwrap();
        let term = store.leader_take("test", "").await.unwrap();
        let (epoch, number) = (term.epoch, term.batch + 1);
        for (order, name, took_place) in [
            (LOSE_ANSWER, "a", true),
            (LOSE_COMMIT, "b", false),
            (LOSE_ANSWER, "c", true),
        ] {
            let number = store.leader_batch(epoch).await.unwrap().unwrap() + 1;
            orders.store(order, Ordering::SeqCst);
            let error = store
                .batch_commit(epoch, number, &batch(name))
                .await
                .unwrap_err();
            orders.store(PASS, Ordering::SeqCst);
            assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
            let settled = store.leader_batch(epoch).await.unwrap();
            assert_eq!(settled, Some(number - i64::from(!took_place)), "{name}");
            let stored = store
                .dag_get(&tenant(), &crate::support::name(name))
                .await
                .unwrap();
            assert_eq!(stored.is_some(), took_place, "{name}");
        }
        assert_eq!(store.leader_batch(epoch).await.unwrap(), Some(number + 1));
    });
}

#[test]
fn a_server_that_is_gone_wrote_nothing_and_is_found_again() {
    on_postgres(|db| async move {
        let (url, orders) = proxy(&db).await;
        let store = Store::open(&url).await.unwrap();
        let term = store.leader_take("test", "").await.unwrap();
        orders.store(CUT, Ordering::SeqCst);
        let error = store
            .batch_commit(term.epoch, 1, &batch("a"))
            .await
            .unwrap_err();
        assert!(matches!(error, CommitError::NotCommitted(_)), "{error:?}");
        assert!(store.leader_peek().await.is_err());
        orders.store(PASS, Ordering::SeqCst);
        store
            .batch_commit(term.epoch, 1, &batch("a"))
            .await
            .unwrap();
        assert_eq!(store.snapshot_load().await.unwrap().dags.len(), 1);
    });
}

#[test]
fn another_encoding_is_refused() {
    on_postgres(|db| async move {
        let admin = db.postgres().await;
        let StoreUrl::Postgres(url) = &db.url else {
            panic!("this is not PostgreSQL")
        };
        let ascii = format!("belljar_ascii_{}", std::process::id());
        let run = async |statement: String| {
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .execute(&admin)
                .await
                .unwrap();
        };
        // ICU knows no SQL_ASCII; before 15 there was no choice to make.
        let version =
            sqlx::query_scalar::<_, i32>("SELECT current_setting('server_version_num')::int")
                .fetch_one(&admin)
                .await
                .unwrap();
        let provider = if version >= 150_000 {
            "LOCALE_PROVIDER libc"
        } else {
            ""
        };
        let form = format!("TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' {provider}");
        run(format!("CREATE DATABASE {ascii} {form}")).await;
        let opened = Store::open(&StoreUrl::Postgres(with_database(url, &ascii))).await;
        run(format!("DROP DATABASE {ascii} WITH (FORCE)")).await;
        let error = opened.unwrap_err();
        assert!(
            matches!(&error, OpenError::Encoding(e) if e == "SQL_ASCII"),
            "{error:?}"
        );
    });
}

#[test]
fn a_newer_database_is_refused() {
    on_postgres(|db| async move {
        db.store().await.close().await;
        let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                      execution_time) VALUES (9999, 'later', TRUE, '\\x00', 0)";
        sqlx::query(insert)
            .execute(&db.postgres().await)
            .await
            .unwrap();
        let error = Store::open(&db.url).await.unwrap_err();
        assert!(matches!(error, OpenError::Migrate(_)), "{error:?}");
    });
}

/// A line that goes silent, as when a firewall forgets it: 30 s later the batch's fate is asked for
/// on another one, and the silent one is not waited for again.
#[test]
fn a_silent_line_is_given_up() {
    on_postgres(|db| async move {
        let (url, orders) = proxy(&db).await;
        let store = Store::open(&url).await.unwrap();
        let term = store.leader_take("test", "").await.unwrap();
        orders.store(STALL, Ordering::SeqCst);
        let error = store
            .batch_commit(term.epoch, 1, &batch("a"))
            .await
            .unwrap_err();
        orders.store(PASS, Ordering::SeqCst);
        assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
        // The server ends the transaction that nobody goes on with after 30 s of its own.
        until("the batch to be settled", || async {
            store.leader_batch(term.epoch).await.is_ok()
        })
        .await;
        assert_eq!(store.leader_batch(term.epoch).await.unwrap(), Some(0));
        store
            .batch_commit(term.epoch, 1, &batch("a"))
            .await
            .unwrap();
    });
}
