//! Requests.

use super::LAST;
use crate::column::{Column, Record};
use crate::db::{Arg, Row, text};
use crate::page::{Cursor, Page, probe};
use crate::{Sql, Store, StoreError};
use belljar_engine::RunState;
use belljar_engine::rows::RequestRow;
use belljar_ids::{Micros, PrincipalName, RequestId, TenantId};

/// A request with what it shows of its run.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestView {
    /// The request.
    pub request: RequestRow,
    /// Where its run stands.
    pub state: RunState,
    /// When its run left `queued`.
    pub started_at: Option<Micros>,
    /// When its run ended.
    pub ended_at: Option<Micros>,
}

impl Record for RequestView {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            request: RequestRow::get(row)?,
            state: Column::get("state", row)?,
            started_at: Column::get("started_at", row)?,
            ended_at: Column::get("ended_at", row)?,
        })
    }
}

/// A read of requests with their runs, which tells SQLite the index.
macro_rules! requests {
    ($index:literal, $and:literal) => {
        Sql {
            sqlite: requests!(@ $index, $and),
            postgres: requests!(@ "", $and),
        }
    };
    (@ $index:literal, $and:literal) => {
        concat!(
            "SELECT q.tenant, q.request, q.run, q.analysis, q.analysis_digest, q.inputs, q.params, \
             q.purpose, q.principal, q.created_at, r.state, r.started_at, r.ended_at \
             FROM request AS q ", $index, " JOIN run AS r ON r.tenant = q.tenant AND r.run = q.run \
             WHERE q.tenant = $1 AND ", $and
        )
    };
}

impl Store {
    /// A tenant's requests, or one principal's, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn request_list(
        &self,
        tenant: &TenantId,
        principal: Option<&PrincipalName>,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<RequestView>, StoreError> {
        const ALL: Sql = requests!("", "q.request < $2 ORDER BY q.request DESC LIMIT $3");
        const OF_PRINCIPAL: Sql = requests!(
            "INDEXED BY request_principal",
            "q.request < $2 AND q.principal = $4 ORDER BY q.request DESC LIMIT $3"
        );
        let [before] = Cursor::parts(cursor, [LAST])?;
        let mut args = vec![text(tenant), Arg::Text(before), Arg::Int(probe(limit))];
        args.extend(principal.map(text));
        let sql = if principal.is_some() {
            OF_PRINCIPAL
        } else {
            ALL
        };
        let rows = self.rows(sql, &args).await?;
        Ok(Page::cut(rows, limit, |row: &RequestView| {
            Cursor::new(&[&row.request.request])
        }))
    }

    /// A request.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn request_get(
        &self,
        tenant: &TenantId,
        request: RequestId,
    ) -> Result<Option<RequestView>, StoreError> {
        const SQL: Sql = requests!("", "q.request = $2");
        self.row(SQL, &[text(tenant), text(&request)]).await
    }
}
