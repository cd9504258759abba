//! Where output goes, and what the places it goes to can show.
//!
//! Owns: stdout for data, stderr for talk, whether each is a terminal, and colour. Leaves to others: what
//! is said (`commands`), tables (`table`).

use crate::args::{ClientArgs, Format};
use crate::config::Environment;
use crate::escape;
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};

/// What a place can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Whether a person looks at it.
    pub terminal: bool,
    /// Whether it shows colour and it is wanted.
    pub colour: bool,
    /// Its width in columns; none where it has none.
    pub width: Option<usize>,
}

/// Both outputs of the process.
pub struct Io {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// What stdout is.
    pub stdout: Place,
    /// What stderr is.
    pub stderr: Place,
    /// How results are printed.
    pub format: Format,
    /// Whether talk and progress are left out.
    pub quiet: bool,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io")
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

impl Io {
    /// The outputs of this process. Colour follows `NO_COLOR` (no-color.org), `CLICOLOR`, `CLICOLOR_FORCE`
    /// and `TERM=dumb`; without a terminal there is none unless forced.
    #[must_use]
    pub fn process(args: &ClientArgs) -> Self {
        let width = |size: Option<(terminal_size::Width, terminal_size::Height)>| {
            size.map(|(width, _)| usize::from(width.0))
                .filter(|width| *width > 0)
        };
        let colour = |choice| choice != anstream::ColorChoice::Never;
        let (out, err) = (io::stdout(), io::stderr());
        let stdout = Place {
            terminal: out.is_terminal(),
            colour: colour(anstream::AutoStream::choice(&out)),
            width: out
                .is_terminal()
                .then(|| width(terminal_size::terminal_size_of(&out)))
                .flatten(),
        };
        let stderr = Place {
            terminal: err.is_terminal(),
            colour: colour(anstream::AutoStream::choice(&err)),
            width: None,
        };
        Self::new(Box::new(out), Box::new(err), stdout, stderr, args)
    }

    /// Outputs of any kind.
    #[must_use]
    pub fn new(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        stdout: Place,
        stderr: Place,
        args: &ClientArgs,
    ) -> Self {
        Self {
            out: Mutex::new(out),
            err: Mutex::new(err),
            stdout,
            stderr,
            format: args.output,
            quiet: args.quiet,
        }
    }

    /// Whether results are for programs.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress may be drawn on stderr.
    #[must_use]
    pub fn draws_progress(&self, environment: &Environment) -> bool {
        self.stderr.terminal
            && !self.quiet
            && environment.get("TERM").is_none_or(|term| term != "dumb")
    }

    /// Writes bytes to stdout as they are.
    ///
    /// # Errors
    ///
    /// Where stdout cannot be written, a closed pipe included.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes)?;
        out.flush()
    }

    /// Writes a line to stdout. The text must be safe.
    ///
    /// # Errors
    ///
    /// As [`Io::bytes`].
    pub fn line(&self, line: &str) -> io::Result<()> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes a value to stdout as indented JSON.
    ///
    /// # Errors
    ///
    /// As [`Io::bytes`].
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&escape::json(&text))
    }

    /// Writes a value to stdout as one line of JSON.
    ///
    /// # Errors
    ///
    /// As [`Io::bytes`].
    pub fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(&escape::json(&text))
    }

    /// Says something on stderr, unless it is to be quiet. The text must be safe.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.err_line(text);
        }
    }

    /// Says on stderr what went wrong, quiet or not. The text must be safe.
    pub fn err_line(&self, text: &str) {
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nobody left to tell that stderr is closed.
        let _ = writeln!(err, "{text}").and_then(|()| err.flush());
    }

    /// `error:` and the like, in colour where stderr has it.
    #[must_use]
    pub fn label(&self, label: &str, style: anstyle::Style) -> String {
        if self.stderr.colour {
            format!("{style}{label}{style:#}")
        } else {
            label.to_owned()
        }
    }
}
