//! On documents recorded from real containers (Docker 20.10.24, runc 1.1.5, runsc 20221219): as
//! they are they pass, and each single change is found.

use super::*;
use crate::image::ImageFacts;
use crate::plan::SECCOMP;
use serde_json::json;

struct Recorded {
    plan: ContainerPlan,
    image: ImageFacts,
    inspect: Value,
    spec: Value,
}

fn recorded(text: &str) -> Recorded {
    let mut document: Value = serde_json::from_str(text).unwrap();
    // The profile was left out of the recording; it is that of this build.
    let profile: Value = serde_json::from_str(SECCOMP).unwrap();
    let plan: ContainerPlan = serde_json::from_value(document["plan"].take()).unwrap();
    let mut inspect = document["inspect"].take();
    inspect["HostConfig"]["SecurityOpt"] = json!(["no-new-privileges", "seccomp=x"]);
    let mut spec = document["spec"].take();
    spec["linux"]["seccomp"]["syscalls"] = profile["syscalls"].clone();
    Recorded {
        plan,
        image: serde_json::from_value(document["image"].take()).unwrap(),
        inspect,
        spec,
    }
}

fn both() -> [Recorded; 2] {
    [
        recorded(include_str!("recorded/gvisor.json")),
        recorded(include_str!("recorded/runc.json")),
    ]
}

impl Recorded {
    fn engine(&self, inspect: &Value) -> Result<Vec<Setting>, Refusal> {
        let security = ["no-new-privileges".to_owned(), "seccomp=x".to_owned()];
        check_engine(&self.plan, &self.image, &security, inspect, false)
    }
}

/// The documents with one value changed each, at every pointer.
fn changed(document: &Value, changes: &[(&str, Value)], check: impl Fn(&Value) -> bool) {
    for (pointer, value) in changes {
        let mut changed = document.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = changed
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("no {parent}"));
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            parent => parent[key] = value.clone(),
        }
        assert!(!check(&changed), "{pointer} = {value} was not noticed");
    }
}

#[test]
fn every_change_of_the_engines_record_is_found() {
    for recorded in both() {
        let settings = recorded.engine(&recorded.inspect).unwrap();
        assert!(settings.len() > 50 && settings.iter().all(|s| s.source == "engine"));
        let changes = [
            ("/Name", json!("/other")),
            ("/Image", json!("sha256:00")),
            ("/Config/User", json!("0:0")),
            ("/Config/Env/0", json!("LD_PRELOAD=/x")),
            ("/Config/Entrypoint", json!(["/bin/sh"])),
            ("/Config/Cmd", json!(["8", "sleep"])),
            ("/Config/WorkingDir", json!("/proc/self/fd/7")),
            ("/Config/Labels/belljar.fence", json!("2")),
            ("/Config/Labels/forged", json!("1")),
            ("/Config/Healthcheck/Test", json!(["CMD", "x"])),
            ("/Config/Tty", json!(true)),
            ("/Config/OpenStdin", json!(true)),
            ("/Config/StopSignal", json!("SIGCONT")),
            ("/HostConfig/Privileged", json!(true)),
            ("/HostConfig/ReadonlyRootfs", json!(false)),
            ("/HostConfig/CapAdd", json!(["SYS_ADMIN"])),
            ("/HostConfig/CapDrop", Value::Null),
            ("/HostConfig/SecurityOpt", json!(["no-new-privileges"])),
            (
                "/HostConfig/SecurityOpt",
                json!(["no-new-privileges", "seccomp=unconfined"]),
            ),
            ("/HostConfig/NetworkMode", json!("bridge")),
            ("/HostConfig/IpcMode", json!("host")),
            ("/HostConfig/PidMode", json!("host")),
            ("/HostConfig/UTSMode", json!("host")),
            ("/HostConfig/UsernsMode", json!("host")),
            ("/HostConfig/CgroupnsMode", json!("host")),
            ("/HostConfig/CgroupParent", json!("/")),
            ("/HostConfig/Binds", json!(["/:/host"])),
            ("/HostConfig/Devices", json!([{"PathOnHost": "/dev/vda"}])),
            ("/HostConfig/VolumesFrom", json!(["other"])),
            ("/HostConfig/GroupAdd", json!(["0"])),
            ("/HostConfig/Memory", json!(0)),
            ("/HostConfig/MemorySwap", json!(-1)),
            ("/HostConfig/MemorySwappiness", Value::Null),
            ("/HostConfig/OomKillDisable", json!(true)),
            ("/HostConfig/OomScoreAdj", json!(0)),
            ("/HostConfig/NanoCpus", json!(0)),
            ("/HostConfig/PidsLimit", json!(0)),
            ("/HostConfig/Ulimits", Value::Null),
            ("/HostConfig/Runtime", json!("other")),
            ("/HostConfig/MaskedPaths", json!([])),
            ("/HostConfig/ReadonlyPaths", json!([])),
            ("/HostConfig/Tmpfs/~1tmp", json!("rw")),
            ("/HostConfig/Sysctls", json!({})),
            ("/HostConfig/RestartPolicy/Name", json!("always")),
            ("/HostConfig/AutoRemove", json!(true)),
            ("/HostConfig/Init", json!(false)),
            ("/HostConfig/LogConfig/Type", json!("none")),
            (
                "/HostConfig/Mounts/0/BindOptions/NonRecursive",
                json!(false),
            ),
            ("/Mounts/0/RW", json!(true)),
            ("/Mounts/1/Source", json!("/etc")),
            ("/Mounts/0/Propagation", json!("rshared")),
            ("/Mounts/0/Type", json!("volume")),
        ];
        // Pointers escape `/` as `~1`; the last part here is a plain key.
        let changes = changes.map(|(pointer, value)| match pointer {
            "/HostConfig/Tmpfs/~1tmp" => ("/HostConfig/Tmpfs", json!({"/tmp": "rw"})),
            _ => (pointer, value),
        });
        changed(&recorded.inspect, &changes, |inspect| {
            recorded.engine(inspect).is_ok()
        });
        let mut more = recorded.inspect.clone();
        more["Mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"Type": "volume"}));
        assert!(recorded.engine(&more).is_err());
    }
}

#[test]
fn every_change_of_the_runtimes_specification_is_found() {
    for recorded in both() {
        let settings = check_spec(&recorded.plan, &recorded.spec).unwrap();
        assert!(settings.len() > 25 && settings.iter().all(|s| s.source == "spec"));
        let changes = [
            ("/process/user/uid", json!(0)),
            ("/process/user/gid", json!(0)),
            ("/process/user/additionalGids", json!([0])),
            ("/process/args", json!(["/probe", "sleep", "8"])),
            ("/process/cwd", json!("/proc")),
            ("/process/env/0", json!("LD_PRELOAD=/x")),
            (
                "/process/capabilities",
                json!({"effective": ["CAP_SYS_ADMIN"]}),
            ),
            (
                "/process/capabilities",
                json!({"inheritable": ["CAP_CHOWN"]}),
            ),
            ("/process/noNewPrivileges", json!(false)),
            ("/process/rlimits", json!([])),
            ("/process/oomScoreAdj", json!(0)),
            ("/process/terminal", json!(true)),
            ("/root/readonly", json!(false)),
            ("/hostname", json!("host")),
            ("/linux/namespaces", json!([{"type": "mount"}])),
            (
                "/linux/namespaces/0",
                json!({"type": "mount", "path": "/proc/1/ns/mnt"}),
            ),
            ("/linux/resources/memory/limit", json!(1)),
            ("/linux/resources/memory/swap", json!(-1)),
            ("/linux/resources/pids/limit", json!(0)),
            ("/linux/resources/cpu/quota", json!(0)),
            ("/linux/cgroupsPath", json!("/docker/x")),
            ("/linux/maskedPaths", json!([])),
            ("/linux/readonlyPaths", json!([])),
            ("/linux/sysctl", json!({})),
            ("/linux/seccomp", Value::Null),
            ("/linux/seccomp/defaultAction", json!("SCMP_ACT_ALLOW")),
            ("/linux/seccomp/syscalls/0/names/0", json!("ptrace")),
            ("/linux/seccomp/syscalls/12/args", json!([])),
        ];
        changed(&recorded.spec, &changes, |spec| {
            check_spec(&recorded.plan, spec).is_ok()
        });
        let mounts = recorded.spec["mounts"].as_array().unwrap();
        for (index, mount) in mounts.iter().enumerate() {
            let target = mount["destination"].as_str().unwrap();
            if !target.starts_with("/in/") && target != "/out" && target != "/tmp" {
                continue;
            }
            let mut spec = recorded.spec.clone();
            spec["mounts"][index]["options"] = json!(["rbind", "rw"]);
            assert!(check_spec(&recorded.plan, &spec).is_err(), "{target}");
            spec["mounts"].as_array_mut().unwrap().remove(index);
            assert!(check_spec(&recorded.plan, &spec).is_err(), "{target}");
        }
        let mut spec = recorded.spec.clone();
        let socket = json!({"destination": "/s", "type": "bind", "source": "/var/run/docker.sock"});
        spec["mounts"].as_array_mut().unwrap().push(socket);
        assert!(check_spec(&recorded.plan, &spec).is_err());
    }
}

#[test]
fn cgroup_files_are_compared_as_the_kernel_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("memory.limit_in_bytes");
    std::fs::write(&file, "1000\n").unwrap();
    let files = |wanted: &str| vec![(file.clone(), wanted.to_owned())];
    assert_eq!(check_cgroup(&files("1000")).unwrap()[0].source, "cgroup");
    assert!(check_cgroup(&files("1001")).is_err());
    std::fs::remove_file(&file).unwrap();
    assert!(
        check_cgroup(&files("1000")).is_err(),
        "a file that is gone confirms nothing"
    );
}

#[test]
fn our_own_process_is_no_sandbox() {
    let ours = ProcessFacts::read(i64::from(std::process::id())).unwrap();
    assert_eq!(ours.shared_namespaces.len(), 6);
    assert!(ours.mounts.contains_key("/"));
    assert!(
        ours.limits.contains_key("Max open files"),
        "{:?}",
        ours.limits
    );
    for recorded in both() {
        let refusal = check_process(&recorded.plan, &crate::testing::host(), "7:0", &ours);
        assert!(matches!(refusal, Err(Refusal::Readback { .. })));
    }
    assert!(ProcessFacts::read(-1).is_none());
}
