//! Runs.

use super::LAST;
use crate::column::{Column, Record};
use crate::db::{Arg, Row, text};
use crate::page::{Cursor, Page, probe};
use crate::tables::PlanSql;
use crate::{Sql, Store, StoreError};
use belljar_engine::RunState;
use belljar_engine::plan::RunPlan;
use belljar_engine::rows::RunRow;
use belljar_ids::{DagName, Micros, RunId, TenantId};
use std::sync::Arc;

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only this DAG's.
    pub dag: Option<DagName>,
    /// Only those in this state.
    pub state: Option<RunState>,
}

/// How many runs there are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// The states that have any, by name: of runs that have not ended all, of ended ones those made
    /// since the moment that was asked for.
    pub runs: Vec<(RunState, u64)>,
}

/// A list's text. SQLite is told the index: it keeps no statistics unless told to, and would look for a
/// DAG's few failed runs among all of the tenant's.
macro_rules! run_list {
    ($index:literal, $and:literal) => {
        Sql {
            sqlite: run_list!(@ $index, $and),
            postgres: run_list!(@ "", $and),
        }
    };
    (@ $index:literal, $and:literal) => {
        concat!(
            "SELECT ", run_columns!(), " FROM run ", $index, " WHERE tenant = $1 AND run < $2",
            $and, " ORDER BY run DESC LIMIT $3"
        )
    };
}

impl Store {
    /// A tenant's runs, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn run_list(
        &self,
        tenant: &TenantId,
        filter: &RunFilter,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<RunRow>, StoreError> {
        // A text for each set of filters: with `$4 IS NULL OR …` neither database uses an index.
        const ALL: Sql = run_list!("", "");
        const OF_DAG: Sql = run_list!("INDEXED BY run_dag", " AND dag = $4");
        const IN_STATE: Sql = run_list!("INDEXED BY run_state", " AND state = $4");
        const OF_DAG_IN_STATE: Sql =
            run_list!("INDEXED BY run_dag_state", " AND dag = $4 AND state = $5");
        let [before] = Cursor::parts(cursor, [LAST])?;
        let mut args = vec![text(tenant), Arg::Text(before), Arg::Int(probe(limit))];
        args.extend(filter.dag.as_ref().map(text));
        args.extend(filter.state.as_ref().map(text));
        let sql = match (&filter.dag, filter.state) {
            (None, None) => ALL,
            (Some(_), None) => OF_DAG,
            (None, Some(_)) => IN_STATE,
            (Some(_), Some(_)) => OF_DAG_IN_STATE,
        };
        let rows = self.rows(sql, &args).await?;
        Ok(Page::cut(rows, limit, |row: &RunRow| {
            Cursor::new(&[&row.run])
        }))
    }

    /// A run with its plan.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn run_get(
        &self,
        tenant: &TenantId,
        run: RunId,
    ) -> Result<Option<(RunRow, Arc<RunPlan>)>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            run_columns!(),
            ", plan FROM run JOIN run_plan USING (tenant, run) \
             WHERE tenant = $1 AND run = $2"
        ));
        let found: Option<RunWithPlan> = self.row(SQL, &[text(tenant), text(&run)]).await?;
        Ok(found.map(|found| (found.row, found.plan)))
    }

    /// How many runs there are in each state: all that have not ended, and those of the others that
    /// were made since `since`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn run_counts(
        &self,
        tenant: &TenantId,
        since: Micros,
    ) -> Result<RunCounts, StoreError> {
        const SQL: Sql = Sql::both(
            "SELECT state, count(*) AS count FROM run \
             WHERE tenant = $1 AND state IN ('queued', 'running', 'cancelling') GROUP BY state \
             UNION ALL SELECT state, count(*) AS count FROM run \
             WHERE tenant = $1 AND state IN ('succeeded', 'failed', 'cancelled') AND run >= $2 \
             GROUP BY state ORDER BY state",
        );
        let args = [text(tenant), Arg::Text(run_id_floor(since))];
        let counts: Vec<StateCount> = self.rows(SQL, &args).await?;
        let runs = counts
            .into_iter()
            .map(|row| (row.state, row.count))
            .collect();
        Ok(RunCounts { runs })
    }
}

/// What sorts before the id of every run made at or after `moment`: a UUIDv7 starts with its
/// milliseconds in 48 bits (RFC 9562, 5.7).
fn run_id_floor(moment: Micros) -> String {
    let millis = u64::try_from(moment.0 / 1000).unwrap_or(0) & 0xffff_ffff_ffff;
    format!("{}{millis:012x}", RunId::PREFIX)
}

struct RunWithPlan {
    row: RunRow,
    plan: Arc<RunPlan>,
}

impl Record for RunWithPlan {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        let PlanSql { plan, .. } = PlanSql::get(row)?;
        Ok(Self {
            row: RunRow::get(row)?,
            plan,
        })
    }
}

struct StateCount {
    state: RunState,
    count: u64,
}

impl Record for StateCount {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            state: Column::get("state", row)?,
            count: Column::get("count", row)?,
        })
    }
}
