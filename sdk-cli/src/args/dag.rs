//! `belljar dag …`.

use super::{ParamArgs, WaitArgs};
use belljar_ids::DagName;
use std::path::PathBuf;

/// What to do with DAGs.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum DagCommand {
    /// Check DAG files without a server
    ///
    /// Reports every problem of every file at once, each with a code, line, column, the underlined source and
    /// help. Looks at the files alone: whether the analyses and datasets they name exist is checked by `dag
    /// apply --dry-run`. Exits with 3 where a file is not valid.
    #[command(after_long_help = "Example:\n  belljar dag validate pipelines/*.yaml")]
    Validate {
        /// DAG files; `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Store a DAG file as a new version of its DAG
    ///
    /// Checks that every analysis and dataset that the file names is there and that inputs, artifacts and
    /// media types fit. The same content again makes no new version. Never creates runs.
    #[command(
        after_long_help = "Example:\n  belljar dag apply pipeline.yaml\n  belljar dag apply --dry-run pipeline.yaml"
    )]
    Apply {
        /// The DAG file; `-` is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Leave the DAG paused: its runs stay queued until `dag unpause`
        #[arg(long)]
        paused: bool,
        /// Check everything and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the DAGs
    #[command(after_long_help = "Example:\n  belljar dag list\n  belljar --output json dag list")]
    List,
    /// Show a DAG: its tasks, how they depend on each other, its newest runs
    #[command(
        after_long_help = "Example:\n  belljar dag show my-pipeline\n  belljar dag show my-pipeline --source > pipeline.yaml"
    )]
    Show {
        /// The DAG
        dag: DagName,
        /// Print the YAML as it was applied, and nothing else
        #[arg(long)]
        source: bool,
    },
    /// Start a run of a DAG
    ///
    /// Prints the run's id. The versions of analyses and datasets are chosen now and stay the same for all
    /// of the run.
    #[command(
        after_long_help = "Example:\n  belljar dag run my-pipeline --param timezone=Europe/Prague --wait"
    )]
    Run(DagRun),
    /// Keep a DAG's new runs queued
    ///
    /// Runs that have started go on.
    #[command(after_long_help = "Example:\n  belljar dag pause my-pipeline")]
    Pause {
        /// The DAG
        dag: DagName,
    },
    /// Let a DAG's queued runs start
    #[command(after_long_help = "Example:\n  belljar dag unpause my-pipeline")]
    Unpause {
        /// The DAG
        dag: DagName,
    },
}

/// `belljar dag run`.
#[derive(Debug, Clone, clap::Args)]
pub struct DagRun {
    /// The DAG
    pub dag: DagName,
    /// The run's parameters.
    #[command(flatten)]
    pub params: ParamArgs,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The same key with the same content gives the same run again, never a second one [default: a new key]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}
