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

/// A process of ours in a cgroup of ours, on this machine's version 1.
#[test]
fn version_1_counts_limits_freezes_and_kills_for_real() {
    let root = Path::new("/sys/fs/cgroup");
    assert!(
        root.join("freezer/cgroup.procs").exists(),
        "this test needs cgroup version 1 at /sys/fs/cgroup"
    );
    let name = format!("belljar-test-{}", std::process::id());
    let cgroup = Cgroup::new(CgroupVersion::V1, root, Path::new(&name));
    cgroup.create(&limits()).expect("needs root");
    for (file, wanted) in cgroup.limit_files(&limits()) {
        if file.exists() {
            assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), wanted);
        }
    }
    let shell = "echo $$ > $0/freezer/$1/leaf/cgroup.procs; echo $$ > $0/pids/$1/cgroup.procs; \
        sleep 1000 & sleep 1000";
    std::fs::create_dir(root.join("freezer").join(&name).join("leaf")).unwrap();
    let mut child = std::process::Command::new("sh")
        .args(["-c", shell, root.to_str().unwrap(), &name])
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while cgroup.processes().unwrap().len() < 3 {
        assert!(Instant::now() < until, "{:?}", cgroup.processes());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(cgroup.usage().pids_peak >= 3);
    cgroup.kill(&identity("x", 1).name()).unwrap();
    assert!(cgroup.processes().unwrap().is_empty());
    assert!(!child.wait().unwrap().success());
    assert!(cgroup.exists().unwrap());
    cgroup.remove().unwrap();
    assert!(!cgroup.exists().unwrap());
}
