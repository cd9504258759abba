//! Analyses.

use super::FIRST;
use crate::db::{Arg, text};
use crate::page::{Cursor, Page, probe};
use crate::{Sql, Store, StoreError};
use belljar_engine::rows::AnalysisRow;
use belljar_ids::{AnalysisName, Digest, TenantId};

impl Store {
    /// A tenant's analyses by name, of each the version submitted last.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`], [`StoreError::Cursor`].
    pub async fn analysis_list(
        &self,
        tenant: &TenantId,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<AnalysisRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            analysis_columns!(),
            " FROM analysis AS a \
             WHERE tenant = $1 AND analysis > $2 AND NOT EXISTS \
             (SELECT 1 FROM analysis AS b WHERE b.tenant = a.tenant AND b.analysis = a.analysis \
             AND (b.created_at, b.version) > (a.created_at, a.version)) \
             ORDER BY analysis LIMIT $3"
        ));
        let [after] = Cursor::parts(cursor, [FIRST])?;
        let args = [text(tenant), Arg::Text(after), Arg::Int(probe(limit))];
        let rows = self.rows(SQL, &args).await?;
        Ok(Page::cut(rows, limit, |row: &AnalysisRow| {
            Cursor::new(&[&row.analysis])
        }))
    }

    /// A version of an analysis.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn analysis_get(
        &self,
        tenant: &TenantId,
        analysis: &AnalysisName,
        version: &str,
    ) -> Result<Option<AnalysisRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            analysis_columns!(),
            " FROM analysis \
             WHERE tenant = $1 AND analysis = $2 AND version = $3"
        ));
        let version = Arg::Text(crate::column::escape(version).into_owned());
        self.row(SQL, &[text(tenant), text(analysis), version])
            .await
    }

    /// The version of an analysis with this digest.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn analysis_by_digest(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<AnalysisRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            analysis_columns!(),
            " FROM analysis WHERE tenant = $1 AND digest = $2"
        ));
        self.row(SQL, &[text(tenant), text(digest)]).await
    }

    /// All versions of an analysis, the one submitted last first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Unreadable`].
    pub async fn analysis_versions(
        &self,
        tenant: &TenantId,
        analysis: &AnalysisName,
    ) -> Result<Vec<AnalysisRow>, StoreError> {
        const SQL: Sql = Sql::both(concat!(
            "SELECT ",
            analysis_columns!(),
            " FROM analysis WHERE tenant = $1 AND analysis = $2 \
             ORDER BY created_at DESC, version DESC"
        ));
        self.rows(SQL, &[text(tenant), text(analysis)]).await
    }
}
