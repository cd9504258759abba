//! Opening a database: settings, checks, migrations.
//!
//! Owns: what must hold of a database before anything is read from it. Leaves to others: the lock
//! that keeps a second scheduler off a data directory.

use crate::db::Pools;
use crate::{OpenError, Store, StoreUrl};
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The first SQLite without the bug of 3.7.0 to 3.51.2 that corrupts a database in WAL mode when two
/// connections write and checkpoint at once (sqlite.org/wal.html).
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);

/// PostgreSQL's `server_version_num` of 14.0.
const POSTGRES_MIN: i64 = 140_000;

/// How long a statement waits for a lock that somebody else holds.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long a call waits for a free connection before it fails: short, so that a leader whose
/// database is gone notices before its leadership ends.
const CONNECTION_WAIT: Duration = Duration::from_secs(8);

/// How many connections only read.
const READERS: u32 = 8;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

impl Store {
    /// Opens the database, makes a SQLite file that is not there (mode 0600) and brings the tables
    /// up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(url: &StoreUrl) -> Result<Self, OpenError> {
        let pools = match url {
            StoreUrl::Sqlite(path) => sqlite_open(path).await?,
            StoreUrl::Postgres(url) => postgres_open(url).await?,
        };
        Ok(Self { pools })
    }
}

async fn sqlite_open(path: &Path) -> Result<Pools, OpenError> {
    let file = |source| OpenError::File {
        path: path.to_owned(),
        source,
    };
    // Made here for its mode, which SQLite gives to the log beside it as well.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(file)?;
    let found = rustix::fs::statfs(path).map_err(|error| file(error.into()))?;
    if let Some(kind) = network_file_system(found.f_type as i64) {
        return Err(OpenError::NetworkFileSystem {
            path: path.to_owned(),
            kind,
        });
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(LOCK_WAIT)
        .pragma("mmap_size", "0")
        // KiB, per connection: room for the inner pages of every index.
        .pragma("cache_size", "-16384")
        // After a large batch the log is cut to this many bytes again.
        .pragma("journal_size_limit", "67108864");
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECTION_WAIT)
        // A full disk makes SQLite roll back by itself; the driver's own rollback then fails, and it
        // believes for ever that a transaction is open. Such a connection is not used again.
        .after_release(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await
        .map_err(OpenError::Database)?;
    sqlite_check(&writer).await?;
    sqlite_migrate(&writer).await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(CONNECTION_WAIT)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(OpenError::Database)?;
    Ok(Pools::Sqlite { writer, reader })
}

/// In one transaction that holds the write lock: the migrator knows no lock of its own for SQLite, and
/// two that open a new file at once would both make its tables.
async fn sqlite_migrate(pool: &SqlitePool) -> Result<(), OpenError> {
    let begin = pool.begin_with("BEGIN IMMEDIATE").await;
    let mut tx = begin.map_err(OpenError::Database)?;
    // What `run` does; with `run` itself the compiler cannot see that this future is `Send`.
    let done = SQLITE.run_direct(None, &mut *tx, false).await;
    done.map_err(OpenError::Migrate)?;
    tx.commit().await.map_err(OpenError::Database)
}

async fn sqlite_check(pool: &SqlitePool) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(pool)
        .await
        .map_err(OpenError::Database)?;
    if sqlite_number(&found).is_some_and(|number| number >= SQLITE_MIN) {
        Ok(())
    } else {
        Err(OpenError::SqliteTooOld {
            found,
            needed: "3.51.3",
        })
    }
}

fn sqlite_number(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// The name of a file system that several machines may share, by its number in `statfs(2)`.
///
/// FUSE is not among them: it may be anything, and is a local disk on many laptops.
fn network_file_system(kind: i64) -> Option<&'static str> {
    match kind & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => Some("SMB"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x0102_1997 => Some("9p"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636f => Some("OCFS2"),
        _ => None,
    }
}

async fn postgres_open(url: &str) -> Result<Pools, OpenError> {
    let options: PgConnectOptions = url.parse().map_err(OpenError::Database)?;
    let options = options.application_name("belljar").options([
        ("lock_timeout", format!("{}ms", LOCK_WAIT.as_millis())),
        // A leader that was stopped in mid-batch must not keep its row from a successor for ever.
        ("idle_in_transaction_session_timeout", "30s".to_owned()),
        ("synchronous_commit", "on".to_owned()),
    ]);
    // One to commit, one to renew the leadership meanwhile.
    let writer = PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(CONNECTION_WAIT)
        .connect_with(options.clone())
        .await
        .map_err(OpenError::Database)?;
    postgres_check(&writer).await?;
    POSTGRES.run(&writer).await.map_err(OpenError::Migrate)?;
    let reader = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(CONNECTION_WAIT)
        .connect_with(options)
        .await
        .map_err(OpenError::Database)?;
    Ok(Pools::Postgres { writer, reader })
}

async fn postgres_check(pool: &PgPool) -> Result<(), OpenError> {
    let (number, version, encoding): (i64, String, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'), \
         current_setting('server_encoding')",
    )
    .fetch_one(pool)
    .await
    .map_err(OpenError::Database)?;
    if number < POSTGRES_MIN {
        return Err(OpenError::PostgresTooOld {
            found: version,
            needed: "14",
        });
    }
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(sqlite_number("3.51.3").unwrap() >= SQLITE_MIN);
        assert!(sqlite_number("3.100.0").unwrap() >= SQLITE_MIN);
        assert!(sqlite_number("3.51.2").unwrap() < SQLITE_MIN);
        assert!(sqlite_number("3.9.9").unwrap() < SQLITE_MIN);
        assert_eq!(sqlite_number("3.51"), None);
    }

    #[test]
    fn network_file_systems_are_known_by_number() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        // As a 32-bit number with its highest bit set, which some systems give as negative.
        assert_eq!(
            network_file_system(i64::from(0xff53_4d42_u32 as i32)),
            Some("SMB")
        );
        assert_eq!(network_file_system(0xef53), None);
    }
}
