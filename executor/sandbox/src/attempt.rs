//! What the caller asks for: one attempt, by name, with its inputs and limits.
//!
//! Owns: the name of an attempt and the order for it. Leaves to others: whether the order is
//! allowed ([`crate::plan`]) and how it is carried out ([`crate::runtime`]).

use crate::image::ImageId;
use belljar_ids::{Digest, Epoch, ExecutorId, Fence, InputName, MapIndex, RunId, TaskName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What every attempt's name begins with.
const PREFIX: &str = "belljar-";
/// What stands in a name for the index of a task that is not mapped.
const NOT_MAPPED: &str = "n";

/// Whose attempt this is. It becomes the name and the labels of everything made for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The executor that runs it; reconciling touches only its own.
    pub executor: ExecutorId,
    /// The incarnation of that executor.
    pub epoch: Epoch,
    /// The run.
    pub run: RunId,
    /// The task in the run.
    pub task: TaskName,
    /// Which instance of a mapped task.
    pub map_index: MapIndex,
    /// The fence of the lease: a second attempt of the same instance has another name.
    pub fence: Fence,
    /// The digest of what was leased (manifest, inputs, parameters), as the scheduler computed it.
    pub spec_digest: Digest,
}

impl Identity {
    /// The one name of this attempt.
    #[must_use]
    pub fn name(&self) -> AttemptName {
        let map = match self.map_index {
            MapIndex::NONE => NOT_MAPPED.to_owned(),
            index => index.to_string(),
        };
        AttemptName(format!(
            "{}{}-{}-{map}-{}",
            AttemptName::prefix_of(self.executor),
            self.run.as_uuid().simple(),
            self.task,
            self.fence
        ))
    }
}

/// The name of an attempt: `belljar-<executor>-<run>-<task>-<index or n>-<fence>`, where the
/// executor is the last 12 hexadecimal digits of its id and the run the 32 of its id.
///
/// It is the key of every call of a [`crate::Runtime`], the name of the container, of the folder
/// and of the cgroup. 1 to 200 of `a-z`, `0-9` and `-`, so that it is safe in all three places.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttemptName(String);

impl AttemptName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the names of all attempts of this executor begin with.
    #[must_use]
    pub fn prefix_of(executor: ExecutorId) -> String {
        // The first digits of a UUIDv7 are a time, shared by executors made together; the last
        // are random.
        let hex = executor.as_uuid().simple().to_string();
        format!("{PREFIX}{}-", &hex[20..])
    }

    /// Whether this attempt is of this executor.
    #[must_use]
    pub fn is_of(&self, executor: ExecutorId) -> bool {
        self.0.starts_with(&Self::prefix_of(executor))
    }
}

impl fmt::Display for AttemptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<AttemptName> for String {
    fn from(name: AttemptName) -> Self {
        name.0
    }
}

/// A text that is not the name of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an attempt's name: it must be belljar-<12 hex>-<32 hex>-<task>-<index or n>-<fence>")]
pub struct NotAnAttempt;

impl TryFrom<String> for AttemptName {
    type Error = NotAnAttempt;

    fn try_from(text: String) -> Result<Self, NotAnAttempt> {
        text.parse()
    }
}

impl FromStr for AttemptName {
    type Err = NotAnAttempt;

    fn from_str(text: &str) -> Result<Self, NotAnAttempt> {
        let hex = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let number =
            |part: &str| (1..=19).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        // The task's name may contain hyphens, so it is what is left between both ends.
        let rest = text.strip_prefix(PREFIX).ok_or(NotAnAttempt)?;
        let (executor, rest) = rest.split_once('-').ok_or(NotAnAttempt)?;
        let (run, rest) = rest.split_once('-').ok_or(NotAnAttempt)?;
        let (rest, fence) = rest.rsplit_once('-').ok_or(NotAnAttempt)?;
        let (task, map) = rest.rsplit_once('-').ok_or(NotAnAttempt)?;
        let good = hex(executor, 12)
            && hex(run, 32)
            && number(fence)
            && (map == NOT_MAPPED || number(map))
            && task.parse::<TaskName>().is_ok();
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnAttempt)
        }
    }
}

/// How strong the walls are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// gVisor: the production sandbox, for everybody's analyses.
    Gvisor,
    /// Plain `runc`: only for an analysis that an operator marked trusted.
    TrustedRunc,
    /// Plain `runc` for trying an analysis where there is no gVisor. Not the production sandbox;
    /// its receipt says so.
    WeakerSandbox,
}

/// Where an input's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputSource {
    /// On the host of the container engine: an absolute path below one of
    /// [`crate::HostFacts::input_roots`], files 0444 and folders 0555.
    HostPath(PathBuf),
}

/// Whether an input is one file or a folder of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// One regular file.
    File,
    /// A folder of folders and regular files.
    Folder,
}

/// One input, seen by the program read-only at `/in/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputMount {
    /// Its name in the manifest.
    pub name: InputName,
    /// Where its bytes are.
    pub source: InputSource,
    /// What is there.
    pub kind: InputKind,
    /// The digest of its content, where the caller knows it; copied into the receipt.
    pub digest: Option<Digest>,
}

/// What one attempt may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time per wall-clock time, in thousandths of one processor.
    pub cpu_millis: u32,
    /// Memory of the program and its `/tmp`, in bytes. The sandbox's own overhead comes on top.
    pub memory_bytes: u64,
    /// The size of `/out`'s filesystem, in bytes.
    pub disk_bytes: u64,
    /// The size of `/tmp`, in bytes; it counts as memory.
    pub tmp_bytes: u64,
    /// Processes and threads of the program.
    pub pids: u32,
    /// Wall clock from the start of the container.
    pub timeout: Duration,
    /// Bytes of stdout and stderr together that are kept; the rest is dropped and marked.
    pub log_bytes: u64,
}

/// An order for one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSpec {
    /// Whose attempt it is.
    pub identity: Identity,
    /// The image, by the digest of its configuration.
    pub image: ImageId,
    /// The whole argument vector, program first. `None`: the image's entrypoint and command.
    pub argv: Option<Vec<String>>,
    /// Environment on top of the image's. Refused names: see [`crate::ContainerPlan::build`].
    pub env: BTreeMap<String, String>,
    /// The inputs.
    pub inputs: Vec<InputMount>,
    /// The content of `/in/params.json`, already valid against the manifest's schema.
    pub params: serde_json::Value,
    /// What it may use.
    pub limits: Limits,
    /// Which of the executor's slots it takes; decides the uid.
    pub slot: u16,
    /// How strong the walls must be.
    pub tier: Tier,
    /// Whether an operator marked this analysis trusted; required for [`Tier::TrustedRunc`].
    pub trusted: bool,
    /// Whether programs may be executed from `/tmp` (the manifest asked and a reviewer agreed).
    pub tmp_exec: bool,
}

impl AttemptSpec {
    /// The name of the attempt.
    #[must_use]
    pub fn name(&self) -> AttemptName {
        self.identity.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::identity;

    #[test]
    fn names_round_trip_and_sort_out_foreign_ones() {
        let name = identity("a-b-c", 3).name();
        assert_eq!(name.as_str().parse::<AttemptName>().unwrap(), name);
        assert!(name.is_of(identity("x", 1).executor));
        assert!(name.as_str().len() < 200);
        for bad in [
            "",
            "belljar-",
            "belljar-000000000001-0-x-n-1",
            "belljar-00000000000g-00000000000000000000000000000002-x-n-1",
            "belljar-000000000001-00000000000000000000000000000002-x-n-",
            "belljar-000000000001-00000000000000000000000000000002-x-y-1",
            "belljar-000000000001-00000000000000000000000000000002-../..-n-1",
            "belljar-000000000001-00000000000000000000000000000002--n-1",
        ] {
            assert!(bad.parse::<AttemptName>().is_err(), "{bad}");
        }
    }
}
