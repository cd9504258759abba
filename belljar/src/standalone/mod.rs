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
pub use child::READY;
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
    let mut prepared = Prepared::make(args)?;
    runtime()?.block_on(supervise(args, &mut prepared))
}

async fn supervise(args: &StandaloneArgs, prepared: &mut Prepared) -> anyhow::Result<u8> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;

    let mut server = Child::new(Plan::server(args, prepared));
    let mut executor = Child::new(Plan::executor(args, prepared));
    let running = async {
        server.start()?;
        until_ready(&mut server).await?;
        welcome(args, prepared);
        executor.start()?;
        loop {
            tokio::select! {
                () = server.ended() => {
                    // Until the server is back, somebody else may hold its address: the executor must not
                    // talk to it, and what it signed in with counts no more.
                    executor.stop(STOP_FOR).await;
                    server.pause().await;
                    prepared.renew_credential()?;
                    server.replan(Plan::server(args, prepared));
                    executor.replan(Plan::executor(args, prepared));
                    server.start()?;
                    until_ready(&mut server).await?;
                    executor.start()?;
                }
                () = executor.ended() => {
                    executor.pause().await;
                    executor.start()?;
                }
            }
        }
    };
    let ended: anyhow::Result<std::convert::Infallible> = tokio::select! {
        _ = terminate.recv() => Err(Told.into()),
        _ = interrupt.recv() => Err(Told.into()),
        ended = running => ended,
    };
    tracing::info!("stopping; running containers go on and are adopted by the next start");
    // The executor first: its last words are for the server.
    executor.stop(STOP_FOR).await;
    server.stop(STOP_FOR).await;
    match ended {
        Err(error) if error.is::<Told>() => Ok(0),
        Err(error) => Err(error),
    }
}

/// It was told to stop.
#[derive(Debug)]
struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told to stop")
    }
}

impl std::error::Error for Told {}

/// Waits until the server is ready; an error where it ends instead.
async fn until_ready(server: &mut Child) -> anyhow::Result<()> {
    match tokio::time::timeout(START_FOR, server.ready()).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            server.ended().await;
            Err(RoleError::silent(server.exit_code().unwrap_or(70)).into())
        }
        Err(_) => Err(RoleError::precondition(format!(
            "the server did not become ready within {} s; its log above says why",
            START_FOR.as_secs()
        ))
        .into()),
    }
}

/// Says where everything is; for people, so on stderr and not in the log's form.
fn welcome(args: &StandaloneArgs, prepared: &Prepared) {
    let url = format!("http://{}", args.listen);
    eprintln!(
        "\nBelljar is ready.\n  web page    {url}\n  sign in     with the token in {}\n  data        {}\n",
        prepared.token_file.display(),
        prepared.data_dir.display(),
    );
}
