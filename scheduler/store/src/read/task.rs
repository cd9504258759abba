//! Task instances, their attempts and refused reports.

use super::FIRST;
use crate::db::{Arg, text};
use crate::page::{Cursor, Page, probe};
use crate::{Sql, Store, StoreError};
use belljar_engine::rows::{AttemptRow, ReportRow, TaskRow};
use belljar_ids::{Fence, InstanceKey, RunId, TaskName, TenantId};

impl Store {
    /// A run's task instances, by name and map index.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn task_list(
        &self,
        tenant: &TenantId,
        run: RunId,
    ) -> Result<Vec<TaskRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            task_columns!(),
            " FROM task WHERE tenant = $1 AND run = $2 \
             ORDER BY task, map_index"
        ));
        self.rows(SQL, &[text(tenant), text(&run)]).await
    }

    /// A task instance.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn task_get(
        &self,
        tenant: &TenantId,
        key: &InstanceKey,
    ) -> Result<Option<TaskRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            task_columns!(),
            " FROM task \
             WHERE tenant = $1 AND run = $2 AND task = $3 AND map_index = $4"
        ));
        self.row(SQL, &instance(tenant, key)).await
    }

    /// A run's attempts, by task, map index and fence; of one task where that is given.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn attempt_list(
        &self,
        tenant: &TenantId,
        run: RunId,
        task: Option<&TaskName>,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<AttemptRow>, StoreError> {
        const ALL: Sql = Sql::both(concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM attempt WHERE tenant = $1 AND run = $2 \
             AND (task, map_index, fence) > ($3, $4, $5) ORDER BY task, map_index, fence LIMIT $6"
        ));
        const OF_TASK: Sql = Sql::both(concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM attempt WHERE tenant = $1 AND run = $2 \
             AND (task, map_index, fence) > ($3, $4, $5) AND task = $7 \
             ORDER BY task, map_index, fence LIMIT $6"
        ));
        let [after, index, fence] = Cursor::parts(cursor, [FIRST, "-2", "0"])?;
        let number = |part: &str| part.parse().map(Arg::Int).map_err(|_| StoreError::Cursor);
        let mut args = vec![text(tenant), text(&run), Arg::Text(after)];
        args.extend([number(&index)?, number(&fence)?, Arg::Int(probe(limit))]);
        args.extend(task.map(text));
        let rows = self
            .rows(if task.is_some() { OF_TASK } else { ALL }, &args)
            .await?;
        Ok(Page::cut(rows, limit, |row: &AttemptRow| {
            Cursor::new(&[&row.key.task, &row.key.map_index, &row.fence])
        }))
    }

    /// An attempt.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn attempt_get(
        &self,
        tenant: &TenantId,
        key: &InstanceKey,
        fence: Fence,
    ) -> Result<Option<AttemptRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM attempt \
             WHERE tenant = $1 AND run = $2 AND task = $3 AND map_index = $4 AND fence = $5"
        ));
        let mut args = instance(tenant, key).to_vec();
        args.push(Arg::Int(fence.0));
        self.row(SQL, &args).await
    }

    /// The reports on a task instance that were not accepted, by fence and time, the first `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn report_list(
        &self,
        tenant: &TenantId,
        key: &InstanceKey,
        limit: u32,
    ) -> Result<Vec<ReportRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            report_columns!(),
            " FROM report \
             WHERE tenant = $1 AND run = $2 AND task = $3 AND map_index = $4 \
             ORDER BY fence, received_at, report_digest, verdict LIMIT $5"
        ));
        let mut args = instance(tenant, key).to_vec();
        args.push(Arg::Int(limit.into()));
        self.rows(SQL, &args).await
    }
}

fn instance(tenant: &TenantId, key: &InstanceKey) -> [Arg; 4] {
    [
        text(tenant),
        text(&key.run),
        text(&key.task),
        Arg::Int(key.map_index.0.into()),
    ]
}
