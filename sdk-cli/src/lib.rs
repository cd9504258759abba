//! The SDK and the command line of Belljar.
//!
//! Owns: [`client`], a typed client of the public API for anybody's program, and the commands built on it,
//! their arguments, output and exit codes. Leaves to others: what runs on the server, the sandbox, and the
//! commands that are no client's (`standalone`, `scheduler`, `executor`, `doctor`: the binary).
//!
//! The binary puts [`ClientArgs`] and [`ClientCommand`] into its own command line and hands them to [`run`]
//! with what it knows of the sandbox ([`ImagePort`]). The commands use nothing but the public API, except
//! those on local files (`dag validate`, `analysis init`) and on the local sandbox (`analysis test`,
//! `analysis submit`).
//!
//! Data goes to stdout, talk to stderr. Everything that a server, an author or an analysis wrote is made
//! safe for a terminal before it is shown ([`escape`]).

pub mod args;
pub mod client;
mod commands;
pub mod config;
mod context;
mod error;
pub mod escape;
mod exit_code;
mod io;
mod port;
mod progress;
mod table;

pub use args::{ClientArgs, ClientCommand, ExecutorCommand, Format, command};
pub use context::Context;
pub use error::CommandError;
pub use exit_code::ExitCode;
pub use io::{Io, Place};
pub use port::{Binary, BuiltImage, ImagePort, PortError, TestArtifact, TestOrder, TestReport};

use client::Client;
use config::{Environment, Settings};
use std::future::Future;

/// Carries out a command of this process and gives back what the process is to end with. Ctrl-C and SIGTERM
/// end it at once, with nothing half done left behind.
pub async fn run(args: ClientArgs, command: ClientCommand, binary: Binary<'_>) -> ExitCode {
    let io = Io::process(&args);
    run_with(
        args,
        command,
        binary,
        io,
        Environment::process(),
        interrupted(),
    )
    .await
}

/// As [`run`], with outputs and environment given, until `interrupted` is ready.
pub async fn run_with(
    args: ClientArgs,
    command: ClientCommand,
    binary: Binary<'_>,
    io: Io,
    environment: Environment,
    interrupted: impl Future<Output = ()>,
) -> ExitCode {
    if let Some(ended) = commands::without_server(&command, &binary, &io) {
        return ended.unwrap_or_else(|error| failed(&error, &io, None));
    }
    let connected = if command.is_local() {
        // Neither the network nor a token is needed, so nothing about them can be wrong.
        connect(&ClientArgs::default(), &Environment::new(|_| None))
    } else {
        connect(&args, &environment)
    };
    let (settings, client) = match connected {
        Ok(both) => both,
        Err(error) => return failed(&error, &io, None),
    };
    let context = Context::new(client, settings, io, environment);
    tokio::select! {
        biased;
        ended = commands::dispatch(&context, &command, &binary) => {
            ended.unwrap_or_else(|error| failed(&error, &context.io, Some(&context.settings)))
        }
        () = interrupted => {
            let text = context.interrupt_text();
            context.io.err_line(text.as_deref().unwrap_or("interrupted"));
            ExitCode::Interrupted
        }
    }
}

fn connect(
    args: &ClientArgs,
    environment: &Environment,
) -> Result<(Settings, Client), CommandError> {
    let settings = Settings::find(args, environment)?;
    let client = Client::new(&settings.server, settings.token.as_ref())?;
    Ok((settings, client))
}

fn failed(error: &CommandError, io: &Io, settings: Option<&Settings>) -> ExitCode {
    error.tell(io, settings);
    error.exit_code()
}

/// Returns at the first SIGINT or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let first = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = first(SignalKind::interrupt()) => {}
        () = first(SignalKind::terminate()) => {}
    }
}
