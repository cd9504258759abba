//! The one binary: argument parsing, and the composition of the roles. No role knows another.

mod args;
mod doctor;
mod images;
mod roles;
mod standalone;

use args::{Cli, Command};
use belljar_sdk_cli::Binary;
use clap::{CommandFactory as _, Parser as _};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Command::Standalone(args) => logged(|| standalone::run(&args)),
        Command::Scheduler(args) => logged(|| roles::scheduler(&args)),
        Command::Executor(args) => logged(|| roles::executor(&args)),
        Command::Doctor(args) => doctor::run(&args, &cli.client),
        Command::Client(command) => client(cli.client, *command),
    };
    ExitCode::from(code)
}

/// A long-running role, with its log on stderr: for people where that is a terminal, else JSON lines.
fn logged(role: impl FnOnce() -> anyhow::Result<u8>) -> u8 {
    let filter = EnvFilter::try_from_env("BELLJAR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).init();
    }
    role().unwrap_or_else(|error| {
        eprintln!("belljar: {error:#}");
        roles::exit_code(&error)
    })
}

fn client(args: belljar_sdk_cli::ClientArgs, command: belljar_sdk_cli::ClientCommand) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let images = images::LocalImages::default();
            let binary = Binary { command: Cli::command, images: &images };
            runtime.block_on(belljar_sdk_cli::run(args, command, binary)) as u8
        }
        Err(error) => {
            eprintln!("belljar: failed to start: {error}");
            70
        }
    }
}
