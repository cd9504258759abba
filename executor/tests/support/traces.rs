//! What an executor may leave on its host: nothing.

use belljar_ids::ExecutorId;
use belljar_sandbox::AttemptName;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The engine's containers of this executor, as `id name pid started`.
pub fn containers(executor: ExecutorId) -> Vec<String> {
    let prefix = AttemptName::prefix_of(executor);
    let list = docker(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]);
    list.lines()
        .filter(|line| line.contains(&prefix))
        .filter_map(|line| {
            let id = line.split(' ').next()?;
            let state = docker(&["inspect", "-f", "{{.State.Pid}} {{.State.StartedAt}}", id]);
            Some(format!("{line} {}", state.trim()))
        })
        .collect()
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything of this executor that is on the host.
pub fn all(executor: ExecutorId, data_dir: &Path) -> Vec<String> {
    let mut found = containers(executor);
    let data = data_dir.canonicalize().unwrap();
    let data = data.to_str().unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(data));
    found.extend(mounts.map(|line| format!("mount {line}")));
    for device in std::fs::read_dir("/sys/block").unwrap().flatten() {
        let file = std::fs::read_to_string(device.path().join("loop/backing_file"));
        let file = file.unwrap_or_default();
        if file.starts_with(data) {
            found.push(format!("loop device for {file}"));
        }
    }
    let prefix = AttemptName::prefix_of(executor);
    for root in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let groups = std::fs::read_dir(root.path().join("belljar"));
        for group in groups.into_iter().flatten().flatten() {
            let name = group.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) {
                found.push(format!("cgroup {}", group.path().display()));
            }
        }
    }
    for folder in ["attempts", "sandbox/attempts", "sandbox/params"] {
        for left in std::fs::read_dir(data_dir.join(folder)).unwrap().flatten() {
            found.push(format!("file {}", left.path().display()));
        }
    }
    found
}

/// Waits until nothing is left: cleaning up comes after the report.
pub async fn assert_none(executor: ExecutorId, data_dir: &Path) {
    let begun = Instant::now();
    loop {
        let found = all(executor, data_dir);
        if found.is_empty() {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "left over: {found:#?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
