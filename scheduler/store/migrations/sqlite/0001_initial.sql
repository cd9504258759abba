-- The first tables. Beside this file lies PostgreSQL's, with the same tables, columns and indexes:
-- change both.
--
-- * STRICT: a column keeps only its type, as in PostgreSQL.
-- * WITHOUT ROWID where rows are small: the table is its primary key's index. Tables with large
--   values keep their rowid, so that a search by key does not wade through the values.
-- * Text compares by BINARY, the order of code points, as under PostgreSQL's collation "C".
-- * Moments are microseconds since 1970 UTC. JSON is text: it is never searched, and must come back
--   as it was written.
-- * The tenant leads every key and index, so that one tenant's rows lie together and no read can
--   forget whose they are. The exceptions are said.

-- Who leads. One row: `id` can only be 1. No tenant: there is one leader of all.
CREATE TABLE leader (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    -- The newest event's place. Kept here because old events are deleted one day.
    last_seq INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    holder TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
INSERT INTO leader (id, epoch, batch, last_seq, renewals, holder, address)
VALUES (1, 0, 0, 0, 0, '', '');

CREATE TABLE dag (
    tenant TEXT NOT NULL,
    dag TEXT NOT NULL,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, dag)
) STRICT, WITHOUT ROWID;

CREATE TABLE dag_version (
    tenant TEXT NOT NULL,
    dag TEXT NOT NULL,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    source TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, dag, version)
) STRICT;
-- Versions are listed by number, and no two have the same.
CREATE UNIQUE INDEX dag_version_number ON dag_version (tenant, dag, number);

CREATE TABLE analysis (
    tenant TEXT NOT NULL,
    analysis TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    manifest TEXT NOT NULL,
    image TEXT NOT NULL,
    trusted INTEGER NOT NULL CHECK (trusted IN (0, 1)),
    withdrawn INTEGER NOT NULL CHECK (withdrawn IN (0, 1)),
    publisher TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, analysis, version)
) STRICT;
-- The digest is the identity, and is what plans and grants name.
CREATE UNIQUE INDEX analysis_digest ON analysis (tenant, digest);

CREATE TABLE dataset (
    tenant TEXT NOT NULL,
    dataset TEXT NOT NULL,
    owner TEXT NOT NULL,
    description TEXT NOT NULL,
    latest INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, dataset)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_version (
    tenant TEXT NOT NULL,
    dataset TEXT NOT NULL,
    number INTEGER NOT NULL,
    blob_digest TEXT NOT NULL,
    blob_size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, dataset, number)
) STRICT, WITHOUT ROWID;
-- Which versions keep a blob alive.
CREATE INDEX dataset_version_blob ON dataset_version (tenant, blob_digest);

CREATE TABLE pool (
    tenant TEXT NOT NULL,
    pool TEXT NOT NULL,
    slots INTEGER NOT NULL,
    description TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, pool)
) STRICT, WITHOUT ROWID;

-- What a run will do: large, written once and read when the run starts, so apart from `run`, which
-- changes and is listed. A run's row and all that belongs to it goes when its plan is deleted.
CREATE TABLE run_plan (
    tenant TEXT NOT NULL,
    run TEXT NOT NULL,
    plan TEXT NOT NULL,
    PRIMARY KEY (tenant, run)
) STRICT;

CREATE TABLE run (
    tenant TEXT NOT NULL,
    run TEXT NOT NULL,
    dag TEXT NOT NULL,
    dag_version TEXT NOT NULL,
    state TEXT NOT NULL,
    request TEXT,
    principal TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (tenant, run),
    FOREIGN KEY (tenant, run) REFERENCES run_plan ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- Without the tenant: a run's id is unique across tenants, because an instance's key names only
-- the run, and an executor's report is found by it.
CREATE UNIQUE INDEX run_id ON run (run);
-- Lists are by id, newest first: ids are UUIDv7 and sort by time.
CREATE INDEX run_dag ON run (tenant, dag, run);
CREATE INDEX run_state ON run (tenant, state, run);
CREATE INDEX run_dag_state ON run (tenant, dag, state, run);
-- What a new leader loads, of all tenants: few of many.
CREATE INDEX run_active ON run (tenant, run) WHERE state IN ('running', 'cancelling');
CREATE INDEX run_queued ON run (tenant, dag, run) WHERE state = 'queued';

CREATE TABLE request (
    tenant TEXT NOT NULL,
    request TEXT NOT NULL,
    run TEXT NOT NULL,
    analysis TEXT NOT NULL,
    analysis_digest TEXT NOT NULL,
    inputs TEXT NOT NULL,
    params TEXT NOT NULL,
    purpose TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, request),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX request_run ON request (tenant, run);
CREATE INDEX request_principal ON request (tenant, principal, request);

-- The same submission again finds its run for as long as the run is kept.
CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    principal TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (tenant, principal, route, key),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_run ON idempotency (tenant, run);

-- Which tasks of which runs read which version: taken from the plan when the run is made, so that
-- nobody has to search plans for it. The dataset's side is no foreign key: the record of a use
-- outlives what was used.
CREATE TABLE dataset_use (
    tenant TEXT NOT NULL,
    dataset TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    input TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant, dataset, run, task, input),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_use_version ON dataset_use (tenant, dataset, version, run, task, input);
CREATE INDEX dataset_use_run ON dataset_use (tenant, run);

CREATE TABLE task (
    tenant TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    -- -1 where the task is not mapped.
    map_index INTEGER NOT NULL,
    state TEXT NOT NULL,
    cause TEXT,
    message TEXT,
    fence INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    ready_at INTEGER,
    due_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    outputs TEXT,
    PRIMARY KEY (tenant, run, task, map_index),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
) STRICT;

CREATE TABLE attempt (
    tenant TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    try_number INTEGER NOT NULL,
    live INTEGER NOT NULL CHECK (live IN (0, 1)),
    executor TEXT NOT NULL,
    executor_epoch INTEGER NOT NULL,
    token_hash TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    outcome TEXT,
    cause TEXT,
    message TEXT,
    exit_code INTEGER,
    report_digest TEXT,
    report TEXT,
    receipt_digest TEXT,
    receipt_size INTEGER,
    PRIMARY KEY (tenant, run, task, map_index, fence),
    FOREIGN KEY (tenant, run, task, map_index) REFERENCES task ON DELETE CASCADE
) STRICT;
-- The last line of defence: whatever the engine got wrong, an instance has at most one live lease
-- and at most one accepted result.
CREATE UNIQUE INDEX attempt_live ON attempt (tenant, run, task, map_index) WHERE live;
CREATE UNIQUE INDEX attempt_succeeded ON attempt (tenant, run, task, map_index)
WHERE outcome = 'succeeded';

-- Refused reports. No foreign key: one may name what never was.
CREATE TABLE report (
    tenant TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    report_digest TEXT NOT NULL,
    verdict TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, run, task, map_index, fence, received_at, report_digest, verdict)
) STRICT, WITHOUT ROWID;

CREATE TABLE executor (
    tenant TEXT NOT NULL,
    executor TEXT NOT NULL,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    info TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, executor)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    tenant TEXT NOT NULL,
    token TEXT NOT NULL,
    principal TEXT NOT NULL,
    role TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (tenant, token)
) STRICT, WITHOUT ROWID;
-- Without the tenant: who shows a token says by it whose tenant they belong to.
CREATE UNIQUE INDEX token_id ON token (token);

-- Everything that happened, in one order for the whole installation; so the key is without the
-- tenant, and each tenant reads its own events through the indexes.
CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    run TEXT,
    time INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX event_tenant ON event (tenant, seq);
CREATE INDEX event_run ON event (tenant, run, seq) WHERE run IS NOT NULL;

CREATE TABLE outbox (
    tenant TEXT NOT NULL,
    seq INTEGER NOT NULL,
    channel TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    delivered_at INTEGER,
    PRIMARY KEY (tenant, seq, channel)
) STRICT;
-- What is still to be delivered, which is little; for whom does not matter to who delivers it.
CREATE INDEX outbox_due ON outbox (seq, channel) WHERE delivered_at IS NULL;
