//! Facts that the leader looks up before it applies a batch of commands: what of it is known already.
//!
//! Owns: finding many keys by one statement. What is not there is not in the answer; the answer's
//! order is no promise.

use crate::column::{Column as _, Document, Record, Stored};
use crate::db::Arg;
use crate::error::Rejected;
use crate::tables::IdempotencySql;
use crate::{Sql, Store, StoreError};
use belljar_engine::rows::{AttemptRow, IdempotencyKey, RunRow};
use belljar_ids::{Digest, Fence, InstanceKey, RunId};

impl Store {
    /// The runs that were submitted under these keys, with the fingerprints of the submissions.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn idempotency_find(
        &self,
        keys: &[IdempotencyKey],
    ) -> Result<Vec<(IdempotencyKey, Digest, RunId)>, StoreError> {
        const SQL: Sql = Sql {
            sqlite: concat!(
                "SELECT ",
                idempotency_columns!(),
                " FROM idempotency \
                 WHERE (tenant, principal, route, key) IN \
                 (SELECT value ->> 'tenant', value ->> 'principal', value ->> 'route', \
                 value ->> 'key' FROM json_each($1))"
            ),
            postgres: concat!(
                "SELECT ",
                idempotency_columns!(),
                " FROM idempotency \
                 WHERE (tenant, principal, route, key) IN \
                 (SELECT tenant, principal, route, key FROM jsonb_to_recordset($1::jsonb) \
                 AS k (tenant text, principal text, route text, key text))"
            ),
        };
        let rows: Vec<IdempotencySql> = self.find(SQL, keys).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.key, row.fingerprint, row.run))
            .collect())
    }

    /// The attempts under these fences, live or ended.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn attempt_find(
        &self,
        keys: &[(InstanceKey, Fence)],
    ) -> Result<Vec<AttemptRow>, StoreError> {
        // By way of the run, whose id alone gives the tenant that leads the attempt's key.
        const SQL: Sql = Sql {
            sqlite: concat!(
                "SELECT ",
                attempt_columns!(),
                " FROM attempt \
                 WHERE (tenant, run, task, map_index, fence) IN \
                 (SELECT run.tenant, run.run, value ->> 'task', value ->> 'map_index', \
                 value ->> 'fence' FROM json_each($1) CROSS JOIN run \
                 ON run.run = value ->> 'run')"
            ),
            postgres: concat!(
                "SELECT ",
                attempt_columns!(),
                " FROM attempt \
                 WHERE (tenant, run, task, map_index, fence) IN \
                 (SELECT run.tenant, run.run, k.task, k.map_index, k.fence \
                 FROM jsonb_to_recordset($1::jsonb) \
                 AS k (run text, task text, map_index bigint, fence bigint) \
                 JOIN run ON run.run = k.run)"
            ),
        };
        let keys: Vec<AttemptKey<'_>> = keys
            .iter()
            .map(|(key, fence)| AttemptKey { key, fence: *fence })
            .collect();
        self.find(SQL, &keys).await
    }

    /// These runs' rows, of whatever tenant.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn run_find(&self, runs: &[RunId]) -> Result<Vec<RunRow>, StoreError> {
        const SQL: Sql = Sql {
            sqlite: concat!(
                "SELECT ",
                run_columns!(),
                " FROM run \
                 WHERE run IN (SELECT value ->> 'run' FROM json_each($1))"
            ),
            postgres: concat!(
                "SELECT ",
                run_columns!(),
                " FROM run WHERE run IN \
                 (SELECT run FROM jsonb_to_recordset($1::jsonb) AS k (run text))"
            ),
        };
        let keys: Vec<RunKey> = runs.iter().copied().map(RunKey).collect();
        self.find(SQL, &keys).await
    }

    async fn find<K: Stored, T: Record>(&self, sql: Sql, keys: &[K]) -> Result<Vec<T>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // A key that has no stored form cannot arise: ids, names and escaped texts.
        let document = Document::of(keys).map_err(|_| StoreError::Cursor)?;
        self.rows(sql, &[Arg::Text(document)]).await
    }
}

struct AttemptKey<'a> {
    key: &'a InstanceKey,
    fence: Fence,
}

impl Stored for AttemptKey<'_> {
    fn put(&self, out: &mut Document) -> Result<(), Rejected> {
        self.key.put("key", out)?;
        out.column("fence", &self.fence)
    }
}

struct RunKey(RunId);

impl Stored for RunKey {
    fn put(&self, out: &mut Document) -> Result<(), Rejected> {
        out.column("run", &self.0)
    }
}
