//! The one row that says who leads.
//!
//! Owns: taking office, staying in it, and the proof at the head of each batch. Leaves to others:
//! when to do so: how long a leader may act since its last renewal, and how long a follower must
//! have seen no change, is the leader loop's to count on its own monotonic clock.

use crate::column::{Column, Record};
use crate::db::{Arg, Conn, Row};
use crate::error::{CommitError, Stage};
use crate::{Sql, Store, StoreError};
use belljar_ids::{Epoch, EventSeq, Micros};

/// A term of office.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Numbers the terms, from 1.
    pub epoch: Epoch,
    /// The last batch committed by anybody; the term's first is the next one.
    pub batch: i64,
}

/// The leader's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderRow {
    /// The term; 0 where nobody ever led.
    pub epoch: Epoch,
    /// The last batch.
    pub batch: i64,
    /// Changes with every renewal, batch or not.
    pub renewals: i64,
    /// The newest event's place.
    pub last_seq: EventSeq,
    /// Who leads, in words for people.
    pub holder: String,
    /// Where its followers send commands to.
    pub address: String,
}

impl Record for LeaderRow {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            epoch: Column::get("epoch", row)?,
            batch: Column::get("batch", row)?,
            renewals: Column::get("renewals", row)?,
            last_seq: Column::get("last_seq", row)?,
            holder: Column::get("holder", row)?,
            address: Column::get("address", row)?,
        })
    }
}

impl Record for Term {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            epoch: Column::get("epoch", row)?,
            batch: Column::get("batch", row)?,
        })
    }
}

/// One number, in a column `value`.
struct Number(i64);

impl Record for Number {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self(Column::get("value", row)?))
    }
}

impl Store {
    /// Takes office whoever holds it: for SQLite, whose data directory the caller has locked.
    ///
    /// # Errors
    /// [`StoreError::Database`] where it is not known to have taken place; trying again is safe.
    pub async fn leader_take(&self, holder: &str, address: &str) -> Result<Term, StoreError> {
        const SQL: Sql = Sql::both(
            "UPDATE leader SET epoch = epoch + 1, renewals = renewals + 1, holder = $1, \
             address = $2 RETURNING epoch, batch",
        );
        let args = [stored(holder), stored(address)];
        let term = self.leader_update(SQL, &args).await?;
        term.ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    /// Takes office if the row is still as it was seen: for PostgreSQL, once a leadership's whole
    /// time-to-live has passed without a change. None where it changed.
    ///
    /// # Errors
    /// [`StoreError::Database`] where it is not known to have taken place; look again.
    pub async fn leader_take_if(
        &self,
        seen: &LeaderRow,
        holder: &str,
        address: &str,
    ) -> Result<Option<Term>, StoreError> {
        const SQL: Sql = Sql::both(
            "UPDATE leader SET epoch = epoch + 1, renewals = renewals + 1, holder = $1, \
             address = $2 WHERE epoch = $3 AND renewals = $4 AND batch = $5 RETURNING epoch, batch",
        );
        let args = [
            stored(holder),
            stored(address),
            Arg::Int(seen.epoch.0),
            Arg::Int(seen.renewals),
            Arg::Int(seen.batch),
        ];
        self.leader_update(SQL, &args).await
    }

    /// Shows the followers that the leader of this epoch is there; false where it is not any more.
    ///
    /// # Errors
    /// [`StoreError::Database`] where it is not known to have taken place.
    pub async fn leader_renew(&self, epoch: Epoch) -> Result<bool, StoreError> {
        const SQL: Sql = Sql::both(
            "UPDATE leader SET renewals = renewals + 1 WHERE epoch = $1 RETURNING epoch, batch",
        );
        Ok(self
            .leader_update(SQL, &[Arg::Int(epoch.0)])
            .await?
            .is_some())
    }

    /// Who leads.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn leader_peek(&self) -> Result<LeaderRow, StoreError> {
        const SQL: Sql =
            Sql::both("SELECT epoch, batch, renewals, last_seq, holder, address FROM leader");
        let row = self.row(SQL, &[]).await?;
        row.ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    /// The last batch committed, if the epoch is still this one: settles a commit whose outcome is
    /// not known. Waits for a transaction of the lost connection that is still at work.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the outcome is then still not known.
    pub async fn leader_batch(&self, epoch: Epoch) -> Result<Option<i64>, StoreError> {
        // An update of nothing, not a read: a read would not see a commit that is still on its way.
        const SQL: Sql =
            Sql::both("UPDATE leader SET batch = batch WHERE epoch = $1 RETURNING epoch, batch");
        let term = self.leader_update(SQL, &[Arg::Int(epoch.0)]).await?;
        Ok(term.map(|term| term.batch))
    }

    /// The database's clock.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn db_now(&self) -> Result<Micros, StoreError> {
        const SQL: Sql = Sql {
            // To the millisecond: SQLite has no finer clock.
            sqlite: "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000 AS value",
            postgres: "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS value",
        };
        let number: Option<Number> = self.row(SQL, &[]).await?;
        let number = number.ok_or(StoreError::Database(sqlx::Error::RowNotFound))?;
        Ok(Micros(number.0))
    }

    async fn leader_update(&self, sql: Sql, args: &[Arg]) -> Result<Option<Term>, StoreError> {
        let mut tx = self
            .pools
            .write_begin()
            .await
            .map_err(StoreError::Database)?;
        let term = tx.conn().row(sql, args).await?;
        tx.commit().await.map_err(StoreError::Database)?;
        Ok(term)
    }
}

/// The head of each batch: proves that this epoch is in office and that the batch is the next one.
/// Gives the place of the newest event after the batch's `events`.
pub(crate) async fn leader_batch_advance(
    conn: &mut Conn<'_>,
    epoch: Epoch,
    number: i64,
    events: i64,
) -> Result<EventSeq, CommitError> {
    const SQL: Sql = Sql::both(
        "UPDATE leader SET batch = $2, last_seq = last_seq + $3 WHERE epoch = $1 AND batch = $2 - 1 \
         RETURNING last_seq AS value",
    );
    let args = [Arg::Int(epoch.0), Arg::Int(number), Arg::Int(events)];
    match conn.row::<Number>(SQL, &args).await {
        Ok(Some(last)) => Ok(EventSeq(last.0)),
        Ok(None) => Err(CommitError::Deposed),
        Err(StoreError::Database(error)) => Err(CommitError::classify(error, Stage::Before)),
        // The row can only be read wrongly where somebody else made it.
        Err(_) => Err(CommitError::Deposed),
    }
}

fn stored(value: &str) -> Arg {
    Arg::Text(crate::column::escape(value).into_owned())
}
