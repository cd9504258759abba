//! `belljar standalone`: one command for scheduler and executor on one machine.
//!
//! Owns: the two child processes, what they share (credential, first token, folders), and their
//! restarts. Leaves to others: everything that a role does. The children are `belljar scheduler`
//! and `belljar executor`, and speak the same protocol over loopback as anywhere else.
//!
//! *Privilege*: this process and the executor are root, because containers, mounts and cgroups
//! need it. The server is started as an unprivileged user, before it has opened anything.

mod child;
mod prepare;

use crate::args::StandaloneArgs;
use crate::roles::{RoleError, runtime};
use anyhow::Context as _;
use child::{Child, Plan};
use prepare::Prepared;
pub use prepare::token as token_file;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the children may take to stop.
const STOP_FOR: Duration = Duration::from_secs(20);

/// How long the server may take until it is ready for the first time.
const START_FOR: Duration = Duration::from_secs(60);

/// Runs until it is told to stop.
pub fn run(args: &StandaloneArgs) -> anyhow::Result<u8> {
    if !rustix::process::geteuid().is_root() {
        return Err(RoleError::precondition(
            "`belljar standalone` needs root on Linux, for its executor: containers, mounts and \
             cgroups cannot be made without. Start it as `sudo belljar standalone`; the server in \
             it runs as an unprivileged user all the same",
        )
        .into());
    }
    let prepared = Prepared::make(args)?;
    runtime()?.block_on(supervise(args, &prepared))
}

async fn supervise(args: &StandaloneArgs, prepared: &Prepared) -> anyhow::Result<u8> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;

    let mut server = Child::new(Plan::server(args, prepared)?);
    server.start()?;
    let url = format!("http://{}", args.listen);
    let ready = tokio::select! {
        ready = until_ready(&url, &mut server) => ready,
        _ = terminate.recv() => Ok(false),
        _ = interrupt.recv() => Ok(false),
    };
    match ready {
        Ok(true) => {}
        Ok(false) => {
            server.stop(STOP_FOR).await;
            return Ok(0);
        }
        Err(error) => {
            server.stop(STOP_FOR).await;
            return Err(error);
        }
    }
    welcome(&url, prepared);
    let mut executor = Child::new(Plan::executor(args, prepared)?);
    executor.start()?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = server.ended() => server.again().await?,
            () = executor.ended() => executor.again().await?,
        }
    }
    tracing::info!("stopping; running containers go on and are adopted by the next start");
    // The executor first: its last words are for the server.
    executor.stop(STOP_FOR).await;
    server.stop(STOP_FOR).await;
    Ok(0)
}

/// Waits until the server says that it is ready; an error where it ends instead.
async fn until_ready(url: &str, server: &mut Child) -> anyhow::Result<bool> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(2))
        .build()?;
    let polling = async {
        loop {
            let answer = client.get(format!("{url}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            // The server's readiness can only be asked for: it is another process.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = server.ended() => {
            let code = server.exit_code();
            Err(RoleError::silent(code.unwrap_or(70)).into())
        }
        () = polling => Ok(true),
        () = tokio::time::sleep(START_FOR) => Err(RoleError::precondition(format!(
            "the server did not become ready within {} s; its log above says why",
            START_FOR.as_secs()
        )).into()),
    }
}

/// Says where everything is; for people, so on stderr and not in the log's form.
fn welcome(url: &str, prepared: &Prepared) {
    eprintln!(
        "\nBelljar is ready.\n  web page    {url}\n  sign in     with the token in {}\n  data        {}\n",
        prepared.token_file.display(),
        prepared.data_dir.display(),
    );
}
