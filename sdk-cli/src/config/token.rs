//! The token: where it is looked for, and that nothing else is sent in its place.

use super::{ConfigError, DEFAULT_DATA_DIR, Environment, Origin, is_loopback};
use crate::args::ClientArgs;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The longest token file that is read, bytes.
const TOKEN_FILE_LIMIT: u64 = 4096;

/// A token and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    /// What named it.
    pub origin: Origin,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
}

impl Token {
    /// Checks that `text` looks like a token, so that no other secret is sent to a server by mistake.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Token`] where it does not.
    pub fn new(text: &str, origin: Origin, file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let secret = text.trim();
        let plain = secret
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !secret.starts_with("bj_") || !plain || secret.len() > 512 {
            return Err(ConfigError::Token { origin });
        }
        Ok(Self {
            secret: secret.to_owned(),
            origin,
            file,
        })
    }

    /// The secret itself.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

impl fmt::Display for Token {
    /// Where the token came from; never the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.origin) {
            (Some(file), Origin::Default) => write!(f, "the file {}", file.display()),
            (Some(file), origin) => write!(f, "the file {} ({origin})", file.display()),
            (None, origin) => origin.fmt(f),
        }
    }
}

/// The first token there is, and for people what was looked at.
pub(super) fn find_token(
    args: &ClientArgs,
    environment: &Environment,
    server: &reqwest::Url,
    remembered: Option<(PathBuf, Origin)>,
) -> Result<(Option<Token>, String), ConfigError> {
    if let Some(text) = &args.token {
        return Ok((
            Some(Token::new(text, Origin::Flag("--token"), None)?),
            String::new(),
        ));
    }
    if let Some(path) = &args.token_file {
        return Ok((
            Some(read_token(path, &Origin::Flag("--token-file"))?),
            String::new(),
        ));
    }
    if let Some(text) = environment.text("BELLJAR_TOKEN")? {
        return Ok((
            Some(Token::new(&text, Origin::Env("BELLJAR_TOKEN"), None)?),
            String::new(),
        ));
    }
    if let Some(path) = environment.get("BELLJAR_TOKEN_FILE") {
        let origin = Origin::Env("BELLJAR_TOKEN_FILE");
        return Ok((Some(read_token(Path::new(&path), &origin)?), String::new()));
    }
    if let Some((path, origin)) = remembered {
        return Ok((Some(read_token(&path, &origin)?), String::new()));
    }
    if !is_loopback(server) {
        return Ok((
            None,
            "a token is only remembered for the server it was given for".to_owned(),
        ));
    }
    let data_dir = environment
        .get("BELLJAR_DATA_DIR")
        .map_or_else(|| DEFAULT_DATA_DIR.into(), PathBuf::from);
    let path = data_dir.join("token");
    match read_token(&path, &Origin::Default) {
        Ok(token) => Ok((Some(token), String::new())),
        Err(ConfigError::Unreadable { source, .. }) => {
            Ok((None, format!("{} cannot be read: {source}", path.display())))
        }
        Err(error) => Err(error),
    }
}

fn read_token(path: &Path, origin: &Origin) -> Result<Token, ConfigError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(TOKEN_FILE_LIMIT)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(TOKEN_FILE_LIMIT).read_to_string(&mut text))
    };
    read.map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        origin: origin.clone(),
        source,
    })?;
    if path == Path::new("-") {
        return Token::new(&text, Origin::Stdin, None);
    }
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Token::new(&text, origin.clone(), Some(file))
}
