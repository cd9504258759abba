//! What a leader's engine starts from, and the runs that it takes in later.
//!
//! Owns: the reads that span tables. *Invariant*: each is of one moment, in one read transaction.

use crate::column::{Column, Record};
use crate::db::{Arg, Conn, Row, text};
use crate::tables::{IdempotencySql, PlanSql};
use crate::{Sql, Store, StoreError};
use belljar_engine::plan::RunPlan;
use belljar_engine::rows::{
    AnalysisRow, AttemptRow, DagRow, DatasetRow, DatasetVersionRow, ExecutorRow, Idempotency,
    PoolRow, RunRow, Snapshot, StoredRun, TaskRow,
};
use belljar_ids::{DagName, EventSeq, RunId, TenantId};
use std::collections::HashMap;
use std::sync::Arc;

/// How many runs' parts are fetched at once: bounds the memory for rows in between.
const RUNS_AT_ONCE: usize = 500;

impl Store {
    /// Everything that a new leader's engine starts from, of one moment.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn snapshot_load(&self) -> Result<Snapshot, StoreError> {
        let mut tx = self
            .pools
            .read_begin()
            .await
            .map_err(StoreError::Database)?;
        let mut conn = tx.conn();
        let rows = run_active(&mut conn).await?;
        let queued = run_queued_counts(&mut conn).await?;
        let snapshot = Snapshot {
            last_seq: last_seq(&mut conn).await?,
            dags: dag_all(&mut conn).await?,
            analyses: analysis_all(&mut conn).await?,
            datasets: dataset_all(&mut conn).await?,
            dataset_versions: dataset_version_newest(&mut conn).await?,
            pools: pool_all(&mut conn).await?,
            executors: executor_all(&mut conn).await?,
            runs: stored_runs(&mut conn, rows).await?,
            queued: queued
                .into_iter()
                .map(|q| (q.tenant, q.dag, q.count))
                .collect(),
        };
        tx.commit().await.map_err(StoreError::Database)?;
        Ok(snapshot)
    }

    /// The oldest queued runs of a DAG, at most `limit`, for the leader to start.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn run_load_queued(
        &self,
        tenant: &TenantId,
        dag: &DagName,
        limit: u32,
    ) -> Result<Vec<StoredRun>, StoreError> {
        let mut tx = self
            .pools
            .read_begin()
            .await
            .map_err(StoreError::Database)?;
        let mut conn = tx.conn();
        let rows = run_queued(&mut conn, tenant, dag, limit).await?;
        let runs = stored_runs(&mut conn, rows).await?;
        tx.commit().await.map_err(StoreError::Database)?;
        Ok(runs)
    }

    /// A run in whatever state with all that the engine needs of it.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn run_load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        let mut tx = self
            .pools
            .read_begin()
            .await
            .map_err(StoreError::Database)?;
        let mut conn = tx.conn();
        let rows = run_by_id(&mut conn, &run).await?;
        let run = stored_runs(&mut conn, rows).await?.pop();
        tx.commit().await.map_err(StoreError::Database)?;
        Ok(run)
    }
}

/// The runs of these rows with all their parts, in the rows' order.
async fn stored_runs(conn: &mut Conn<'_>, rows: Vec<RunRow>) -> Result<Vec<StoredRun>, StoreError> {
    let mut runs = Vec::with_capacity(rows.len());
    for rows in rows.chunks(RUNS_AT_ONCE) {
        let keys = [Arg::Text(run_keys(rows))];
        let plans: Vec<PlanSql> = run_plans(conn, &keys).await?;
        let mut plans: HashMap<RunId, Arc<RunPlan>> =
            plans.into_iter().map(|row| (row.run, row.plan)).collect();
        let mut tasks = by_run(run_tasks(conn, &keys).await?, |row| row.key.run);
        let mut attempts = by_run(run_live_attempts(conn, &keys).await?, |row| row.key.run);
        let mut given = by_run(run_idempotency(conn, &keys).await?, |row| row.run);
        for row in rows {
            let plan = plans.remove(&row.run);
            let given = given.remove(&row.run).and_then(|mut all| all.pop());
            runs.push(StoredRun {
                row: row.clone(),
                plan: plan.ok_or_else(|| crate::column::unreadable("plan", "it is missing"))?,
                idempotency: given.map(|row| Idempotency {
                    key: row.key,
                    fingerprint: row.fingerprint,
                }),
                tasks: tasks.remove(&row.run).unwrap_or_default(),
                attempts: attempts.remove(&row.run).unwrap_or_default(),
            });
        }
    }
    Ok(runs)
}

fn by_run<T>(rows: Vec<T>, run: impl Fn(&T) -> RunId) -> HashMap<RunId, Vec<T>> {
    let mut map: HashMap<RunId, Vec<T>> = HashMap::new();
    for row in rows {
        map.entry(run(&row)).or_default().push(row);
    }
    map
}

/// The rows' keys as a JSON array. Neither id needs an escape.
fn run_keys(rows: &[RunRow]) -> String {
    let key = |row: &RunRow| format!(r#"{{"tenant":"{}","run":"{}"}}"#, row.tenant, row.run);
    let keys: Vec<String> = rows.iter().map(key).collect();
    format!("[{}]", keys.join(","))
}

/// The statement for all rows of one table that belong to runs whose keys are the argument.
macro_rules! of_runs {
    ($columns:expr, $table:literal, $and:literal) => {
        Sql {
            sqlite: concat!(
                "SELECT ", $columns, " FROM ", $table, " WHERE (tenant, run) IN \
                 (SELECT value ->> 'tenant', value ->> 'run' FROM json_each($1))", $and
            ),
            postgres: concat!(
                "SELECT ", $columns, " FROM ", $table, " WHERE (tenant, run) IN \
                 (SELECT tenant, run FROM jsonb_to_recordset($1::jsonb) AS k (tenant text, run text))",
                $and
            ),
        }
    };
}

async fn run_plans(conn: &mut Conn<'_>, keys: &[Arg]) -> Result<Vec<PlanSql>, StoreError> {
    const SQL: Sql = of_runs!(run_plan_columns!(), "run_plan", "");
    conn.rows(SQL, keys).await
}

async fn run_tasks(conn: &mut Conn<'_>, keys: &[Arg]) -> Result<Vec<TaskRow>, StoreError> {
    const SQL: Sql = of_runs!(
        task_columns!(),
        "task",
        " ORDER BY tenant, run, task, map_index"
    );
    conn.rows(SQL, keys).await
}

async fn run_live_attempts(
    conn: &mut Conn<'_>,
    keys: &[Arg],
) -> Result<Vec<AttemptRow>, StoreError> {
    const SQL: Sql = of_runs!(
        attempt_columns!(),
        "attempt",
        " AND live ORDER BY tenant, run, task, map_index"
    );
    conn.rows(SQL, keys).await
}

async fn run_idempotency(
    conn: &mut Conn<'_>,
    keys: &[Arg],
) -> Result<Vec<IdempotencySql>, StoreError> {
    const SQL: Sql = of_runs!(idempotency_columns!(), "idempotency", "");
    conn.rows(SQL, keys).await
}

async fn run_active(conn: &mut Conn<'_>) -> Result<Vec<RunRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        run_columns!(),
        " FROM run WHERE state IN ('running', 'cancelling') \
         ORDER BY tenant, run"
    ));
    conn.rows(SQL, &[]).await
}

async fn run_queued(
    conn: &mut Conn<'_>,
    tenant: &TenantId,
    dag: &DagName,
    limit: u32,
) -> Result<Vec<RunRow>, StoreError> {
    // SQLite, which keeps no statistics unless told to, would rather walk all of the tenant's runs.
    const SQL: Sql = Sql {
        sqlite: concat!(
            "SELECT ",
            run_columns!(),
            " FROM run INDEXED BY run_queued \
             WHERE tenant = $1 AND dag = $2 AND state = 'queued' ORDER BY run LIMIT $3"
        ),
        postgres: concat!(
            "SELECT ",
            run_columns!(),
            " FROM run WHERE tenant = $1 AND dag = $2 AND state = 'queued' ORDER BY run LIMIT $3"
        ),
    };
    let args = [text(tenant), text(dag), Arg::Int(limit.into())];
    conn.rows(SQL, &args).await
}

async fn run_by_id(conn: &mut Conn<'_>, run: &RunId) -> Result<Vec<RunRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        run_columns!(),
        " FROM run WHERE run = $1"
    ));
    conn.rows(SQL, &[text(run)]).await
}

struct Queued {
    tenant: TenantId,
    dag: DagName,
    count: u64,
}

impl Record for Queued {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: Column::get("tenant", row)?,
            dag: Column::get("dag", row)?,
            count: Column::get("count", row)?,
        })
    }
}

async fn run_queued_counts(conn: &mut Conn<'_>) -> Result<Vec<Queued>, StoreError> {
    const SQL: Sql = Sql {
        sqlite: "SELECT tenant, dag, count(*) AS count FROM run INDEXED BY run_queued \
                 WHERE state = 'queued' GROUP BY tenant, dag ORDER BY tenant, dag",
        postgres: "SELECT tenant, dag, count(*) AS count FROM run \
                   WHERE state = 'queued' GROUP BY tenant, dag ORDER BY tenant, dag",
    };
    conn.rows(SQL, &[]).await
}

struct LastSeq(EventSeq);

impl Record for LastSeq {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self(Column::get("last_seq", row)?))
    }
}

async fn last_seq(conn: &mut Conn<'_>) -> Result<EventSeq, StoreError> {
    const SQL: Sql = Sql::both("SELECT last_seq FROM leader");
    let last: Option<LastSeq> = conn.row(SQL, &[]).await?;
    Ok(last.map_or(EventSeq(0), |last| last.0))
}

async fn dag_all(conn: &mut Conn<'_>) -> Result<Vec<DagRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        dag_columns!(),
        " FROM dag ORDER BY tenant, dag"
    ));
    conn.rows(SQL, &[]).await
}

async fn analysis_all(conn: &mut Conn<'_>) -> Result<Vec<AnalysisRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        analysis_columns!(),
        " FROM analysis ORDER BY tenant, analysis, version"
    ));
    conn.rows(SQL, &[]).await
}

async fn dataset_all(conn: &mut Conn<'_>) -> Result<Vec<DatasetRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        dataset_columns!(),
        " FROM dataset ORDER BY tenant, dataset"
    ));
    conn.rows(SQL, &[]).await
}

async fn dataset_version_newest(conn: &mut Conn<'_>) -> Result<Vec<DatasetVersionRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        dataset_version_columns!(),
        " FROM dataset_version WHERE (tenant, dataset, number) IN \
         (SELECT tenant, dataset, latest FROM dataset) ORDER BY tenant, dataset"
    ));
    conn.rows(SQL, &[]).await
}

async fn pool_all(conn: &mut Conn<'_>) -> Result<Vec<PoolRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        pool_columns!(),
        " FROM pool ORDER BY tenant, pool"
    ));
    conn.rows(SQL, &[]).await
}

async fn executor_all(conn: &mut Conn<'_>) -> Result<Vec<ExecutorRow>, StoreError> {
    const SQL: Sql = Sql::both(concat!(
        "SELECT ",
        executor_columns!(),
        " FROM executor ORDER BY tenant, executor"
    ));
    conn.rows(SQL, &[]).await
}
