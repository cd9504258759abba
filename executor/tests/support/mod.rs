//! A stand-in for the scheduler that speaks the protocol and can misbehave on purpose, so that lost
//! answers, duplicates and refusals come when a test wants them. Everything else is real: the
//! executor, the container engine, gVisor.

#![allow(dead_code)] // Each test file uses a part of it.

pub mod engine;
pub mod image;
mod routes;
pub mod traces;

use belljar_api::executor::{
    Heartbeat, Lease, LeaseRef, Outcome, Phase, Register, Report, Stream, WorkBlob, WorkImage,
    WorkImageSource, WorkInput, WorkOrder, WorkResources,
};
use belljar_executor::{Credential, ExecutorConfig};
use belljar_ids::{Digest, ExecutorId, Fence, InstanceKey, MapIndex};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

pub const CREDENTIAL: &str = "the executor's secret";
const INPUT: &[u8] = b"private";

/// Whether a report is one that the scheduler has trouble with.
pub type AtFault = fn(&Report) -> bool;

/// What is to go wrong, and how often.
#[derive(Debug, Default)]
pub struct Faults {
    /// Calls that are carried out and answered by a closed connection, by name.
    pub lose_answer: HashMap<&'static str, u32>,
    /// Every call is answered 503.
    pub away: bool,
    /// Calls with reports are answered 503.
    pub hold_reports: bool,
    /// A call with a report of which this is true is refused with this status.
    pub refuse_report: Option<(u16, AtFault)>,
    /// Reports of this task get this verdict and end their lease.
    pub invalid: Option<&'static str>,
    /// The next heartbeats say that a later incarnation is at work.
    pub fenced: bool,
    /// What was lost by the infrastructure is offered again, as the engine does.
    pub retry_lost: bool,
}

#[derive(Debug, Default)]
pub struct World {
    pub faults: Faults,
    pub epoch: i64,
    /// Whether this leader knows the executor.
    pub known: bool,
    pub executor: Option<ExecutorId>,
    pub registered: Vec<Register>,
    /// Registrations that came while the scheduler was away.
    pub turned_away: Vec<Register>,
    pub heartbeats: Vec<Heartbeat>,
    pub ready: Vec<Lease>,
    /// Leases granted and not ended.
    pub live: BTreeMap<(InstanceKey, Fence), Lease>,
    pub cancel: HashSet<(InstanceKey, Fence)>,
    pub cancel_told: HashSet<(InstanceKey, Fence)>,
    pub phases: BTreeMap<(InstanceKey, Fence), Phase>,
    answered: HashMap<String, Vec<Lease>>,
    parked: u64,
    pub accepted: BTreeMap<(InstanceKey, Fence), Report>,
    /// How often calls with reports were answered 503.
    pub reports_held: usize,
    /// Calls with reports that were refused for one of them, by how many they had.
    pub reports_refused: Vec<usize>,
    pub reports_seen: Vec<(InstanceKey, Digest)>,
    pub released: Vec<LeaseRef>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    pub logs: BTreeMap<(InstanceKey, Fence, Stream), Vec<u8>>,
    pub max_held: usize,
}

/// The stand-in.
pub struct Standin {
    world: Mutex<World>,
    changed: Notify,
    pub address: SocketAddr,
}

impl Standin {
    pub async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let standin = Arc::new(Self {
            world: Mutex::default(),
            changed: Notify::new(),
            address: listener.local_addr().unwrap(),
        });
        let mut world = standin.world();
        let image = image::probe();
        world
            .blobs
            .insert(image::sha256(&image.archive), image.archive.clone());
        world.blobs.insert(image::sha256(INPUT), INPUT.to_vec());
        drop(world);
        let router = routes::router(Arc::clone(&standin));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        standin
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Changes something and lets parked calls look again.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.changed.notify_waiters();
        result
    }

    /// Offers a task instance that runs the probe with these arguments.
    pub fn offer(&self, task: &str, fence: i64, args: &[&str]) -> (InstanceKey, Fence) {
        let lease = lease(task, fence, args);
        let key = (lease.lease.key.clone(), lease.lease.fence);
        self.change(|world| world.ready.push(lease));
        key
    }

    /// Waits until something is so.
    pub async fn until<T>(&self, what: &str, seen: impl Fn(&World) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(value) = seen(&self.world()) {
                    return value;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(90), wait).await {
            Ok(value) => value,
            Err(_) => panic!("never: {what}; {:#?}", self.world()),
        }
    }

    /// Waits for the accepted outcome.
    pub async fn outcome(&self, key: &(InstanceKey, Fence)) -> Outcome {
        self.until("an accepted report", |world| {
            world.accepted.get(key).map(|report| report.outcome.clone())
        })
        .await
    }

    /// Waits until the program is known to run.
    pub async fn running(&self, key: &(InstanceKey, Fence)) {
        self.until("a running attempt", |world| {
            (world.phases.get(key) == Some(&Phase::Running)).then_some(())
        })
        .await;
    }

    pub fn log(&self, key: &(InstanceKey, Fence), stream: Stream) -> String {
        let world = self.world();
        let log = world.logs.get(&(key.0.clone(), key.1, stream));
        String::from_utf8(log.cloned().unwrap_or_default()).unwrap()
    }

    pub fn config(&self, data_dir: &std::path::Path) -> ExecutorConfig {
        config(&format!("http://{}", self.address), data_dir)
    }
}

/// The settings of an executor under test.
pub fn config(url: &str, data_dir: &std::path::Path) -> ExecutorConfig {
    let mut config = ExecutorConfig::new(
        vec![url.to_owned()],
        Credential::new(CREDENTIAL),
        data_dir.to_owned(),
    );
    config.slots = 2;
    config.claim_wait = Duration::from_secs(20);
    config.disk_reserve_bytes = 1 << 20;
    config
}

pub fn lease(task: &str, fence: i64, args: &[&str]) -> Lease {
    let image = image::probe();
    let archive = image::sha256(&image.archive);
    let input = image::sha256(INPUT);
    let digest = |n: u8| Digest::from_bytes([n; 32]);
    let blob = |digest: Digest, size: usize| WorkBlob {
        digest,
        size: size as u64,
        url: format!("/executor/v1/blobs/{digest}"),
    };
    let command: Vec<_> = ["/app/probe"].iter().chain(args).collect();
    Lease {
        lease: LeaseRef {
            key: InstanceKey {
                run: format!("run_{:032x}", 77).parse().unwrap(),
                task: task.parse().unwrap(),
                map_index: MapIndex::NONE,
            },
            fence: Fence(fence),
            token: format!("{fence:032x}"),
        },
        try_number: 1,
        work: WorkOrder {
            dag: "tests".to_owned(),
            dag_version: digest(1),
            analysis: "probe".parse().unwrap(),
            analysis_version: "1.0.0".to_owned(),
            analysis_digest: digest(2),
            manifest: json!({
                "analysis": "probe", "version": "1.0.0", "summary": "tries things", "image": ".",
                "command": command,
                "inputs": { "data": { "media_type": "text/plain" } },
                "result": { "type": "object" },
                "artifacts": { "art": {
                    "path": "art", "media_type": "application/octet-stream", "optional": true,
                } },
            }),
            image: WorkImage {
                digest: digest(3),
                config: image.id.0,
                from: vec![WorkImageSource::Blob(blob(archive, image.archive.len()))],
            },
            inputs: BTreeMap::from([(
                "data".parse().unwrap(),
                WorkInput::Blob(blob(input, INPUT.len())),
            )]),
            params: json!({}),
            resources: WorkResources {
                cpu_millis: 1000,
                memory_bytes: 64 << 20,
                disk_bytes: 4 << 20,
                tmp_bytes: 1 << 20,
                pids: 16,
                timeout_ms: 60_000,
            },
            trusted: false,
        },
    }
}
