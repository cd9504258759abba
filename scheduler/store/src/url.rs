//! Where the database is.

use crate::OpenError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A store's URL: `sqlite:<path>` or `postgres://user:password@host:port/database`.
///
/// Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, as libpq's connection URI (PostgreSQL manual, 34.1.1.2).
    Postgres(String),
}

impl StoreUrl {
    /// The SQLite file at `path`.
    #[must_use]
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self::Sqlite(path.as_ref().to_owned())
    }
}

impl FromStr for StoreUrl {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // `sqlite:///a/b` and `sqlite:/a/b` are the same file, as in other programs.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() {
                return Ok(Self::Sqlite(path.into()));
            }
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(OpenError::Url(without_password(text)))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `url` with what may be a password in it replaced: in the authority and in the query.
fn without_password(url: &str) -> String {
    let (head, query) = match url.split_once('?') {
        Some((head, query)) => (head, Some(query)),
        None => (url, None),
    };
    let mut shown = match (head.find("://"), head.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            let user = head[scheme + 3..at].split(':').next().unwrap_or_default();
            let secret = if head[scheme + 3..at].contains(':') {
                ":***"
            } else {
                ""
            };
            format!("{}{user}{secret}{}", &head[..scheme + 3], &head[at..])
        }
        _ => head.to_owned(),
    };
    if let Some(query) = query {
        shown.push_str(if query.contains("password") {
            "?***"
        } else {
            "?"
        });
        if !query.contains("password") {
            shown.push_str(query);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_parse_and_hide_their_password() {
        let shown = |text: &str| text.parse::<StoreUrl>().unwrap().to_string();
        assert_eq!(shown("sqlite:/var/lib/x.db"), "sqlite:/var/lib/x.db");
        assert_eq!(shown("sqlite:///var/lib/x.db"), "sqlite:/var/lib/x.db");
        assert_eq!(shown("sqlite:x.db"), "sqlite:x.db");
        assert_eq!(
            shown("postgres://belljar:s3:c@ret@db.example:5432/belljar?sslmode=require"),
            "postgres://belljar:***@db.example:5432/belljar?sslmode=require"
        );
        assert_eq!(
            shown("postgres:///belljar?password=secret&host=/run"),
            "postgres:///belljar?***"
        );
        for wrong in ["", "sqlite:", "mysql://x", "/var/lib/x.db"] {
            assert!(wrong.parse::<StoreUrl>().is_err(), "{wrong}");
        }
        let error = "mysql://me:secret@host/x".parse::<StoreUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
