//! The tables: which fields are columns, and the statement that writes each.
//!
//! Owns: rows and their upserts. A column has the name of its field; an instance's key is `run`,
//! `task` and `map_index`. Leaves to others: transactions and reads.
//!
//! Every statement writes all rows of one table and batch at once, from one JSON document.

use crate::column::{Column, Document, Record, Stored};
use crate::db::{Row, Sql};
use crate::error::{Rejected, StoreError};
use belljar_engine::plan::RunPlan;
use belljar_engine::rows::{
    AnalysisRow, AttemptRow, DagRow, DagVersionRow, DatasetRow, DatasetVersionRow, Event,
    ExecutorRow, IdempotencyKey, OutboxRow, PoolRow, ReportRow, RequestRow, RunRow, TaskRow,
    TokenRow,
};
use belljar_ids::{DatasetName, Digest, InputName, RunId, TaskName, TenantId};
use std::sync::Arc;

/// Says that these fields are this type's columns.
macro_rules! row {
    ($type:ident: $($field:ident),+) => {
        impl Record for $type {
            fn get(row: &Row<'_>) -> Result<Self, StoreError> {
                Ok(Self { $($field: Column::get(stringify!($field), row)?,)+ })
            }
        }

        impl Stored for $type {
            fn put(&self, out: &mut Document) -> Result<(), Rejected> {
                $(out.column(stringify!($field), &self.$field)?;)+
                Ok(())
            }
        }
    };
}

/// Defines a table's list of columns, as a macro for use in `concat!`, and the statement that
/// inserts a document's rows.
macro_rules! table {
    (
        $list:ident, $insert:ident, $table:literal,
        ($first:ident $first_type:ident $(, $column:ident $type:ident)* $(,)?),
        $conflict:literal
    ) => {
        // Some tables are only read in joins, which name their columns with the table's.
        #[allow(unused_macros)]
        macro_rules! $list {
            () => { concat!(stringify!($first) $(, ", ", stringify!($column))*) };
        }

        pub(crate) const $insert: Sql = Sql {
            // `WHERE true`: without it SQLite takes ON for a join's.
            sqlite: concat!(
                "INSERT INTO ", $table, " (", stringify!($first) $(, ", ", stringify!($column))*, ") ",
                "SELECT value ->> '", stringify!($first), "'"
                $(, ", value ->> '", stringify!($column), "'")*,
                " FROM json_each($1) WHERE true ", $conflict
            ),
            postgres: concat!(
                "INSERT INTO ", $table, " (", stringify!($first) $(, ", ", stringify!($column))*, ") ",
                "SELECT ", stringify!($first) $(, ", ", stringify!($column))*,
                " FROM jsonb_to_recordset($1::jsonb) AS r (",
                stringify!($first), " ", stringify!($first_type)
                $(, ", ", stringify!($column), " ", stringify!($type))*, ") ", $conflict
            ),
        };
    };
}

row!(DagRow: tenant, dag, version, number, paused, owner, created_at, updated_at);
table!(
    dag_columns, DAG_WRITE, "dag",
    (
        tenant text, dag text, version text, number bigint, paused boolean, owner text,
        created_at bigint, updated_at bigint
    ),
    "ON CONFLICT (tenant, dag) DO UPDATE SET version = excluded.version, number = excluded.number, \
     paused = excluded.paused, owner = excluded.owner, created_at = excluded.created_at, \
     updated_at = excluded.updated_at"
);

row!(DagVersionRow: tenant, dag, version, number, source, spec, created_by, created_at);
table!(
    dag_version_columns, DAG_VERSION_WRITE, "dag_version",
    (
        tenant text, dag text, version text, number bigint, source text, spec text,
        created_by text, created_at bigint
    ),
    "ON CONFLICT (tenant, dag, version) DO NOTHING"
);

row!(
    AnalysisRow:
    tenant, analysis, version, digest, manifest, image, trusted, withdrawn, publisher,
    created_at
);
table!(
    analysis_columns, ANALYSIS_WRITE, "analysis",
    (
        tenant text, analysis text, version text, digest text, manifest text, image text,
        trusted boolean, withdrawn boolean, publisher text, created_at bigint
    ),
    "ON CONFLICT (tenant, analysis, version) DO UPDATE \
     SET trusted = excluded.trusted, withdrawn = excluded.withdrawn"
);

row!(DatasetRow: tenant, dataset, owner, description, latest, created_at);
table!(
    dataset_columns, DATASET_WRITE, "dataset",
    (
        tenant text, dataset text, owner text, description text, latest bigint, created_at bigint
    ),
    "ON CONFLICT (tenant, dataset) DO UPDATE SET owner = excluded.owner, \
     description = excluded.description, latest = excluded.latest, created_at = excluded.created_at"
);

row!(DatasetVersionRow: tenant, dataset, number, blob, media_type, created_by, created_at);
table!(
    dataset_version_columns, DATASET_VERSION_WRITE, "dataset_version",
    (
        tenant text, dataset text, number bigint, blob_digest text, blob_size bigint,
        media_type text, created_by text, created_at bigint
    ),
    "ON CONFLICT (tenant, dataset, number) DO NOTHING"
);

row!(PoolRow: tenant, pool, slots, description, updated_at);
table!(
    pool_columns, POOL_WRITE, "pool",
    (tenant text, pool text, slots bigint, description text, updated_at bigint),
    "ON CONFLICT (tenant, pool) DO UPDATE SET slots = excluded.slots, \
     description = excluded.description, updated_at = excluded.updated_at"
);

/// A run's plan; its row is written before the run's.
pub(crate) struct PlanSql {
    pub(crate) tenant: TenantId,
    pub(crate) run: RunId,
    pub(crate) plan: Arc<RunPlan>,
}

impl Record for PlanSql {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: Column::get("tenant", row)?,
            run: Column::get("run", row)?,
            plan: Arc::new(Column::get("plan", row)?),
        })
    }
}

impl Stored for PlanSql {
    fn put(&self, out: &mut Document) -> Result<(), Rejected> {
        // JSON has no infinity and would turn it into a null, which no plan could be read from.
        if self
            .plan
            .tasks
            .iter()
            .any(|task| !task.retries.factor.is_finite())
        {
            return Err(Rejected::Encoding {
                column: "plan",
                problem: "a retry factor is not finite".into(),
            });
        }
        out.column("tenant", &self.tenant)?;
        out.column("run", &self.run)?;
        out.column("plan", &*self.plan)
    }
}

// No ON CONFLICT: a run is made once.
table!(
    run_plan_columns, RUN_PLAN_WRITE, "run_plan",
    (tenant text, run text, plan text),
    ""
);

row!(
    RunRow:
    tenant, run, dag, dag_version, state, request, principal, created_at, started_at, ended_at
);
table!(
    run_columns, RUN_WRITE, "run",
    (
        tenant text, run text, dag text, dag_version text, state text, request text,
        principal text, created_at bigint, started_at bigint, ended_at bigint
    ),
    "ON CONFLICT (tenant, run) DO UPDATE SET state = excluded.state, \
     started_at = excluded.started_at, ended_at = excluded.ended_at"
);

row!(
    RequestRow:
    tenant, request, run, analysis, analysis_digest, inputs, params, purpose, principal,
    created_at
);
table!(
    request_columns, REQUEST_WRITE, "request",
    (
        tenant text, request text, run text, analysis text, analysis_digest text, inputs text,
        params text, purpose text, principal text, created_at bigint
    ),
    ""
);

/// An idempotency key with its run.
pub(crate) struct IdempotencySql {
    pub(crate) key: IdempotencyKey,
    pub(crate) fingerprint: Digest,
    pub(crate) run: RunId,
}

impl Record for IdempotencySql {
    fn get(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            key: IdempotencyKey {
                tenant: Column::get("tenant", row)?,
                principal: Column::get("principal", row)?,
                route: Column::get("route", row)?,
                key: Column::get("key", row)?,
            },
            fingerprint: Column::get("fingerprint", row)?,
            run: Column::get("run", row)?,
        })
    }
}

impl Stored for IdempotencyKey {
    fn put(&self, out: &mut Document) -> Result<(), Rejected> {
        out.column("tenant", &self.tenant)?;
        out.column("principal", &self.principal)?;
        out.column("route", &self.route)?;
        out.column("key", &self.key)
    }
}

impl Stored for IdempotencySql {
    fn put(&self, out: &mut Document) -> Result<(), Rejected> {
        self.key.put(out)?;
        out.column("fingerprint", &self.fingerprint)?;
        out.column("run", &self.run)
    }
}

table!(
    idempotency_columns, IDEMPOTENCY_WRITE, "idempotency",
    (tenant text, principal text, route text, key text, fingerprint text, run text),
    ""
);

/// A version of a dataset that a task of a run reads.
pub(crate) struct UseSql {
    pub(crate) tenant: TenantId,
    pub(crate) dataset: DatasetName,
    pub(crate) version: u32,
    pub(crate) run: RunId,
    pub(crate) task: TaskName,
    pub(crate) input: InputName,
}
row!(UseSql: tenant, dataset, version, run, task, input);
table!(
    dataset_use_columns, DATASET_USE_WRITE, "dataset_use",
    (tenant text, dataset text, version bigint, run text, task text, input text),
    ""
);

row!(
    TaskRow:
    tenant, key, state, cause, message, fence, tries, losses, ready_at, due_at, started_at,
    ended_at, outputs
);
table!(
    task_columns, TASK_WRITE, "task",
    (
        tenant text, run text, task text, map_index bigint, state text, cause text, message text,
        fence bigint, tries bigint, losses bigint, ready_at bigint, due_at bigint,
        started_at bigint, ended_at bigint, outputs text
    ),
    "ON CONFLICT (tenant, run, task, map_index) DO UPDATE SET state = excluded.state, \
     cause = excluded.cause, message = excluded.message, fence = excluded.fence, \
     tries = excluded.tries, losses = excluded.losses, ready_at = excluded.ready_at, \
     due_at = excluded.due_at, started_at = excluded.started_at, ended_at = excluded.ended_at, \
     outputs = excluded.outputs"
);

row!(
    AttemptRow:
    tenant, key, fence, try_number, live, executor, executor_epoch, token_hash, granted_at,
    started_at, ended_at, outcome, cause, message, exit_code, report_digest, report, receipt
);
table!(
    attempt_columns, ATTEMPT_WRITE, "attempt",
    (
        tenant text, run text, task text, map_index bigint, fence bigint, try_number bigint,
        live boolean, executor text, executor_epoch bigint, token_hash text, granted_at bigint,
        started_at bigint, ended_at bigint, outcome text, cause text, message text,
        exit_code bigint, report_digest text, report text, receipt_digest text,
        receipt_size bigint
    ),
    "ON CONFLICT (tenant, run, task, map_index, fence) DO UPDATE SET live = excluded.live, \
     try_number = excluded.try_number, executor = excluded.executor, \
     executor_epoch = excluded.executor_epoch, token_hash = excluded.token_hash, \
     granted_at = excluded.granted_at, started_at = excluded.started_at, \
     ended_at = excluded.ended_at, outcome = excluded.outcome, cause = excluded.cause, \
     message = excluded.message, exit_code = excluded.exit_code, \
     report_digest = excluded.report_digest, report = excluded.report, \
     receipt_digest = excluded.receipt_digest, receipt_size = excluded.receipt_size"
);

row!(ReportRow: tenant, key, fence, report_digest, verdict, received_at);
table!(
    report_columns, REPORT_WRITE, "report",
    (
        tenant text, run text, task text, map_index bigint, fence bigint, report_digest text,
        verdict text, received_at bigint
    ),
    "ON CONFLICT DO NOTHING"
);

row!(ExecutorRow: tenant, executor, name, epoch, slots, info, registered_at);
table!(
    executor_columns, EXECUTOR_WRITE, "executor",
    (
        tenant text, executor text, name text, epoch bigint, slots bigint, info text,
        registered_at bigint
    ),
    "ON CONFLICT (tenant, executor) DO UPDATE SET name = excluded.name, epoch = excluded.epoch, \
     slots = excluded.slots, info = excluded.info, registered_at = excluded.registered_at"
);

row!(TokenRow: tenant, token, principal, role, secret_hash, created_at, revoked_at);
table!(
    token_columns, TOKEN_WRITE, "token",
    (
        tenant text, token text, principal text, role text, secret_hash text, created_at bigint,
        revoked_at bigint
    ),
    "ON CONFLICT (tenant, token) DO UPDATE SET principal = excluded.principal, \
     role = excluded.role, secret_hash = excluded.secret_hash, created_at = excluded.created_at, \
     revoked_at = excluded.revoked_at"
);

row!(OutboxRow: tenant, seq, channel, payload, created_at, attempts, delivered_at);
table!(
    outbox_columns, OUTBOX_WRITE, "outbox",
    (
        tenant text, seq bigint, channel text, payload text, created_at bigint, attempts bigint,
        delivered_at bigint
    ),
    "ON CONFLICT (tenant, seq, channel) DO UPDATE SET payload = excluded.payload, \
     created_at = excluded.created_at, attempts = excluded.attempts, \
     delivered_at = excluded.delivered_at"
);

row!(Event: tenant, seq, kind, subject, run, time, data);
table!(
    event_columns, EVENT_WRITE, "event",
    (
        tenant text, seq bigint, kind text, subject text, run text, time bigint, data text
    ),
    ""
);
