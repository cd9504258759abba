//! Events, and what is to be delivered of them.

use crate::db::{Arg, text};
use crate::{PAGE_MAX, Sql, Store, StoreError};
use belljar_engine::rows::{Event, OutboxRow};
use belljar_ids::{EventSeq, RunId, TenantId};

/// Which of a tenant's events to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this run's.
    pub run: Option<RunId>,
}

impl Store {
    /// A tenant's events after a place in the log, oldest first, at most `limit` and
    /// [`PAGE_MAX`]. Places may be missing in between: they are another tenant's.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn event_list(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        after: EventSeq,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        const ALL: Sql = Sql::both(concat!(
            "SELECT ",
            event_columns!(),
            " FROM event WHERE tenant = $1 AND seq > $2 \
             ORDER BY seq LIMIT $3"
        ));
        const OF_RUN: Sql = Sql::both(concat!(
            "SELECT ",
            event_columns!(),
            " FROM event WHERE tenant = $1 AND seq > $2 AND run = $4 \
             ORDER BY seq LIMIT $3"
        ));
        let limit = Arg::Int(limit.clamp(1, PAGE_MAX).into());
        let mut args = vec![text(tenant), Arg::Int(after.0), limit];
        args.extend(filter.run.as_ref().map(text));
        self.rows(if filter.run.is_some() { OF_RUN } else { ALL }, &args)
            .await
    }

    /// What is to be delivered, of all tenants, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn outbox_list_due(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            outbox_columns!(),
            " FROM outbox WHERE delivered_at IS NULL \
             ORDER BY seq, channel LIMIT $1"
        ));
        self.rows(SQL, &[Arg::Int(limit.into())]).await
    }
}
