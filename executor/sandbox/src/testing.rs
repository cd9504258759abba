//! Values for unit tests.

use crate::attempt::{AttemptSpec, Identity, InputKind, InputMount, InputSource, Limits, Tier};
use crate::facts::{CgroupDriver, CgroupVersion, GvisorFacts, HostFacts};
use crate::image::{ImageConfig, ImageFacts, ImageId};
use crate::policy::{MIB, Policy};
use belljar_ids::{Digest, Epoch, ExecutorId, Fence, MapIndex, RunId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An identity with fixed ids.
pub(crate) fn identity(task: &str, fence: i64) -> Identity {
    Identity {
        executor: "exe_0000000000000000000000000000e0e1"
            .parse::<ExecutorId>()
            .unwrap(),
        epoch: Epoch(1),
        run: "run_0000000000000000000000000000000a"
            .parse::<RunId>()
            .unwrap(),
        task: task.parse().unwrap(),
        map_index: MapIndex::NONE,
        fence: Fence(fence),
        spec_digest: Digest::from_bytes([7; 32]),
    }
}

/// The default policy.
pub(crate) fn policy() -> Policy {
    Policy::default()
}

/// A host like the build machines.
pub(crate) fn host() -> HostFacts {
    HostFacts {
        engine_version: "20.10.24+dfsg1".to_owned(),
        engine_api: "1.41".to_owned(),
        engine_root: "/var/lib/docker".into(),
        live_restore: false,
        runtimes: BTreeMap::from([
            ("runc".to_owned(), "runc".to_owned()),
            ("belljar-runsc".to_owned(), "/usr/bin/runsc".to_owned()),
        ]),
        gvisor: Some(GvisorFacts {
            path: "/usr/bin/runsc".into(),
            args: vec!["--network=none".to_owned()],
            version: "0.0~20221219.0".to_owned(),
            build: 20_221_219,
            platform: "default".to_owned(),
        }),
        runc_version: "1.1.5".to_owned(),
        containerd_version: "1.6.20".to_owned(),
        cgroup_version: CgroupVersion::V1,
        cgroup_driver: CgroupDriver::Cgroupfs,
        apparmor: false,
        seccomp: true,
        kernel: "6.18.0".to_owned(),
        platform: "linux/amd64".to_owned(),
        cpus: 2,
        memory_bytes: 8 << 30,
        root: true,
        loop_devices: true,
        mkfs: Some("/usr/sbin/mkfs.ext4".into()),
        state_dir: "/var/lib/belljar/sandbox".into(),
        state_free_bytes: 100 << 30,
        input_roots: vec![PathBuf::from("/var/lib/belljar/inputs")],
    }
}

/// An image with one program.
pub(crate) fn image() -> ImageFacts {
    ImageFacts {
        id: ImageId(Digest::from_bytes([1; 32])),
        manifest_digest: None,
        layers: vec![Digest::from_bytes([2; 32])],
        bytes: 1000,
        platform: "linux/amd64".to_owned(),
        config: ImageConfig {
            entrypoint: vec!["/app/main".to_owned()],
            cmd: vec!["--fast".to_owned()],
            env: vec!["PATH=/app".to_owned(), "LANG=C.UTF-8".to_owned()],
            working_dir: "/app".to_owned(),
            user: "0".to_owned(),
            ..ImageConfig::default()
        },
    }
}

/// An order with one file and one folder as inputs.
pub(crate) fn spec() -> AttemptSpec {
    let input = |name: &str, kind| InputMount {
        name: name.parse().unwrap(),
        source: InputSource::HostPath(format!("/var/lib/belljar/inputs/{name}").into()),
        kind,
        digest: None,
    };
    AttemptSpec {
        identity: identity("clean", 1),
        image: ImageId(Digest::from_bytes([1; 32])),
        argv: None,
        env: BTreeMap::from([("MODE".to_owned(), "test".to_owned())]),
        inputs: vec![
            input("posts", InputKind::File),
            input("media", InputKind::Folder),
        ],
        params: serde_json::json!({"timezone": "UTC"}),
        limits: Limits {
            cpu_millis: 1000,
            memory_bytes: 256 * MIB,
            disk_bytes: 64 * MIB,
            tmp_bytes: 32 * MIB,
            pids: 64,
            timeout: Duration::from_secs(120),
            log_bytes: MIB,
        },
        slot: 3,
        tier: Tier::Gvisor,
        trusted: false,
        tmp_exec: false,
    }
}
