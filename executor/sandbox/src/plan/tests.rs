//! Snapshots of whole plans, and one test for each refusal.

use super::*;
use crate::testing::{host, image, policy, spec};
use crate::{InputKind, InputMount, InputSource};

fn build(spec: &AttemptSpec, image: &ImageFacts) -> Result<ContainerPlan, Refusal> {
    ContainerPlan::build(&policy(), &host(), image, spec)
}

#[test]
fn the_whole_plan_under_gvisor() {
    insta::assert_json_snapshot!(build(&spec(), &image()).unwrap());
}

#[test]
fn the_whole_plan_under_runc() {
    let mut spec = spec();
    spec.tier = Tier::TrustedRunc;
    spec.trusted = true;
    insta::assert_json_snapshot!(build(&spec, &image()).unwrap());
}

#[test]
fn apparmor_and_systemd_are_used_where_they_are() {
    let mut host = host();
    host.apparmor = true;
    host.cgroup_driver = CgroupDriver::Systemd;
    let plan = ContainerPlan::build(&policy(), &host, &image(), &spec()).unwrap();
    assert_eq!(plan.confinement.apparmor.as_deref(), Some("docker-default"));
    insta::assert_json_snapshot!(plan.cgroup);
}

/// Applies a change to order and image and gives the code of the refusal.
fn refused(change: impl FnOnce(&mut AttemptSpec, &mut ImageFacts)) -> &'static str {
    let (mut spec, mut image) = (spec(), image());
    change(&mut spec, &mut image);
    let refusal = build(&spec, &image).expect_err("must be refused");
    assert!(!refusal.to_string().is_empty() && !refusal.hint().is_empty());
    refusal.code()
}

#[test]
fn variables_that_load_or_lead_out_are_refused_in_an_order_and_dropped_from_an_image() {
    for name in [
        "LD_PRELOAD",
        "ld_x",
        "https_proxy",
        "NO_PROXY",
        "DOCKER_HOST",
        "BELLJAR_X",
        "",
        "A B",
        "A=B",
    ] {
        let env = |spec: &mut AttemptSpec| spec.env.insert(name.to_owned(), "x".to_owned());
        assert_eq!(refused(|spec, _| drop(env(spec))), "BJ0701", "{name}");
    }
    let mut image = image();
    image.config.env = ["LD_PRELOAD=/x.so", "http_proxy=y", "LANG=C", "HOME=/root"]
        .map(str::to_owned)
        .to_vec();
    let plan = build(&spec(), &image).unwrap();
    assert_eq!(plan.process.dropped_env, ["LD_PRELOAD", "http_proxy"]);
    assert_eq!(plan.process.env["LANG"], "C");
    assert_eq!(plan.process.env["HOME"], "/tmp");
    assert!(!plan.process.env.contains_key("LD_PRELOAD"));
}

#[test]
fn images_that_forge_labels_or_point_into_the_kernel_are_refused() {
    let label = |image: &mut ImageFacts, label: &str| {
        image.config.labels.insert(label.to_owned(), "1".to_owned());
    };
    assert_eq!(refused(|_, i| label(i, "belljar.fence")), "BJ0702");
    assert_eq!(refused(|_, i| label(i, "Belljar.x")), "BJ0702");
    for dir in [
        "/proc/self/fd/8",
        "/sys",
        "/dev/shm",
        "/app/../proc/1",
        "rel",
        "/a\0",
    ] {
        assert_eq!(
            refused(|_, i| i.config.working_dir = dir.to_owned()),
            "BJ0703",
            "{dir:?}"
        );
    }
    for program in [
        "/proc/self/exe",
        "/app/../proc/self/exe",
        "../../proc/self/exe",
        "//proc/x",
    ] {
        let argv = Some(vec![program.to_owned()]);
        assert_eq!(refused(|s, _| s.argv = argv), "BJ0704", "{program}");
    }
    assert_eq!(
        refused(|_, i| i.config.entrypoint = vec!["/proc/self/exe".to_owned()]),
        "BJ0704"
    );
    assert_eq!(
        refused(|_, i| (i.config.entrypoint, i.config.cmd) = (vec![], vec![])),
        "BJ0705"
    );
    assert_eq!(refused(|s, _| s.argv = Some(vec![])), "BJ0705");
    assert_eq!(
        refused(|s, _| s.argv = Some(vec!["a\0b".to_owned()])),
        "BJ0706"
    );
    assert_eq!(
        refused(|s, _| s.argv = Some(vec!["a".repeat(200_000)])),
        "BJ0706"
    );
    assert_eq!(
        refused(|_, i| i.platform = "linux/arm64".to_owned()),
        "BJ0708"
    );
}

#[test]
fn volumes_get_an_empty_memory_filesystem_unless_they_are_ours_or_hostile() {
    for volume in [
        "/", "/proc", "/dev/x", "rel", "/a/../b", "/a,b", "/a:b", "/x/",
    ] {
        assert_eq!(
            refused(|_, i| i.config.volumes = vec![volume.to_owned()]),
            "BJ0707",
            "{volume}"
        );
    }
    let mut image = image();
    image.config.volumes = ["/data", "/in", "/in/posts", "/out", "/tmp"]
        .map(str::to_owned)
        .to_vec();
    let plan = build(&spec(), &image).unwrap();
    assert_eq!(
        plan.mounts.tmpfs.keys().collect::<Vec<_>>(),
        ["/data", "/in", "/tmp"]
    );
    assert!(
        plan.mounts.tmpfs["/tmp"].contains("size=33554432"),
        "ours wins"
    );
    let many = (0..40).map(|n| format!("/v{n}")).collect::<Vec<_>>();
    assert_eq!(refused(|_, i| i.config.volumes = many), "BJ0707");
}

#[test]
fn gvisor_fails_closed_and_runc_needs_a_mark() {
    assert_eq!(refused(|s, _| s.tier = Tier::TrustedRunc), "BJ0711");
    assert_eq!(refused(|s, _| s.tier = Tier::WeakerSandbox), "BJ0711");
    let with_host = |change: fn(&mut HostFacts)| {
        let mut host = host();
        change(&mut host);
        ContainerPlan::build(&policy(), &host, &image(), &spec())
            .unwrap_err()
            .code()
    };
    assert_eq!(
        with_host(|h| drop(h.runtimes.remove("belljar-runsc"))),
        "BJ0709"
    );
    assert_eq!(with_host(|h| h.gvisor = None), "BJ0710");
    assert_eq!(
        with_host(|h| h.gvisor.as_mut().unwrap().build = 20_210_101),
        "BJ0710"
    );
    assert_eq!(
        with_host(|h| h.engine_version = "19.03.1".to_owned()),
        "BJ0710"
    );
    assert_eq!(with_host(|h| h.root = false), "BJ0715");
    assert_eq!(with_host(|h| h.mkfs = None), "BJ0715");
    assert_eq!(with_host(|h| h.loop_devices = false), "BJ0715");
    assert_eq!(with_host(|h| h.seccomp = false), "BJ0715");
    let mut strict = policy();
    strict.allow_trusted_runc = false;
    let mut trusted = spec();
    trusted.tier = Tier::TrustedRunc;
    trusted.trusted = true;
    let refusal = ContainerPlan::build(&strict, &host(), &image(), &trusted).unwrap_err();
    assert_eq!(refusal.code(), "BJ0711");
}

#[test]
fn limits_slots_and_inputs_are_checked() {
    assert_eq!(refused(|s, _| s.limits.memory_bytes = 0), "BJ0712");
    assert_eq!(refused(|s, _| s.limits.memory_bytes = u64::MAX), "BJ0712");
    assert_eq!(refused(|s, _| s.limits.pids = 0), "BJ0712");
    assert_eq!(
        refused(|s, _| s.limits.timeout = std::time::Duration::ZERO),
        "BJ0712"
    );
    assert_eq!(refused(|s, _| s.limits.disk_bytes = 1 << 60), "BJ0712");
    assert_eq!(refused(|s, _| s.slot = 1024), "BJ0713");
    let input = |source: &str| InputMount {
        name: "posts".parse().unwrap(),
        source: InputSource::HostPath(source.into()),
        kind: InputKind::File,
        digest: None,
    };
    let good = input("/var/lib/belljar/inputs/a");
    assert_eq!(
        refused(|s, _| s.inputs = vec![good.clone(), good.clone()]),
        "BJ0714"
    );
    for bad in [
        "/etc/shadow",
        "rel",
        "/var/lib/belljar/inputs/../../../etc",
        "/var/lib/belljar/inputsx",
    ] {
        assert_eq!(
            refused(|s, _| s.inputs = vec![input(bad)]),
            "BJ0714",
            "{bad}"
        );
    }
}

#[test]
fn the_seccomp_profile_allows_nothing_of_what_it_must_not() {
    let profile: serde_json::Value = serde_json::from_str(SECCOMP).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let mut allowed = BTreeMap::new();
    for rule in profile["syscalls"].as_array().unwrap() {
        for name in rule["names"].as_array().unwrap() {
            let rules: &mut Vec<_> = allowed.entry(name.as_str().unwrap()).or_default();
            rules.push(rule);
        }
    }
    for name in "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd io_uring_setup \
        io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl add_key \
        request_key unshare setns mount umount umount2 move_mount open_tree fsopen fsmount \
        fsconfig fspick mount_setattr pivot_root chroot open_by_handle_at name_to_handle_at \
        modify_ldt vmsplice syslog quotactl quotactl_fd socketcall kexec_load init_module \
        finit_module delete_module reboot swapon swapoff acct settimeofday iopl ioperm"
        .split_whitespace()
    {
        assert!(!allowed.contains_key(name), "{name}");
    }
    for (name, values) in [
        ("socket", vec![1, 2, 10]),
        ("socketpair", vec![1]),
        ("personality", vec![0]),
    ] {
        let rules = &allowed[name];
        assert!(
            rules
                .iter()
                .all(|rule| rule["args"][0]["op"] == "SCMP_CMP_EQ"),
            "{name}"
        );
        let found: Vec<_> = rules
            .iter()
            .map(|rule| rule["args"][0]["value"].as_i64().unwrap())
            .collect();
        assert_eq!(found, values);
    }
    assert_eq!(allowed["clone"][0]["args"][0]["value"], 0x7E02_0000);
    assert_eq!(allowed["clone3"][0]["errnoRet"], 38);
    let reasons = profile["syscalls"].as_array().unwrap();
    assert!(
        reasons
            .iter()
            .all(|rule| rule["comment"].as_str().unwrap().len() > 5)
    );
    assert_eq!(
        profile["archMap"][0]["subArchitectures"],
        serde_json::json!(["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    );
}

#[test]
fn the_order_of_environment_and_inputs_does_not_matter() {
    let digest = build(&spec(), &image()).unwrap().digest();
    let mut other = spec();
    other.inputs.reverse();
    assert_eq!(build(&other, &image()).unwrap().digest(), digest);
}
