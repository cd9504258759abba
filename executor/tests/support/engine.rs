//! A Docker engine of a test's own, which it may stop.

use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Docker engine with its own folders and socket below a folder.
pub struct OwnEngine(Child);

pub fn socket(dir: &Path) -> PathBuf {
    dir.join("sock")
}

impl OwnEngine {
    /// Starts it with gVisor and waits until it answers.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, true)
    }

    /// Starts it, with or without gVisor, and waits until it answers.
    pub fn start_with(dir: &Path, gvisor: bool) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let runsc = ["/usr/local/bin/runsc", "/usr/bin/runsc"];
        let runsc = runsc.iter().find(|path| Path::new(path).exists());
        let mut settings = serde_json::json!({});
        if gvisor {
            settings["runtimes"] = serde_json::json!({ "belljar-runsc": {
                "path": runsc.expect("this test needs gVisor's runsc"),
                "runtimeArgs": ["--network=none"],
            }});
        }
        std::fs::write(dir.join("daemon.json"), settings.to_string()).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let process = Command::new("dockerd")
            .args([
                "--config-file",
                &at("daemon.json"),
                "--data-root",
                &at("data"),
            ])
            .args(["--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", socket(dir).display())])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("this test needs dockerd: apt-get install docker.io");
        let engine = Self(process);
        let until = Instant::now() + Duration::from_secs(60);
        while std::os::unix::net::UnixStream::connect(socket(dir)).is_err() {
            let log = || std::fs::read_to_string(dir.join("log")).unwrap();
            assert!(Instant::now() < until, "it does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        engine
    }
}

impl Drop for OwnEngine {
    /// Asks it to stop, as an init system does, and waits.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
