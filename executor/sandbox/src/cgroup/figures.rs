//! Reading a cgroup's figures.

use super::Cgroup;
use crate::facts::CgroupVersion;
use crate::finished::Usage;
use std::path::Path;

/// The whole number in a file, 0 where there is none.
fn number(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The number behind a word in a file of lines `word number`, 0 where there is none.
fn keyed(file: &Path, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(word, _)| *word == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// What the cgroup used so far; counters that live in the runtime's leaf only while it lives.
pub(super) fn usage(cgroup: &Cgroup) -> Usage {
    match cgroup.version {
        CgroupVersion::V1 => v1(cgroup),
        CgroupVersion::V2 => v2(cgroup),
    }
}

fn v1(cgroup: &Cgroup) -> Usage {
    let memory = cgroup.dir("memory");
    let leaf = |controller: &str, file: &str, key: &str| {
        cgroup
            .leaf(controller)
            .map_or(0, |leaf| keyed(&leaf.join(file), key))
    };
    Usage {
        memory_peak_bytes: number(&memory.join("memory.max_usage_in_bytes")),
        cpu_micros: number(&cgroup.dir("cpuacct").join("cpuacct.usage")) / 1000,
        pids_peak: number(&cgroup.dir("pids").join("pids.peak")),
        pids_refused: leaf("pids", "pids.events", "max"),
        oom_kills: leaf("memory", "memory.oom_control", "oom_kill"),
        memory_limit_hits: number(&memory.join("memory.failcnt")),
        ..Usage::default()
    }
}

fn v2(cgroup: &Cgroup) -> Usage {
    let dir = cgroup.dir("");
    Usage {
        memory_peak_bytes: number(&dir.join("memory.peak")),
        cpu_micros: keyed(&dir.join("cpu.stat"), "usage_usec"),
        pids_peak: number(&dir.join("pids.peak")),
        pids_refused: keyed(&dir.join("pids.events"), "max"),
        oom_kills: keyed(&dir.join("memory.events"), "oom_kill"),
        memory_limit_hits: keyed(&dir.join("memory.events"), "max"),
        ..Usage::default()
    }
}

impl Usage {
    /// Takes over counters of an earlier look that are higher: what a leaf counted before it went.
    pub(crate) fn keep_highest(&mut self, earlier: &Self) {
        let pairs = [
            (&mut self.memory_peak_bytes, earlier.memory_peak_bytes),
            (&mut self.cpu_micros, earlier.cpu_micros),
            (&mut self.pids_peak, earlier.pids_peak),
            (&mut self.pids_refused, earlier.pids_refused),
            (&mut self.oom_kills, earlier.oom_kills),
            (&mut self.memory_limit_hits, earlier.memory_limit_hits),
        ];
        for (now, before) in pairs {
            *now = (*now).max(before);
        }
    }
}
