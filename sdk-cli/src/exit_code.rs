//! What the process says with its exit code.
//!
//! Owns: the closed list and its documentation (`belljar help exit-codes`). Leaves to others: which
//! failure gets which code (`error`, `client::error`).

use std::fmt::Write as _;

/// How a command ended, for scripts. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// What was asked for was done.
    Success = 0,
    /// It was carried out, and the run or the analysis failed.
    RunFailed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A DAG, a manifest, parameters or inputs are not valid.
    SpecInvalid = 3,
    /// There is no such thing.
    NotFound = 4,
    /// It cannot be done in the present state.
    Conflict = 5,
    /// Not signed in, or not allowed.
    Forbidden = 6,
    /// The server or the network did not answer.
    Unreachable = 7,
    /// The time given for waiting is over.
    Timeout = 8,
    /// The run was cancelled.
    Cancelled = 9,
    /// Something that should not happen happened.
    Internal = 70,
    /// Ctrl-C.
    Interrupted = 130,
}

impl ExitCode {
    /// Every one there is, by ascending number.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::RunFailed,
        Self::Usage,
        Self::SpecInvalid,
        Self::NotFound,
        Self::Conflict,
        Self::Forbidden,
        Self::Unreachable,
        Self::Timeout,
        Self::Cancelled,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, in one line without a full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::RunFailed => "the run or the analysis failed",
            Self::Usage => "the command line is wrong",
            Self::SpecInvalid => "a DAG, a manifest, parameters or inputs are not valid",
            Self::NotFound => "there is no such thing",
            Self::Conflict => {
                "not possible in the present state: it exists already, or has not ended yet"
            }
            Self::Forbidden => "not signed in, or not allowed",
            Self::Unreachable => "the server did not answer, or is not ready",
            Self::Timeout => "the time given for waiting is over; what was waited for goes on",
            Self::Cancelled => "the run was cancelled",
            Self::Internal => "an internal error, of the server or of this program",
            Self::Interrupted => "Ctrl-C; a run that was watched goes on",
        }
    }

    /// All codes as lines of text, for the help.
    #[must_use]
    pub fn help() -> String {
        let mut text = String::new();
        for code in Self::ALL {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:>3}  {}", code.code(), code.meaning());
        }
        text
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_numbers() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 70, 130]);
    }

    #[test]
    fn the_help_has_a_line_for_each() {
        let help = ExitCode::help();
        assert_eq!(help.lines().count(), ExitCode::ALL.len());
        assert!(help.contains("  130  Ctrl-C"));
    }
}
