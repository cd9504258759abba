-- The first tables. Beside this file lies SQLite's, with the same tables, columns and indexes:
-- change both.
--
-- * Text compares by the collation "C", the order of code points, as under SQLite's BINARY; the
--   database's own collation would sort names by a language, and differently after an upgrade.
-- * Moments are microseconds since 1970 UTC. JSON is text, not jsonb: it is never searched, must
--   come back as it was written, and may hold \u0000, which jsonb refuses.
-- * All numbers are BIGINT, so that one Rust type reads them in both databases.
-- * The tenant leads every key and index, so that one tenant's rows lie together and no read can
--   forget whose they are. The exceptions are said.

-- Who leads. One row: `id` can only be 1. No tenant: there is one leader of all.
CREATE TABLE leader (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    -- The newest event's place. Kept here because old events are deleted one day.
    last_seq BIGINT NOT NULL,
    renewals BIGINT NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL
);
INSERT INTO leader (id, epoch, batch, last_seq, renewals, holder, address)
VALUES (1, 0, 0, 0, 0, '', '');

CREATE TABLE dag (
    tenant TEXT COLLATE "C" NOT NULL,
    dag TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    paused BOOLEAN NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, dag)
);

CREATE TABLE dag_version (
    tenant TEXT COLLATE "C" NOT NULL,
    dag TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    spec TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, dag, version)
);
-- Versions are listed by number, and no two have the same.
CREATE UNIQUE INDEX dag_version_number ON dag_version (tenant, dag, number);

CREATE TABLE analysis (
    tenant TEXT COLLATE "C" NOT NULL,
    analysis TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    manifest TEXT COLLATE "C" NOT NULL,
    image TEXT COLLATE "C" NOT NULL,
    trusted BOOLEAN NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    publisher TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, analysis, version)
);
-- The digest is the identity, and is what plans and grants name.
CREATE UNIQUE INDEX analysis_digest ON analysis (tenant, digest);

CREATE TABLE dataset (
    tenant TEXT COLLATE "C" NOT NULL,
    dataset TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    latest BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, dataset)
);

CREATE TABLE dataset_version (
    tenant TEXT COLLATE "C" NOT NULL,
    dataset TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    blob_digest TEXT COLLATE "C" NOT NULL,
    blob_size BIGINT NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, dataset, number)
);
-- Which versions keep a blob alive.
CREATE INDEX dataset_version_blob ON dataset_version (tenant, blob_digest);

CREATE TABLE pool (
    tenant TEXT COLLATE "C" NOT NULL,
    pool TEXT COLLATE "C" NOT NULL,
    slots BIGINT NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, pool)
);

-- What a run will do: large, written once and read when the run starts, so apart from `run`, which
-- changes and is listed. A run's row and all that belongs to it goes when its plan is deleted.
CREATE TABLE run_plan (
    tenant TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    plan TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, run)
);

CREATE TABLE run (
    tenant TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    dag TEXT COLLATE "C" NOT NULL,
    dag_version TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    request TEXT COLLATE "C",
    principal TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (tenant, run),
    FOREIGN KEY (tenant, run) REFERENCES run_plan ON DELETE CASCADE
);
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
    tenant TEXT COLLATE "C" NOT NULL,
    request TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    analysis TEXT COLLATE "C" NOT NULL,
    analysis_digest TEXT COLLATE "C" NOT NULL,
    inputs TEXT COLLATE "C" NOT NULL,
    params TEXT COLLATE "C" NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, request),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
);
CREATE UNIQUE INDEX request_run ON request (tenant, run);
CREATE INDEX request_principal ON request (tenant, principal, request);

-- The same submission again finds its run for as long as the run is kept.
CREATE TABLE idempotency (
    tenant TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    route TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, principal, route, key),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
);
CREATE INDEX idempotency_run ON idempotency (tenant, run);

-- Which tasks of which runs read which version: taken from the plan when the run is made, so that
-- nobody has to search plans for it. The dataset's side is no foreign key: the record of a use
-- outlives what was used.
CREATE TABLE dataset_use (
    tenant TEXT COLLATE "C" NOT NULL,
    dataset TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    task TEXT COLLATE "C" NOT NULL,
    input TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant, dataset, run, task, input),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
);
CREATE INDEX dataset_use_version ON dataset_use (tenant, dataset, version, run, task, input);
CREATE INDEX dataset_use_run ON dataset_use (tenant, run);

CREATE TABLE task (
    tenant TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    task TEXT COLLATE "C" NOT NULL,
    -- -1 where the task is not mapped.
    map_index BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    cause TEXT COLLATE "C",
    message TEXT COLLATE "C",
    fence BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    losses BIGINT NOT NULL,
    ready_at BIGINT,
    due_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT,
    outputs TEXT COLLATE "C",
    PRIMARY KEY (tenant, run, task, map_index),
    FOREIGN KEY (tenant, run) REFERENCES run ON DELETE CASCADE
);

CREATE TABLE attempt (
    tenant TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    task TEXT COLLATE "C" NOT NULL,
    map_index BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    try_number BIGINT NOT NULL,
    live BOOLEAN NOT NULL,
    executor TEXT COLLATE "C" NOT NULL,
    executor_epoch BIGINT NOT NULL,
    token_hash TEXT COLLATE "C" NOT NULL,
    granted_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    outcome TEXT COLLATE "C",
    cause TEXT COLLATE "C",
    message TEXT COLLATE "C",
    exit_code BIGINT,
    report_digest TEXT COLLATE "C",
    report TEXT COLLATE "C",
    receipt_digest TEXT COLLATE "C",
    receipt_size BIGINT,
    PRIMARY KEY (tenant, run, task, map_index, fence),
    FOREIGN KEY (tenant, run, task, map_index) REFERENCES task ON DELETE CASCADE
);
-- The last line of defence: whatever the engine got wrong, an instance has at most one live lease
-- and at most one accepted result.
CREATE UNIQUE INDEX attempt_live ON attempt (tenant, run, task, map_index) WHERE live;
CREATE UNIQUE INDEX attempt_succeeded ON attempt (tenant, run, task, map_index)
WHERE outcome = 'succeeded';

-- Refused reports. No foreign key: one may name what never was.
CREATE TABLE report (
    tenant TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    task TEXT COLLATE "C" NOT NULL,
    map_index BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    report_digest TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, run, task, map_index, fence, received_at, report_digest, verdict)
);

CREATE TABLE executor (
    tenant TEXT COLLATE "C" NOT NULL,
    executor TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    slots BIGINT NOT NULL,
    info TEXT COLLATE "C" NOT NULL,
    registered_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, executor)
);

CREATE TABLE token (
    tenant TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    secret_hash TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    PRIMARY KEY (tenant, token)
);
-- Without the tenant: who shows a token says by it whose tenant they belong to.
CREATE UNIQUE INDEX token_id ON token (token);

-- Everything that happened, in one order for the whole installation; so the key is without the
-- tenant, and each tenant reads its own events through the indexes.
CREATE TABLE event (
    seq BIGINT NOT NULL PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C",
    time BIGINT NOT NULL,
    data TEXT COLLATE "C" NOT NULL
);
CREATE INDEX event_tenant ON event (tenant, seq);
CREATE INDEX event_run ON event (tenant, run, seq) WHERE run IS NOT NULL;

CREATE TABLE outbox (
    tenant TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    delivered_at BIGINT,
    PRIMARY KEY (tenant, seq, channel)
);
-- What is still to be delivered, which is little; for whom does not matter to who delivers it.
CREATE INDEX outbox_due ON outbox (seq, channel) WHERE delivered_at IS NULL;

-- Rows that change often get room on their page, so that an update need not touch the indexes.
ALTER TABLE leader SET (fillfactor = 50);
ALTER TABLE task SET (fillfactor = 70);
ALTER TABLE attempt SET (fillfactor = 70);
