//! A real runtime on the real engine, with images made of one static program, and proof at the end
//! that nothing is left.

// Each test file uses a part of it; clippy knows helpers of tests not to be tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use belljar_ids::{Digest, Epoch, ExecutorId, Fence, MapIndex, RunId};
use belljar_sandbox::image::{ArchiveLimits, write_archive};
use belljar_sandbox::{
    AttemptName, AttemptSpec, CauseKind, Collect, Declared, DeclaredArtifact, DockerConfig,
    DockerRuntime, Ended, Finished, Identity, ImageId, InputKind, InputMount, InputSource, Limits,
    Runtime, StopReason, Tier, Verdict,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MIB: u64 = 1 << 20;
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The probe, compiled once.
fn probe() -> &'static [u8] {
    static PROBE: OnceLock<Vec<u8>> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/probe/probe.c");
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("probe");
        let output = Command::new("cc")
            .args(["-static", "-O1", "-Wall", "-Werror", "-o"])
            .args([program.as_path(), Path::new(source)])
            .output()
            .expect("these tests need a C compiler: apt-get install gcc libc6-dev");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::read(program).unwrap()
    })
}

/// A random number that no other run of the tests has.
fn unique() -> u128 {
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let count = COUNTER.fetch_add(1, Ordering::SeqCst);
    time << 32 | u128::from(std::process::id()) << 8 | u128::from(count & 0xff)
}

/// One runtime with folders and images of its own.
pub struct Bench {
    pub runtime: DockerRuntime,
    pub config: DockerConfig,
    pub dir: tempfile::TempDir,
    pub executor: ExecutorId,
    pub image: ImageId,
    images: Vec<ImageId>,
    fences: i64,
    clean: bool,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with_image(json!({})).await
    }

    /// With an image whose configuration also has these fields.
    pub async fn with_image(config: Value) -> Self {
        Self::at(Path::new("/var/run/docker.sock"), config).await
    }

    /// On the engine at this socket.
    pub async fn at(socket: &Path, config: Value) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("belljar-sandbox-")
            .tempdir()
            .unwrap();
        let hex = format!("{:032x}", unique());
        let executor: ExecutorId = format!("exe_{hex}").parse().unwrap();
        let inputs = dir.path().join("inputs");
        std::fs::create_dir(&inputs).unwrap();
        std::fs::write(inputs.join("data"), "private").unwrap();
        let mut docker = DockerConfig::new(executor, dir.path().join("state"), vec![inputs]);
        docker.socket = socket.to_owned();
        docker.policy.allow_weaker_sandbox = true;
        let runtime = DockerRuntime::connect(docker.clone()).await.expect(
            "these tests need root, a running Docker engine at /var/run/docker.sock and its \
             runtime `belljar-runsc`; `belljar doctor` explains what is missing",
        );
        let mut bench = Self {
            runtime,
            config: docker,
            dir,
            executor,
            image: ImageId(Digest::from_bytes([0; 32])),
            images: Vec::new(),
            fences: 0,
            clean: false,
        };
        bench.image = bench.add_image(config).await;
        bench
    }

    /// Loads one more image with the probe at `/app/probe`.
    pub async fn add_image(&mut self, extra: Value) -> ImageId {
        let mut layer = tar::Builder::new(Vec::new());
        for dir in ["app", "vol", "etc"] {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o777);
            header.set_size(0);
            layer
                .append_data(&mut header, format!("{dir}/"), &[][..])
                .unwrap();
        }
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o4755);
        header.set_size(probe().len() as u64);
        layer
            .append_data(&mut header, "app/probe", probe())
            .unwrap();
        let layer = layer.into_inner().unwrap();
        let mut config = json!({"Entrypoint": ["/app/probe"], "WorkingDir": "/app", "User": "0"});
        for (key, value) in extra.as_object().unwrap() {
            config[key] = value.clone();
        }
        let document = json!({
            "author": format!("{:x}", unique()),
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {
                "type": "layers",
                "diff_ids": [Digest::from_bytes(sha2::Digest::finalize({
                    let mut hasher = sha2::Sha256::default();
                    sha2::Digest::update(&mut hasher, &layer);
                    hasher
                }).into())],
            },
            "config": config,
        });
        let path = self.dir.path().join("image.tar");
        let file = std::fs::File::create(&path).unwrap();
        let config = serde_json::to_vec(&document).unwrap();
        let facts = write_archive(&config, &[layer], file).unwrap();
        let limits = ArchiveLimits::default();
        self.runtime
            .image_load(&path, facts.id, &limits)
            .await
            .unwrap();
        self.images.push(facts.id);
        facts.id
    }

    /// An order to run the probe with these arguments.
    pub fn spec(&mut self, tier: Tier, args: &[&str]) -> AttemptSpec {
        self.fences += 1;
        let argv = ["/app/probe"].iter().chain(args).map(|&arg| arg.to_owned());
        AttemptSpec {
            identity: Identity {
                executor: self.executor,
                epoch: Epoch(1),
                run: format!("run_{:032x}", 7).parse::<RunId>().unwrap(),
                task: "probe".parse().unwrap(),
                map_index: MapIndex::NONE,
                fence: Fence(self.fences),
                spec_digest: Digest::from_bytes([5; 32]),
            },
            image: self.image,
            argv: Some(argv.collect()),
            env: BTreeMap::new(),
            inputs: vec![InputMount {
                name: "data".parse().unwrap(),
                source: InputSource::HostPath(self.input_root().join("data")),
                kind: InputKind::File,
                digest: None,
            }],
            params: json!({"b": 1, "a": "x"}),
            limits: Limits {
                cpu_millis: 1000,
                memory_bytes: 64 * MIB,
                disk_bytes: 8 * MIB,
                tmp_bytes: 4 * MIB,
                pids: 32,
                timeout: Duration::from_secs(60),
                log_bytes: 64 << 10,
            },
            slot: 7,
            tier,
            trusted: tier == Tier::TrustedRunc,
            tmp_exec: false,
        }
    }

    pub fn input_root(&self) -> PathBuf {
        self.runtime.facts().input_roots[0].clone()
    }

    pub fn collect(&self) -> Collect {
        let staging = self.dir.path().join("staging");
        std::fs::create_dir_all(&staging).unwrap();
        let artifact = DeclaredArtifact {
            path: "art".parse().unwrap(),
            media_type: "application/octet-stream".to_owned(),
            max_bytes: 8 * MIB,
            optional: true,
        };
        Collect {
            staging,
            declared: Declared {
                result_schema: json!({"type": "object"}),
                artifacts: BTreeMap::from([("art".parse().unwrap(), artifact)]),
            },
        }
    }

    /// Runs the probe from beginning to end.
    pub async fn run(&mut self, tier: Tier, args: &[&str]) -> Finished {
        let spec = self.spec(tier, args);
        self.run_spec(&spec).await
    }

    pub async fn run_spec(&self, spec: &AttemptSpec) -> Finished {
        let name = spec.name();
        self.runtime.prepare(spec).await.unwrap();
        self.runtime.start(&name).await.unwrap();
        let reason = match self.runtime.wait(&name).await.unwrap() {
            Ended::Exited(_) => StopReason::Exited,
            Ended::TimedOut => StopReason::TimedOut,
        };
        self.end(&name, reason).await
    }

    pub async fn end(&self, name: &AttemptName, reason: StopReason) -> Finished {
        let finished = self
            .runtime
            .finish(name, reason, &self.collect())
            .await
            .unwrap();
        self.runtime.discard(name).await.unwrap();
        finished
    }

    /// The result of a finished attempt.
    pub fn result(&self, finished: &Finished) -> Value {
        let outputs = finished.outputs.as_ref();
        let outputs = outputs.unwrap_or_else(|| panic!("no outputs: {:?}", finished.verdict));
        let staged = self
            .dir
            .path()
            .join("staging")
            .join(outputs.result.digest.hex());
        serde_json::from_slice(&std::fs::read(staged).unwrap()).unwrap()
    }

    /// Removes everything and checks that nothing of this bench is left on the host.
    pub async fn close(mut self) {
        self.runtime.sweep(&BTreeSet::new()).await.unwrap();
        for image in std::mem::take(&mut self.images) {
            self.runtime.image_remove(image).await.unwrap();
        }
        self.clean = true;
        assert_eq!(self.runtime.list().await.unwrap(), vec![]);
        self.assert_nothing_left();
    }

    pub fn assert_nothing_left(&self) {
        let state = self.dir.path().join("state");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(state.to_str().unwrap()), "a mount is left");
        for device in std::fs::read_dir("/sys/block").unwrap().flatten() {
            let file = std::fs::read_to_string(device.path().join("loop/backing_file"));
            let file = file.unwrap_or_default();
            assert!(
                !file.starts_with(state.to_str().unwrap()),
                "a loop device is left: {file}"
            );
        }
        let prefix = AttemptName::prefix_of(self.executor);
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            for group in std::fs::read_dir(hierarchy.path().join("belljar"))
                .into_iter()
                .flatten()
            {
                let name = group.unwrap().file_name().to_string_lossy().into_owned();
                assert!(!name.starts_with(&prefix), "a cgroup is left: {name}");
            }
        }
        for folder in ["attempts", "params"] {
            let left = std::fs::read_dir(state.join(folder)).unwrap().count();
            assert_eq!(left, 0, "{folder} is not empty");
        }
    }
}

impl Drop for Bench {
    /// After a failed assertion: takes down what runs, without hiding the failure.
    fn drop(&mut self) {
        if self.clean {
            return;
        }
        let (runtime, images) = (self.runtime.clone(), std::mem::take(&mut self.images));
        let cleaner = std::thread::spawn(move || {
            let engine = tokio::runtime::Runtime::new().unwrap();
            engine.block_on(async {
                let _ = runtime.sweep(&BTreeSet::new()).await;
                for image in images {
                    let _ = runtime.image_remove(image).await;
                }
            });
        });
        let _ = cleaner.join();
    }
}

/// The kind of failure.
#[track_caller]
pub fn cause(finished: &Finished) -> CauseKind {
    match &finished.verdict {
        Verdict::Failed { cause } => cause.kind,
        other => panic!("not a failure but {other:?}, exit {:?}", finished.exit),
    }
}

/// Both kinds of walls.
pub const TIERS: [Tier; 2] = [Tier::Gvisor, Tier::TrustedRunc];
