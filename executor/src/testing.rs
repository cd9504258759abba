//! Values for unit tests.

use belljar_api::executor::{
    Lease, LeaseRef, WorkBlob, WorkImage, WorkImageSource, WorkInput, WorkOrder, WorkResources,
};
use belljar_ids::{Digest, Fence, InstanceKey, MapIndex};
use belljar_sandbox::AttemptName;
use std::collections::BTreeMap;

pub(crate) const RUN: &str = "run_0000000000000000000000000000000a";

pub(crate) fn lease_ref(task: &str, fence: i64) -> LeaseRef {
    LeaseRef {
        key: InstanceKey {
            run: RUN.parse().unwrap(),
            task: task.parse().unwrap(),
            map_index: MapIndex::NONE,
        },
        fence: Fence(fence),
        token: "ab".repeat(16),
    }
}

pub(crate) fn name(task: &str, fence: i64) -> AttemptName {
    format!("belljar-00000000000e-{}-{task}-n-{fence}", &RUN[4..])
        .parse()
        .unwrap()
}

pub(crate) fn lease(task: &str, fence: i64) -> Lease {
    let digest = |n: u8| Digest::from_bytes([n; 32]);
    Lease {
        lease: lease_ref(task, fence),
        try_number: 1,
        work: WorkOrder {
            dag: "d".to_owned(),
            dag_version: digest(1),
            analysis: "noop".parse().unwrap(),
            analysis_version: "1.0.0".to_owned(),
            analysis_digest: digest(2),
            manifest: serde_json::json!({
                "analysis": "noop", "version": "1.0.0", "summary": "does nothing", "image": ".",
                "command": ["/noop"],
                "inputs": { "posts": { "media_type": "text/csv" } },
                "result": { "type": "object" },
                "artifacts": {
                    "chart": { "path": "chart.svg", "media_type": "image/svg+xml", "max_bytes": "1MiB" }
                },
            }),
            image: WorkImage {
                digest: digest(3),
                config: digest(4),
                from: vec![WorkImageSource::Registry("r@sha256:0".to_owned())],
            },
            inputs: BTreeMap::from([(
                "posts".parse().unwrap(),
                WorkInput::Blob(WorkBlob {
                    digest: digest(5),
                    size: 10,
                    url: "/executor/v1/blobs/x".to_owned(),
                }),
            )]),
            params: serde_json::json!({ "timezone": "UTC" }),
            resources: WorkResources {
                cpu_millis: 1000,
                memory_bytes: 64 << 20,
                disk_bytes: 16 << 20,
                tmp_bytes: 1 << 20,
                pids: 32,
                timeout_ms: 60_000,
            },
            trusted: false,
        },
    }
}
