//! Values for unit tests.

use crate::attempt::Identity;
use belljar_ids::{Digest, Epoch, ExecutorId, Fence, MapIndex, RunId};

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
