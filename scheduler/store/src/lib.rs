//! The scheduler's database: the only crate with SQL, on SQLite and PostgreSQL alike.
//!
//! Owns: tables, migrations, the commit of a batch, the reads of the leader and of the API.
//! Leaves to others: what to write (`belljar-engine` decides), who may read (the HTTP layer), the
//! lock on the data directory and the times of leadership (the leader loop).
//!
//! *Invariant*: run, task, attempt and event rows are written by [`Store::batch_commit`] alone.
//! *Invariant*: no code outside knows which database there is; the same tests run on both.

// First, for its macros: the lists of columns.
#[macro_use]
mod tables;

mod column;
mod commit;
mod db;
mod error;
mod find;
mod leader;
mod open;
mod page;
mod read;
mod snapshot;
mod url;

pub use error::{CommitError, OpenError, Rejected, StoreError};
pub use leader::{LeaderRow, Term};
pub use page::{Cursor, PAGE_MAX, Page};
pub use read::{
    AttemptUse, DagSummary, DatasetUse, EventFilter, RequestView, RunCounts, RunFilter,
};
pub use url::StoreUrl;

use column::Record;
use db::{Arg, Pools, Sql};

/// An open database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
}

impl Store {
    /// Closes the connections once the statements at work have ended; SQLite's log is then part of
    /// the file. Dropping the last clone closes them too, without waiting.
    pub async fn close(&self) {
        self.pools.close().await;
    }

    /// The rows of a statement outside of any transaction.
    async fn rows<T: Record>(&self, sql: Sql, args: &[Arg]) -> Result<Vec<T>, StoreError> {
        let mut reader = self.pools.reader().await.map_err(StoreError::Database)?;
        reader.conn().rows(sql, args).await
    }

    /// The row of a statement that gives at most one.
    async fn row<T: Record>(&self, sql: Sql, args: &[Arg]) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }
}
