//! `belljar pool …`, `executor …`, `login`, `completions`.

use belljar_ids::PoolName;

/// What to do with pools.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum PoolCommand {
    /// List the pools
    #[command(after_long_help = "Example:\n  belljar pool list")]
    List,
    /// Make a pool, or change it
    ///
    /// Fewer slots take effect as tasks end; 0 slots let nothing through.
    #[command(
        after_long_help = "Example:\n  belljar pool set heavy --slots 2 --description 'large jobs'"
    )]
    Set {
        /// The pool
        name: PoolName,
        /// How many slots it has, 0 to 1000000
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
        slots: u32,
        /// What it stands for, in a sentence [default: as it was]
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
}

/// What to do with executors.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ExecutorCommand {
    /// List the executors, what they hold and whether they take work
    #[command(after_long_help = "Example:\n  belljar executor list")]
    List,
}

/// `belljar login`.
#[derive(Debug, Clone, clap::Args)]
pub struct LoginArgs {}

/// `belljar completions`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
