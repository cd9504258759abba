//! A database per test, and rows to put into it.

use belljar_engine::plan::{
    BlobRef, Image, ImageSource, Outputs, Payload, PlannedInput, PlannedTask, PoolNeed, Resources,
    RetryPolicy, RunPlan, Work,
};
use belljar_engine::rows::*;
use belljar_engine::{RunState, TaskState};
use belljar_ids::*;
use belljar_store::{Store, StoreUrl, Term};
use serde_json::json;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// A database made for one test.
#[derive(Clone)]
pub struct TestDb {
    pub url: StoreUrl,
}

impl TestDb {
    pub async fn store(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// A store whose leader is the caller.
    pub async fn led(&self) -> (Store, Leader) {
        let store = self.store().await;
        let term = store.leader_take("test", "").await.unwrap();
        let seq = store.leader_peek().await.unwrap().last_seq;
        (store.clone(), Leader { store, term, seq })
    }

    /// Carries out a statement past the store.
    pub async fn execute(&self, sql: &'static str) {
        match &self.url {
            StoreUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap();
            }
            StoreUrl::Postgres(_) => {
                sqlx::query(sql)
                    .execute(&self.postgres().await)
                    .await
                    .unwrap();
            }
        }
    }

    /// Connections past the store, to look at or break things.
    pub async fn postgres(&self) -> PgPool {
        match &self.url {
            StoreUrl::Postgres(url) => PgPool::connect(url).await.unwrap(),
            StoreUrl::Sqlite(_) => panic!("this is not PostgreSQL"),
        }
    }
}

/// The variable that names the database in which a test, run again in a process of its own, is to be
/// a leader until it is killed.
pub const LEAD: &str = "BELLJAR_TEST_LEAD";

/// The database of the process that started this one, which alone will be there to remove it.
fn given() -> Option<TestDb> {
    let url = std::env::var(LEAD).ok()?.parse().unwrap();
    Some(TestDb { url })
}

/// Runs `test` on a new SQLite file.
pub fn on_sqlite<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(TestDb) -> F) {
    if let Some(db) = given() {
        return runtime().block_on(test(db));
    }
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::sqlite(folder.path().join("belljar.db"));
    runtime().block_on(test(TestDb { url }));
}

/// Runs `test` on a new PostgreSQL database, which is dropped whatever comes of it.
pub fn on_postgres<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(TestDb) -> F) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    if let Some(db) = given() {
        return runtime().block_on(test(db));
    }
    let server = postgres_server();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("belljar_test_{}_{number}", std::process::id());
    runtime().block_on(async {
        let mut admin = PgConnection::connect(&server)
            .await
            .unwrap_or_else(|error| {
                panic!("BELLJAR_TEST_POSTGRES names a server that does not answer: {error}")
            });
        // With a language's collation where the server has one (from 15): names must sort by code
        // point all the same.
        let plain = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        let english = format!("{plain} LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
        if sqlx::query(AssertSqlSafe(english))
            .execute(&mut admin)
            .await
            .is_err()
        {
            sqlx::query(AssertSqlSafe(plain))
                .execute(&mut admin)
                .await
                .unwrap();
        }
        let url = StoreUrl::Postgres(with_database(&server, &name));
        let done = tokio::spawn(test(TestDb { url })).await;
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::query(AssertSqlSafe(drop))
            .execute(&mut admin)
            .await
            .unwrap();
        if let Err(failed) = done {
            std::panic::resume_unwind(failed.into_panic());
        }
    });
}

pub fn postgres_server() -> String {
    std::env::var("BELLJAR_TEST_POSTGRES").expect(
        "BELLJAR_TEST_POSTGRES is not set: it must be the URL of a superuser's connection to a \
         running PostgreSQL, for example postgres://postgres@127.0.0.1:5432/postgres",
    )
}

/// `url` with another database in its path.
pub fn with_database(url: &str, name: &str) -> String {
    let (head, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = head.split_once("://").unwrap();
    let host = rest.split('/').next().unwrap();
    format!("{scheme}://{host}/{name}?{query}")
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// The same tests, once on each database.
macro_rules! on_both {
    ($($(#[$doc:meta])* $name:ident)+) => {
        mod sqlite {
            $($(#[$doc])* #[test] fn $name() { $crate::support::on_sqlite(super::$name); })+
        }
        mod postgres {
            $($(#[$doc])* #[test] fn $name() { $crate::support::on_postgres(super::$name); })+
        }
    };
}
pub(crate) use on_both;

/// A leader that counts its batches and events.
pub struct Leader {
    pub store: Store,
    pub term: Term,
    pub seq: EventSeq,
}

impl Leader {
    pub async fn commit(&mut self, changes: Vec<Change>) {
        self.commit_batch(Batch {
            changes,
            events: Vec::new(),
        })
        .await;
    }

    pub async fn commit_batch(&mut self, batch: Batch) {
        self.store
            .batch_commit(self.term.epoch, self.term.batch + 1, &batch)
            .await
            .unwrap();
        self.term.batch += 1;
        self.seq.0 += batch.events.len() as i64;
    }

    /// The next batch's outcome, without counting it.
    pub async fn attempt(&self, changes: Vec<Change>) -> Result<(), belljar_store::CommitError> {
        let batch = Batch {
            changes,
            events: Vec::new(),
        };
        self.store
            .batch_commit(self.term.epoch, self.term.batch + 1, &batch)
            .await
    }
}

pub fn name<T: std::str::FromStr<Err = InvalidId>>(text: &str) -> T {
    T::from_str(text).unwrap()
}

pub fn tenant() -> TenantId {
    name("acme")
}

pub fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// An id whose place among others of its type is its number.
pub fn uuid(number: u64) -> Uuid {
    Uuid::from_u64_pair(
        0x0192_0000_0000_7000 + (number >> 32),
        0x8000_0000_0000_0000 | number,
    )
}

pub fn run_id(number: u64) -> RunId {
    RunId::from_uuid(uuid(number))
}

pub fn instance(run: u64, task: &str) -> InstanceKey {
    InstanceKey {
        run: run_id(run),
        task: name(task),
        map_index: MapIndex::NONE,
    }
}

pub fn dag_row(dag: &str) -> DagRow {
    DagRow {
        tenant: tenant(),
        dag: name(dag),
        version: digest(1),
        number: 1,
        paused: false,
        owner: name("olga"),
        created_at: Micros(1),
        updated_at: Micros(2),
    }
}

pub fn analysis_row(analysis: &str, version: &str, byte: u8) -> AnalysisRow {
    AnalysisRow {
        tenant: tenant(),
        analysis: name(analysis),
        version: version.to_owned(),
        digest: digest(byte),
        manifest: json!({"z": 1, "a": [1.5, 0.1, 1e300, -0.0], "n": 9_223_372_036_854_775_807_i64}),
        image: json!({"u": u64::MAX}),
        trusted: false,
        withdrawn: false,
        publisher: name("dev"),
        created_at: Micros(i64::from(byte)),
    }
}

pub fn run_row(number: u64, dag: &str, state: RunState) -> RunRow {
    RunRow {
        tenant: tenant(),
        run: run_id(number),
        dag: name(dag),
        dag_version: digest(1),
        state,
        request: None,
        principal: name("paul"),
        created_at: Micros(1_700_000_000_000_000 + number as i64),
        started_at: None,
        ended_at: None,
    }
}

pub fn work(inputs: &[(&str, PlannedInput)]) -> Work {
    Work {
        analysis: name("noop"),
        analysis_version: "1.0.0".to_owned(),
        analysis_digest: digest(9),
        manifest: json!({"analysis": "noop"}),
        image: Image {
            digest: digest(7),
            config: digest(8),
            from: vec![
                ImageSource::Blob(BlobRef {
                    digest: digest(6),
                    size: 7,
                }),
                ImageSource::Registry("registry.example/noop@sha256:00".to_owned()),
            ],
        },
        inputs: inputs
            .iter()
            .map(|(input, from)| (name(input), from.clone()))
            .collect(),
        params: json!({"nul": "a\u{0}b", "emoji": "🫙", "float": 0.1}),
        resources: Resources {
            cpu_millis: 1000,
            memory_bytes: u64::MAX,
            disk_bytes: 1,
            tmp_bytes: 1,
            pids: 64,
            timeout_ms: 1000,
        },
        trusted: false,
    }
}

pub fn dataset_input(dataset: &str, version: u32) -> PlannedInput {
    PlannedInput::Dataset {
        name: name(dataset),
        version,
        blob: BlobRef {
            digest: digest(3),
            size: 3,
        },
    }
}

pub fn planned(task: &str, upstream: Vec<u32>, work: Work) -> PlannedTask {
    PlannedTask {
        name: name(task),
        upstream,
        priority: -5,
        pools: vec![PoolNeed {
            pool: name("heavy"),
            slots: 2,
        }],
        retries: RetryPolicy {
            factor: 1.1,
            ..RetryPolicy::default()
        },
        queue_timeout_ms: Some(u64::MAX),
        work,
    }
}

pub fn plan(dag: &str, tasks: Vec<PlannedTask>) -> Arc<RunPlan> {
    Arc::new(RunPlan {
        dag: name(dag),
        dag_version: digest(1),
        params: json!({}),
        active_runs: Some(4),
        active_tasks: None,
        tasks,
    })
}

/// A new run with one task, `a`, that reads nothing.
pub fn run_new(number: u64, dag: &str, state: RunState) -> RunNew {
    RunNew {
        row: run_row(number, dag, state),
        plan: plan(dag, vec![planned("a", vec![], work(&[]))]),
        idempotency: None,
        request: None,
    }
}

pub fn new_run(number: u64, dag: &str, state: RunState) -> Change {
    Change::RunNew(Box::new(run_new(number, dag, state)))
}

pub fn task_row(key: InstanceKey, state: TaskState) -> TaskRow {
    TaskRow {
        tenant: tenant(),
        key,
        state,
        cause: None,
        message: None,
        fence: Fence(0),
        tries: 0,
        losses: 0,
        ready_at: Some(Micros(5)),
        due_at: None,
        started_at: None,
        ended_at: None,
        outputs: None,
    }
}

pub fn outputs(inline: &str) -> Outputs {
    Outputs {
        result: Payload {
            blob: BlobRef {
                digest: digest(4),
                size: inline.len() as u64,
            },
            inline: Some(inline.to_owned()),
        },
        artifacts: std::collections::BTreeMap::new(),
    }
}

pub fn attempt_row(key: InstanceKey, fence: i64, live: bool) -> AttemptRow {
    AttemptRow {
        tenant: tenant(),
        key,
        fence: Fence(fence),
        try_number: 1,
        live,
        executor: ExecutorId::from_uuid(uuid(1)),
        executor_epoch: Epoch(3),
        token_hash: digest(5),
        granted_at: Micros(10),
        started_at: None,
        ended_at: (!live).then_some(Micros(11)),
        outcome: None,
        cause: None,
        message: None,
        exit_code: None,
        report_digest: None,
        report: None,
        receipt: None,
    }
}

pub fn attempt(row: AttemptRow) -> Change {
    Change::Attempt(Box::new(row))
}

pub fn event(seq: i64, run: Option<RunId>) -> Event {
    Event {
        tenant: tenant(),
        seq: EventSeq(seq),
        kind: "task.running".to_owned(),
        subject: "x/y".to_owned(),
        run,
        time: Micros(seq),
        data: json!({"z": 1, "a": {"b": "\u{0}"}}),
    }
}

/// Waits until `condition` holds; fails after 20 s.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let start = SystemTime::now();
    while !condition().await {
        assert!(
            start.elapsed().unwrap() < Duration::from_secs(20),
            "waited too long: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
