//! How fast the store commits and reads: figures to compare by, not a test.
//!
//! ```text
//! cargo run -p belljar-store --example store_rate -- sqlite:/tmp/rate.db [runs]
//! ```
//!
//! Writes to the database that is named, which must be an empty one or one of its own. With `runs` it
//! makes that many runs first, if they are not there, and then times the pages of the API over them.

#![expect(clippy::expect_used, reason = "the names are written right here")]

use anyhow::Context as _;
use belljar_engine::plan::{
    Image, PlannedInput, PlannedTask, Resources, RetryPolicy, RunPlan, Work,
};
use belljar_engine::rows::{Batch, Change, DagRow, Event, RunNew, RunRow, TaskRow};
use belljar_engine::{RunState, TaskState};
use belljar_ids::{
    DagName, Digest, EventSeq, Fence, InstanceKey, MapIndex, Micros, RunId, TenantId,
};
use belljar_store::{EventFilter, RunFilter, Store, Term};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DAGS: u64 = 50;
const MEASURE: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("name a database")?.parse()?;
    let runs: u64 = args.next().map_or(Ok(0), |n| n.parse())?;
    let store = Store::open(&url).await?;
    let term = store.leader_take("store_rate", "").await?;
    let seq = store.leader_peek().await?.last_seq;
    let mut writer = Writer { store, term, seq };
    println!("{url}");
    writer.dags().await?;
    if runs > 0 {
        if writer.store.run_find(&[run_id(runs - 1)]).await?.is_empty() {
            writer.fill(runs).await?;
        }
        writer.pages(runs).await?;
    }
    for size in [1, 10, 100, 1000] {
        writer.rate(size).await?;
    }
    Ok(())
}

struct Writer {
    store: Store,
    term: Term,
    seq: EventSeq,
}

impl Writer {
    async fn commit(&mut self, changes: Vec<Change>, events: Vec<Event>) -> anyhow::Result<()> {
        let batch = Batch { changes, events };
        self.store
            .batch_commit(self.term.epoch, self.term.batch + 1, &batch)
            .await?;
        self.term.batch += 1;
        Ok(())
    }

    async fn dags(&mut self) -> anyhow::Result<()> {
        let row = |number: u64| DagRow {
            tenant: TenantId::default_tenant(),
            dag: dag(number),
            version: digest(),
            number: 1,
            paused: false,
            owner: "olga".parse().expect("a name"),
            created_at: Micros(1),
            updated_at: Micros(1),
        };
        self.commit((0..DAGS).map(|n| Change::Dag(row(n))).collect(), vec![])
            .await
    }

    /// Ended runs by the thousand, one in a hundred of them queued.
    async fn fill(&mut self, runs: u64) -> anyhow::Result<()> {
        let start = Instant::now();
        for first in (0..runs).step_by(1000) {
            let state = |n: u64| match n % 100 {
                0 => RunState::Queued,
                1..10 => RunState::Failed,
                _ => RunState::Succeeded,
            };
            let new = (first..first + 1000).map(|n| run(n, state(n)));
            self.commit(new.collect(), vec![]).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "filled with {runs} runs: {:.0} runs/s",
            runs as f64 / seconds
        );
        Ok(())
    }

    async fn pages(&mut self, runs: u64) -> anyhow::Result<()> {
        let (store, t) = (&self.store, &TenantId::default_tenant());
        let filter = |dag, state| RunFilter { dag, state };
        let middle = RunFilter::default();
        let half = run_id(runs / 2).to_string().parse()?;
        let both = filter(Some(dag(7)), Some(RunState::Failed));
        let (of_dag, failed) = (
            filter(Some(dag(7)), None),
            filter(None, Some(RunState::Failed)),
        );
        let none = filter(Some(dag(7)), Some(RunState::Cancelled));
        timed("run_list, first page", || {
            store.run_list(t, &middle, None, 100)
        })
        .await?;
        timed("run_list, from the middle", || {
            store.run_list(t, &middle, Some(&half), 100)
        })
        .await?;
        timed("run_list of a DAG", || {
            store.run_list(t, &of_dag, None, 100)
        })
        .await?;
        timed("run_list of failed", || {
            store.run_list(t, &failed, None, 100)
        })
        .await?;
        timed("run_list of a DAG's failed", || {
            store.run_list(t, &both, None, 100)
        })
        .await?;
        timed("run_list that finds nothing", || {
            store.run_list(t, &none, None, 100)
        })
        .await?;
        timed("dag_list with 10 runs each", || {
            store.dag_list(t, 10, None, 100)
        })
        .await?;
        timed("run_counts, all time", || store.run_counts(t, Micros(0))).await?;
        let recent = Micros(i64::try_from(runs)? * 1000 - 20_000_000);
        timed("run_counts, newest 20,000", || store.run_counts(t, recent)).await?;
        let seven = dag(7);
        timed("run_load_queued, 10", || {
            store.run_load_queued(t, &seven, 10)
        })
        .await?;
        let posts = "posts".parse()?;
        timed("dataset_uses", || {
            store.dataset_uses(t, &posts, None, None, 100)
        })
        .await?;
        timed("dataset_uses of a version", || {
            store.dataset_uses(t, &posts, Some(3), None, 100)
        })
        .await?;
        timed("run_get", || store.run_get(t, run_id(runs / 3))).await?;
        let ids: Vec<RunId> = (0..100).map(|n| run_id(n * runs / 100)).collect();
        timed("run_find of 100", || store.run_find(&ids)).await?;
        let any = EventFilter::default();
        timed("event_list", || store.event_list(t, &any, EventSeq(0), 100)).await?;
        timed("snapshot_load", || store.snapshot_load()).await?;
        Ok(())
    }

    /// Updates of task instances with an event each, `size` of them in a batch.
    async fn rate(&mut self, size: u64) -> anyhow::Result<()> {
        // Over one another, so that rows are updated and not only inserted.
        let first = 10_000_000 + 10_000 * size;
        let new = (first..first + size).map(|n| run(n, RunState::Running));
        self.commit(new.collect(), vec![]).await?;
        let (start, mut commits) = (Instant::now(), 0_u64);
        while start.elapsed() < MEASURE {
            let now = Micros(i64::try_from(commits)?);
            let tasks = (first..first + size).map(|n| Change::Task(task(n, now)));
            let events = (first..first + size).map(|n| {
                self.seq.0 += 1;
                event(n, self.seq)
            });
            let events = events.collect();
            self.commit(tasks.collect(), events).await?;
            commits += 1;
        }
        let rate = commits as f64 / start.elapsed().as_secs_f64();
        let rows = 2.0 * rate * size as f64;
        println!("{size:>5} task updates a batch: {rate:>6.0} commits/s, {rows:>7.0} rows/s");
        Ok(())
    }
}

/// The median of 21 calls.
async fn timed<T, E, F>(what: &str, call: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut took = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        call().await?;
        took.push(start.elapsed());
    }
    took.sort();
    println!("{what:<30} {:>9.2} ms", took[10].as_secs_f64() * 1e3);
    Ok(())
}

fn dag(number: u64) -> DagName {
    format!("dag-{number}").parse().expect("a name")
}

fn digest() -> Digest {
    Digest::from_bytes([7; 32])
}

/// A UUIDv7 of the millisecond `number`.
fn run_id(number: u64) -> RunId {
    RunId::from_uuid(uuid::Uuid::from_u64_pair(
        number << 16 | 0x7000,
        0x8000_0000_0000_0000,
    ))
}

fn run(number: u64, state: RunState) -> Change {
    let task = PlannedTask {
        name: "a".parse().expect("a name"),
        upstream: vec![],
        priority: 0,
        pools: vec![],
        retries: RetryPolicy::default(),
        queue_timeout_ms: None,
        work: work(number),
    };
    let row = RunRow {
        tenant: TenantId::default_tenant(),
        run: run_id(number),
        dag: dag(number % DAGS),
        dag_version: digest(),
        state,
        request: None,
        principal: "paul".parse().expect("a name"),
        created_at: Micros(number as i64),
        started_at: Some(Micros(number as i64)),
        ended_at: None,
    };
    let plan = Arc::new(RunPlan {
        dag: row.dag.clone(),
        dag_version: digest(),
        params: serde_json::json!({}),
        active_runs: None,
        active_tasks: None,
        tasks: vec![task],
    });
    Change::RunNew(Box::new(RunNew {
        row,
        plan,
        idempotency: None,
        request: None,
    }))
}

fn work(number: u64) -> Work {
    let blob = belljar_engine::plan::BlobRef {
        digest: digest(),
        size: 1,
    };
    let input = PlannedInput::Dataset {
        name: "posts".parse().expect("a name"),
        version: (number % 1000) as u32,
        blob,
    };
    Work {
        analysis: "noop".parse().expect("a name"),
        analysis_version: "1.0.0".to_owned(),
        analysis_digest: digest(),
        manifest: serde_json::json!({"analysis": "noop", "version": "1.0.0"}),
        image: Image {
            digest: digest(),
            config: digest(),
            from: vec![],
        },
        inputs: BTreeMap::from([("posts".parse().expect("a name"), input)]),
        params: serde_json::json!({}),
        resources: Resources {
            cpu_millis: 1000,
            memory_bytes: 1 << 28,
            disk_bytes: 1 << 26,
            tmp_bytes: 1 << 25,
            pids: 64,
            timeout_ms: 60_000,
        },
        trusted: false,
    }
}

fn task(number: u64, now: Micros) -> TaskRow {
    TaskRow {
        tenant: TenantId::default_tenant(),
        key: InstanceKey {
            run: run_id(number),
            task: "a".parse().expect("a name"),
            map_index: MapIndex::NONE,
        },
        state: TaskState::Running,
        cause: None,
        message: None,
        fence: Fence(1),
        tries: 1,
        losses: 0,
        ready_at: Some(now),
        due_at: None,
        started_at: Some(now),
        ended_at: None,
        outputs: None,
    }
}

fn event(number: u64, seq: EventSeq) -> Event {
    Event {
        tenant: TenantId::default_tenant(),
        seq,
        kind: "task.running".to_owned(),
        subject: format!("{}/a", run_id(number)),
        run: Some(run_id(number)),
        time: Micros(seq.0),
        data: serde_json::json!({"state": "running", "fence": 1}),
    }
}
