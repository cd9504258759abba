//! DAGs and their versions.

use super::FIRST;
use crate::db::{Arg, text};
use crate::page::{Cursor, Page, probe};
use crate::{Sql, Store, StoreError};
use belljar_engine::rows::{DagRow, DagVersionRow, RunRow};
use belljar_ids::{DagName, Digest, TenantId};
use std::collections::HashMap;

/// A DAG with its newest runs.
#[derive(Debug, Clone, PartialEq)]
pub struct DagSummary {
    /// The DAG.
    pub dag: DagRow,
    /// Its newest runs, the newest first.
    pub runs: Vec<RunRow>,
}

impl Store {
    /// A tenant's DAGs by name, each with its newest runs, at most `runs`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn dag_list(
        &self,
        tenant: &TenantId,
        runs: u32,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DagSummary>, StoreError> {
        let page = self.dag_page(tenant, cursor, limit).await?;
        let mut newest: HashMap<DagName, Vec<RunRow>> = HashMap::new();
        if let (Some(first), Some(last)) = (page.items.first(), page.items.last()) {
            for run in self
                .dag_newest_runs(tenant, &first.dag, &last.dag, runs)
                .await?
            {
                newest.entry(run.dag.clone()).or_default().push(run);
            }
        }
        let summary = |dag: DagRow| DagSummary {
            runs: newest.remove(&dag.dag).unwrap_or_default(),
            dag,
        };
        Ok(Page {
            items: page.items.into_iter().map(summary).collect(),
            next: page.next,
        })
    }

    async fn dag_page(
        &self,
        tenant: &TenantId,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DagRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dag_columns!(),
            " FROM dag WHERE tenant = $1 AND dag > $2 \
             ORDER BY dag LIMIT $3"
        ));
        let [after] = Cursor::parts(cursor, [FIRST])?;
        let args = [text(tenant), Arg::Text(after), Arg::Int(probe(limit))];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &DagRow| {
            Cursor::new(&[&row.dag])
        }))
    }

    /// The newest runs of each DAG from `first` to `last`: a look into the index per DAG, however
    /// many runs it has.
    async fn dag_newest_runs(
        &self,
        tenant: &TenantId,
        first: &DagName,
        last: &DagName,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        // SQLite has no LATERAL; PostgreSQL would carry out SQLite's text for every run there is.
        const SQL: Sql = Sql {
            sqlite: concat!(
                "SELECT ",
                run_columns!(),
                " FROM run WHERE tenant = $1 AND run IN \
                 (SELECT n.run FROM dag AS d JOIN run AS n ON n.tenant = d.tenant AND n.run IN \
                 (SELECT r.run FROM run AS r WHERE r.tenant = d.tenant AND r.dag = d.dag \
                 ORDER BY r.run DESC LIMIT $4) \
                 WHERE d.tenant = $1 AND d.dag BETWEEN $2 AND $3) ORDER BY run DESC"
            ),
            postgres: concat!(
                "SELECT ",
                run_columns!(),
                " FROM run WHERE tenant = $1 AND run IN \
                 (SELECT n.run FROM dag AS d CROSS JOIN LATERAL \
                 (SELECT r.run FROM run AS r WHERE r.tenant = d.tenant AND r.dag = d.dag \
                 ORDER BY r.run DESC LIMIT $4) AS n \
                 WHERE d.tenant = $1 AND d.dag BETWEEN $2 AND $3) ORDER BY run DESC"
            ),
        };
        let limit = Arg::Int(limit.min(crate::PAGE_MAX).into());
        self.rows(SQL, &[text(tenant), text(first), text(last), limit])
            .await
    }

    /// A DAG.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn dag_get(
        &self,
        tenant: &TenantId,
        dag: &DagName,
    ) -> Result<Option<DagRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dag_columns!(),
            " FROM dag WHERE tenant = $1 AND dag = $2"
        ));
        self.row(SQL, &[text(tenant), text(dag)]).await
    }

    /// A version of a DAG.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn dag_version_get(
        &self,
        tenant: &TenantId,
        dag: &DagName,
        version: &Digest,
    ) -> Result<Option<DagVersionRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dag_version_columns!(),
            " FROM dag_version \
             WHERE tenant = $1 AND dag = $2 AND version = $3"
        ));
        self.row(SQL, &[text(tenant), text(dag), text(version)])
            .await
    }

    /// A DAG's versions, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn dag_version_list(
        &self,
        tenant: &TenantId,
        dag: &DagName,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DagVersionRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dag_version_columns!(),
            " FROM dag_version \
             WHERE tenant = $1 AND dag = $2 AND number < $3 ORDER BY number DESC LIMIT $4"
        ));
        let before = Cursor::number(cursor, i64::MAX)?;
        let args = [
            text(tenant),
            text(dag),
            Arg::Int(before),
            Arg::Int(probe(limit)),
        ];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &DagVersionRow| {
            Cursor::new(&[&row.number])
        }))
    }
}
