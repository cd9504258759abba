//! Whether somebody may have an analysis read a dataset.
//!
//! Owns: that one question. Every access to a dataset's bytes on behalf of a person goes through
//! [`grant_check`]; attempts read what their run's plan pinned after it.

use super::ServiceError;
use belljar_engine::rows::DatasetRow;
use belljar_ids::{Digest, PrincipalName};

/// Checks that `principal` may have the analysis with this digest read `dataset` for `purpose`.
///
/// Today a dataset's owner may, and nobody else: analysis and purpose decide nothing yet.
///
/// # Errors
///
/// [`ServiceError::GrantMissing`].
pub fn grant_check(
    principal: &PrincipalName,
    _analysis: &Digest,
    dataset: &DatasetRow,
    _purpose: &str,
) -> Result<(), ServiceError> {
    if dataset.owner == *principal {
        return Ok(());
    }
    Err(ServiceError::GrantMissing(format!(
        "`{principal}` may not use dataset `{}`: only its owner may",
        dataset.dataset
    )))
}
