//! A disk that gets full: a small filesystem of the test's own.

use crate::table::Seen;
use crate::world::{World, call, token};
use belljar_tests::{Standalone, wait_for};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file with a filesystem on it, mounted.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Its file is sparse: it takes as much of the machine's disk as is written into it.
    fn of_mib(size: u64) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("belljar-disk-")
            .tempdir_in("/var/tmp")
            .unwrap();
        open_to_others(folder.path());
        let image = folder.path().join("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(size << 20)
            .unwrap();
        let disk = Self { folder };
        std::fs::create_dir(disk.path()).unwrap();
        // Without blocks that only root may use: the server is not root.
        must(
            "mkfs.ext4",
            &["-q", "-m", "0", &image.display().to_string()],
        );
        must(
            "mount",
            &[
                "-o",
                "loop",
                &image.display().to_string(),
                &disk.path().display().to_string(),
            ],
        );
        open_to_others(&disk.path());
        disk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn free_mib(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        (stat.f_bavail * stat.f_frsize) >> 20
    }

    /// Leaves `left` MiB free; 0 leaves not a block.
    fn fill(&self, name: &str, left: u64) {
        let file = std::fs::File::create(self.path().join(name)).unwrap();
        let size = self.free_mib().saturating_sub(left) << 20;
        let mode = rustix::fs::FallocateFlags::empty();
        if size > 0 {
            rustix::fs::fallocate(&file, mode, 0, size).unwrap();
        }
        let mut end = size;
        while left == 0 && rustix::fs::fallocate(&file, mode, end, 4096).is_ok() {
            end += 4096;
        }
    }

    fn free(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn must(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn open_to_others(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Little space: no work is taken. None at all: no write is acknowledged. Space again: all goes on.
pub fn full(world: &World) -> Vec<Seen> {
    let disk = Disk::of_mib(1_500);
    let mut belljar = Standalone::start_in(&disk.path(), &["--slots", "2"]);
    belljar.submit(&["noop"]);
    let yaml = |name: &str| {
        world.file(
            "dag.yaml",
            format!("dag: {name}\ntasks:\n  a: {{ analysis: noop@1 }}\n").as_bytes(),
        )
    };
    let _ = belljar.cli(&["dag", "apply", &yaml("before")]).good();
    let _ = belljar.cli(&["dag", "run", "before", "--wait"]).good();

    disk.fill("some", 700);
    let noticed = wait_for(Duration::from_secs(60), || {
        belljar
            .cli(&["executor", "list"])
            .good()
            .out
            .contains("unavailable")
    });
    assert!(noticed, "{}", belljar.cli(&["executor", "list"]).out);
    let low = Seen::command("disk-low", &belljar.cli(&["executor", "list"]));
    let waiting = belljar
        .cli(&["dag", "run", "before"])
        .good()
        .out
        .trim()
        .to_owned();

    disk.fill("all", 0);
    let data = world.file("data.txt", &vec![b'x'; 1 << 20]);
    let put = Seen::command(
        "disk-full-data",
        &belljar.cli(&["dataset", "put", "data", &data]),
    );
    // The database's files have some room left in their last blocks.
    let mut acknowledged = Vec::new();
    let mut refused = None;
    let filled = wait_for(Duration::from_secs(60), || {
        let name = format!("full-{}", acknowledged.len());
        let answer = belljar.cli(&["dag", "apply", &yaml(&name)]);
        if answer.code == 0 {
            acknowledged.push(name);
            return false;
        }
        refused = Some(answer);
        true
    });
    assert!(filled, "the disk never gets full");
    let refused = Seen::command("disk-full", &refused.unwrap());
    let token = token(&belljar);
    let sent = |case, args: &[&str], path: &str| {
        let (status, body) = call(&belljar, Some(&token), args, path);
        Seen::call(case, &status, &body)
    };
    let apply = format!("@{}", yaml("sent"));
    let yaml_type = "Content-Type: text/yaml";
    let write = ["-H", yaml_type, "--data-binary", &apply];
    let write = sent("disk-full-sent", &write, "/dags");
    let bytes = format!("@{data}");
    let bytes = ["-X", "PUT", "--data-binary", &bytes];
    let path = format!("/blobs/sha256:{}", "0".repeat(64));
    let bytes = sent("disk-full-data-sent", &bytes, &path);
    let readable = belljar.cli(&["dag", "list"]).good().out;
    assert!(readable.contains("before"), "{readable}");

    disk.free("all");
    disk.free("some");
    // Whoever asks in the moment before the scheduler has read its database anew is told to try again.
    let soon = |args: &[&str]| {
        let mut answer = belljar.cli(args);
        wait_for(Duration::from_secs(30), || {
            if answer.code == 7 {
                eprintln!("not yet: {}", answer.err);
                answer = belljar.cli(args);
            }
            answer.code != 7
        });
        answer
    };
    let again = Seen::command("disk-freed", &soon(&["dataset", "put", "data", &data]));
    let _ = soon(&["run", "watch", &waiting, "--timeout", "60s"]).good();
    let known = belljar.cli(&["dag", "list"]).good().out;
    for name in &acknowledged {
        assert!(
            known.contains(name.as_str()),
            "{name} was acknowledged and is lost:\n{known}"
        );
    }
    belljar.assert_clean();
    assert_eq!(belljar.stop(), Some(0));
    vec![low, put, refused, write, bytes, again]
}
