//! One cgroup for each attempt, around the runtime's own.
//!
//! Owns: making it, its limits, counting, freezing and killing what is in it, its figures. It is
//! the one place that is right when the engine is confused: a process that the engine thinks dead
//! is still listed here. Leaves to others: what the figures mean ([`crate::verdict`]).
//!
//! Version 1 has a hierarchy for each controller and forgets some counters with the runtime's
//! leaf, so those are sampled while it lives; version 2 has one hierarchy that keeps everything.

mod figures;
#[cfg(test)]
mod tests;

use crate::attempt::AttemptName;
use crate::error::{Result, SandboxError};
use crate::facts::CgroupVersion;
use crate::finished::Usage;
use crate::plan::LimitPlan;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The controllers of version 1 in which we make a cgroup; the runtime adds the others.
const V1_CONTROLLERS: &[&str] = &["cpu", "cpuacct", "freezer", "memory", "pids"];
/// The length of a CPU period, in microseconds, as the runtimes use it.
const CPU_PERIOD_MICROS: u64 = 100_000;
/// How long killing may take before the attempt counts as unkillable.
const KILL_BUDGET: Duration = Duration::from_secs(10);
/// The deepest tree below an attempt's cgroup that is walked.
const MAX_DEPTH: usize = 8;

/// The cgroup of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    version: CgroupVersion,
    /// Where the hierarchies are mounted.
    root: PathBuf,
    /// Below the root of a hierarchy.
    path: PathBuf,
}

impl Cgroup {
    /// The cgroup at `path` below the hierarchies at `root`; nothing is made yet.
    pub(crate) fn new(version: CgroupVersion, root: &Path, path: &Path) -> Self {
        Self {
            version,
            root: root.to_owned(),
            path: path.to_owned(),
        }
    }

    /// Our folder in the hierarchy of a controller.
    fn dir(&self, controller: &str) -> PathBuf {
        match self.version {
            CgroupVersion::V1 => self.root.join(controller).join(&self.path),
            CgroupVersion::V2 => self.root.join(&self.path),
        }
    }

    /// Makes the cgroup and sets the limits on it.
    ///
    /// # Errors
    /// The host's, naming the file.
    pub(crate) fn create(&self, limits: &LimitPlan) -> Result<()> {
        match self.version {
            CgroupVersion::V1 => {
                for controller in V1_CONTROLLERS {
                    create_dir(&self.dir(controller))?;
                }
            }
            CgroupVersion::V2 => {
                create_dir(&self.dir(""))?;
                self.delegate()?;
            }
        }
        for (file, value) in self.limit_files(limits) {
            // Swap accounting may be compiled out; then there is nothing to limit.
            if file.ends_with("memory.memsw.limit_in_bytes") && !file.exists() {
                continue;
            }
            write(&file, &value)?;
        }
        Ok(())
    }

    /// Version 2: passes the controllers down to our folder.
    fn delegate(&self) -> Result<()> {
        let mut dir = self.root.clone();
        for part in &self.path {
            write(&dir.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
            dir.push(part);
        }
        Ok(())
    }

    /// The files of our own limits with their values, in the order in which to write them.
    pub(crate) fn limit_files(&self, limits: &LimitPlan) -> Vec<(PathBuf, String)> {
        let quota = limits.nano_cpus * CPU_PERIOD_MICROS / 1_000_000_000;
        let files = match self.version {
            CgroupVersion::V1 => vec![
                (
                    "memory",
                    "memory.limit_in_bytes",
                    limits.memory_bytes.to_string(),
                ),
                (
                    "memory",
                    "memory.memsw.limit_in_bytes",
                    limits.memory_swap_bytes.to_string(),
                ),
                ("pids", "pids.max", limits.pids.to_string()),
                ("cpu", "cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string()),
                ("cpu", "cpu.cfs_quota_us", quota.to_string()),
            ],
            CgroupVersion::V2 => vec![
                ("", "memory.max", limits.memory_bytes.to_string()),
                ("", "memory.swap.max", "0".to_owned()),
                ("", "pids.max", limits.pids.to_string()),
                ("", "cpu.max", format!("{quota} {CPU_PERIOD_MICROS}")),
            ],
        };
        files
            .into_iter()
            .map(|(controller, file, value)| (self.dir(controller).join(file), value))
            .collect()
    }

    /// Every process in it and below, from every hierarchy that knows it.
    ///
    /// # Errors
    /// The host's; a cgroup that is gone has no processes.
    pub(crate) fn processes(&self) -> Result<BTreeSet<u32>> {
        let mut pids = BTreeSet::new();
        for dir in self.trees() {
            for folder in folders_below(&dir)? {
                let text = match std::fs::read_to_string(folder.join("cgroup.procs")) {
                    Ok(text) => text,
                    Err(error) if is_gone(&error) => continue,
                    Err(error) => return Err(SandboxError::host("read", folder)(error)),
                };
                // 0 stands for a process outside of our pid namespace: still one.
                pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            }
        }
        Ok(pids)
    }

    /// Our folder in each hierarchy that lists processes.
    fn trees(&self) -> Vec<PathBuf> {
        match self.version {
            CgroupVersion::V1 => ["freezer", "memory", "pids"].map(|c| self.dir(c)).to_vec(),
            CgroupVersion::V2 => vec![self.dir("")],
        }
    }

    /// Kills every process and returns when none is left: freezes, so that nothing can fork away
    /// and no pid can be used again, sends SIGKILL to each, thaws, looks again.
    ///
    /// # Errors
    /// [`SandboxError::Unkillable`] after ten seconds.
    pub(crate) fn kill(&self, name: &AttemptName) -> Result<()> {
        let until = Instant::now() + KILL_BUDGET;
        let mut pause = Duration::from_millis(1);
        loop {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(SandboxError::Unkillable {
                    name: name.clone(),
                    pids: pids.into_iter().collect(),
                });
            }
            self.kill_once()?;
            // The kernel tears processes down on its own time; there is nothing to wait on.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn kill_once(&self) -> Result<()> {
        if self.version == CgroupVersion::V2 {
            match std::fs::write(self.dir("").join("cgroup.kill"), "1") {
                Ok(()) => return Ok(()),
                Err(error) if is_gone(&error) => {} // Linux before 5.14, or the cgroup is gone.
                Err(error) => return Err(SandboxError::host("kill", self.dir(""))(error)),
            }
        }
        self.freeze(true)?;
        for pid in self.processes()? {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                // Whatever is gone by now needs no kill; the next look tells.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        self.freeze(false)
    }

    /// Freezes or thaws everything in it.
    ///
    /// # Errors
    /// The host's; a cgroup that is gone is not frozen.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let (file, value) = match (self.version, frozen) {
            (CgroupVersion::V1, true) => ("freezer.state", "FROZEN"),
            (CgroupVersion::V1, false) => ("freezer.state", "THAWED"),
            (CgroupVersion::V2, true) => ("cgroup.freeze", "1"),
            (CgroupVersion::V2, false) => ("cgroup.freeze", "0"),
        };
        let file = self.dir("freezer").join(file);
        match std::fs::write(&file, value) {
            Err(error) if !is_gone(&error) => Err(SandboxError::host("write", file)(error)),
            _ => Ok(()),
        }
    }

    /// Removes it and everything below, in every hierarchy.
    ///
    /// # Errors
    /// The host's: `EBUSY` where a process is left.
    pub(crate) fn remove(&self) -> Result<()> {
        for dir in self.all_dirs()? {
            let mut folders = folders_below(&dir)?;
            folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
            for folder in folders {
                remove_dir(&folder)?;
            }
        }
        Ok(())
    }

    /// Whether anything of it is left in any hierarchy.
    ///
    /// # Errors
    /// The host's.
    pub(crate) fn exists(&self) -> Result<bool> {
        Ok(self.all_dirs()?.iter().any(|dir| dir.exists()))
    }

    /// Our folder in every hierarchy there is, also those in which only the runtime made it.
    fn all_dirs(&self) -> Result<Vec<PathBuf>> {
        if self.version == CgroupVersion::V2 {
            return Ok(vec![self.dir("")]);
        }
        let entries =
            std::fs::read_dir(&self.root).map_err(SandboxError::host("list", &self.root))?;
        Ok(entries
            .filter_map(|entry| Some(entry.ok()?.path().join(&self.path)))
            .collect())
    }

    /// What it used so far.
    pub(crate) fn usage(&self) -> Usage {
        figures::usage(self)
    }

    /// The runtime's own cgroup in the hierarchy of a controller, while it lives.
    pub(crate) fn leaf(&self, controller: &str) -> Option<PathBuf> {
        let folders = folders_below(&self.dir(controller)).ok()?;
        folders.into_iter().nth(1)
    }
}

/// How writing a limit or finding a process fails when the cgroup went away meanwhile.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn create_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(SandboxError::host("create cgroup", dir))
}

fn write(file: &Path, value: &str) -> Result<()> {
    std::fs::write(file, value).map_err(SandboxError::host("write", file))
}

fn remove_dir(dir: &Path) -> Result<()> {
    // A dying process keeps its cgroup for a moment after it left the list.
    for _ in 0..100 {
        match std::fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(SandboxError::host("remove cgroup", dir)(error)),
        }
    }
    let busy = std::io::Error::from_raw_os_error(libc::EBUSY);
    Err(SandboxError::host("remove cgroup", dir)(busy))
}

/// A folder and every folder below it, parents first; empty where it is gone.
fn folders_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(SandboxError::host("list", folder)(error)),
        };
        for entry in entries.flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir && depth < MAX_DEPTH {
                open.push((entry.path(), depth + 1));
            }
        }
        found.push(folder);
    }
    Ok(found)
}
