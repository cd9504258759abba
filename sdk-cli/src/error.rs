//! Why a command failed, and how that is told to people.
//!
//! Owns: messages, the help that goes with them, and which exit code each failure has.

use crate::client::{Answered, ClientError};
use crate::config::{ConfigError, Settings};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use belljar_api::Code;
use std::fmt::Write as _;
use std::io;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Server or token could not be found out.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A document has problems; the text shows them all, ready to print.
    #[error("{summary}")]
    Document {
        /// The problems with their source lines, safe to print.
        shown: String,
        /// How many there are, in words.
        summary: String,
    },
    /// Something else, with what to do about it.
    #[error("{message}")]
    Other {
        /// The exit code.
        code: ExitCode,
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// Stdout could not be written.
    #[error("failed to write to stdout: {0}")]
    Stdout(#[from] io::Error),
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, CommandError>;

impl CommandError {
    /// An error with an exit code and a message.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self::Other {
            code,
            message: message.into(),
            help: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Other { code, message, .. } => Self::Other {
                code,
                message,
                help: Some(text.into()),
            },
            other => other,
        }
    }

    /// A file here that could not be read or written.
    pub fn local(what: impl Into<String>, source: io::Error) -> Self {
        ClientError::Local {
            what: what.into(),
            source,
        }
        .into()
    }

    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Client(error) => error.exit_code(),
            Self::Config(ConfigError::Token { .. } | ConfigError::Unreadable { .. }) => {
                ExitCode::Forbidden
            }
            Self::Config(ConfigError::Write { .. }) => ExitCode::Internal,
            Self::Config(_) => ExitCode::Usage,
            Self::Document { .. } => ExitCode::SpecInvalid,
            Self::Other { code, .. } => *code,
            // `belljar run list | head` is no failure.
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Success,
            Self::Stdout(_) => ExitCode::Internal,
        }
    }

    /// Tells people on stderr.
    pub fn tell(&self, io: &Io, settings: Option<&Settings>) {
        if self.exit_code() == ExitCode::Success {
            return;
        }
        if let Self::Document { shown, .. } = self {
            io.err_line(shown.trim_end());
            io.err_line("");
        }
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let text = self.to_string();
        let text = escape::lines(text.trim_end());
        io.err_line(&format!("{} {text}", io.label("error:", red)));
        if let Self::Client(ClientError::Problem(answered)) = self {
            for line in problem_lines(answered) {
                io.err_line(&line);
            }
        }
        if let Some(help) = self.help_text(settings) {
            let green = anstyle::AnsiColor::Green.on_default().bold();
            io.err_line(&format!(
                "{} {}",
                io.label("help:", green),
                escape::lines(&help)
            ));
        }
    }

    /// What to do about it.
    fn help_text(&self, settings: Option<&Settings>) -> Option<String> {
        match self {
            Self::Other { help, .. } => help.clone(),
            Self::Client(error) => client_help(error, settings?),
            Self::Config(ConfigError::Token { .. } | ConfigError::Unreadable { .. }) => Some(
                "give the token of this server by --token-file, or once by `belljar login`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The problems in a document that was sent, a line each.
fn problem_lines(answered: &Answered) -> Vec<String> {
    let line = |problem: &belljar_api::problem::Diagnostic| {
        let mut line = format!("  {}", escape::line(&problem.message));
        // Writing to a String cannot fail.
        if !problem.pointer.is_empty() {
            let _ = write!(line, " (at {})", escape::line(&problem.pointer));
        }
        if let Some(help) = &problem.help {
            let _ = write!(line, "\n    help: {}", escape::line(help));
        }
        line
    };
    answered.errors.iter().map(line).collect()
}

/// What to do about a call that failed.
fn client_help(error: &ClientError, settings: &Settings) -> Option<String> {
    match error {
        ClientError::Unreachable { refused, .. } => Some(unreachable_help(*refused, settings)),
        ClientError::NotBelljar { .. } => Some(format!(
            "the address came from {}; is it Belljar's?",
            settings.server_origin
        )),
        ClientError::Problem(answered) => problem_help(answered, settings),
        ClientError::Broken { .. } => Some("try again; nothing was kept here".to_owned()),
        ClientError::Local { .. } | ClientError::Changed(_) => None,
    }
}

fn unreachable_help(refused: bool, settings: &Settings) -> String {
    let origin = &settings.server_origin;
    if refused && crate::config::is_loopback(&settings.server) {
        format!(
            "Belljar is not running there (the address came from {origin}): start it with `sudo belljar standalone`, or `make demo` in the project"
        )
    } else {
        format!(
            "the address came from {origin}; is the server running, and can this machine reach it?"
        )
    }
}

fn problem_help(answered: &Answered, settings: &Settings) -> Option<String> {
    let in_log = || {
        (!answered.request_id.is_empty()).then(|| {
            format!(
                "the server's log says more under request {}",
                answered.request_id
            )
        })
    };
    match (answered.status, answered.code) {
        (401, _) => Some(match &settings.token {
            Some(token) => format!(
                "the token came from {token}; it is not one of this server's, or was revoked. A standalone's own is the file `token` in its data directory"
            ),
            None => format!(
                "no token was given, and {}. Use --token-file FILE or BELLJAR_TOKEN_FILE, or once `sudo cat /var/lib/belljar/token | belljar login --token-file -`",
                settings.looked_at
            ),
        }),
        (_, Some(Code::OriginRefused)) => Some(format!(
            "the server does not expect to be called {}; start it with that name among its hosts",
            settings.server
        )),
        (_, Some(Code::IdempotencyMismatch)) => {
            Some("take a new --idempotency-key, or none".to_owned())
        }
        (_, Some(Code::DiskFull)) => {
            Some("nothing was stored; the operator has to make room".to_owned())
        }
        (429 | 503, _) => Some("try again in a moment".to_owned()),
        (500.., _) => in_log(),
        _ => None,
    }
}
