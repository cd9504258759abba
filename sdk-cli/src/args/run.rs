//! `belljar run …`.

use super::{RunRef, duration};
use belljar_ids::{DagName, RunState, TaskName};
use std::path::PathBuf;
use std::time::Duration;

/// What to do with runs.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum RunCommand {
    /// List runs, the newest first
    #[command(
        after_long_help = "Example:\n  belljar run list --dag my-pipeline --state failed --limit 10"
    )]
    List {
        /// Only runs of this DAG (for requests: of this analysis)
        #[arg(long)]
        dag: Option<DagName>,
        /// Only runs in this state: queued, running, cancelling, succeeded, failed, cancelled
        #[arg(long)]
        state: Option<RunState>,
        /// The most runs to list
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show a run and its tasks, or one task and its attempts
    ///
    /// Says of every unfinished task why it is not running.
    #[command(
        after_long_help = "Example:\n  belljar run show latest\n  belljar run show latest clean     # one task: attempts, peaks, artifacts"
    )]
    Show {
        /// The run: an id, a unique beginning of one, `latest` or `latest:DAG`
        run: RunRef,
        /// One task of it
        task: Option<TaskName>,
    },
    /// Follow a run until it ends
    ///
    /// Prints every change of state as it happens and a summary at the end. Ctrl-C stops the watching, not the
    /// run. Comes back by itself when the server is restarted. Exits with 1 where the run failed, 9 where it
    /// was cancelled. With `--output json` each event is one line of JSON.
    #[command(after_long_help = "Example:\n  belljar run watch latest --timeout 10m")]
    Watch {
        /// The run: an id, a unique beginning of one, `latest` or `latest:DAG`
        run: RunRef,
        /// Watch at most this long, for example 10m, then exit with 8
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        timeout: Option<Duration>,
    },
    /// Print what a task's program wrote
    #[command(after_long_help = LOGS_HELP)]
    Logs(LogsArgs),
    /// Cancel a run
    ///
    /// Returns when the cancel is accepted; running containers are then being stopped. A run that has ended
    /// stays as it ended.
    #[command(after_long_help = "Example:\n  belljar run cancel latest:my-pipeline")]
    Cancel {
        /// The run: an id, a unique beginning of one, `latest` or `latest:DAG`
        run: RunRef,
    },
    /// Print a task's result.json on stdout
    ///
    /// Exactly the bytes that the program wrote. Only where stdout is a terminal, invisible and control
    /// characters are written as JSON escapes, which is the same value.
    #[command(after_long_help = "Example:\n  belljar run result latest clean | jq .kept")]
    Result {
        /// The run: an id, a unique beginning of one, `latest` or `latest:DAG`
        run: RunRef,
        /// The task
        task: TaskName,
    },
    /// Fetch a file that a task gave out
    ///
    /// The file appears under its name only when it is complete and its digest is right.
    #[command(
        after_long_help = "Example:\n  belljar run artifact latest report report -o report.html\n  belljar run artifact latest clean posts.jsonl -o - | head"
    )]
    Artifact {
        /// The run: an id, a unique beginning of one, `latest` or `latest:DAG`
        run: RunRef,
        /// The task
        task: TaskName,
        /// The artifact: its key in the manifest, or its path below /out
        name: String,
        /// Where to write it; `-` is stdout
        #[arg(short = 'o', long = "to", value_name = "FILE")]
        to: PathBuf,
        /// Replace FILE if it is there
        #[arg(long, short)]
        force: bool,
    },
}

const LOGS_HELP: &str = "\
Logs are written by programs that are not trusted. Where stdout is a terminal, control characters and escape
sequences (colours, too) are shown instead of obeyed, and a carriage return is a line break; --raw passes every
byte on. Where stdout is a file or a pipe, the bytes are always exactly those that the program wrote.

Example:
  belljar run logs latest clean --follow
  belljar run logs latest clean --stream stderr > clean.err";

/// `belljar run logs`.
#[derive(Debug, Clone, clap::Args)]
pub struct LogsArgs {
    /// The run: an id, a unique beginning of one, `latest` or `latest:DAG`
    pub run: RunRef,
    /// The task
    pub task: TaskName,
    /// Which of the program's outputs
    #[arg(long, value_enum, default_value_t)]
    pub stream: StreamName,
    /// Which attempt, by its number in `run show RUN TASK` [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    pub attempt: Option<i64>,
    /// Go on until the attempt ends
    #[arg(long, short)]
    pub follow: bool,
    /// Pass control characters on to the terminal
    #[arg(long)]
    pub raw: bool,
}

/// Which of a program's outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// First all of standard output, then all of standard error; with --follow both as they come.
    #[default]
    Both,
}

impl StreamName {
    /// The streams in it, as the API names them.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Stdout => &["stdout"],
            Self::Stderr => &["stderr"],
            Self::Both => &["stdout", "stderr"],
        }
    }
}
