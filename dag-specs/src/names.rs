//! Names and references in a DAG spec.

use belljar_manifest::names::InvalidName;
use belljar_manifest::path::InvalidPath;
use belljar_manifest::{AnalysisName, OutPath, Sha256Digest, define_name, text_serde};
use std::fmt;
use std::str::FromStr;

define_name!(
    /// The name of a DAG within its tenant.
    DagName,
    "DAG name"
);
define_name!(
    /// The name of a task within its DAG.
    TaskName,
    "task name"
);
define_name!(
    /// The name of a dataset within its tenant.
    DatasetName,
    "dataset name"
);
define_name!(
    /// The name of a pool within its tenant.
    PoolName,
    "pool name"
);

/// A text that is not a reference of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// The name in it is not one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The path in it is not one.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// Anything else.
    #[error("`{}` {problem}", text.escape_debug())]
    Form {
        /// The text that was given, cut to 200 characters.
        text: String,
        /// What is wrong with it and how it is written.
        problem: String,
    },
}

impl InvalidReference {
    fn form(text: &str, problem: impl Into<String>) -> Self {
        Self::Form {
            text: text.chars().take(200).collect(),
            problem: problem.into(),
        }
    }
}

/// Which version of an analysis a task wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AnalysisSelector {
    /// The newest published version in a range, as Cargo reads it: `1` is `^1`, `1.2` is `^1.2`.
    Range(semver::VersionReq),
    /// Exactly the version with this digest, see [`belljar_manifest::Manifest::digest`].
    Digest(Sha256Digest),
}

impl AnalysisSelector {
    /// Whether the version with this number and digest is one of those wanted.
    ///
    /// A pre-release matches a range only where the range names a pre-release of the same
    /// version, as in Cargo.
    #[must_use]
    pub fn matches(&self, version: &semver::Version, digest: &Sha256Digest) -> bool {
        match self {
            Self::Range(range) => range.matches(version),
            Self::Digest(wanted) => wanted == digest,
        }
    }
}

/// A reference to an analysis: `posts-clean@1`, `posts-clean@>=1.2, <2`, `posts-clean@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnalysisRef {
    /// The analysis.
    pub name: AnalysisName,
    /// Which of its versions.
    pub selector: AnalysisSelector,
}

impl FromStr for AnalysisRef {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let Some((name, selector)) = text.split_once('@') else {
            return Err(InvalidReference::form(
                text,
                "names no version: write `name@range`, for example `posts-clean@1`, or `name@sha256:…`",
            ));
        };
        let name = name.parse()?;
        let selector = if selector.starts_with("sha256:") {
            let digest = selector.parse().map_err(|_| {
                InvalidReference::form(text, "must end in `sha256:` and 64 digits of 0-9 and a-f")
            })?;
            AnalysisSelector::Digest(digest)
        } else {
            let range = semver::VersionReq::parse(selector).map_err(|error| {
                InvalidReference::form(
                    text,
                    format!("has no valid version range after `@`: {error}"),
                )
            })?;
            AnalysisSelector::Range(range)
        };
        Ok(Self { name, selector })
    }
}

impl fmt::Display for AnalysisRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            AnalysisSelector::Range(range) => write!(f, "{}@{range}", self.name),
            AnalysisSelector::Digest(digest) => write!(f, "{}@{digest}", self.name),
        }
    }
}

text_serde!(AnalysisRef, "^[a-z0-9][a-z0-9-]{0,62}@.+$");

/// Which version of a dataset a task reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DatasetSelector {
    /// The newest when the run is created.
    Newest,
    /// The version with this number, from 1.
    Number(u32),
    /// The version with this content.
    Digest(Sha256Digest),
}

/// Where an input's data comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InputSource {
    /// `task:<task>/<path>`: a file that another task of the run leaves below its `/out`.
    Task {
        /// The task that makes it.
        task: TaskName,
        /// The path below its `/out`: a declared artifact's, or `result.json`.
        path: OutPath,
    },
    /// `dataset:<name>`, `dataset:<name>@<number>` or `dataset:<name>@sha256:…`.
    Dataset {
        /// The dataset.
        name: DatasetName,
        /// Which of its versions.
        version: DatasetSelector,
    },
}

impl FromStr for InputSource {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if let Some(rest) = text.strip_prefix("task:") {
            let Some((task, path)) = rest.split_once('/') else {
                return Err(InvalidReference::form(
                    text,
                    "names no file of the task: write `task:<task>/<path below /out>`, for example `task:clean/result.json`",
                ));
            };
            return Ok(Self::Task {
                task: task.parse()?,
                path: path.parse()?,
            });
        }
        if let Some(rest) = text.strip_prefix("dataset:") {
            let (name, version) = match rest.split_once('@') {
                None => (rest, DatasetSelector::Newest),
                Some((name, version)) => (name, dataset_selector(text, version)?),
            };
            return Ok(Self::Dataset {
                name: name.parse()?,
                version,
            });
        }
        Err(InvalidReference::form(
            text,
            "is not an input: write `task:<task>/<path>` or `dataset:<name>`",
        ))
    }
}

fn dataset_selector(text: &str, version: &str) -> Result<DatasetSelector, InvalidReference> {
    if let Ok(digest) = version.parse() {
        return Ok(DatasetSelector::Digest(digest));
    }
    match version.parse::<u32>() {
        // Only the plain form, so that one version has one name.
        Ok(number) if number > 0 && number.to_string() == version => {
            Ok(DatasetSelector::Number(number))
        }
        _ => Err(InvalidReference::form(
            text,
            "has no valid version after `@`: write a number from 1, or `sha256:` and 64 digits of 0-9 and a-f",
        )),
    }
}

impl fmt::Display for InputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task { task, path } => write!(f, "task:{task}/{path}"),
            Self::Dataset {
                name,
                version: DatasetSelector::Newest,
            } => write!(f, "dataset:{name}"),
            Self::Dataset {
                name,
                version: DatasetSelector::Number(number),
            } => {
                write!(f, "dataset:{name}@{number}")
            }
            Self::Dataset {
                name,
                version: DatasetSelector::Digest(digest),
            } => {
                write!(f, "dataset:{name}@{digest}")
            }
        }
    }
}

text_serde!(
    InputSource,
    "^(task:[a-z0-9][a-z0-9-]{0,62}/.+|dataset:[a-z0-9][a-z0-9-]{0,62}(@.+)?)$"
);

/// The identity of a DAG version: SHA-256 of the canonical spec, see [`crate::Spec::version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DagVersion(pub Sha256Digest);

impl fmt::Display for DagVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DagVersion {
    type Err = belljar_manifest::canonical::InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

text_serde!(DagVersion, "^sha256:[0-9a-f]{64}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_references_are_refused() {
        for text in [
            "",
            "clean",
            "@1",
            "clean@",
            "clean@one",
            "Clean@1",
            "clean@1@2",
            "clean@sha256:00",
            "clean@ ",
            "../x@1",
            "clean@1.2.3.4",
        ] {
            assert!(text.parse::<AnalysisRef>().is_err(), "{text:?}");
        }
        for text in [
            "",
            "clean",
            "task:",
            "task:clean",
            "task:clean/",
            "task:/x",
            "task:Clean/x",
            "task:clean/../x",
            "task:clean//x",
            "dataset:",
            "dataset:a@",
            "dataset:a@0",
            "dataset:a@01",
            "dataset:a@+1",
            "dataset:a@latest",
            "dataset:a/b",
            "dataset:a@-1",
            "file:x",
            "Task:clean/x",
            " task:clean/x",
        ] {
            assert!(text.parse::<InputSource>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn references_are_written_as_they_are_read() {
        for text in [
            "task:clean/posts.jsonl",
            "task:a/b/c.txt",
            "dataset:posts",
            "dataset:posts@3",
        ] {
            assert_eq!(text.parse::<InputSource>().unwrap().to_string(), text);
        }
        assert_eq!("a@1".parse::<AnalysisRef>().unwrap().to_string(), "a@^1");
        assert_eq!(
            "a@^1".parse::<AnalysisRef>().unwrap(),
            "a@1".parse().unwrap()
        );
    }
}
