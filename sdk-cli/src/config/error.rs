//! Where a setting came from, and what can be wrong with it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why server or token could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable that is not UTF-8.
    #[error("the environment variable {0} is not valid text")]
    NotText(&'static str),
    /// A server address that cannot be used.
    #[error("`{url}` ({origin}) is not an address of a server: {problem}")]
    Server {
        /// The address.
        url: String,
        /// Where it came from.
        origin: Origin,
        /// What is wrong with it.
        problem: String,
    },
    /// A token that cannot be one.
    #[error(
        "what {origin} gives is not a token: one looks like bj_<id>_<secret>, on a single line"
    )]
    Token {
        /// Where it came from.
        origin: Origin,
    },
    /// A file that was named and cannot be read.
    #[error("failed to read {path} ({origin}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where its name came from.
        origin: Origin,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is not what it should be.
    #[error("failed to read the configuration in {path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The configuration could not be written.
    #[error("failed to write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no place for the configuration.
    #[error("there is no place for the configuration: neither HOME nor BELLJAR_CONFIG_DIR is set")]
    NoHome,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag(&'static str),
    /// An environment variable.
    Env(&'static str),
    /// The configuration file.
    File(PathBuf),
    /// Built in.
    Default,
    /// Typed or piped in.
    Stdin,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Env(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("the default"),
            Self::Stdin => f.write_str("stdin"),
        }
    }
}
