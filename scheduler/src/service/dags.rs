//! Checking and applying DAGs.

use super::resolve::resolve;
use super::{By, Service, ServiceError, digest, invalid, unexpected};
use belljar_dag_specs::{Dag, ParsedSpec, check_against, parse};
use belljar_engine::command::{Command, DagApply, Reply};
use belljar_engine::rows::DagRow;
use belljar_ids::{DagName, Digest};
use belljar_manifest::{Diagnostic, Severity, decode};
use bytes::Bytes;

/// A DAG that was read and checked.
#[derive(Debug)]
pub struct Checked {
    /// Its name, where it could be read.
    pub name: Option<DagName>,
    /// The DAG and its YAML, where it keeps every rule of the format.
    pub dag: Option<(Dag, String)>,
    /// Errors and warnings in the order of the text.
    pub problems: Vec<Diagnostic>,
}

impl Checked {
    /// Whether it can be applied.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let error = |problem: &Diagnostic| problem.severity == Severity::Error;
        self.dag.is_some() && !self.problems.iter().any(error)
    }
}

/// What applying a DAG did.
#[derive(Debug)]
pub struct Applied {
    /// The DAG as it is now; none in a dry run of a new one.
    pub row: Option<DagRow>,
    /// The spec's version.
    pub version: Digest,
    /// Whether this made, or would make, a new version.
    pub created: bool,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

impl Service {
    /// Reads a DAG and checks it against what is published. `file` is its name in diagnostics.
    ///
    /// # Errors
    ///
    /// Only where it could not be checked; what is wrong with it is in the answer.
    pub async fn dag_check(
        &self,
        by: &By,
        yaml: Bytes,
        file: &str,
    ) -> Result<Checked, ServiceError> {
        let file = file.to_owned();
        let read = self.compute(move || read(&yaml, &file)).await?;
        let (parsed, dag) = match read {
            Ok(read) => read,
            Err(problems) => {
                return Ok(Checked {
                    name: None,
                    dag: None,
                    problems,
                });
            }
        };
        let resolved = resolve(&self.store, &by.tenant, &dag).await?;
        self.compute(move || {
            let mut problems = parsed.warnings;
            problems.extend(parsed.source.locate(check_against(&dag, &resolved)));
            problems.sort_by_key(|problem| problem.span.map(|span| span.start));
            Checked {
                name: dag.name().as_str().parse().ok(),
                dag: Some((dag, parsed.source.text().to_owned())),
                problems,
            }
        })
        .await
    }

    /// Makes a DAG, or gives it a new version; in a dry run only says what that would do.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Invalid`] with every problem; [`ServiceError::Leader`].
    pub async fn dag_apply(
        &self,
        by: &By,
        yaml: Bytes,
        file: &str,
        paused: Option<bool>,
        dry_run: bool,
    ) -> Result<Applied, ServiceError> {
        let checked = self.dag_check(by, yaml, file).await?;
        if !checked.is_valid() {
            return Err(invalid("the DAG", checked.problems));
        }
        let (Some(name), Some((dag, source))) = (checked.name, checked.dag) else {
            return Err(unexpected());
        };
        let version = digest(dag.version().0);
        if dry_run {
            let row = self.store.dag_get(&by.tenant, &name).await?;
            return Ok(Applied {
                created: row.as_ref().is_none_or(|row| row.version != version),
                row,
                version,
                warnings: checked.problems,
            });
        }
        let spec = serde_json::from_str(&dag.canonical_json())
            .map_err(|error| ServiceError::Stored(error.to_string()))?;
        let command = Command::DagApply(DagApply {
            tenant: by.tenant.clone(),
            dag: name,
            version,
            source,
            spec,
            paused,
            principal: by.principal.clone(),
        });
        match self.leader.send(command).await? {
            Reply::Dag { dag, changed } => Ok(Applied {
                row: Some(dag),
                version,
                created: changed,
                warnings: checked.problems,
            }),
            _ => Err(unexpected()),
        }
    }

    /// Pauses or unpauses a DAG.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Leader`], also where there is no such DAG.
    pub async fn dag_pause(
        &self,
        by: &By,
        dag: DagName,
        paused: bool,
    ) -> Result<DagRow, ServiceError> {
        let command = Command::DagPause {
            tenant: by.tenant.clone(),
            dag,
            paused,
            principal: by.principal.clone(),
        };
        match self.leader.send(command).await? {
            Reply::Dag { dag, .. } => Ok(dag),
            _ => Err(unexpected()),
        }
    }
}

fn read(yaml: &[u8], file: &str) -> Result<(ParsedSpec, Dag), Vec<Diagnostic>> {
    let text = decode(yaml, file)?;
    let parsed = parse(text, file)?;
    let dag =
        Dag::from_spec(parsed.spec.clone()).map_err(|problems| parsed.source.locate(problems))?;
    Ok((parsed, dag))
}
