//! Pools, executors and tokens: tables that are read as they are.

use super::FIRST;
use crate::db::{Arg, text};
use crate::page::{Cursor, Page, probe};
use crate::{Sql, Store, StoreError};
use belljar_engine::rows::{ExecutorRow, PoolRow, TokenRow};
use belljar_ids::{ExecutorId, PoolName, TenantId, TokenId};

impl Store {
    /// A tenant's pools by name.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn pool_list(
        &self,
        tenant: &TenantId,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<PoolRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            pool_columns!(),
            " FROM pool WHERE tenant = $1 AND pool > $2 \
             ORDER BY pool LIMIT $3"
        ));
        let [after] = Cursor::parts(cursor, [FIRST])?;
        let args = [text(tenant), Arg::Text(after), Arg::Int(probe(limit))];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &PoolRow| {
            Cursor::new(&[&row.pool])
        }))
    }

    /// A pool.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn pool_get(
        &self,
        tenant: &TenantId,
        pool: &PoolName,
    ) -> Result<Option<PoolRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            pool_columns!(),
            " FROM pool WHERE tenant = $1 AND pool = $2"
        ));
        self.row(SQL, &[text(tenant), text(pool)]).await
    }

    /// A tenant's executors, by id: the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn executor_list(
        &self,
        tenant: &TenantId,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<ExecutorRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            executor_columns!(),
            " FROM executor WHERE tenant = $1 AND executor > $2 \
             ORDER BY executor LIMIT $3"
        ));
        let [after] = Cursor::parts(cursor, [FIRST])?;
        let args = [text(tenant), Arg::Text(after), Arg::Int(probe(limit))];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &ExecutorRow| {
            Cursor::new(&[&row.executor])
        }))
    }

    /// An executor.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn executor_get(
        &self,
        tenant: &TenantId,
        executor: ExecutorId,
    ) -> Result<Option<ExecutorRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            executor_columns!(),
            " FROM executor WHERE tenant = $1 AND executor = $2"
        ));
        self.row(SQL, &[text(tenant), text(&executor)]).await
    }

    /// A token by its public half, of whatever tenant: it is what tells the tenant.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn token_find(&self, token: TokenId) -> Result<Option<TokenRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            token_columns!(),
            " FROM token WHERE token = $1"
        ));
        self.row(SQL, &[text(&token)]).await
    }

    /// A tenant's tokens, revoked ones too, by id: the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn token_list(
        &self,
        tenant: &TenantId,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<TokenRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            token_columns!(),
            " FROM token WHERE tenant = $1 AND token > $2 \
             ORDER BY token LIMIT $3"
        ));
        let [after] = Cursor::parts(cursor, [FIRST])?;
        let args = [text(tenant), Arg::Text(after), Arg::Int(probe(limit))];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &TokenRow| {
            Cursor::new(&[&row.token])
        }))
    }
}
