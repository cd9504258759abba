//! Version 1 for real where this machine has it; version 2 on files recorded from one that does.

use super::*;
use crate::testing::{host, identity, image, policy, spec};

fn limits() -> LimitPlan {
    crate::ContainerPlan::build(&policy(), &host(), &image(), &spec())
        .unwrap()
        .limits
}

#[test]
fn version_2_limits_and_figures_from_recorded_files() {
    let root = tempfile::tempdir().unwrap();
    let recorded = [
        ("memory.peak", "41943040\n"),
        (
            "memory.events",
            "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n",
        ),
        (
            "cpu.stat",
            "usage_usec 2500\nuser_usec 2000\nsystem_usec 500\nnr_periods 0\n",
        ),
        ("pids.peak", "17\n"),
        ("pids.events", "max 3\n"),
        ("cgroup.procs", ""),
    ];
    let cgroup = Cgroup::new(CgroupVersion::V2, root.path(), Path::new("belljar/a"));
    let dir = root.path().join("belljar/a");
    std::fs::create_dir_all(dir.join("leaf")).unwrap();
    for (file, text) in recorded {
        std::fs::write(dir.join(file), text).unwrap();
    }
    std::fs::write(dir.join("leaf/cgroup.procs"), "4242\n4243\n").unwrap();
    assert_eq!(cgroup.processes().unwrap(), BTreeSet::from([4242, 4243]));
    let usage = cgroup.usage();
    assert_eq!(usage.memory_peak_bytes, 41_943_040);
    assert_eq!(usage.cpu_micros, 2500);
    assert_eq!((usage.pids_peak, usage.pids_refused), (17, 3));
    assert_eq!((usage.oom_kills, usage.memory_limit_hits), (1, 12));

    cgroup.create(&limits()).unwrap();
    let text = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
    assert_eq!(text("memory.max"), (384_u64 << 20).to_string());
    assert_eq!(text("memory.swap.max"), "0");
    assert_eq!(text("pids.max"), "320");
    assert_eq!(text("cpu.max"), "100000 100000");
    let control = root.path().join("cgroup.subtree_control");
    assert_eq!(
        std::fs::read_to_string(control).unwrap(),
        "+cpu +memory +pids"
    );
    cgroup.freeze(true).unwrap();
    assert_eq!(text("cgroup.freeze"), "1");
}

#[test]
fn a_cgroup_that_is_gone_has_no_processes_and_no_usage() {
    let root = tempfile::tempdir().unwrap();
    for version in [CgroupVersion::V1, CgroupVersion::V2] {
        let cgroup = Cgroup::new(version, root.path(), Path::new("belljar/gone"));
        assert!(cgroup.processes().unwrap().is_empty());
        assert_eq!(cgroup.usage(), Usage::default());
        cgroup.kill(&identity("x", 1).name()).unwrap();
        cgroup.remove().unwrap();
        assert!(!cgroup.exists().unwrap());
    }
}
