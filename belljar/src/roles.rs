//! `belljar scheduler` and `belljar executor`: from arguments to the crates that do it.

use crate::args::{ExecutorArgs, SchedulerArgs};
use anyhow::Context as _;
use belljar_executor::{Credential, ExecutorConfig};
use belljar_scheduler::server::{ServerConfig, ServerError, serve};
use belljar_scheduler::service::tokens::Token;
use belljar_sdk_cli::ExitCode;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A failure with the exit code that goes with it.
#[derive(Debug)]
pub struct RoleError {
    code: u8,
    message: String,
}

impl RoleError {
    /// The state of the machine does not allow it.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self {
            code: ExitCode::Conflict as u8,
            message: message.into(),
        }
    }

    /// Somebody else has said already what is wrong.
    pub fn silent(code: u8) -> Self {
        Self {
            code,
            message: "stopped".to_owned(),
        }
    }
}

impl std::fmt::Display for RoleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RoleError {}

/// What the process ends with after this error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<RoleError>() {
        return error.code;
    }
    match error.downcast_ref::<ServerError>() {
        Some(error) if error.is_precondition() => ExitCode::Conflict as u8,
        _ => ExitCode::Internal as u8,
    }
}

/// The runtime of a role. Few threads: a role waits most of its time, and each costs memory.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start")
}

/// Runs the scheduler until it is told to stop.
pub fn scheduler(args: &SchedulerArgs) -> anyhow::Result<u8> {
    if let Some(parent) = args.parent {
        belong_to(parent)?;
    }
    let engine = belljar_scheduler::EngineConfig {
        lease_ttl: Duration::from_secs(args.server.lease_ttl_secs),
        lease_grace: Duration::from_secs(args.server.lease_grace_secs),
        ..Default::default()
    };
    let credential = secret(
        "BELLJAR_EXECUTOR_CREDENTIAL",
        args.executor_credential_file.as_deref(),
    )?;
    let config = ServerConfig {
        store: args.store.as_deref().map(str::parse).transpose()?,
        data_dir: args.data_dir.clone(),
        listen: args.listen,
        allowed_hosts: args.server.allow_host.clone(),
        executor_credentials: credential.into_iter().collect(),
        admin_token: admin_token(args.admin_token_file.as_deref())?,
        engine,
    };
    runtime()?.block_on(async {
        let stop = on_signal()?;
        serve(config, stop, || say_ready(args.say_ready)).await?;
        Ok(0)
    })
}

/// Runs the executor until it is told to stop.
pub fn executor(args: &ExecutorArgs) -> anyhow::Result<u8> {
    if let Some(parent) = args.parent {
        belong_to(parent)?;
    }
    if !rustix::process::geteuid().is_root() {
        return Err(RoleError::precondition(
            "`belljar executor` needs root: containers, mounts and cgroups cannot be made without",
        )
        .into());
    }
    let credential = secret(
        "BELLJAR_EXECUTOR_CREDENTIAL",
        args.credential_file.as_deref(),
    )?
    .ok_or_else(|| {
        RoleError::precondition(
            "an executor needs the secret it signs in with: give --credential-file",
        )
    })?;
    let mut config = ExecutorConfig::new(
        args.scheduler.clone(),
        Credential::new(&credential),
        args.data_dir.clone(),
    );
    if let Some(slots) = args.node.slots {
        config.slots = slots;
    }
    config.engine_socket.clone_from(&args.node.docker_socket);
    config.disk_reserve_bytes = args.node.disk_reserve_mib << 20;
    config.drain = args.drain;
    runtime()?.block_on(async {
        let stop = on_signal()?;
        belljar_executor::run(config, stop).await?;
        Ok(0)
    })
}

fn say_ready(wanted: bool) {
    if wanted {
        let mut out = std::io::stdout().lock();
        // Whoever wanted to know may be gone; then this process is about to end too.
        let _ = out
            .write_all(crate::standalone::READY)
            .and_then(|()| out.flush());
    }
}

/// A secret from the environment, or from a file.
fn secret(variable: &str, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(std::env::var(variable).ok().filter(|text| !text.is_empty()))
}

/// The administrator's token, which is made where the file does not exist.
fn admin_token(file: Option<&Path>) -> anyhow::Result<Option<Token>> {
    let text = match file {
        Some(path) if !path.exists() => crate::standalone::token_file(path)?,
        _ => match secret("BELLJAR_ADMIN_TOKEN", file)? {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let token = text.parse().map_err(|error| {
        RoleError::precondition(format!("the administrator's token is not one: {error}"))
    })?;
    Ok(Some(token))
}

/// A token that SIGTERM and SIGINT cancel; a second signal ends the process at once.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round == 0 {
                stopped.cancel();
            } else {
                std::process::exit(i32::from(ExitCode::Interrupted as u8));
            }
        }
    });
    Ok(stop)
}

/// Makes this process one of `parent`'s: the kernel ends it when the parent ends, however that does, and
/// it has a session, so no terminal, of its own.
fn belong_to(parent: i32) -> anyhow::Result<()> {
    rustix::process::setsid().context("failed to begin a session")?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .context("failed to tie this process to its parent")?;
    // It may have ended before the call above.
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    anyhow::ensure!(now == parent, "the parent process has ended");
    Ok(())
}
