//! Calls to the Docker engine: each with a time-out, each error sorted by what it means.
//!
//! Owns: the connection and the error mapping. Nothing else of the crate sees a `bollard` error.

use crate::error::{Result, SandboxError};
use bollard::Docker;
use bollard::errors::Error as DockerError;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an ordinary call may take.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// How long creating, starting or removing a container may take on a busy host.
pub(super) const SLOW_CALL: Duration = Duration::from_secs(90);
/// The engine's usual socket.
pub(super) const SOCKET: &str = "/var/run/docker.sock";
/// Seconds until the headers of an answer must be there; streams go on after it.
const HEADER_TIMEOUT_SECS: u64 = 120;

/// A connection to one engine.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    socket: PathBuf,
}

impl Engine {
    /// Connects and agrees on an API version.
    pub(super) async fn connect(socket: &Path) -> Result<Self> {
        let address = format!("unix://{}", socket.display());
        let docker =
            Docker::connect_with_unix(&address, HEADER_TIMEOUT_SECS, bollard::API_DEFAULT_VERSION)
                .map_err(|error| sorted("connect", error))?;
        let docker = within("agree on a version", CALL, docker.negotiate_version()).await?;
        Ok(Self {
            docker,
            socket: socket.to_owned(),
        })
    }

    /// Which run of which engine process answers: changes when the engine is restarted. Empty
    /// where it cannot be told (a socket handed over by an init system).
    pub(super) async fn incarnation(&self) -> Result<String> {
        let pid = self.pid().await?;
        Ok(start_of(pid).map_or_else(String::new, |start| format!("{pid}/{start}")))
    }

    /// The engine's process on this host.
    pub(super) async fn pid(&self) -> Result<i32> {
        let unavailable = |error: std::io::Error| SandboxError::EngineUnavailable {
            detail: format!("{}: {error}", self.socket.display()),
        };
        let stream = tokio::net::UnixStream::connect(&self.socket);
        let stream = stream.await.map_err(unavailable)?;
        let peer = stream.peer_cred().map_err(unavailable)?;
        Ok(peer.pid().unwrap_or(0))
    }

    /// Where the runtime's bundles of this engine may be: below its exec root, or in a containerd
    /// of its own.
    pub(super) async fn bundle_roots(&self) -> Vec<PathBuf> {
        let tasks = "io.containerd.runtime.v2.task/moby";
        let pid = self.pid().await.unwrap_or(0);
        let exec_root = argument(pid, "--exec-root").unwrap_or_else(|| "/run/docker".into());
        vec![
            Path::new(&exec_root).join("containerd/daemon").join(tasks),
            Path::new("/run/containerd").join(tasks),
        ]
    }
}

/// When a process started, in clock ticks since boot.
fn start_of(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; field 22 is the 20th after it (proc(5)).
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// The value of an option in a process's command line.
fn argument(pid: i32, option: &str) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|&b| b == 0).map(String::from_utf8_lossy);
    while let Some(word) = words.next() {
        if word == option {
            return words.next().map(|value| value.into_owned());
        }
        if let Some(value) = word
            .strip_prefix(option)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value.to_owned());
        }
    }
    None
}

/// Runs one call with a time-out and sorts its error.
pub(super) async fn within<T>(
    call: &'static str,
    after: Duration,
    future: impl Future<Output = Result<T, DockerError>>,
) -> Result<T> {
    match tokio::time::timeout(after, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(sorted(call, error)),
        Err(_) => Err(SandboxError::EngineSlow { call, after }),
    }
}

/// What an error of the client means to us.
pub(super) fn sorted(call: &'static str, error: DockerError) -> SandboxError {
    match error {
        DockerError::DockerResponseServerError {
            status_code,
            message,
        } => SandboxError::Engine {
            call,
            status: status_code,
            message: message.trim().chars().take(2000).collect(),
        },
        DockerError::DockerStreamError { error } => SandboxError::Engine {
            call,
            status: 0,
            message: error.chars().take(2000).collect(),
        },
        DockerError::RequestTimeoutError => SandboxError::EngineSlow {
            call,
            after: Duration::from_secs(HEADER_TIMEOUT_SECS),
        },
        DockerError::JsonDataError { message, .. } => SandboxError::Confused(format!(
            "the engine's answer to {call} is not clear: {message}"
        )),
        // What is left are errors of the connection itself.
        error => SandboxError::EngineUnavailable {
            detail: format!("failed to {call}: {}", chain(&error)),
        },
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether the engine said that there is no such thing.
pub(super) fn is_not_found(error: &SandboxError) -> bool {
    matches!(error, SandboxError::Engine { status: 404, .. })
}
