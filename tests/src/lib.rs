//! A whole Belljar for a test: real processes, real Docker, real gVisor, a data directory and a
//! port of its own.
//!
//! Owns: starting, killing and asking one standalone, and looking for what it left behind. Leaves to
//! others: what is asserted (`tests/*.rs`). Needs root, Docker with `belljar-runsc`, and the binary
//! (`BELLJAR_BIN`, else the one in the target folder); without them a test fails and says so.

#![expect(clippy::expect_used, clippy::missing_panics_doc)]

use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The project's root folder.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are below the root")
}

/// The program under test.
#[must_use]
pub fn binary() -> PathBuf {
    let path = std::env::var_os("BELLJAR_BIN").map_or_else(
        || {
            // <target>/debug/deps/<test>: the binary is one folder up.
            let test = std::env::current_exe().expect("this test has a path");
            let folder = test
                .parent()
                .and_then(Path::parent)
                .expect("a target folder");
            folder.join("belljar")
        },
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p belljar` first",
        path.display()
    );
    path
}

/// A standalone with a data directory of its own, which is removed at the end.
#[derive(Debug)]
pub struct Standalone {
    data: TempDir,
    port: u16,
    process: Option<Child>,
    starts: u32,
    more: Vec<String>,
}

/// How a command of the client ended.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Answer {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The answer of a command that must succeed.
    #[must_use]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.out, self.err))
    }
}

impl Standalone {
    /// One with two slots, ready.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&["--slots", "2"])
    }

    /// One with further arguments, ready.
    #[must_use]
    pub fn start_with(more: &[&str]) -> Self {
        Self::start_in(Path::new("/var/tmp"), more)
    }

    /// One with its data directory below `folder`, ready.
    #[must_use]
    pub fn start_in(folder: &Path, more: &[&str]) -> Self {
        let data = tempfile::Builder::new()
            .prefix("belljar-e2e-")
            .tempdir_in(folder);
        let mut standalone = Self {
            data: data.expect("a data directory"),
            port: free_port(),
            process: None,
            starts: 0,
            more: more.iter().map(|text| (*text).to_owned()).collect(),
        };
        // The server is another user, and must get through to its own folder.
        open_to_others(standalone.data.path());
        standalone.start_again();
        standalone
    }

    /// Starts the processes on the data directory and waits until the server is ready.
    pub fn start_again(&mut self) {
        self.spawn();
        let ready = wait_for(Duration::from_secs(60), || {
            let ended = self
                .process
                .as_mut()
                .and_then(|p| p.try_wait().ok().flatten());
            assert!(
                ended.is_none(),
                "standalone ended: {ended:?}\n{}",
                self.log()
            );
            self.cli(&["dag", "list"]).code == 0
        });
        assert!(ready, "not ready:\n{}", self.log());
    }

    fn spawn(&mut self) {
        self.starts += 1;
        let log = File::create(self.log_file()).expect("a log file");
        let process = Command::new(binary())
            .args(["standalone", "--data-dir"])
            .arg(self.data.path())
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(&self.more)
            .env_remove("BELLJAR_DATA_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("standalone starts");
        self.process = Some(process);
    }

    fn log_file(&self) -> PathBuf {
        self.data
            .path()
            .join(format!("standalone-{}.log", self.starts))
    }

    /// What the processes have logged since the last start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A command of the client against this server.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> Answer {
        let output = Command::new(binary())
            .args(args)
            .env("BELLJAR_SERVER", self.url())
            .env("BELLJAR_TOKEN_FILE", self.data.path().join("token"))
            .env("BELLJAR_CONFIG_DIR", self.data.path().join("no-config"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("the client starts");
        Answer::of(output)
    }

    /// As [`Standalone::cli`] with `--output json`, which must succeed.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["--output", "json"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        self.cli(&args).good().json()
    }

    /// The process ids of the standalone and its children.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let parent = i32::try_from(process.id()).expect("a process id");
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        std::iter::once(parent).chain(children).collect()
    }

    /// `kill -9` of every process at once.
    pub fn kill_all(&mut self) {
        let pids = self.processes();
        assert!(
            pids.len() >= 3,
            "standalone, server and executor: {pids:?}\n{}",
            self.log()
        );
        for pid in &pids {
            let pid = rustix::process::Pid::from_raw(*pid).expect("a process id");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)
                .expect("a process of ours");
        }
        if let Some(mut process) = self.process.take() {
            process.wait().expect("it was ours");
        }
        for pid in pids {
            let gone = wait_for(Duration::from_secs(10), || !alive(pid));
            assert!(gone, "process {pid} survives");
        }
    }

    /// Stops the processes in order; their exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        let pid = i32::try_from(process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("an id"), rustix::process::Signal::TERM).ok()?;
        process.wait().ok()?.code()
    }

    /// Submits the sample analyses with these names.
    pub fn submit(&self, names: &[&str]) {
        for name in names {
            let folder = root().join("analyses").join(name);
            let _ = self
                .cli(&["analysis", "submit", &folder.display().to_string()])
                .good();
        }
    }

    /// What this standalone's executor has left on the host: containers, mounts, loop devices,
    /// cgroups. Empty once everything has been cleaned up.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let folder = self.data.path().join("executor").display().to_string();
        let mut left = Vec::new();
        for name in lines(
            "docker",
            &[
                "ps",
                "-a",
                "--format",
                "{{.Names}} {{.Mounts}}",
                "--no-trunc",
            ],
        ) {
            if name.contains(&folder) {
                left.push(format!("container {name}"));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        left.extend(
            mounts
                .lines()
                .filter(|l| l.contains(&folder))
                .map(|l| format!("mount {l}")),
        );
        let loops = lines(
            "losetup",
            &["--list", "--noheadings", "--output", "NAME,BACK-FILE"],
        );
        left.extend(
            loops
                .into_iter()
                .filter(|l| l.contains(&folder))
                .map(|l| format!("loop {l}")),
        );
        let id = fs::read_to_string(self.data.path().join("executor").join("executor-id"));
        if let Ok(id) = id {
            let prefix = format!("belljar-{}-", &id.trim()[id.trim().len() - 12..]);
            left.extend(cgroups(&prefix));
        }
        left
    }

    /// Waits until nothing is left on the host, and fails where something stays.
    pub fn assert_clean(&self) {
        let clean = wait_for(Duration::from_secs(20), || self.leftovers().is_empty());
        assert!(
            clean,
            "left behind: {:#?}\n{}",
            self.leftovers(),
            self.log()
        );
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the standalone ---\n{}", self.log());
        }
        self.stop();
        // What a failed test left running is removed by name; nobody else's containers are touched.
        let folder = self.data.path().display().to_string();
        for line in lines(
            "docker",
            &[
                "ps",
                "-a",
                "--format",
                "{{.Names}} {{.Mounts}}",
                "--no-trunc",
            ],
        ) {
            if let Some(name) = line.split(' ').next().filter(|_| line.contains(&folder)) {
                let _ = lines("docker", &["rm", "-f", "-v", name]);
            }
        }
        for line in fs::read_to_string("/proc/self/mountinfo")
            .unwrap_or_default()
            .lines()
        {
            if let Some(mount) = line
                .split(' ')
                .nth(4)
                .filter(|mount| mount.starts_with(&folder))
            {
                let _ = lines("umount", &[mount]);
            }
        }
    }
}

/// Cgroup folders whose name begins with `prefix`, in every hierarchy.
fn cgroups(prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    found.push(format!("cgroup {}", path.display()));
                }
                folders.push(path);
            }
        }
    }
    found
}

fn lines(program: &str, args: &[&str]) -> Vec<String> {
    let output = Command::new(program)
        .args(args)
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn alive(pid: i32) -> bool {
    // A zombie is dead; its parent, another process of ours, has gone before it.
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !(status.is_empty() || status.contains(") Z "))
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Asks again and again until `true` or the time is over: for what other processes do.
pub fn wait_for(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn open_to_others(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
}

/// The folder with the real files, and whether it is there.
#[must_use]
pub fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("BELLJAR_REAL_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    folder.is_dir().then_some(folder)
}
