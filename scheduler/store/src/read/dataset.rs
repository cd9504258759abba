//! Datasets, their versions, and who used them for what.

use super::{FIRST, LAST};
use crate::column::{Column, Document, Record, Stored};
use crate::db::{Arg, Row, text};
use crate::error::Rejected;
use crate::page::{Cursor, Page, probe};
use crate::{Sql, Store, StoreError};
use belljar_engine::plan::BlobRef;
use belljar_engine::rows::{DatasetRow, DatasetVersionRow};
use belljar_engine::{Cause, RunState, TaskState};
use belljar_ids::{
    AnalysisName, DagName, DatasetName, ExecutorId, Fence, InputName, InstanceKey, Micros,
    PrincipalName, RequestId, RunId, TaskName, TenantId,
};
use std::collections::HashMap;

/// That a task of a run reads a version of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetUse {
    /// The version.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The run's DAG.
    pub dag: DagName,
    /// Where the run stands.
    pub state: RunState,
    /// Who started it.
    pub principal: PrincipalName,
    /// When.
    pub created_at: Micros,
    /// The request that it serves.
    pub request: Option<RequestId>,
    /// The analysis that was asked for, where it serves a request.
    pub analysis: Option<AnalysisName>,
    /// For what, in the requester's words, where it serves a request.
    pub purpose: Option<String>,
    /// The task.
    pub task: TaskName,
    /// As which of its inputs.
    pub input: InputName,
    /// The attempts that were given the data, by instance and fence.
    pub attempts: Vec<AttemptUse>,
}

/// An attempt that was given a dataset's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptUse {
    /// The instance.
    pub key: InstanceKey,
    /// The lease's fence.
    pub fence: Fence,
    /// The executor.
    pub executor: ExecutorId,
    /// When the lease was granted.
    pub granted_at: Micros,
    /// When the attempt ended.
    pub ended_at: Option<Micros>,
    /// How.
    pub outcome: Option<TaskState>,
    /// Why it did not succeed.
    pub cause: Option<Cause>,
    /// Its receipt.
    pub receipt: Option<BlobRef>,
}

impl Record for DatasetUse {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            version: Column::get("version", row)?,
            run: Column::get("run", row)?,
            dag: Column::get("dag", row)?,
            state: Column::get("state", row)?,
            principal: Column::get("principal", row)?,
            created_at: Column::get("created_at", row)?,
            request: Column::get("request", row)?,
            analysis: Column::get("analysis", row)?,
            purpose: Column::get("purpose", row)?,
            task: Column::get("task", row)?,
            input: Column::get("input", row)?,
            attempts: Vec::new(),
        })
    }
}

impl Record for AttemptUse {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            key: Column::get("key", row)?,
            fence: Column::get("fence", row)?,
            executor: Column::get("executor", row)?,
            granted_at: Column::get("granted_at", row)?,
            ended_at: Column::get("ended_at", row)?,
            outcome: Column::get("outcome", row)?,
            cause: Column::get("cause", row)?,
            receipt: Column::get("receipt", row)?,
        })
    }
}

/// A task of a run, as a key to look attempts up by.
struct TaskOf<'a> {
    run: RunId,
    task: &'a TaskName,
}

impl Stored for TaskOf<'_> {
    fn put(&self, out: &mut Document) -> Result<(), Rejected> {
        out.column("run", &self.run)?;
        out.column("task", self.task)
    }
}

/// A read of uses with their runs and requests, which tells SQLite the index.
macro_rules! dataset_uses {
    ($index:literal, $and:literal) => {
        Sql {
            sqlite: dataset_uses!(@ $index, $and),
            postgres: dataset_uses!(@ "", $and),
        }
    };
    (@ $index:literal, $and:literal) => {
        concat!(
            "SELECT u.version, u.run, u.task, u.input, r.dag, r.state, r.principal, r.created_at, \
             r.request, q.analysis, q.purpose FROM dataset_use AS u ", $index,
            " JOIN run AS r ON r.tenant = u.tenant AND r.run = u.run \
             LEFT JOIN request AS q ON q.tenant = u.tenant AND q.run = u.run \
             WHERE u.tenant = $1 AND u.dataset = $2 AND (u.run, u.task, u.input) < ($3, $4, $5)",
            $and, " ORDER BY u.run DESC, u.task DESC, u.input DESC LIMIT $6"
        )
    };
}

impl Store {
    /// A tenant's datasets by name.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn dataset_list(
        &self,
        tenant: &TenantId,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DatasetRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dataset_columns!(),
            " FROM dataset WHERE tenant = $1 AND dataset > $2 \
             ORDER BY dataset LIMIT $3"
        ));
        let [after] = Cursor::parts(cursor, [FIRST])?;
        let args = [text(tenant), Arg::Text(after), Arg::Int(probe(limit))];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &DatasetRow| {
            Cursor::new(&[&row.dataset])
        }))
    }

    /// A dataset.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn dataset_get(
        &self,
        tenant: &TenantId,
        dataset: &DatasetName,
    ) -> Result<Option<DatasetRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dataset_columns!(),
            " FROM dataset WHERE tenant = $1 AND dataset = $2"
        ));
        self.row(SQL, &[text(tenant), text(dataset)]).await
    }

    /// A version of a dataset.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn dataset_version_get(
        &self,
        tenant: &TenantId,
        dataset: &DatasetName,
        number: u32,
    ) -> Result<Option<DatasetVersionRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dataset_version_columns!(),
            " FROM dataset_version \
             WHERE tenant = $1 AND dataset = $2 AND number = $3"
        ));
        self.row(SQL, &[text(tenant), text(dataset), Arg::Int(number.into())])
            .await
    }

    /// A dataset's versions, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn dataset_version_list(
        &self,
        tenant: &TenantId,
        dataset: &DatasetName,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DatasetVersionRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            dataset_version_columns!(),
            " FROM dataset_version \
             WHERE tenant = $1 AND dataset = $2 AND number < $3 ORDER BY number DESC LIMIT $4"
        ));
        let before = Cursor::number(cursor, i64::MAX)?;
        let args = [
            text(tenant),
            text(dataset),
            Arg::Int(before),
            Arg::Int(probe(limit)),
        ];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &DatasetVersionRow| {
            Cursor::new(&[&row.number])
        }))
    }

    /// Every task of every run that reads a dataset, or one version of it, with the requests they
    /// serve and the attempts that were given the data: newest run first, within a run by task and
    /// input from the last to the first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn dataset_uses(
        &self,
        tenant: &TenantId,
        dataset: &DatasetName,
        version: Option<u32>,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DatasetUse>, StoreError> {
        const ALL: Sql = dataset_uses!("", "");
        const OF_VERSION: Sql =
            dataset_uses!("INDEXED BY dataset_use_version", " AND u.version = $7");
        let [run, task, input] = Cursor::parts(cursor, [LAST, LAST, LAST])?.map(Arg::Text);
        let mut args = vec![text(tenant), text(dataset), run, task, input];
        args.push(Arg::Int(probe(limit)));
        args.extend(version.map(|number| Arg::Int(number.into())));
        let sql = if version.is_some() { OF_VERSION } else { ALL };
        let rows: Vec<DatasetUse> = self.rows(sql, &args).await?;
        let mut page = Page::cut(rows, limit, |row: &DatasetUse| {
            Cursor::new(&[&row.run, &row.task, &row.input])
        });
        self.attempts_add(tenant, &mut page.items).await?;
        Ok(page)
    }

    async fn attempts_add(
        &self,
        tenant: &TenantId,
        uses: &mut [DatasetUse],
    ) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let keys = uses.iter().map(|row| TaskOf {
            run: row.run,
            task: &row.task,
        });
        let keys: Vec<TaskOf<'_>> = keys.collect();
        let keys = Document::of(&keys).map_err(|_| StoreError::Cursor)?;
        let mut found: HashMap<(RunId, TaskName), Vec<AttemptUse>> = HashMap::new();
        for attempt in self.attempts_of(tenant, keys).await? {
            let key = (attempt.key.run, attempt.key.task.clone());
            found.entry(key).or_default().push(attempt);
        }
        for row in uses {
            // Not removed: a task may read the same dataset by two inputs.
            let attempts = found.get(&(row.run, row.task.clone()));
            row.attempts = attempts.cloned().unwrap_or_default();
        }
        Ok(())
    }

    async fn attempts_of(
        &self,
        tenant: &TenantId,
        keys: String,
    ) -> Result<Vec<AttemptUse>, StoreError> {
        const SQL: Sql = Sql {
            sqlite: "SELECT run, task, map_index, fence, executor, granted_at, ended_at, outcome, \
                     cause, receipt_digest, receipt_size FROM attempt \
                     WHERE tenant = $1 AND (run, task) IN \
                     (SELECT value ->> 'run', value ->> 'task' FROM json_each($2)) \
                     ORDER BY run, task, map_index, fence",
            postgres: "SELECT run, task, map_index, fence, executor, granted_at, ended_at, outcome, \
                       cause, receipt_digest, receipt_size FROM attempt \
                       WHERE tenant = $1 AND (run, task) IN (SELECT run, task \
                       FROM jsonb_to_recordset($2::jsonb) AS k (run text, task text)) \
                       ORDER BY run, task, map_index, fence",
        };
        self.rows(SQL, &[text(tenant), Arg::Text(keys)]).await
    }
}
