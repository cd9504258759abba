//! What can go wrong, in the terms of who must do something about it.
//!
//! Owns: the error types and what each database error means for a batch. Leaves to others: what to
//! answer to a client. Database text is for logs, never for an answer.

use std::borrow::Cow;
use std::path::PathBuf;

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is neither `sqlite:<path>` nor `postgres://…`.
    #[error("`{0}` is not a store's URL: write `sqlite:<path>` or `postgres://user@host/database`")]
    Url(String),
    /// The file could not be made or looked at.
    #[error("failed to prepare the database file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is on a file system that other machines share: its locks do not hold.
    #[error(
        "{path} is on a network file system ({kind}), where SQLite's locks cannot be trusted: use a local disk or PostgreSQL"
    )]
    NetworkFileSystem {
        /// The file.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// The SQLite in this program has the bug of 3.7.0 to 3.51.2 that corrupts a database in WAL mode.
    #[error("SQLite {found} can corrupt its file: at least {needed} is needed")]
    SqliteTooOld {
        /// What is linked in.
        found: String,
        /// The first good one.
        needed: &'static str,
    },
    /// The PostgreSQL server is too old.
    #[error("the PostgreSQL server has version {found}: at least {needed} is needed")]
    PostgresTooOld {
        /// What it said.
        found: String,
        /// The first that serves.
        needed: &'static str,
    },
    /// The PostgreSQL database does not keep UTF-8.
    #[error("the PostgreSQL database has the encoding {0}: create it with ENCODING 'UTF8'")]
    Encoding(String),
    /// The tables could not be brought up to date, or were made by a newer Belljar.
    #[error("failed to bring the database's tables up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The database does not answer or refused.
    #[error("failed to open the database")]
    Database(#[source] sqlx::Error),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer or refused. May be tried again.
    #[error("failed to read from the database")]
    Database(#[source] sqlx::Error),
    /// A stored value is not what this program writes: the database is damaged or from elsewhere.
    #[error("the stored value of `{column}` cannot be read: {problem}")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// What is wrong with it; never the value itself, which may be private.
        problem: Cow<'static, str>,
    },
    /// A page was asked for after something that no page ended with.
    #[error("the cursor does not belong to this list")]
    Cursor,
}

/// Why a batch is not, or perhaps not, in the database.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written, and the same batch may be sent again under the same number.
    #[error("the batch was not committed")]
    NotCommitted(#[source] sqlx::Error),
    /// The connection was lost while the commit was on its way: [`crate::Store::leader_batch`] tells
    /// whether it took place.
    #[error("it is not known whether the batch was committed")]
    Unknown(#[source] sqlx::Error),
    /// This process is not the leader any more, or the batch is not the next one. Nothing was written.
    #[error("another leader is in office, or the batch is not the next one")]
    Deposed,
    /// A command in the batch made what may not be stored; the same again would fail again. Nothing
    /// was written.
    #[error("the batch cannot be stored: {0}")]
    Rejected(Rejected),
    /// The disk is full or does not read or write. The engine must be reloaded before the next batch.
    #[error("the database's disk is full or broken")]
    Full(#[source] sqlx::Error),
}

/// What may not be stored.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// A rule of the schema, by its name where the database tells it.
    #[error("the rule `{name}` of the schema is broken")]
    Constraint {
        /// The constraint or index, or what SQLite says of it.
        name: String,
        /// The database's error.
        #[source]
        source: sqlx::Error,
    },
    /// A value that has no stored form.
    #[error("the value of `{column}` has no stored form: {problem}")]
    Encoding {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        problem: Cow<'static, str>,
    },
    /// The events do not continue the log: the first must be the stored last one's successor, and
    /// each the successor of the one before.
    #[error("event {found} is out of sequence: {expected} must come")]
    EventGap {
        /// The place that must come.
        expected: i64,
        /// The place that came.
        found: i64,
    },
    /// The database refused the statement itself.
    #[error("the database refused a statement")]
    Statement(#[source] sqlx::Error),
}

/// How far the transaction had come when an error arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// `COMMIT` had not been sent: whatever happened, nothing is stored.
    Before,
    /// `COMMIT` had been sent.
    Commit,
}

impl CommitError {
    /// What `error` means for the batch in whose transaction it arose.
    pub(crate) fn classify(error: sqlx::Error, stage: Stage) -> Self {
        let class = match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                if database
                    .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                    .is_some()
                {
                    postgres_class(&code, stage)
                } else {
                    sqlite_class(&code)
                }
            }
            sqlx::Error::Encode(_) => Class::Statement,
            // Io, Tls, Protocol, WorkerCrashed and whatever else the driver may meet: the connection
            // is gone, so an unsent COMMIT never arrives and a sent one may have.
            _ if stage == Stage::Commit => Class::Unknown,
            _ => Class::NotCommitted,
        };
        match class {
            Class::NotCommitted => Self::NotCommitted(error),
            Class::Unknown => Self::Unknown(error),
            Class::Full => Self::Full(error),
            Class::Statement => Self::Rejected(Rejected::Statement(error)),
            Class::Constraint => Self::Rejected(Rejected::Constraint {
                name: constraint_name(&error),
                source: error,
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    NotCommitted,
    Unknown,
    Full,
    Constraint,
    Statement,
}

/// By SQLite's primary result code, the low byte of the extended one (sqlite.org/rescode.html).
///
/// An error at COMMIT is no different from one before it: SQLite then rolls back or leaves the
/// transaction open, and it is we who roll it back. After an I/O error the file itself decides at
/// the next opening, which is why [`CommitError::Full`] demands a reload.
fn sqlite_class(code: &str) -> Class {
    match code.parse::<u32>().unwrap_or(1) & 0xff {
        // BUSY, LOCKED, NOMEM, INTERRUPT, PROTOCOL, SCHEMA
        5 | 6 | 7 | 9 | 15 | 17 => Class::NotCommitted,
        // READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
        8 | 10 | 11 | 13 | 14 | 26 => Class::Full,
        // CONSTRAINT
        19 => Class::Constraint,
        // TOOBIG, MISMATCH, RANGE and plain ERROR
        _ => Class::Statement,
    }
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn postgres_class(code: &str, stage: Stage) -> Class {
    match code {
        // Class 57P: the server is going down; 08: the connection failed. A backend that is told to
        // end while COMMIT is at work may say so after it has committed.
        _ if code.starts_with("57P") || code.starts_with("08") => match stage {
            Stage::Before => Class::NotCommitted,
            Stage::Commit => Class::Unknown,
        },
        // disk_full, io_error, data_corrupted, index_corrupted
        "53100" | "58030" | "XX001" | "XX002" => Class::Full,
        // Insufficient resources, transaction rollback, lock not available, query cancelled,
        // idle in transaction, read-only transaction (a standby): nothing is wrong with the batch.
        "55P03" | "57014" | "25P03" | "25006" => Class::NotCommitted,
        _ if code.starts_with("53") || code.starts_with("40") => Class::NotCommitted,
        _ if code.starts_with("23") => Class::Constraint,
        _ => Class::Statement,
    }
}

fn constraint_name(error: &sqlx::Error) -> String {
    let database = error.as_database_error();
    let name = database.and_then(|e| e.constraint());
    // SQLite names the columns in its message and nothing else.
    name.or_else(|| database.map(|e| e.message()))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Pools;
    use crate::{Store, StoreUrl};
    use belljar_engine::rows::{Batch, Change, PoolRow};
    use belljar_ids::{Epoch, Micros};

    /// Errors that no test can bring about on a server it shares, by the manual's table of codes.
    #[test]
    fn postgres_errors_mean_what_the_manual_says() {
        use Class::{Constraint, Full, NotCommitted, Statement, Unknown};
        let cases = [
            ("53100", Full, Full),
            ("58030", Full, Full),
            ("XX001", Full, Full),
            ("53200", NotCommitted, NotCommitted),
            ("53300", NotCommitted, NotCommitted),
            ("40001", NotCommitted, NotCommitted),
            ("40P01", NotCommitted, NotCommitted),
            ("55P03", NotCommitted, NotCommitted),
            ("57014", NotCommitted, NotCommitted),
            ("25006", NotCommitted, NotCommitted),
            ("57P01", NotCommitted, Unknown),
            ("57P02", NotCommitted, Unknown),
            ("57P03", NotCommitted, Unknown),
            ("08006", NotCommitted, Unknown),
            ("23505", Constraint, Constraint),
            ("23503", Constraint, Constraint),
            ("22P05", Statement, Statement),
            ("42P01", Statement, Statement),
            ("XX000", Statement, Statement),
        ];
        for (code, before, commit) in cases {
            assert_eq!(postgres_class(code, Stage::Before), before, "{code}");
            assert_eq!(postgres_class(code, Stage::Commit), commit, "{code}");
        }
    }

    #[test]
    fn sqlite_errors_mean_what_their_primary_code_says() {
        for (code, class) in [
            ("5", Class::NotCommitted),
            ("517", Class::NotCommitted),
            ("13", Class::Full),
            ("778", Class::Full),
            ("1034", Class::Full),
            ("11", Class::Full),
            ("2067", Class::Constraint),
            ("787", Class::Constraint),
            ("3091", Class::Constraint),
            ("20", Class::Statement),
            ("1", Class::Statement),
        ] {
            assert_eq!(sqlite_class(code), class, "{code}");
        }
    }

    #[test]
    fn a_lost_connection_is_unknown_only_once_the_commit_was_sent() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let before = CommitError::classify(lost(), Stage::Before);
        assert!(matches!(before, CommitError::NotCommitted(_)));
        let commit = CommitError::classify(lost(), Stage::Commit);
        assert!(matches!(commit, CommitError::Unknown(_)));
    }

    /// `SQLITE_FULL` for real: the file may not grow, and after some room is made all goes on.
    #[tokio::test]
    async fn a_full_sqlite_file_is_full_and_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::sqlite(folder.path().join("belljar.db"));
        let store = Store::open(&url).await.unwrap();
        let term = store.leader_take("test", "").await.unwrap();
        let Pools::Sqlite { writer, .. } = &store.pools else {
            panic!("this is not SQLite");
        };
        let batch = |pool: &str| Batch {
            changes: vec![Change::Pool(PoolRow {
                tenant: "acme".parse().unwrap(),
                pool: pool.parse().unwrap(),
                slots: 1,
                description: "x".repeat(100_000),
                updated_at: Micros(1),
            })],
            events: Vec::new(),
        };
        // Less than there is already: no page more.
        let limit = |pages: &'static str| sqlx::query(pages).execute(writer);
        limit("PRAGMA max_page_count = 1").await.unwrap();
        let error = store.batch_commit(term.epoch, 1, &batch("a")).await;
        assert!(matches!(error, Err(CommitError::Full(_))), "{error:?}");
        assert_eq!(store.leader_batch(Epoch(1)).await.unwrap(), Some(0));
        let error = store.batch_commit(term.epoch, 1, &batch("a")).await;
        assert!(matches!(error, Err(CommitError::Full(_))), "{error:?}");
        limit("PRAGMA max_page_count = 100000").await.unwrap();
        store
            .batch_commit(term.epoch, 1, &batch("a"))
            .await
            .unwrap();
        assert_eq!(store.snapshot_load().await.unwrap().pools.len(), 1);
    }
}
