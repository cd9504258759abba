//! The whole command line: the roles here, the client commands from the SDK crate.

use belljar_sdk_cli::args::ExecutorCommand;
use belljar_sdk_cli::{ClientArgs, ClientCommand};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Runs other people's analyses on private data, under glass.
///
/// The code comes to the data, works inside a sealed container, and only declared results come out.
///
/// Try it:
///   sudo belljar standalone          # scheduler, executor, API and web page on this machine
///   belljar analysis submit ./mine   # publish an analysis
///   belljar dag apply dag.yaml       # and a workflow of analyses
///   belljar dag run mine --wait
#[derive(Debug, Parser)]
#[command(
    name = "belljar",
    version,
    verbatim_doc_comment,
    propagate_version = true
)]
pub struct Cli {
    #[command(flatten)]
    pub client: ClientArgs,

    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: scheduler, executor, API and web page.
    ///
    /// Needs root on Linux, for the executor alone: the server runs as an unprivileged user. State
    /// is kept in the data directory, so that stopping (Ctrl-C, SIGTERM) loses nothing; running
    /// containers go on and are adopted by the next start.
    Standalone(StandaloneArgs),
    /// Run the scheduler alone: decisions, database, API and web page.
    Scheduler(SchedulerArgs),
    /// Run an executor alone, or list the executors of a server.
    ///
    /// Without a command it pulls tasks from a scheduler and runs them in sandboxes, which needs root.
    #[command(args_conflicts_with_subcommands = true)]
    Executor(Box<ExecutorRole>),
    /// Check this machine for what Belljar needs, and explain each finding.
    Doctor(DoctorArgs),
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// Settings of `belljar standalone`.
#[derive(Debug, Args)]
pub struct StandaloneArgs {
    /// Where everything is kept.
    #[arg(long, env = "BELLJAR_DATA_DIR", default_value = "/var/lib/belljar")]
    pub data_dir: PathBuf,

    /// Address and port of the API and the web page.
    #[arg(long, env = "BELLJAR_LISTEN", default_value = "127.0.0.1:8686")]
    pub listen: SocketAddr,

    /// The unprivileged user that the server runs as: a name or a uid. Default: `belljar` where there
    /// is such a user, else the one who called sudo.
    #[arg(long, env = "BELLJAR_USER")]
    pub user: Option<String>,

    #[command(flatten)]
    pub server: ServerArgs,

    #[command(flatten)]
    pub node: NodeArgs,
}

/// Settings of `belljar scheduler`.
#[derive(Debug, Args)]
pub struct SchedulerArgs {
    /// The database: `sqlite:<path>` or `postgres://user@host/database`. Default: a file in the data
    /// directory.
    #[arg(long, env = "BELLJAR_STORE")]
    pub store: Option<String>,

    /// Where blobs and logs are kept.
    #[arg(
        long,
        env = "BELLJAR_DATA_DIR",
        default_value = "/var/lib/belljar/server"
    )]
    pub data_dir: PathBuf,

    /// Address and port of the API and the web page.
    #[arg(long, env = "BELLJAR_LISTEN", default_value = "127.0.0.1:8686")]
    pub listen: SocketAddr,

    /// A file with the secret that executors sign in with.
    #[arg(long, env = "BELLJAR_EXECUTOR_CREDENTIAL_FILE")]
    pub executor_credential_file: Option<PathBuf>,

    /// The file of the administrator's token. Made, for its owner's eyes only, where it does not exist.
    #[arg(long, env = "BELLJAR_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,

    #[command(flatten)]
    pub server: ServerArgs,

    /// The process that started this one, which it ends with, in a session of its own.
    #[arg(long, hide = true)]
    pub parent: Option<i32>,

    /// Say `ready` on standard output when it is.
    #[arg(long, hide = true)]
    pub say_ready: bool,
}

/// Settings of the server that `standalone` and `scheduler` share.
#[derive(Debug, Args, Clone)]
pub struct ServerArgs {
    /// A further host name under which the server may be called, besides this machine's loopback
    /// names. May be given several times.
    #[arg(long = "allow-host", env = "BELLJAR_ALLOW_HOST", value_delimiter = ',')]
    pub allow_host: Vec<String>,

    /// How long a lease lives without a heartbeat, seconds; at least 2.
    #[arg(long, env = "BELLJAR_LEASE_TTL", default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=3600), hide_short_help = true)]
    pub lease_ttl_secs: u64,

    /// How much longer the scheduler waits before it takes a lease back, seconds.
    #[arg(long, env = "BELLJAR_LEASE_GRACE", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=600), hide_short_help = true)]
    pub lease_grace_secs: u64,
}

/// `belljar executor` with its commands.
#[derive(Debug, Args)]
pub struct ExecutorRole {
    #[command(flatten)]
    pub role: ExecutorArgs,

    #[command(subcommand)]
    pub command: Option<ExecutorCommand>,
}

/// Settings of `belljar executor`.
#[derive(Debug, Args)]
pub struct ExecutorArgs {
    /// A scheduler's address. May be given several times; the one that leads is used.
    #[arg(
        long,
        env = "BELLJAR_SCHEDULERS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8686"
    )]
    pub scheduler: Vec<String>,

    /// A file with the secret to sign in with.
    #[arg(long, env = "BELLJAR_EXECUTOR_CREDENTIAL_FILE")]
    pub credential_file: Option<PathBuf>,

    /// Where the journal and what is on its way are kept. One executor at a time can use it.
    #[arg(
        long,
        env = "BELLJAR_DATA_DIR",
        default_value = "/var/lib/belljar/executor"
    )]
    pub data_dir: PathBuf,

    #[command(flatten)]
    pub node: NodeArgs,

    /// On a stop, wait until every attempt has ended, instead of leaving running containers to the
    /// next start.
    #[arg(long)]
    pub drain: bool,

    /// The process that started this one, which it ends with, in a session of its own.
    #[arg(long, hide = true)]
    pub parent: Option<i32>,
}

/// Settings of the executor that `standalone` and `executor` share.
#[derive(Debug, Args, Clone)]
pub struct NodeArgs {
    /// How many tasks run at once. Default: one for each processor.
    #[arg(long, env = "BELLJAR_SLOTS", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub slots: Option<u32>,

    /// The container engine's socket.
    #[arg(
        long,
        env = "BELLJAR_DOCKER_SOCKET",
        default_value = "/var/run/docker.sock"
    )]
    pub docker_socket: PathBuf,

    /// Take no work while less than this is free in the data directory, MiB.
    #[arg(
        long,
        env = "BELLJAR_DISK_RESERVE_MIB",
        default_value_t = 1024,
        hide_short_help = true
    )]
    pub disk_reserve_mib: u64,
}

/// Settings of `belljar doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The container engine's socket.
    #[arg(
        long,
        env = "BELLJAR_DOCKER_SOCKET",
        default_value = "/var/run/docker.sock"
    )]
    pub docker_socket: PathBuf,

    /// Where executors keep their data.
    #[arg(long, env = "BELLJAR_DATA_DIR", default_value = "/var/lib/belljar")]
    pub data_dir: PathBuf,
}
