//! The one binary: argument parsing, and the composition of the roles. No role knows another.

mod args;
mod doctor;
mod images;
mod roles;
mod standalone;

use args::{Cli, Command};
use belljar_sdk_cli::{Binary, ClientCommand};
use clap::{CommandFactory as _, Parser as _};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Command::Standalone(args) => logged(|| standalone::run(&args)),
        Command::Scheduler(args) => logged(|| roles::scheduler(&args)),
        Command::Executor(args) => match args.command {
            None => logged(|| roles::executor(&args.role)),
            Some(command) => client(cli.client, ClientCommand::Executor { command }),
        },
        Command::Doctor(args) => doctor::run(&args, &cli.client),
        Command::Client(command) => client(cli.client, *command),
    };
    ExitCode::from(code)
}

/// A long-running role, with its log on stderr: for people where that is a terminal, else JSON lines.
fn logged(role: impl FnOnce() -> anyhow::Result<u8>) -> u8 {
    let filter = EnvFilter::try_from_env("BELLJAR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Told on stderr, that the log cannot be written would panic: it goes there itself, and its
        // disk may be full.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
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

fn client(args: belljar_sdk_cli::ClientArgs, command: ClientCommand) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let images = images::LocalImages;
            let binary = Binary {
                command: Cli::command,
                images: &images,
            };
            runtime.block_on(belljar_sdk_cli::run(args, command, binary)) as u8
        }
        Err(error) => {
            eprintln!("belljar: failed to start: {error}");
            70
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn executor_is_a_role_and_a_noun() {
        let role = Cli::try_parse_from(["belljar", "executor", "--slots", "3"]).unwrap();
        let Command::Executor(role) = role.command else {
            panic!()
        };
        assert_eq!(
            (role.role.node.slots, role.command.is_none()),
            (Some(3), true)
        );
        let list = Cli::try_parse_from(["belljar", "executor", "list"]).unwrap();
        let Command::Executor(list) = list.command else {
            panic!()
        };
        assert!(list.command.is_some());
    }
}
