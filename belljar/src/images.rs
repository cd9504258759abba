//! `analysis submit` and `analysis test`: the local side of an analysis, through the sandbox crate.
//!
//! Owns: building an image by the Docker command line, exporting it, and one attempt on this machine
//! by the same code and settings as in production. Leaves to others: what is printed and uploaded.

use anyhow::Context as _;
use belljar_ids::{Digest, Epoch, ExecutorId, Fence, MapIndex, RunId};
use belljar_manifest::{InputKind as ManifestKind, Manifest};
use belljar_sandbox::{
    AttemptSpec, Collect, Declared, Ended, Finished, Identity, ImageFacts, InputKind, InputMount,
    InputSource, Limits, LogEvent, LogOffsets, LogStream, Runtime as _, StopReason, Tier, Verdict,
};
use belljar_sandbox::{DockerConfig, DockerRuntime};
use belljar_sdk_cli::{
    BuiltImage, ExitCode, ImagePort, PortError, TestArtifact, TestOrder, TestReport,
};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use uuid::Uuid;

/// Bytes of each log that a test shows.
const LOG_SHOWN: usize = 64 * 1024;

type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The sandbox of this machine.
#[derive(Debug, Default)]
pub struct LocalImages;

impl ImagePort for LocalImages {
    fn build_and_export<'a>(
        &'a self,
        folder: &'a Path,
        manifest: &'a Manifest,
        say: Say<'a>,
    ) -> BoxFuture<'a, Result<BuiltImage, PortError>> {
        Box::pin(async move {
            build_and_export(folder, manifest, say)
                .await
                .map_err(port_error)
        })
    }

    fn test<'a>(
        &'a self,
        order: &'a TestOrder,
        say: Say<'a>,
    ) -> BoxFuture<'a, Result<TestReport, PortError>> {
        Box::pin(async move { test(order, say).await.map_err(port_error) })
    }
}

/// A failure that the user can do something about.
#[derive(Debug)]
struct Told {
    code: ExitCode,
    message: String,
    help: Option<String>,
}

impl Told {
    fn new(code: ExitCode, message: impl Into<String>, help: &str) -> Self {
        Self {
            code,
            message: message.into(),
            help: Some(help.to_owned()),
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Told {}

fn port_error(error: anyhow::Error) -> PortError {
    match error.downcast::<Told>() {
        Ok(Told {
            code,
            message,
            help,
        }) => PortError {
            code,
            message,
            help,
        },
        Err(error) => PortError {
            code: ExitCode::Internal,
            message: format!("{error:#}"),
            help: Some("`belljar doctor` checks this machine".to_owned()),
        },
    }
}

/// Connects to the engine. `scratch` is for this call's own state.
async fn connect(scratch: &Path, inputs: &Path) -> anyhow::Result<DockerRuntime> {
    let executor = ExecutorId::from_uuid(Uuid::now_v7());
    let mut config = DockerConfig::new(executor, scratch.to_owned(), vec![inputs.to_owned()]);
    if let Some(socket) = std::env::var_os("BELLJAR_DOCKER_SOCKET") {
        config.socket = socket.into();
    }
    DockerRuntime::connect(config).await.map_err(|error| {
        Told::new(
            ExitCode::Unreachable,
            format!("the Docker engine cannot be used: {error}"),
            "is it running, and may you use it? Try with sudo; `belljar doctor` explains",
        )
        .into()
    })
}

/// The image's reference: a folder is built first.
async fn image_reference(
    folder: &Path,
    manifest: &Manifest,
    say: Say<'_>,
) -> anyhow::Result<String> {
    let context = folder.join(&manifest.image);
    if !context.is_dir() {
        return Ok(manifest.image.clone());
    }
    if !context.join("Dockerfile").is_file() {
        return Err(Told::new(
            ExitCode::SpecInvalid,
            format!("there is no Dockerfile in {}", context.display()),
            "`image` in analysis.yaml is a folder with a Dockerfile, or the reference of an image",
        )
        .into());
    }
    build(&context, say).await
}

/// Builds with the Docker command line, without a network, and gives back the image's id.
async fn build(context: &Path, say: Say<'_>) -> anyhow::Result<String> {
    let id = tempfile::NamedTempFile::new().context("failed to make a temporary file")?;
    // The classic builder: it works without the buildx plugin, which Debian does not have, and it
    // writes the id file with every engine from 20.10 on.
    let mut child = tokio::process::Command::new("docker")
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--network", "none", "--iidfile"])
        .arg(id.path())
        .arg(context)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            Told::new(
                ExitCode::Unreachable,
                format!("`docker build` cannot be started: {error}"),
                "install the Docker command line (docker.io on Debian)",
            )
        })?;
    let stderr = child.stderr.take().context("no standard error")?;
    let errors = tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            kept.push(line);
            if kept.len() > 40 {
                kept.remove(0);
            }
        }
        kept
    });
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    while let Some(line) = lines
        .next_line()
        .await
        .context("failed to read from docker build")?
    {
        if line.starts_with("Step ") {
            say(&line.replace(char::is_control, " "));
        }
    }
    let status = child
        .wait()
        .await
        .context("failed to wait for docker build")?;
    let errors: Vec<String> = errors.await.unwrap_or_default();
    if !status.success() {
        return Err(Told::new(
            ExitCode::RunFailed,
            format!(
                "the image could not be built ({status}):\n{}",
                errors.join("\n")
            ),
            "nothing can be installed from a network while it is built: bring everything along in \
             the folder, or build on a base image that has it",
        )
        .into());
    }
    let id = fs::read_to_string(id.path()).context("failed to read the image's id")?;
    Ok(id.trim().to_owned())
}

async fn facts(runtime: &DockerRuntime, reference: &str) -> anyhow::Result<ImageFacts> {
    runtime.image_facts(reference).await?.ok_or_else(|| {
        Told::new(
            ExitCode::NotFound,
            format!("the Docker engine has no image `{reference}`"),
            "build or load it first, or let `image` name a folder with a Dockerfile",
        )
        .into()
    })
}

/// An analysis that no attempt could start is not worth publishing, for good as that is.
fn has_program(manifest: &Manifest, image: &ImageFacts) -> anyhow::Result<()> {
    let named = manifest.command.as_ref().is_some_and(|c| !c.is_empty());
    if named || !image.config.entrypoint.is_empty() || !image.config.cmd.is_empty() {
        return Ok(());
    }
    Err(Told::new(
        ExitCode::SpecInvalid,
        "the image has no entrypoint and no command, and analysis.yaml names none",
        "set `command` in analysis.yaml, or ENTRYPOINT in the Dockerfile",
    )
    .into())
}

async fn build_and_export(
    folder: &Path,
    manifest: &Manifest,
    say: Say<'_>,
) -> anyhow::Result<BuiltImage> {
    let scratch = TempDir::new().context("failed to make a temporary folder")?;
    let runtime = connect(&scratch.path().join("state"), scratch.path()).await?;
    let reference = image_reference(folder, manifest, say).await?;
    let image = facts(&runtime, &reference).await?;
    has_program(manifest, &image)?;
    let id = image.id;
    say("exporting the image");
    let (file, archive) = tempfile::NamedTempFile::new()
        .context("failed to make a temporary file")?
        .into_parts();
    // By id: a tag may have moved since it was looked at.
    let (facts, _) = runtime
        .image_export(&id.to_string(), scratch.path(), file)
        .await?;
    let manifest_digest = facts
        .manifest_digest
        .context("the archive has no manifest")?;
    Ok(BuiltImage {
        manifest_digest,
        config_digest: facts.id.0,
        archive,
    })
}

/// One attempt on this machine. Everything of it is gone afterwards, also when it is given up.
async fn test(order: &TestOrder, say: Say<'_>) -> anyhow::Result<TestReport> {
    if !rustix::process::geteuid().is_root() {
        return Err(Told::new(
            ExitCode::Forbidden,
            "the sandbox needs root: it makes mounts and cgroups",
            "run it as `sudo belljar analysis test …`",
        )
        .into());
    }
    let scratch = tempfile::Builder::new()
        .prefix("belljar-test-")
        .tempdir_in("/var/tmp")
        .context("failed to make a temporary folder")?;
    let inputs = scratch.path().join("inputs");
    fs::create_dir(&inputs)?;
    let runtime = connect(&scratch.path().join("state"), &inputs).await?;
    let tier = tier(&runtime, order.weaker_sandbox)?;
    let reference = image_reference(&order.folder, &order.manifest, say).await?;
    let image = facts(&runtime, &reference).await?;
    let spec = spec(order, &image, tier, &inputs)?;
    let cleaning = Cleaning {
        runtime: runtime.clone(),
        armed: true,
        spec: &spec,
    };
    say("running");
    let run = attempt(&runtime, order, &spec, scratch.path()).await;
    cleaning.done().await;
    let (finished, stdout, stderr, wall) = match run {
        Ok(run) => run,
        Err(error) => return refused(error, &runtime, tier),
    };
    report(
        order,
        &runtime,
        tier,
        finished,
        (stdout, stderr),
        wall,
        &scratch.path().join("staging"),
    )
}

/// Which sandbox: production's, or a weaker one where that was asked for.
fn tier(runtime: &DockerRuntime, weaker: bool) -> anyhow::Result<Tier> {
    let gvisor = runtime.facts().gvisor.is_some();
    match (gvisor, weaker) {
        (true, false) => Ok(Tier::Gvisor),
        (_, true) => Ok(Tier::WeakerSandbox),
        (false, false) => Err(Told::new(
            ExitCode::Conflict,
            "gVisor is not registered with the Docker engine, and analyses run under gVisor",
            "install it (`make setup`, or package runsc; `belljar doctor` explains), or try with \
             `--weaker-sandbox`, which is not what production does",
        )
        .into()),
    }
}

fn spec(
    order: &TestOrder,
    image: &ImageFacts,
    tier: Tier,
    folder: &Path,
) -> anyhow::Result<AttemptSpec> {
    let manifest = &order.manifest;
    let mut inputs = Vec::new();
    for (name, source) in &order.inputs {
        let target = folder.join(name.as_str());
        copy_read_only(source, &target)
            .with_context(|| format!("failed to copy the input {}", source.display()))?;
        let declared = manifest
            .inputs
            .iter()
            .find(|(n, _)| n.as_str() == name.as_str());
        let folder = declared.is_some_and(|(_, spec)| spec.kind == ManifestKind::Folder);
        inputs.push(InputMount {
            name: name.clone(),
            source: InputSource::HostPath(target),
            kind: if folder {
                InputKind::Folder
            } else {
                InputKind::File
            },
            digest: None,
        });
    }
    let resources = &manifest.resources;
    Ok(AttemptSpec {
        identity: Identity {
            executor: ExecutorId::from_uuid(Uuid::now_v7()),
            epoch: Epoch(1),
            run: RunId::from_uuid(Uuid::now_v7()),
            task: manifest.analysis.as_str().parse()?,
            map_index: MapIndex::NONE,
            fence: Fence(1),
            spec_digest: Digest::from_bytes([0; 32]),
        },
        image: image.id,
        argv: manifest.command.clone(),
        env: std::collections::BTreeMap::new(),
        inputs,
        params: serde_json::Value::Object(order.params.clone()),
        limits: Limits {
            cpu_millis: resources.cpu.get(),
            memory_bytes: resources.memory.get(),
            disk_bytes: resources.disk.get(),
            tmp_bytes: resources.tmp.get(),
            pids: resources.pids,
            timeout: resources.timeout.to_duration(),
            log_bytes: 16 << 20,
        },
        slot: 0,
        tier,
        trusted: false,
        tmp_exec: false,
    })
}

/// Copies a file or folder with the modes that an executor gives inputs.
fn copy_read_only(source: &Path, target: &Path) -> std::io::Result<()> {
    if fs::metadata(source)?.is_dir() {
        fs::create_dir(target)?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            copy_read_only(&entry.path(), &target.join(entry.file_name()))?;
        }
        fs::set_permissions(target, fs::Permissions::from_mode(0o555))
    } else {
        fs::copy(source, target)?;
        fs::set_permissions(target, fs::Permissions::from_mode(0o444))
    }
}

/// Removes what is left of an attempt, whatever happened to whoever made it.
struct Cleaning<'a> {
    runtime: DockerRuntime,
    armed: bool,
    spec: &'a AttemptSpec,
}

impl Cleaning<'_> {
    async fn done(mut self) {
        self.armed = false;
        clean(&self.runtime, self.spec).await;
    }
}

async fn clean(runtime: &DockerRuntime, spec: &AttemptSpec) {
    let name = spec.name();
    for result in [runtime.remove(&name).await, runtime.discard(&name).await] {
        if let Err(error) = result {
            eprintln!("belljar: failed to clean up after the test: {error}");
        }
    }
}

impl Drop for Cleaning<'_> {
    fn drop(&mut self) {
        // Ctrl-C drops the future while the container runs; there is no async drop.
        if self.armed {
            let (runtime, spec) = (self.runtime.clone(), self.spec.clone());
            let cleaning = std::thread::spawn(move || {
                let own = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                if let Ok(own) = own {
                    own.block_on(clean(&runtime, &spec));
                }
            });
            let _ = cleaning.join();
        }
    }
}

type Ran = (Finished, String, String, Duration);

async fn attempt(
    runtime: &DockerRuntime,
    order: &TestOrder,
    spec: &AttemptSpec,
    scratch: &Path,
) -> anyhow::Result<Ran> {
    let name = spec.name();
    let staging = scratch.join("staging");
    fs::create_dir(&staging)?;
    runtime.prepare(spec).await?;
    runtime.start(&name).await?;
    let begun = Instant::now();
    let follower = runtime.attach(&name, LogOffsets::default()).await?;
    let logs = tokio::spawn(read_logs(follower));
    let reason = match runtime.wait(&name).await? {
        Ended::Exited(_) => StopReason::Exited,
        Ended::TimedOut => StopReason::TimedOut,
    };
    let wall = begun.elapsed();
    let collect = Collect {
        staging,
        declared: Declared::of(&order.manifest)?,
    };
    let finished = runtime.finish(&name, reason, &collect).await?;
    let (stdout, stderr) = logs.await.unwrap_or_default();
    Ok((finished, stdout, stderr, wall))
}

async fn read_logs(mut follower: belljar_sandbox::LogFollower) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(Ok(event)) = follower.next().await {
        if let LogEvent::Frame(frame) = event {
            let kept = match frame.stream {
                LogStream::Stdout => &mut stdout,
                LogStream::Stderr => &mut stderr,
            };
            let room = LOG_SHOWN.saturating_sub(kept.len());
            kept.extend(frame.bytes.iter().take(room));
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr))
}

/// A test whose order or image the sandbox does not accept is a failed test, with that as its reason.
fn refused(
    error: anyhow::Error,
    runtime: &DockerRuntime,
    tier: Tier,
) -> anyhow::Result<TestReport> {
    match error.downcast::<belljar_sandbox::SandboxError>() {
        Ok(belljar_sandbox::SandboxError::Refused(refusal)) => Ok(TestReport {
            cause: Some("image_refused".to_owned()),
            message: Some(refusal.to_string()),
            sandbox: sandbox_name(runtime, tier),
            production_sandbox: tier == Tier::Gvisor,
            refusals: vec![refusal.to_string()],
            ..TestReport::default()
        }),
        Ok(error) => Err(error.into()),
        Err(error) => Err(error),
    }
}

fn sandbox_name(runtime: &DockerRuntime, tier: Tier) -> String {
    let facts = runtime.facts();
    match (tier, &facts.gvisor) {
        (Tier::Gvisor, Some(gvisor)) => {
            format!("gVisor {} ({})", gvisor.version, gvisor.platform)
        }
        _ => format!("runc {} (not the production sandbox)", facts.runc_version),
    }
}

fn report(
    order: &TestOrder,
    runtime: &DockerRuntime,
    tier: Tier,
    finished: Finished,
    (stdout, stderr): (String, String),
    wall: Duration,
    staging: &Path,
) -> anyhow::Result<TestReport> {
    let (cause, message) = match &finished.verdict {
        Verdict::Succeeded => (None, None),
        Verdict::Failed { cause } => {
            let kind = serde_json::to_value(cause.kind)?;
            let message = format!("{}. {}", cause.message.trim_end_matches('.'), cause.hint);
            (kind.as_str().map(str::to_owned), Some(message))
        }
        Verdict::TimedOut => (
            Some("attempt_timeout".to_owned()),
            Some(format!(
                "it ran longer than its `timeout` of {:?}",
                order.manifest.resources.timeout.to_duration()
            )),
        ),
        Verdict::Cancelled => (Some("cancelled".to_owned()), None),
        Verdict::Lost { detail } => (Some("executor_error".to_owned()), Some(detail.clone())),
    };
    let mut report = TestReport {
        refusals: message.iter().cloned().collect(),
        cause,
        message,
        exit_code: finished
            .exit
            .as_ref()
            .and_then(|exit| i32::try_from(exit.code).ok()),
        sandbox: sandbox_name(runtime, tier),
        production_sandbox: tier == Tier::Gvisor,
        peak_memory_bytes: Some(finished.usage.memory_peak_bytes),
        cpu_ms: Some(finished.usage.cpu_micros / 1_000),
        time_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        stdout,
        stderr,
        ..TestReport::default()
    };
    if let Some(outputs) = finished.outputs {
        report.dropped_files = outputs.dropped.files;
        let result = staging.join(outputs.result.digest.hex());
        report.result = Some(serde_json::from_slice(&fs::read(&result)?)?);
        keep(order, &result, &outputs.result.path)?;
        for (name, file) in outputs.artifacts {
            let kept = keep(order, &staging.join(file.digest.hex()), &file.path)?;
            report.artifacts.push(TestArtifact {
                name,
                path: file.path,
                size: file.bytes,
                kept,
            });
        }
    }
    Ok(report)
}

/// Copies an accepted output to where the developer wants it.
fn keep(order: &TestOrder, staged: &Path, path: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(out) = &order.out else {
        return Ok(None);
    };
    // Checked when the manifest was: relative, without `..`.
    let target = out.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(staged, &target).with_context(|| format!("failed to write {}", target.display()))?;
    Ok(Some(target))
}
