//! How a run or a request is named on the command line.

use belljar_ids::{DagName, RequestId, RunId};
use std::fmt;
use std::str::FromStr;

/// Which run is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRef {
    /// This one.
    Id(RunId),
    /// The only one whose id begins so.
    Prefix(String),
    /// The newest, perhaps of one DAG.
    Latest(Option<DagName>),
}

/// Which request is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestRef {
    /// This one.
    Id(RequestId),
    /// The only one whose id begins so.
    Prefix(String),
    /// The newest.
    Latest,
}

/// The beginning of an id as it is typed: with or without the id's own prefix.
fn beginning(text: &str, prefix: &str) -> Result<String, String> {
    let digits = text.strip_prefix(prefix).unwrap_or(text);
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(hexadecimal) {
        return Err(format!(
            "write an id ({prefix}…), the beginning of one, or `latest`"
        ));
    }
    Ok(format!("{prefix}{digits}"))
}

impl FromStr for RunRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest(None));
        }
        if let Some(dag) = text.strip_prefix("latest:") {
            let dag = dag.parse().map_err(|error| format!("{error}"))?;
            return Ok(Self::Latest(Some(dag)));
        }
        let text = beginning(text, RunId::PREFIX)?;
        Ok(text.parse().map_or(Self::Prefix(text), Self::Id))
    }
}

impl FromStr for RequestRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let text = beginning(text, RequestId::PREFIX)?;
        Ok(text.parse().map_or(Self::Prefix(text), Self::Id))
    }
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Prefix(text) => f.write_str(text),
            Self::Latest(None) => f.write_str("latest"),
            Self::Latest(Some(dag)) => write!(f, "latest:{dag}"),
        }
    }
}

/// Finds the only id that begins with `prefix`.
///
/// # Errors
///
/// A message for people, where none does or several do.
pub fn only_match<I: fmt::Display>(
    prefix: &str,
    ids: impl IntoIterator<Item = I>,
) -> Result<I, NoMatch> {
    let mut found = ids
        .into_iter()
        .filter(|id| id.to_string().starts_with(prefix));
    let Some(first) = found.next() else {
        return Err(NoMatch::None);
    };
    match found.next() {
        None => Ok(first),
        Some(second) => Err(NoMatch::Several(first.to_string(), second.to_string())),
    }
}

/// Why a beginning names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMatch {
    /// No id begins so.
    None,
    /// Several do; two of them.
    Several(String, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "run_0192f00d00007000800000000000abcd";

    #[test]
    fn ids_beginnings_and_latest() {
        let parsed = |text: &str| text.parse::<RunRef>();
        assert_eq!(parsed(ID).unwrap(), RunRef::Id(ID.parse().unwrap()));
        assert_eq!(parsed(&ID[4..]).unwrap(), RunRef::Id(ID.parse().unwrap()));
        assert_eq!(
            parsed("run_0192").unwrap(),
            RunRef::Prefix("run_0192".into())
        );
        assert_eq!(parsed("0192").unwrap(), RunRef::Prefix("run_0192".into()));
        assert_eq!(parsed("latest").unwrap(), RunRef::Latest(None));
        assert_eq!(
            parsed("latest:a").unwrap(),
            RunRef::Latest(Some("a".parse().unwrap()))
        );
        for wrong in [
            "",
            "run_",
            "req_01",
            "latest:",
            "latest:A",
            "0192g",
            "0192F",
            &format!("{ID}0"),
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert_eq!("latest".parse::<RequestRef>().unwrap(), RequestRef::Latest);
        assert!("latest:a".parse::<RequestRef>().is_err());
        assert!("run_01".parse::<RequestRef>().is_err());
    }

    #[test]
    fn a_beginning_must_be_unique() {
        let ids = ["run_01a", "run_01b", "run_02"];
        assert_eq!(only_match("run_02", ids), Ok("run_02"));
        assert_eq!(only_match("run_03", ids), Err(NoMatch::None));
        assert_eq!(
            only_match("run_01", ids),
            Err(NoMatch::Several("run_01a".into(), "run_01b".into()))
        );
    }
}
