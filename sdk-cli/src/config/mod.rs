//! Which server, and which token.
//!
//! Owns: the order in which they are looked for, where each came from (for error messages), and the
//! user's configuration file. Leaves to others: talking to the server (`client`).
//!
//! Order: flag, environment, the file that `belljar login` writes, a standalone on this machine. A
//! token is a secret of one server: a remembered one is only used for the server it was remembered
//! with, a standalone's own only for a loopback address.

mod error;
mod token;

pub use error::{ConfigError, Origin};
pub use token::Token;

use crate::args::ClientArgs;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where a standalone listens unless told otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8686";
/// Where a standalone keeps its data, its token included, unless told otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/belljar";

/// Gives an environment variable's value.
type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// What the process was started with, beside its arguments.
pub struct Environment {
    var: Box<Lookup>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn process() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// An environment whose variables `var` knows.
    pub fn new(var: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self { var: Box::new(var) }
    }

    /// A variable; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<OsString> {
        (self.var)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let text = self.get(name).map(OsString::into_string).transpose();
        text.map_err(|_| ConfigError::NotText(name))
    }

    /// The user's configuration folder: `$BELLJAR_CONFIG_DIR`, else `$XDG_CONFIG_HOME/belljar`, else
    /// `$HOME/.config/belljar` (XDG Base Directory Specification 0.8: a relative path is ignored).
    fn config_dir(&self) -> Option<PathBuf> {
        let absolute = |name| {
            self.get(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        self.get("BELLJAR_CONFIG_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(absolute("XDG_CONFIG_HOME")?.join("belljar")))
            .or_else(|| Some(absolute("HOME")?.join(".config/belljar")))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// A server to talk to, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address, without a path.
    pub server: reqwest::Url,
    /// Where the address came from.
    pub server_origin: Origin,
    /// The token; none where none was found.
    pub token: Option<Token>,
    /// Where no token was found: what was looked at, for people.
    pub looked_at: String,
}

/// The configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The server's address.
    pub server: Option<String>,
    /// The file with the token for that server.
    pub token_file: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that `environment` points at and its content; an absent one is empty.
    fn read(environment: &Environment) -> Result<(Option<PathBuf>, Self), ConfigError> {
        let Some(path) = environment
            .config_dir()
            .map(|folder| folder.join("config.toml"))
        else {
            return Ok((None, Self::default()));
        };
        let wrong = |path: &Path, problem: String| ConfigError::File {
            path: path.to_owned(),
            problem,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let config =
                    toml::from_str(&text).map_err(|error| wrong(&path, error.to_string()))?;
                Ok((Some(path), config))
            }
            // A folder that the user may not look into (after `sudo -u`) is as good as none.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok((Some(path), Self::default()))
            }
            Err(error) => Err(wrong(&path, error.to_string())),
        }
    }
}

impl Settings {
    /// Finds server and token.
    ///
    /// # Errors
    ///
    /// Where something that was named explicitly is unusable. That there is no token is no error here:
    /// the server says so, if it is there at all.
    pub fn find(args: &ClientArgs, environment: &Environment) -> Result<Self, ConfigError> {
        let (config_path, config) = ConfigFile::read(environment)?;
        let from_file = || config_path.clone().map_or(Origin::Default, Origin::File);
        let configured = match &config.server {
            Some(url) => Some((server_url(url, &from_file())?, from_file())),
            None => None,
        };
        let (server, server_origin) = if let Some(url) = &args.server {
            (
                server_url(url, &Origin::Flag("--server"))?,
                Origin::Flag("--server"),
            )
        } else if let Some(url) = environment.text("BELLJAR_SERVER")? {
            let origin = Origin::Env("BELLJAR_SERVER");
            (server_url(&url, &origin)?, origin)
        } else if let Some((url, origin)) = configured.clone() {
            (url, origin)
        } else {
            (
                server_url(DEFAULT_SERVER, &Origin::Default)?,
                Origin::Default,
            )
        };
        let remembered = configured.is_some_and(|(url, _)| url == server);
        let remembered = config
            .token_file
            .filter(|_| remembered)
            .map(|file| (file, from_file()));
        let (token, looked_at) = token::find_token(args, environment, &server, remembered)?;
        Ok(Self {
            server,
            server_origin,
            token,
            looked_at,
        })
    }
}

/// Whether a server is on this machine.
#[must_use]
pub fn is_loopback(server: &reqwest::Url) -> bool {
    match server.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Checks an address and brings it into one form: scheme, host and port.
fn server_url(text: &str, origin: &Origin) -> Result<reqwest::Url, ConfigError> {
    let wrong = |problem: &str| ConfigError::Server {
        url: text.to_owned(),
        origin: origin.clone(),
        problem: problem.to_owned(),
    };
    let mut url = reqwest::Url::parse(text)
        .map_err(|_| wrong("write it as http://host:port, for example http://127.0.0.1:8686"))?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err(wrong(
                "https is not spoken yet; reach a far server through a tunnel, as ssh -L 8686:127.0.0.1:8686 HOST",
            ));
        }
        _ => {
            return Err(wrong(
                "write it as http://host:port, for example http://127.0.0.1:8686",
            ));
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it must not contain a user or password; the token says who asks",
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must end after the port; the CLI adds the path"));
    }
    url.set_path("");
    Ok(url)
}

/// Remembers a server and a token: `config.toml` and, for a token that is in no file, `token` beside it, both
/// of mode 0600. Gives back the paths written.
///
/// # Errors
///
/// Where there is no place for them or they cannot be written.
pub fn remember(
    environment: &Environment,
    server: &reqwest::Url,
    token: &Token,
) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = environment.config_dir().ok_or(ConfigError::NoHome)?;
    std::fs::create_dir_all(&folder).map_err(|source| ConfigError::Write {
        path: folder.clone(),
        source,
    })?;
    let mut written = Vec::new();
    let token_file = match &token.file {
        Some(file) => file.clone(),
        None => {
            let path =
                std::path::absolute(folder.join("token")).unwrap_or_else(|_| folder.join("token"));
            write_private(&path, format!("{}\n", token.secret()).as_bytes())?;
            written.push(path.clone());
            path
        }
    };
    let config = ConfigFile {
        server: Some(server.as_str().trim_end_matches('/').to_owned()),
        token_file: Some(token_file),
    };
    let path = folder.join("config.toml");
    let text = toml::to_string(&config).map_err(|error| ConfigError::File {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    write_private(&path, text.as_bytes())?;
    written.push(path);
    Ok(written)
}

/// Writes a file of mode 0600 that is there whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        // A new temporary file has mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| ConfigError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
