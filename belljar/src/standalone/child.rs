//! One child process: how it is started, watched, restarted and stopped.

use super::prepare::Prepared;
use crate::args::StandaloneArgs;
use anyhow::Context as _;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// What a child says when it is ready.
pub const READY: &[u8; 6] = b"ready\n";

/// How a child is started.
#[derive(Debug)]
pub struct Plan {
    name: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// Uid and gid, where it is not to be root.
    user: Option<(u32, u32)>,
    /// Whether it says on its standard output when it is ready.
    says_ready: bool,
}

/// This program's file, however its path may be closed to an unprivileged child.
fn program() -> anyhow::Result<PathBuf> {
    // Opened once, inherited, and executed through the descriptor: the path to it may lead through a
    // folder that only root can enter.
    static FILE: std::sync::OnceLock<std::fs::File> = std::sync::OnceLock::new();
    use std::os::fd::AsRawFd as _;
    let file = match FILE.get() {
        Some(file) => file,
        None => {
            let file =
                std::fs::File::open("/proc/self/exe").context("failed to open this program")?;
            rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())
                .context("failed to keep this program open for its children")?;
            FILE.get_or_init(|| file)
        }
    };
    Ok(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
}

impl Plan {
    pub fn server(args: &StandaloneArgs, prepared: &Prepared) -> Self {
        let folder = prepared.data_dir.join("server");
        let mut arguments: Vec<OsString> = vec![
            "scheduler".into(),
            "--parent".into(),
            std::process::id().to_string().into(),
            "--say-ready".into(),
            "--listen".into(),
            args.listen.to_string().into(),
            "--data-dir".into(),
            folder.into(),
            "--lease-ttl-secs".into(),
            args.server.lease_ttl_secs.to_string().into(),
            "--lease-grace-secs".into(),
            args.server.lease_grace_secs.to_string().into(),
        ];
        for host in &args.server.allow_host {
            arguments.extend(["--allow-host".into(), host.into()]);
        }
        Self {
            name: "server",
            arguments,
            environment: vec![
                (
                    "BELLJAR_EXECUTOR_CREDENTIAL",
                    prepared.credential.clone().into(),
                ),
                ("BELLJAR_ADMIN_TOKEN", prepared.token.clone().into()),
            ],
            user: Some(prepared.user),
            says_ready: true,
        }
    }

    pub fn executor(args: &StandaloneArgs, prepared: &Prepared) -> Self {
        let mut arguments: Vec<OsString> = vec![
            "executor".into(),
            "--parent".into(),
            std::process::id().to_string().into(),
            "--scheduler".into(),
            format!("http://{}", args.listen).into(),
            "--data-dir".into(),
            prepared.data_dir.join("executor").into(),
            "--docker-socket".into(),
            args.node.docker_socket.clone().into(),
            "--disk-reserve-mib".into(),
            args.node.disk_reserve_mib.to_string().into(),
        ];
        if let Some(slots) = args.node.slots {
            arguments.extend(["--slots".into(), slots.to_string().into()]);
        }
        Self {
            name: "executor",
            arguments,
            environment: vec![(
                "BELLJAR_EXECUTOR_CREDENTIAL",
                prepared.credential.clone().into(),
            )],
            user: None,
            says_ready: false,
        }
    }
}

/// A child process that is restarted when it ends unasked.
#[derive(Debug)]
pub struct Child {
    plan: Plan,
    process: Option<tokio::process::Child>,
    status: Option<ExitStatus>,
    started: Instant,
    failures: u32,
}

impl Child {
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            process: None,
            status: None,
            started: Instant::now(),
            failures: 0,
        }
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(program()?);
        command
            .arg0("belljar")
            .args(&self.plan.arguments)
            .env_clear();
        for name in ["PATH", "BELLJAR_LOG", "RUST_BACKTRACE", "LANG", "TZ"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(
            self.plan
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        command.stdin(std::process::Stdio::null());
        if self.plan.says_ready {
            command.stdout(std::process::Stdio::piped());
        }
        // The child begins a session of its own (`--parent`): Ctrl-C in a terminal is heard by this process
        // alone, and the server has no terminal of root's that it could type into.
        if let Some((uid, gid)) = self.plan.user {
            // As root this also drops every supplementary group.
            command.uid(uid).gid(gid);
        }
        let process = command
            .spawn()
            .with_context(|| format!("failed to start the {}", self.plan.name))?;
        tracing::debug!(child = self.plan.name, pid = process.id(), "started");
        self.process = Some(process);
        self.status = None;
        self.started = Instant::now();
        Ok(())
    }

    /// Waits until it says that it is ready; false where it ends or closes its output first.
    ///
    /// Said over a pipe that only the child has: an answer on the network address could be another
    /// program's.
    pub async fn ready(&mut self) -> bool {
        let output = self
            .process
            .as_mut()
            .and_then(|process| process.stdout.take());
        let Some(mut output) = output else {
            return false;
        };
        let mut said = [0; READY.len()];
        let ready = tokio::io::AsyncReadExt::read_exact(&mut output, &mut said)
            .await
            .is_ok();
        ready && said == *READY
    }

    /// Waits until it ends; for ever where it does not run.
    pub async fn ended(&mut self) {
        let Some(process) = &mut self.process else {
            return std::future::pending().await;
        };
        match process.wait().await {
            Ok(status) => {
                self.status = Some(status);
                self.process = None;
            }
            Err(error) => {
                tracing::error!(%error, child = self.plan.name, "failed to wait for a child");
                std::future::pending().await
            }
        }
    }

    /// What it ended with.
    pub fn exit_code(&self) -> Option<u8> {
        self.status
            .and_then(|status| status.code())
            .and_then(|code| u8::try_from(code).ok())
    }

    /// Waits before it is started again, longer with each failure in a row.
    pub async fn pause(&mut self) {
        if self.started.elapsed() > Duration::from_secs(60) {
            self.failures = 0;
        }
        let pause = Duration::from_millis(100 << self.failures.min(7));
        self.failures = self.failures.saturating_add(1);
        let status = self
            .status
            .map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        tracing::error!(
            child = self.plan.name,
            status,
            pause_ms = pause.as_millis(),
            "ended unasked; starting it again"
        );
        tokio::time::sleep(pause).await;
    }

    /// Has it started with another plan from now on.
    pub fn replan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// Asks it to stop, and kills it if it does not in time.
    pub async fn stop(&mut self, within: Duration) {
        let Some(process) = &mut self.process else {
            return;
        };
        let pid = process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            // It may have ended this moment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(within, process.wait()).await.is_err() {
            tracing::warn!(child = self.plan.name, "does not stop; killing it");
            let _ = process.kill().await;
        }
        self.process = None;
    }
}
