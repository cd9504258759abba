//! `belljar analysis …`.

use super::{LocalInput, ParamArgs};
use belljar_ids::AnalysisName;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What to do with analyses.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum AnalysisCommand {
    /// Write a new analysis that works: a folder to begin with
    ///
    /// Writes a manifest, a Dockerfile, a small program, sample data and a README into a new folder of that
    /// name. It passes `analysis test` as it is.
    #[command(after_long_help = "Example:\n  belljar analysis init word-count --language python")]
    Init {
        /// The analysis's name, also the folder's
        name: AnalysisName,
        /// What the program is written in
        #[arg(long, value_enum, default_value_t)]
        language: Language,
        /// The folder to make [default: NAME]
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Run an analysis here, in the production sandbox, on your own files
    ///
    /// Prints the result, the artifacts, peak memory, processor time, time, and everything that the sandbox
    /// refused. Uses the same code and the same sandbox as production, so it needs root and gVisor. Talks to
    /// no server. An input that is not given is taken from sample/<input> or sample/<input>.*, parameters
    /// from sample/params.json where there are any.
    #[command(
        after_long_help = "Example:\n  sudo belljar analysis test word-count\n  sudo belljar analysis test word-count --input text=book.txt --param limit=10 --out results/"
    )]
    Test {
        /// The folder with analysis.yaml, or that file
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// A file or folder for an input; can be given for each input
        #[arg(long = "input", value_name = "NAME=PATH")]
        inputs: Vec<LocalInput>,
        /// The parameters.
        #[command(flatten)]
        params: ParamArgs,
        /// Keep result.json and the artifacts in this folder
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// Go on without root or gVisor, in a sandbox that is NOT the production sandbox
        #[arg(long)]
        weaker_sandbox: bool,
    },
    /// Publish an analysis, for good
    ///
    /// Builds the image without a network, exports it, uploads what the server does not have yet, and
    /// publishes the version in the manifest. A published version never changes: the same content again does
    /// nothing, other content under the same version is refused (exit code 5).
    #[command(after_long_help = "Example:\n  belljar analysis submit word-count")]
    Submit {
        /// The folder with analysis.yaml, or that file
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// List the analyses, each with its newest version
    #[command(after_long_help = "Example:\n  belljar analysis list")]
    List,
    /// Show an analysis: its versions, inputs, parameters, artifacts and limits
    #[command(
        after_long_help = "Example:\n  belljar analysis show posts-clean\n  belljar analysis show posts-clean@1.0.0"
    )]
    Show {
        /// The analysis, and which version [default: the newest]
        #[arg(value_name = "NAME[@VERSION]")]
        analysis: AnalysisVersionRef,
    },
    /// Let a version run under plain runc, without gVisor
    ///
    /// Only for programs that you wrote or read yourself: a hole in the kernel is then a hole in the sandbox.
    /// Every receipt says it.
    #[command(after_long_help = "Example:\n  belljar analysis trust posts-clean@1.0.0")]
    Trust {
        /// The version
        #[arg(value_name = "NAME@VERSION")]
        analysis: AnalysisVersionRef,
    },
    /// Take `trust` back
    #[command(after_long_help = "Example:\n  belljar analysis untrust posts-clean@1.0.0")]
    Untrust {
        /// The version
        #[arg(value_name = "NAME@VERSION")]
        analysis: AnalysisVersionRef,
    },
}

/// What an analysis's program is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Python 3 on the base image belljar-python:1.
    #[default]
    Python,
    /// Rust, as a static binary on an empty image.
    Rust,
}

/// An analysis, perhaps with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalysisVersionRef {
    /// The name.
    pub name: AnalysisName,
    /// The version, as in Semantic Versioning 2.0.0.
    pub version: Option<String>,
}

impl FromStr for AnalysisVersionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let name = name.parse().map_err(|error| format!("{error}"))?;
        // What a version is, the server knows; here only what cannot stand in a path is refused.
        let wrong = |v: &str| {
            !v.starts_with(|c: char| c.is_ascii_alphanumeric())
                || !v
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b))
        };
        if version.is_some_and(wrong) {
            return Err("after `@` comes a version, for example 1.0.0".to_owned());
        }
        let version = version.map(str::to_owned);
        Ok(Self { name, version })
    }
}

impl fmt::Display for AnalysisVersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_or_without_a_version() {
        let parsed = |text: &str| text.parse::<AnalysisVersionRef>();
        assert_eq!(parsed("a").unwrap().version, None);
        assert_eq!(
            parsed("a@1.0.0-rc.1+b").unwrap().to_string(),
            "a@1.0.0-rc.1+b"
        );
        for wrong in ["", "a@", "A@1", "a@1/..", "a@>=1", "a@1@2", "a@..", "a@."] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
