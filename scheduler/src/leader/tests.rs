//! The leader loop against a real database file.

use super::*;
use belljar_engine::command::{
    Claim, Claimed, Command, Complete, DagApply, Heartbeat, HeldLease, LeaseVerdict, Refusal,
    Register, Reply, Report, ReportVerdict, RunCreate,
};
use belljar_engine::plan::{
    BlobRef, Image, Outputs, Payload, PlannedTask, Resources, RetryPolicy, RunPlan, Work,
};
use belljar_engine::rows::{Idempotency, IdempotencyKey};
use belljar_ids::{ClaimId, Digest, Epoch, ExecutorId, RunId, RunState, TaskState, TenantId};
use belljar_store::{EventFilter, StoreUrl};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

struct Office {
    store: Store,
    handle: LeaderHandle,
    stop: CancellationToken,
    leading: JoinHandle<()>,
}

impl Office {
    async fn open(path: &std::path::Path) -> Self {
        let store = Store::open(&StoreUrl::sqlite(path.join("test.db")))
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let config = LeaderConfig {
            holder: "test".to_owned(),
            address: "http://127.0.0.1:1".to_owned(),
            engine: Config::default(),
            office: None,
        };
        let (handle, leading) = leader(store.clone(), config, stop.clone());
        let leading = tokio::spawn(leading);
        let mut state = handle.leading();
        state
            .wait_for(|state| *state == State::Leading)
            .await
            .unwrap();
        Self {
            store,
            handle,
            stop,
            leading,
        }
    }

    async fn close(self) {
        self.stop.cancel();
        self.leading.await.unwrap();
        self.store.close().await;
    }

    async fn send(&self, command: Command) -> Result<Reply, LeaderError> {
        self.handle.send(command).await
    }

    async fn dag(&self) {
        self.send(apply()).await.unwrap();
    }

    async fn register(&self, held: Vec<HeldLease>) -> (Epoch, Vec<LeaseVerdict>) {
        let register = Register {
            tenant: tenant(),
            executor: executor(),
            name: "node".to_owned(),
            slots: 4,
            gvisor: true,
            info: Value::Null,
            held,
        };
        match self
            .send(Command::ExecutorRegister(Box::new(register)))
            .await
            .unwrap()
        {
            Reply::Registered { epoch, verdicts } => (epoch, verdicts),
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self, epoch: Epoch) -> Claimed {
        self.handle.claim(claim(epoch, 20_000)).await.unwrap()
    }

    async fn run_state(&self, run: RunId) -> RunState {
        self.store.run_find(&[run]).await.unwrap()[0].state
    }
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn executor() -> ExecutorId {
    ExecutorId::from_uuid(Uuid::from_u128(1))
}

fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

fn claim(epoch: Epoch, wait_ms: u64) -> Claim {
    let claim = ClaimId::from_uuid(Uuid::now_v7());
    Claim {
        claim,
        executor: executor(),
        epoch,
        free_slots: 4,
        wait_ms,
    }
}

fn apply() -> Command {
    Command::DagApply(DagApply {
        tenant: tenant(),
        dag: "chain".parse().unwrap(),
        version: digest(9),
        source: String::new(),
        spec: Value::Null,
        paused: None,
        principal: "someone".parse().unwrap(),
    })
}

fn task(name: &str, upstream: &[u32]) -> PlannedTask {
    PlannedTask {
        name: name.parse().unwrap(),
        upstream: upstream.to_vec(),
        priority: 0,
        pools: Vec::new(),
        retries: RetryPolicy::default(),
        queue_timeout_ms: None,
        work: Work {
            analysis: "noop".parse().unwrap(),
            analysis_version: "1.0.0".to_owned(),
            analysis_digest: digest(1),
            manifest: Value::Null,
            image: Image {
                digest: digest(2),
                config: digest(3),
                from: Vec::new(),
            },
            inputs: BTreeMap::new(),
            params: Value::Null,
            resources: Resources {
                cpu_millis: 1_000,
                memory_bytes: 1,
                disk_bytes: 1,
                tmp_bytes: 1,
                pids: 1,
                timeout_ms: 1,
            },
            trusted: false,
        },
    }
}

fn create(key: Option<(&str, u8)>) -> (RunId, Command) {
    let run = RunId::from_uuid(Uuid::now_v7());
    let plan = RunPlan {
        dag: "chain".parse().unwrap(),
        dag_version: digest(9),
        params: Value::Null,
        active_runs: Some(100),
        active_tasks: None,
        tasks: vec![task("first", &[]), task("second", &[0])],
    };
    let idempotency = key.map(|(key, fingerprint)| Idempotency {
        key: IdempotencyKey {
            tenant: tenant(),
            principal: "someone".parse().unwrap(),
            route: "run_create".to_owned(),
            key: key.to_owned(),
        },
        fingerprint: digest(fingerprint),
    });
    let create = RunCreate {
        tenant: tenant(),
        run,
        plan: Arc::new(plan),
        principal: "someone".parse().unwrap(),
        idempotency,
        request: None,
    };
    (run, Command::RunCreate(Box::new(create)))
}

fn success(epoch: Epoch, claimed: &Claimed) -> Command {
    let reports = claimed.leases.iter().map(|granted| Report {
        lease: granted.lease.clone(),
        digest: digest(77),
        cause: None,
        message: None,
        ended_by_itself: true,
        exit_code: Some(0),
        started_ms_ago: Some(1),
        outputs: Some(Outputs {
            result: Payload {
                blob: BlobRef {
                    digest: digest(4),
                    size: 2,
                },
                inline: Some("{}".to_owned()),
            },
            artifacts: BTreeMap::new(),
        }),
        detail: Value::Null,
        receipt: None,
    });
    let complete = Complete {
        executor: executor(),
        epoch,
        reports: reports.collect(),
        claim: None,
    };
    Command::Complete(complete)
}

#[tokio::test]
async fn a_run_goes_from_claim_to_claim_and_every_answer_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    office.dag().await;
    let (epoch, _) = office.register(Vec::new()).await;
    // Parked before there is anything to do: the run's commit answers it.
    let parked = tokio::spawn({
        let handle = office.handle.clone();
        async move { handle.claim(claim(epoch, 20_000)).await }
    });
    let (run, command) = create(None);
    office.send(command).await.unwrap();
    let mut claimed = parked.await.unwrap().unwrap();
    for name in ["first", "second"] {
        assert_eq!(claimed.leases.len(), 1);
        assert_eq!(claimed.leases[0].lease.key.task.as_str(), name);
        let task = &office.store.task_list(&tenant(), run).await.unwrap();
        assert_eq!(
            task.iter()
                .find(|t| t.key.task.as_str() == name)
                .unwrap()
                .state,
            TaskState::Leased
        );
        let done = success(epoch, &claimed);
        let Ok(Reply::Completed { verdicts, .. }) = office.send(done.clone()).await else {
            panic!()
        };
        assert_eq!(verdicts, [ReportVerdict::Accepted]);
        // The same report again, as after a lost answer.
        let Ok(Reply::Completed { verdicts, .. }) = office.send(done).await else {
            panic!()
        };
        assert_eq!(verdicts, [ReportVerdict::Accepted]);
        if name == "first" {
            claimed = office.claim(epoch).await;
        }
    }
    assert_eq!(office.run_state(run).await, RunState::Succeeded);
    let filter = EventFilter::default();
    let stored = office
        .store
        .event_list(&tenant(), &filter, belljar_ids::EventSeq(0), 200)
        .await
        .unwrap();
    let seqs: Vec<i64> = stored.iter().map(|event| event.seq.0).collect();
    assert_eq!(
        seqs,
        (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>()
    );
    let ring = office
        .handle
        .events()
        .after(belljar_ids::EventSeq(0), 1_000)
        .unwrap();
    assert_eq!(
        ring.iter().map(|e| &**e).collect::<Vec<_>>(),
        stored.iter().collect::<Vec<_>>()
    );
    office.close().await;
}

#[tokio::test]
async fn one_key_makes_one_run_however_many_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    office.dag().await;
    let asked = (0..50).map(|_| {
        let handle = office.handle.clone();
        tokio::spawn(async move { handle.send(create(Some(("k", 1))).1).await })
    });
    let mut runs = std::collections::BTreeSet::new();
    let mut created = 0;
    for asked in asked.collect::<Vec<_>>() {
        let Ok(Reply::Run { row, created: new }) = asked.await.unwrap() else {
            panic!()
        };
        runs.insert(row.run);
        created += i32::from(new);
    }
    assert_eq!((runs.len(), created), (1, 1));
    let other = office.send(create(Some(("k", 2))).1).await.unwrap_err();
    assert_eq!(other, LeaderError::Refused(Refusal::IdempotencyMismatch));
    office.close().await;

    // And after a restart, when only the database knows.
    let office = Office::open(folder.path()).await;
    let Ok(Reply::Run { row, created }) = office.send(create(Some(("k", 1))).1).await else {
        panic!()
    };
    assert!(!created && runs.contains(&row.run));
    office.close().await;
}

#[tokio::test]
async fn a_command_that_cannot_be_stored_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    office.dag().await;
    let (run, first) = create(None);
    office.send(first).await.unwrap();
    // A batch forms while the leader is busy with the commands before; the culprit stands in it: a
    // second run of the same id, which no rule of the schema lets in.
    let mut asked = Vec::new();
    for n in 0..40 {
        let handle = office.handle.clone();
        let command = if n == 20 {
            let Command::RunCreate(mut bad) = create(None).1 else {
                panic!()
            };
            bad.run = run;
            Command::RunCreate(bad)
        } else {
            create(None).1
        };
        asked.push(tokio::spawn(async move { handle.send(command).await }));
    }
    for (n, asked) in asked.into_iter().enumerate() {
        let answer = asked.await.unwrap();
        if n == 20 {
            assert_eq!(answer.unwrap_err(), LeaderError::Internal);
        } else {
            let Ok(Reply::Run { row, .. }) = answer else {
                panic!("{n}: {answer:?}")
            };
            assert_eq!(office.run_state(row.run).await, RunState::Running);
        }
    }
    office.close().await;
}

#[tokio::test]
async fn a_restart_keeps_leases_that_the_executor_still_knows() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    office.dag().await;
    let (epoch, _) = office.register(Vec::new()).await;
    let (run, command) = create(None);
    office.send(command).await.unwrap();
    let (lost, command) = create(None);
    office.send(command).await.unwrap();
    let claimed = office.claim(epoch).await;
    assert_eq!(claimed.leases.len(), 2);
    office.close().await;

    let office = Office::open(folder.path()).await;
    let mine = claimed
        .leases
        .iter()
        .find(|granted| granted.lease.key.run == run)
        .unwrap();
    let held = HeldLease {
        lease: mine.lease.clone(),
        started: true,
    };
    // The other lease never reached the journal: it is ready again at once, under a new fence.
    let (epoch, verdicts) = office.register(vec![held.clone()]).await;
    assert_eq!(verdicts, [LeaseVerdict::Ok]);
    let again = office.claim(epoch).await;
    assert_eq!(again.leases.len(), 1);
    assert_eq!(again.leases[0].lease.key.run, lost);
    assert_eq!(again.leases[0].lease.fence.0, 2);
    assert_eq!(again.leases[0].try_number, 1);

    let heartbeat = |epoch| Heartbeat {
        executor: executor(),
        epoch,
        leases: vec![held.clone()],
        unavailable: None,
    };
    let old = office
        .send(Command::Heartbeat(heartbeat(Epoch(epoch.0 - 1))))
        .await
        .unwrap_err();
    assert_eq!(
        old,
        LeaderError::Refused(Refusal::ExecutorFenced(executor()))
    );
    let Ok(Reply::Heartbeat(verdicts)) = office.send(Command::Heartbeat(heartbeat(epoch))).await
    else {
        panic!()
    };
    assert_eq!(verdicts, [LeaseVerdict::Ok]);
    office.close().await;
}

#[tokio::test]
async fn a_deposed_leader_changes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    office.dag().await;
    let usurper = office
        .store
        .leader_take("somebody else", "http://127.0.0.1:2")
        .await
        .unwrap();
    let (run, command) = create(None);
    assert_eq!(
        office.send(command).await.unwrap_err(),
        LeaderError::NotLeader
    );
    assert!(office.store.run_find(&[run]).await.unwrap().is_empty());
    assert_eq!(
        office.store.leader_batch(usurper.epoch).await.unwrap(),
        Some(usurper.batch)
    );
    office.close().await;
}

#[tokio::test]
async fn an_abandoned_claim_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    office.dag().await;
    let (epoch, _) = office.register(Vec::new()).await;
    {
        let claiming = office.handle.claim(claim(epoch, 20_000));
        tokio::pin!(claiming);
        // Polled until it is parked: a question sent after it is answered after it.
        tokio::select! {
            biased;
            _ = &mut claiming => panic!("there is nothing to do"),
            asked = office.handle.query(|_, _| ()) => asked.unwrap(),
        }
    }
    let (run, command) = create(None);
    office.send(command).await.unwrap();
    let task = &office.store.task_list(&tenant(), run).await.unwrap()[0];
    assert_eq!(task.state, TaskState::Ready);
    assert_eq!(office.claim(epoch).await.leases.len(), 1);
    office.close().await;
}

#[tokio::test]
async fn nothing_is_written_while_nothing_happens() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(folder.path()).await;
    let (epoch, _) = office.register(Vec::new()).await;
    let before = office.store.leader_peek().await.unwrap();
    let parked = office.handle.claim(claim(epoch, 50));
    assert!(
        tokio::time::timeout(Duration::from_secs(5), parked)
            .await
            .unwrap()
            .unwrap()
            .leases
            .is_empty()
    );
    let heartbeat = Heartbeat {
        executor: executor(),
        epoch,
        leases: Vec::new(),
        unavailable: None,
    };
    office.send(Command::Heartbeat(heartbeat)).await.unwrap();
    assert_eq!(office.store.leader_peek().await.unwrap(), before);
    office.close().await;
}

#[tokio::test]
async fn the_same_bytes_make_no_second_version_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let put = |n: u8| Command::DatasetPut {
        version: belljar_engine::rows::DatasetVersionRow {
            tenant: tenant(),
            dataset: "posts".parse().unwrap(),
            number: 0,
            blob: BlobRef {
                digest: digest(n),
                size: 5,
            },
            media_type: "text/csv".to_owned(),
            created_by: "someone".parse().unwrap(),
            created_at: belljar_ids::Micros(0),
        },
        description: None,
    };
    let mut numbers = Vec::new();
    for n in [1, 1, 2, 2] {
        let office = Office::open(folder.path()).await;
        for _ in 0..2 {
            let Ok(Reply::Dataset { version, .. }) = office.send(put(n)).await else {
                panic!()
            };
            numbers.push(version.number);
        }
        office.close().await;
    }
    assert_eq!(numbers, [1, 1, 1, 1, 2, 2, 2, 2]);
}
