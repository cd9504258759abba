//! `belljar request …`.

use super::{InputPair, ParamArgs, RequestRef, WaitArgs};
use std::path::PathBuf;

/// What to do with requests.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum RequestCommand {
    /// Ask for one analysis of given data
    ///
    /// Checked before it is answered; becomes a run. Prints the request's id, or with --wait its result.
    #[command(after_long_help = CREATE_HELP)]
    Create(RequestCreateArgs),
    /// List requests, the newest first
    #[command(after_long_help = "Example:\n  belljar request list --limit 10")]
    List {
        /// The most requests to list
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show a request
    #[command(after_long_help = "Example:\n  belljar request show latest")]
    Show {
        /// The request: an id, a unique beginning of one, or `latest`
        request: RequestRef,
    },
    /// Print a request's result.json on stdout
    #[command(after_long_help = "Example:\n  belljar request result latest | jq .")]
    Result {
        /// The request: an id, a unique beginning of one, or `latest`
        request: RequestRef,
    },
    /// Fetch a file that a request gave out
    #[command(
        after_long_help = "Example:\n  belljar request artifact latest heatmap -o heatmap.svg"
    )]
    Artifact {
        /// The request: an id, a unique beginning of one, or `latest`
        request: RequestRef,
        /// The artifact: its key in the manifest, or its path below /out
        name: String,
        /// Where to write it; `-` is stdout
        #[arg(short = 'o', long = "to", value_name = "FILE")]
        to: PathBuf,
        /// Replace FILE if it is there
        #[arg(long, short)]
        force: bool,
    },
    /// Cancel a request
    #[command(after_long_help = "Example:\n  belljar request cancel latest")]
    Cancel {
        /// The request: an id, a unique beginning of one, or `latest`
        request: RequestRef,
    },
}

const CREATE_HELP: &str = "\
Example:
  belljar request create posts-clean@1 --input export=dataset:posts --purpose 'yearly report' --wait
  belljar request create social-engagement --input posts=dataset:clean@3 --param timezone=Europe/Prague";

/// `belljar request create`.
#[derive(Debug, Clone, clap::Args)]
pub struct RequestCreateArgs {
    /// The analysis: `name` for its newest version, `name@1`, or `name@sha256:…`
    pub analysis: String,
    /// Which dataset is which input, for example `posts=dataset:my-posts@3`; can be given for each input
    #[arg(long = "input", value_name = "NAME=DATASET")]
    pub inputs: Vec<InputPair>,
    /// The parameters.
    #[command(flatten)]
    pub params: ParamArgs,
    /// What the result is for; the data's owner sees it
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub purpose: String,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The same key with the same content gives the same request again, never a second one [default: a new key]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}
