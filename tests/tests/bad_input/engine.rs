//! A Docker engine that is not there when the executor starts, comes, and goes again: one of the
//! test's own, with its own folders and socket.

use crate::table::Seen;
use crate::world::World;
use belljar_tests::{Standalone, wait_for};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Engine(Child);

impl Engine {
    fn start(dir: &Path) -> Self {
        let runsc = ["/usr/local/bin/runsc", "/usr/bin/runsc"];
        let runsc = runsc.into_iter().find(|path| Path::new(path).exists());
        let settings = serde_json::json!({ "runtimes": { "belljar-runsc": {
            "path": runsc.expect("this test needs gVisor's runsc"),
            "runtimeArgs": ["--network=none"],
        }}});
        std::fs::write(dir.join("daemon.json"), settings.to_string()).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let process = Command::new("dockerd")
            .args([
                "--config-file",
                &at("daemon.json"),
                "--data-root",
                &at("data"),
            ])
            .args(["--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("sock"))])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .expect("this test needs dockerd: apt-get install docker.io");
        let engine = Self(process);
        let answers = wait_for(Duration::from_secs(60), || {
            std::os::unix::net::UnixStream::connect(dir.join("sock")).is_ok()
        });
        assert!(
            answers,
            "{}",
            std::fs::read_to_string(dir.join("log")).unwrap()
        );
        engine
    }
}

impl Drop for Engine {
    /// Asks it to stop, as an init system does, and waits.
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::TERM,
        );
        let _ = self.0.wait();
    }
}

fn executor(belljar: &Standalone) -> String {
    let executors = belljar.cli(&["executor", "list"]).good();
    executors.out
}

/// Without an engine, then with one, then without again in the middle of waiting work.
pub fn stopped(world: &World) -> Vec<Seen> {
    let dir = tempfile::Builder::new()
        .prefix("belljar-engine-")
        .tempdir()
        .unwrap();
    let socket = dir.path().join("sock").display().to_string();
    let engine = Engine::start(dir.path());
    let mut belljar = Standalone::start_with(&["--slots", "2", "--docker-socket", &socket]);
    // Built by the machine's engine: the executor gets the image from the server.
    belljar.submit(&["noop"]);
    let file = world.file(
        "dag.yaml",
        b"dag: waits\ntasks:\n  a: { analysis: noop@1 }\n",
    );
    let _ = belljar.cli(&["dag", "apply", &file]).good();
    let _ = belljar.cli(&["dag", "run", "waits", "--wait"]).good();

    drop(engine);
    let noticed = wait_for(Duration::from_secs(40), || {
        executor(&belljar).contains("unavailable")
    });
    assert!(noticed, "{}", executor(&belljar));
    let stopped = Seen::command("docker-stopped", &belljar.cli(&["executor", "list"]));
    let run = belljar
        .cli(&["dag", "run", "waits"])
        .good()
        .out
        .trim()
        .to_owned();
    let waits = belljar.cli(&["run", "watch", &run, "--timeout", "1s"]);
    let waiting =
        Seen::command("docker-stopped-run", &waits).and(&belljar.cli(&["run", "show", &run]).out);

    let engine = Engine::start(dir.path());
    let ended = Seen::command(
        "docker-started-again",
        &belljar.cli(&["run", "watch", &run, "--timeout", "60s"]),
    );
    belljar.assert_clean();
    assert_eq!(belljar.stop(), Some(0));
    drop(engine);
    vec![stopped, waiting, ended]
}
