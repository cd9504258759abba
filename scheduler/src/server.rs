//! One scheduler process: store, leader and HTTP put together, started and stopped in order.

use crate::blobs::BlobStore;
use crate::http::{self, HttpConfig, Parts, SigningKey, auth};
use crate::leader::{self, LeaderConfig, LeaderError, LeaderHandle, Timing};
use crate::service::logs::LogStore;
use crate::service::tokens::Token;
use belljar_engine::Config;
use belljar_engine::command::{Command, Refusal};
use belljar_ids::{PrincipalName, TenantId};
use belljar_store::{OpenError, Store, StoreError, StoreUrl};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long open connections may take to end when the server stops.
const DRAIN_FOR: Duration = Duration::from_secs(10);

/// The most bytes of one log that are kept, whatever an executor sends.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The settings of one scheduler process.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The database; none is a SQLite file in the data directory.
    pub store: Option<StoreUrl>,
    /// Where blobs, logs and the signing key are kept, and the SQLite file where there is one.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Host names, beside the loopback names, under which it may be called.
    pub allowed_hosts: Vec<String>,
    /// The secrets that executors sign in with.
    pub executor_credentials: Vec<String>,
    /// The administrator's token, stored where it is not yet known.
    pub admin_token: Option<Token>,
    /// The engine's constants.
    pub engine: Config,
}

/// Why a scheduler could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory could not be used.
    #[error("failed to use the data directory {path}")]
    DataDir {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another scheduler uses the database file.
    #[error("another scheduler uses the database {0}; stop it, or choose another one")]
    Locked(PathBuf),
    /// The database.
    #[error("failed to open the database")]
    Store(#[from] OpenError),
    /// The database, later.
    #[error("failed to read the database")]
    Read(#[from] StoreError),
    /// The address is taken.
    #[error("{0} is taken by another program; stop that, or choose another address with --listen")]
    AddressTaken(SocketAddr),
    /// The address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The administrator's token could not be stored.
    #[error("failed to store the administrator's token")]
    Token(#[source] LeaderError),
    /// The server ended.
    #[error("failed to serve")]
    Serve(#[source] std::io::Error),
}

impl ServerError {
    /// Whether it is the state of the machine that does not allow a start, and not a fault.
    #[must_use]
    pub fn is_precondition(&self) -> bool {
        match self {
            Self::Locked(_) | Self::AddressTaken(_) => true,
            // A port below 1024, or an address that is not this machine's.
            Self::Listen { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::AddrNotAvailable
            ),
            _ => false,
        }
    }
}

/// Serves until `stop`. Calls `ready` once, when the address is open, the state is loaded and the
/// administrator's token is known.
///
/// # Errors
///
/// See [`ServerError`].
pub async fn serve(
    config: ServerConfig,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), ServerError> {
    let data_dir = |source| ServerError::DataDir {
        path: config.data_dir.clone(),
        source,
    };
    private_folder(&config.data_dir).map_err(data_dir)?;
    let url = match config.store.clone() {
        Some(url) => url,
        None => StoreUrl::sqlite(config.data_dir.join("belljar.db")),
    };
    // The lock comes first: a second scheduler must not even look at the file.
    let _lock = match &url {
        StoreUrl::Sqlite(path) => Some(lock(path)?),
        StoreUrl::Postgres(_) => None,
    };
    let listener = listen(config.listen).await?;
    let office = matches!(url, StoreUrl::Postgres(_)).then(Timing::default);
    let store = Store::open(&url).await?;
    let blobs = BlobStore::open(config.data_dir.join("blobs")).map_err(data_dir)?;
    let logs = LogStore::open(config.data_dir.join("logs"), LOG_BYTES_MAX).map_err(data_dir)?;
    let key = SigningKey::load_or_make(&config.data_dir.join("signing.key")).map_err(data_dir)?;

    let leader_config = LeaderConfig {
        holder: format!("process {}", std::process::id()),
        address: format!("http://{}", config.listen),
        engine: config.engine.clone(),
        office,
    };
    // The leader outlives the HTTP side, so that what was taken in is answered.
    let leader_stop = CancellationToken::new();
    let (handle, leading) = leader::leader(store.clone(), leader_config, leader_stop.clone());
    let leading = tokio::spawn(leading);

    let mut http = HttpConfig::new(key);
    http.lease_timing = http::lease_timing(&config.engine);
    http.allowed_hosts.clone_from(&config.allowed_hosts);
    http.executor_credentials = config
        .executor_credentials
        .iter()
        .map(|text| auth::credential_hash(text))
        .collect();
    let app = http::App::new(Parts {
        config: http,
        store: store.clone(),
        leader: handle.clone(),
        blobs,
        logs,
        stop: stop.clone(),
    });
    // Before the first answer, so that whoever finds the server ready can sign in.
    let result = match &config.admin_token {
        Some(token) => admin_token(&store, &handle, token, &stop).await,
        None => Ok(()),
    };
    let result = match result {
        Ok(()) => {
            ready();
            run(listener, app, stop).await
        }
        failed => failed,
    };
    leader_stop.cancel();
    // A panic in the leader was logged by the hook.
    let _ = leading.await;
    store.close().await;
    result
}

async fn run(
    listener: TcpListener,
    app: http::App,
    stop: CancellationToken,
) -> Result<(), ServerError> {
    let router = http::router(app);
    let drained = stop.clone();
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    // Streams end by the token; whatever else is still open does not hold up the stop for ever.
    tokio::select! {
        served = serving => served.map_err(ServerError::Serve),
        () = async {
            drained.cancelled().await;
            tokio::time::sleep(DRAIN_FOR).await;
        } => Ok(()),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => ServerError::AddressTaken(address),
            _ => ServerError::Listen { address, source },
        })
}

/// Keeps a second scheduler off a SQLite file. Held until the process ends, however it does.
fn lock(database: &Path) -> Result<File, ServerError> {
    let path = database.with_extension("lock");
    let failed = |source| ServerError::DataDir {
        path: path.clone(),
        source,
    };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServerError::Locked(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes the data directory for its owner alone; logs in it are other people's.
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Makes the administrator's token known, once somebody leads.
async fn admin_token(
    store: &Store,
    leader: &LeaderHandle,
    token: &Token,
    stop: &CancellationToken,
) -> Result<(), ServerError> {
    if store.token_find(token.id).await?.is_some() {
        return Ok(());
    }
    let mut leading = leader.leading();
    let now = store.db_now().await?;
    loop {
        let row = token.row(TenantId::default_tenant(), admin(), now);
        match leader.send(Command::TokenPut(row)).await {
            Ok(_) | Err(LeaderError::Refused(Refusal::TokenExists(_))) => return Ok(()),
            Err(LeaderError::NotLeader | LeaderError::Busy) => {}
            Err(error) => return Err(ServerError::Token(error)),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // Not yet in office: look again when that changes, or after a while.
            _ = leading.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

/// The principal of the first token.
fn admin() -> PrincipalName {
    // A literal of the right form.
    #[expect(clippy::expect_used)]
    "admin".parse().expect("`admin` is a name")
}
