//! One batch, one transaction: the only code that writes what happened.
//!
//! Owns: the order of the statements and what their failures mean. Leaves to others: what is in a
//! batch.
//!
//! *Invariant*: the first statement proves that the writer is the leader and that the batch is the
//! next one, and keeps the leader's row locked until the commit, so that a successor waits for it.

use crate::column::{Document, Stored};
use crate::db::{Arg, Conn, Tx};
use crate::error::{CommitError, Rejected, Stage};
use crate::leader::leader_batch_advance;
use crate::tables::{self, IdempotencySql, PlanSql, UseSql};
use crate::{Sql, Store};
use belljar_engine::plan::PlannedInput;
use belljar_engine::rows::{
    AnalysisRow, AttemptRow, Batch, Change, DagRow, DagVersionRow, DatasetRow, DatasetVersionRow,
    Event, ExecutorRow, OutboxRow, PoolRow, ReportRow, RequestRow, RunNew, RunRow, TaskRow,
    TokenRow,
};
use belljar_ids::{Epoch, EventSeq};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the writes of a batch may take, and its commit again: after that the line is taken for
/// dead. A line that is cut without a word would otherwise be waited for as long as TCP does,
/// a quarter of an hour.
const BATCH_WAIT: Duration = Duration::from_secs(30);

impl Store {
    /// Writes a batch of the leader with this epoch, the `number`-th of all: all of it or nothing.
    ///
    /// # Errors
    /// See [`CommitError`]; each says whether the batch may be sent again.
    pub async fn batch_commit(
        &self,
        epoch: Epoch,
        number: i64,
        batch: &Batch,
    ) -> Result<(), CommitError> {
        let writes = Writes::of(batch).map_err(CommitError::Rejected)?;
        let write = timeout(BATCH_WAIT, self.batch_write(epoch, number, &writes));
        let tx = write.await.unwrap_or_else(|_| Err(silent(Stage::Before)))?;
        match timeout(BATCH_WAIT, tx.commit()).await {
            Ok(done) => done.map_err(|error| CommitError::classify(error, Stage::Commit)),
            Err(_) => Err(silent(Stage::Commit)),
        }
    }

    /// The transaction with everything written, still to be committed.
    async fn batch_write(
        &self,
        epoch: Epoch,
        number: i64,
        writes: &Writes,
    ) -> Result<Tx, CommitError> {
        let before = |error| CommitError::classify(error, Stage::Before);
        let mut tx = self.pools.write_begin().await.map_err(before)?;
        if let Err(error) = write(&mut tx.conn(), epoch, number, writes).await {
            // Where this fails the connection is gone or was rolled back already.
            if let Err(rollback) = tx.rollback().await {
                tracing::debug!(error = %rollback, "a rollback failed");
            }
            return Err(error);
        }
        Ok(tx)
    }
}

/// What a database that said nothing for [`BATCH_WAIT`] means for the batch.
fn silent(stage: Stage) -> CommitError {
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the database is silent");
    CommitError::classify(sqlx::Error::Io(error), stage)
}

async fn write(
    conn: &mut Conn<'_>,
    epoch: Epoch,
    number: i64,
    writes: &Writes,
) -> Result<(), CommitError> {
    let last = leader_batch_advance(conn, epoch, number, writes.events).await?;
    if let Some(first) = writes.first {
        let expected = last.0 - writes.events + 1;
        if first.0 != expected {
            return Err(CommitError::Rejected(Rejected::EventGap {
                expected,
                found: first.0,
            }));
        }
    }
    for (sql, document) in &writes.statements {
        conn.execute(*sql, std::slice::from_ref(document))
            .await
            .map_err(|error| CommitError::classify(error, Stage::Before))?;
    }
    Ok(())
}

/// A batch as statements, before any connection is taken: a value that has no stored form is
/// refused without a transaction.
struct Writes {
    statements: Vec<(Sql, Arg)>,
    /// How many events there are.
    events: i64,
    /// The first event's place.
    first: Option<EventSeq>,
}

impl Writes {
    fn of(batch: &Batch) -> Result<Self, Rejected> {
        let first = gapless(&batch.events)?;
        let rows = Rows::of(&batch.changes);
        let mut statements = Vec::new();
        rows.statements(&mut statements)?;
        add(&mut statements, tables::EVENT_WRITE, &batch.events)?;
        Ok(Self {
            statements,
            events: i64::try_from(batch.events.len()).unwrap_or(i64::MAX),
            first,
        })
    }
}

/// The first event's place, if each has its predecessor's successor.
fn gapless(events: &[Event]) -> Result<Option<EventSeq>, Rejected> {
    for pair in events.windows(2) {
        let expected = pair[0].seq.0.saturating_add(1);
        if pair[1].seq.0 != expected {
            return Err(Rejected::EventGap {
                expected,
                found: pair[1].seq.0,
            });
        }
    }
    Ok(events.first().map(|event| event.seq))
}

fn add<'a, T: Stored + 'a>(
    statements: &mut Vec<(Sql, Arg)>,
    sql: Sql,
    rows: impl IntoIterator<Item = &'a T>,
) -> Result<(), Rejected> {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_some() {
        statements.push((sql, Arg::Text(Document::of(rows)?)));
    }
    Ok(())
}

/// A batch's changes by table: of a row written twice the last value, of an immutable one the first.
///
/// Maps by key put rows into an order of their own, the same at every retry. For attempts it is by
/// fence: a lease that ended comes before its successor, so that no two are alive in between.
#[derive(Default)]
struct Rows<'a> {
    dags: BTreeMap<[&'a str; 2], &'a DagRow>,
    dag_versions: Vec<&'a DagVersionRow>,
    analyses: BTreeMap<[&'a str; 3], AnalysisRow>,
    datasets: BTreeMap<[&'a str; 2], &'a DatasetRow>,
    dataset_versions: Vec<&'a DatasetVersionRow>,
    pools: BTreeMap<[&'a str; 2], &'a PoolRow>,
    new_runs: Vec<&'a RunNew>,
    runs: BTreeMap<belljar_ids::RunId, &'a RunRow>,
    tasks: BTreeMap<&'a belljar_ids::InstanceKey, &'a TaskRow>,
    attempts: BTreeMap<(&'a belljar_ids::InstanceKey, belljar_ids::Fence), &'a AttemptRow>,
    reports: Vec<&'a ReportRow>,
    executors: BTreeMap<belljar_ids::ExecutorId, &'a ExecutorRow>,
    tokens: BTreeMap<belljar_ids::TokenId, &'a TokenRow>,
    outbox: BTreeMap<(EventSeq, &'a str), &'a OutboxRow>,
}

impl<'a> Rows<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let mut rows = Self::default();
        for change in changes {
            rows.add(change);
        }
        rows
    }

    fn add(&mut self, change: &'a Change) {
        match change {
            Change::Dag(row) => {
                self.dags
                    .insert([row.tenant.as_str(), row.dag.as_str()], row);
            }
            Change::DagVersion(row) => self.dag_versions.push(row),
            Change::Analysis(row) => {
                let key = [
                    row.tenant.as_str(),
                    row.analysis.as_str(),
                    row.version.as_str(),
                ];
                let kept = self.analyses.entry(key).or_insert_with(|| row.clone());
                (kept.trusted, kept.withdrawn) = (row.trusted, row.withdrawn);
            }
            Change::Dataset(row) => {
                self.datasets
                    .insert([row.tenant.as_str(), row.dataset.as_str()], row);
            }
            Change::DatasetVersion(row) => self.dataset_versions.push(row),
            Change::Pool(row) => {
                self.pools
                    .insert([row.tenant.as_str(), row.pool.as_str()], row);
            }
            Change::RunNew(new) => {
                self.new_runs.push(new);
                self.runs.insert(new.row.run, &new.row);
            }
            Change::Run(row) => {
                self.runs.insert(row.run, row);
            }
            Change::Task(row) => {
                self.tasks.insert(&row.key, row);
            }
            Change::Attempt(row) => {
                self.attempts.insert((&row.key, row.fence), row);
            }
            Change::Report(row) => self.reports.push(row),
            Change::Executor(row) => {
                self.executors.insert(row.executor, row);
            }
            Change::Token(row) => {
                self.tokens.insert(row.token, row);
            }
            Change::Outbox(row) => {
                self.outbox.insert((row.seq, &row.channel), row);
            }
        }
    }

    /// One statement per table, what is referred to before what refers to it.
    fn statements(&self, out: &mut Vec<(Sql, Arg)>) -> Result<(), Rejected> {
        add(out, tables::DAG_WRITE, self.dags.values().copied())?;
        add(
            out,
            tables::DAG_VERSION_WRITE,
            self.dag_versions.iter().copied(),
        )?;
        add(out, tables::ANALYSIS_WRITE, self.analyses.values())?;
        add(out, tables::DATASET_WRITE, self.datasets.values().copied())?;
        add(
            out,
            tables::DATASET_VERSION_WRITE,
            self.dataset_versions.iter().copied(),
        )?;
        add(out, tables::POOL_WRITE, self.pools.values().copied())?;
        let new = NewRuns::of(&self.new_runs);
        add(out, tables::RUN_PLAN_WRITE, &new.plans)?;
        add(out, tables::RUN_WRITE, self.runs.values().copied())?;
        add(out, tables::REQUEST_WRITE, new.requests)?;
        add(out, tables::IDEMPOTENCY_WRITE, &new.keys)?;
        add(out, tables::DATASET_USE_WRITE, &new.uses)?;
        add(out, tables::TASK_WRITE, self.tasks.values().copied())?;
        add(out, tables::ATTEMPT_WRITE, self.attempts.values().copied())?;
        add(out, tables::REPORT_WRITE, self.reports.iter().copied())?;
        add(
            out,
            tables::EXECUTOR_WRITE,
            self.executors.values().copied(),
        )?;
        add(out, tables::TOKEN_WRITE, self.tokens.values().copied())?;
        add(out, tables::OUTBOX_WRITE, self.outbox.values().copied())
    }
}

/// What new runs bring along besides their own rows.
#[derive(Default)]
struct NewRuns<'a> {
    plans: Vec<PlanSql>,
    requests: Vec<&'a RequestRow>,
    keys: Vec<IdempotencySql>,
    uses: Vec<UseSql>,
}

impl<'a> NewRuns<'a> {
    fn of(runs: &[&'a RunNew]) -> Self {
        let mut all = Self::default();
        for new in runs {
            all.plans.push(PlanSql {
                tenant: new.row.tenant.clone(),
                run: new.row.run,
                plan: Arc::clone(&new.plan),
            });
            all.requests.extend(&new.request);
            all.keys
                .extend(new.idempotency.as_ref().map(|given| IdempotencySql {
                    key: given.key.clone(),
                    fingerprint: given.fingerprint,
                    run: new.row.run,
                }));
            all.uses.extend(uses(new));
        }
        all
    }
}

fn uses(new: &RunNew) -> impl Iterator<Item = UseSql> {
    new.plan.tasks.iter().flat_map(|task| {
        task.work
            .inputs
            .iter()
            .filter_map(|(input, from)| match from {
                PlannedInput::Dataset { name, version, .. } => Some(UseSql {
                    tenant: new.row.tenant.clone(),
                    dataset: name.clone(),
                    version: *version,
                    run: new.row.run,
                    task: task.name.clone(),
                    input: input.clone(),
                }),
                PlannedInput::Task { .. } => None,
            })
    })
}
