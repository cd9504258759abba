//! The two databases behind one face: a statement, its arguments, its rows.
//!
//! Owns: pools, connections, transactions. Leaves to others: SQL. A statement has one static text
//! where both databases read it alike and two where they do not.

use crate::StoreError;
use crate::column::Record;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Executor as _, Postgres, Row as _, Sqlite, Transaction};

/// A statement's text for each database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Sql {
    /// A statement that both databases read alike.
    pub(crate) const fn both(text: &'static str) -> Self {
        Self {
            sqlite: text,
            postgres: text,
        }
    }
}

/// An argument of a statement.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Text(String),
    Int(i64),
}

/// An argument that has a text form: ids, names, states.
pub(crate) fn text(value: &impl ToString) -> Arg {
    Arg::Text(value.to_string())
}

macro_rules! bound {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match arg {
                Arg::Text(value) => query.bind(value.as_str()),
                Arg::Int(value) => query.bind(*value),
            };
        }
        query
    }};
}

/// Connections to one database: one that writes, and some that only read.
#[derive(Debug, Clone)]
pub(crate) enum Pools {
    Sqlite {
        writer: SqlitePool,
        reader: SqlitePool,
    },
    Postgres {
        writer: PgPool,
        reader: PgPool,
    },
}

impl Pools {
    /// A connection for reading outside of a transaction.
    pub(crate) async fn reader(&self) -> Result<Reader, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { reader, .. } => Reader::Sqlite(reader.acquire().await?),
            Self::Postgres { reader, .. } => Reader::Postgres(reader.acquire().await?),
        })
    }

    /// A transaction in which everything read is of one moment.
    pub(crate) async fn read_begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { reader, .. } => Tx::Sqlite(reader.begin().await?),
            Self::Postgres { reader, .. } => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Tx::Postgres(PgTx::begin(reader, begin).await?)
            }
        })
    }

    /// A transaction that writes. SQLite's takes the write lock at once: a transaction that began
    /// by reading could not get it later.
    pub(crate) async fn write_begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres { writer, .. } => Tx::Postgres(PgTx::begin(writer, "BEGIN").await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, reader } => {
                reader.close().await;
                // The last connection to close moves the log into the file.
                writer.close().await;
            }
            Self::Postgres { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
        }
    }
}

/// A connection taken from a reading pool.
pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Reader {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(connection) => Conn::Sqlite(connection),
            Self::Postgres(connection) => Conn::Postgres(connection),
        }
    }
}

/// A transaction; rolled back when it is dropped.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(PgTx),
}

/// A PostgreSQL transaction with its connection.
///
/// Not the driver's own: that one, dropped in the middle of a statement, goes back to the pool to be
/// waited for there, for ever on a line that is silent. This one's connection is closed instead.
pub(crate) struct PgTx {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

impl PgTx {
    async fn begin(pool: &PgPool, statement: &'static str) -> Result<Self, sqlx::Error> {
        let mut tx = Self {
            connection: pool.acquire().await?,
            ended: false,
        };
        tx.connection.execute(sqlx::raw_sql(statement)).await?;
        Ok(tx)
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.connection.execute(sqlx::raw_sql(statement)).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for PgTx {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Tx {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx) => Conn::Postgres(&mut tx.connection),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.end("COMMIT").await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.end("ROLLBACK").await,
        }
    }
}

/// A connection in use.
pub(crate) enum Conn<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Conn<'_> {
    /// Carries out a statement that gives no rows; says how many it touched.
    pub(crate) async fn execute(&mut self, sql: Sql, args: &[Arg]) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(c) => {
                let done = bound!(sql.sqlite, args).execute(&mut **c).await?;
                Ok(done.rows_affected())
            }
            Self::Postgres(c) => {
                let done = bound!(sql.postgres, args).execute(&mut **c).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// The rows of a statement.
    pub(crate) async fn rows<T: Record>(
        &mut self,
        sql: Sql,
        args: &[Arg],
    ) -> Result<Vec<T>, StoreError> {
        match self {
            Self::Sqlite(c) => {
                let rows = bound!(sql.sqlite, args).fetch_all(&mut **c).await;
                let rows = rows.map_err(StoreError::Database)?;
                rows.iter().map(|row| T::get(&Row::Sqlite(row))).collect()
            }
            Self::Postgres(c) => {
                let rows = bound!(sql.postgres, args).fetch_all(&mut **c).await;
                let rows = rows.map_err(StoreError::Database)?;
                rows.iter().map(|row| T::get(&Row::Postgres(row))).collect()
            }
        }
    }

    /// The only row of a statement that gives at most one.
    pub(crate) async fn row<T: Record>(
        &mut self,
        sql: Sql,
        args: &[Arg],
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }
}

/// A row of either database.
pub(crate) enum Row<'a> {
    Sqlite(&'a SqliteRow),
    Postgres(&'a PgRow),
}

impl Row<'_> {
    /// A text column.
    pub(crate) fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A column of 64-bit integers.
    pub(crate) fn int(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A truth value; SQLite keeps 0 and 1.
    pub(crate) fn bool(&self, column: &str) -> Result<Option<bool>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}
