//! What can be typed: the commands that talk to a server, their arguments and their help.
//!
//! Owns: names, help texts, and the reading of single arguments. Leaves to others: what the commands
//! do (`commands`), and the commands that are no client's (`standalone`, `doctor` …: the binary).

mod analysis;
mod dag;
mod dataset;
mod misc;
mod pairs;
mod reference;
mod request;
mod run;

pub use analysis::{AnalysisCommand, AnalysisVersionRef, Language};
pub use dag::{DagCommand, DagRun};
pub use dataset::DatasetCommand;
pub use misc::{CompletionsArgs, ExecutorCommand, LoginArgs, PoolCommand};
pub use pairs::{InputPair, LocalInput, ParamArgs, ParamPair};
pub use reference::{NoMatch, RequestRef, RunRef, only_match};
pub use request::{RequestCommand, RequestCreateArgs};
pub use run::{LogsArgs, RunCommand, StreamName};

use std::path::PathBuf;
use std::time::Duration;

/// How results are printed on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// The API's JSON, for programs.
    Json,
}

/// Where the server is, who asks, and how answers are printed: the same for every command, before or
/// after its name.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClientArgs {
    /// Address of the server [env: BELLJAR_SERVER] [default: from `belljar login`, else
    /// http://127.0.0.1:8686]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub server: Option<String>,

    /// Token that says who asks; prefer a file, which other users cannot see in the process list
    /// [env: BELLJAR_TOKEN]
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        conflicts_with = "token_file",
        help_heading = "Everywhere"
    )]
    pub token: Option<String>,

    /// File with the token [env: BELLJAR_TOKEN_FILE] [default: from `belljar login`, else `token` in
    /// the data directory of a standalone on this machine]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub token_file: Option<PathBuf>,

    /// How results are printed on stdout
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        help_heading = "Everywhere"
    )]
    pub output: Format,

    /// No talk and no progress bars on stderr, only errors
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
}

/// The commands that talk to a server, or prepare what it is given.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ClientCommand {
    /// Check, apply and run DAGs
    #[command(after_long_help = DAG_EXAMPLE)]
    Dag {
        /// What to do.
        #[command(subcommand)]
        command: DagCommand,
    },
    /// Look at runs, follow them, fetch what they gave out
    #[command(after_long_help = RUN_EXAMPLE)]
    Run {
        /// What to do.
        #[command(subcommand)]
        command: RunCommand,
    },
    /// Write, try and publish analyses
    #[command(after_long_help = ANALYSIS_EXAMPLE)]
    Analysis {
        /// What to do.
        #[command(subcommand)]
        command: AnalysisCommand,
    },
    /// Put data in, and see who used it for what
    #[command(after_long_help = DATASET_EXAMPLE)]
    Dataset {
        /// What to do.
        #[command(subcommand)]
        command: DatasetCommand,
    },
    /// Ask for one analysis of given data
    #[command(after_long_help = REQUEST_EXAMPLE)]
    Request {
        /// What to do.
        #[command(subcommand)]
        command: RequestCommand,
    },
    /// Shared limits that tasks draw on
    #[command(after_long_help = POOL_EXAMPLE)]
    Pool {
        /// What to do.
        #[command(subcommand)]
        command: PoolCommand,
    },
    /// The executors that run tasks.
    ///
    /// Not parsed here: `executor` is also a role of the binary, which hangs [`ExecutorCommand`] below its own
    /// `executor` and hands it on as this.
    #[command(skip)]
    Executor {
        /// What to do.
        command: ExecutorCommand,
    },
    /// Remember a server and a token
    ///
    /// Checks that the server takes the token, then writes both to config.toml in the user's
    /// configuration folder ($BELLJAR_CONFIG_DIR, else $XDG_CONFIG_HOME/belljar, else ~/.config/belljar).
    /// A token given by --token, the environment or stdin is kept there, in a file of mode 0600; of one
    /// given by --token-file only the path is. The token is only ever sent to the server that it was
    /// remembered with.
    #[command(after_long_help = LOGIN_EXAMPLE)]
    Login(LoginArgs),
    /// Print the completions for a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLE)]
    Completions(CompletionsArgs),
    /// What the exit codes mean
    #[command(long_about = exit_codes_help(), after_long_help = EXIT_CODES_EXAMPLE)]
    ExitCodes,
}

impl ClientCommand {
    /// Whether it works on this machine alone.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Analysis {
                command: AnalysisCommand::Test { .. } | AnalysisCommand::Init { .. }
            }
        )
    }
}

/// The command line of the client commands alone, for documents and tests.
#[must_use]
pub fn command() -> clap::Command {
    use clap::{Args as _, Subcommand as _};
    let executor = clap::Command::new("executor")
        .about("The executors that run tasks")
        .after_long_help("Example:\n  belljar executor list")
        .subcommand_required(true);
    let root = clap::Command::new("belljar")
        .about("Runs other people's analyses on private data, under glass")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true);
    let root = ClientCommand::augment_subcommands(ClientArgs::augment_args(root));
    root.subcommand(ExecutorCommand::augment_subcommands(executor))
}

/// The text of `belljar help exit-codes`.
fn exit_codes_help() -> String {
    format!(
        "What the exit codes mean. They are stable: scripts may rely on them.\n\n{}",
        crate::exit_code::ExitCode::help()
    )
}

const DAG_EXAMPLE: &str = "\
Example:
  belljar dag validate pipeline.yaml     # needs no server
  belljar dag apply pipeline.yaml
  belljar dag run my-pipeline --wait";
const RUN_EXAMPLE: &str = "\
RUN is an id (run_…), any unique beginning of one, `latest`, or `latest:DAG`.

Example:
  belljar run list --state failed
  belljar run watch latest
  belljar run result latest:my-pipeline report";
const ANALYSIS_EXAMPLE: &str = "\
Example:
  belljar analysis init word-count       # a folder with a program that works
  sudo belljar analysis test word-count  # in the production sandbox
  belljar analysis submit word-count";
const DATASET_EXAMPLE: &str = "\
Example:
  belljar dataset put posts export.csv --media-type text/csv
  belljar dataset show posts";
const REQUEST_EXAMPLE: &str = "\
REQUEST is an id (req_…), any unique beginning of one, or `latest`.

Example:
  belljar request create posts-clean@1 --input export=dataset:posts --wait
  belljar request result latest";
const POOL_EXAMPLE: &str = "\
Example:
  belljar pool set heavy --slots 2
  belljar pool list";
const LOGIN_EXAMPLE: &str = "\
Example:
  belljar login --server http://127.0.0.1:8686 --token-file /var/lib/belljar/token
  sudo cat /var/lib/belljar/token | belljar login --token-file -";
const COMPLETIONS_EXAMPLE: &str = "\
Example:
  belljar completions bash > ~/.local/share/bash-completion/completions/belljar
  belljar completions zsh > ~/.zfunc/_belljar
  belljar completions fish > ~/.config/fish/completions/belljar.fish";
const EXIT_CODES_EXAMPLE: &str = "\
Example:
  belljar run watch latest; [ $? -eq 9 ] && echo 'somebody cancelled it'";

/// Reads a duration as it is written in a DAG: `90s`, `1h30m`.
///
/// # Errors
///
/// Where it is not one; the message says what one looks like.
fn duration(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(belljar_manifest::DurationMs::to_duration)
        .map_err(|error| error.to_string())
}

/// How long to wait for an end.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WaitArgs {
    /// Wait until it has ended, and exit with 1 where it failed and 9 where it was cancelled; Ctrl-C stops
    /// the waiting only
    #[arg(long)]
    pub wait: bool,

    /// Wait at most this long, for example 10m, then exit with 8
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = duration)]
    pub timeout: Option<Duration>,
}
