//! Standalones that cannot start here.

use crate::table::Seen;
use crate::world::World;
use belljar_tests::{Answer, binary, free_port, wait_for};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a standalone that has to end by itself.
fn standalone(mut command: Command, data: &Path, listen: &str) -> Answer {
    let mut child = command
        .arg("standalone")
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", listen])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if !wait_for(Duration::from_secs(60), || {
        child.try_wait().unwrap().is_some()
    }) {
        // In order, so that its children go as well.
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A port taken, a data directory taken, no root.
pub fn starts(world: &World) -> Vec<Seen> {
    let here = || Command::new(binary());
    let folder = tempfile::Builder::new()
        .prefix("belljar-e2e-")
        .tempdir_in("/var/tmp")
        .unwrap();
    let free = format!("127.0.0.1:{}", free_port());
    // Where another Belljar listens, and where another program does.
    let taken = world.belljar.url().trim_start_matches("http://").to_owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap().to_string();
    // A path that only root may walk must not be what it stumbles over: the open file is executed.
    let program = std::fs::File::open(binary()).unwrap();
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty()).unwrap();
    let mut unprivileged = Command::new("setpriv");
    unprivileged.args(["--reuid", "belljar", "--regid", "belljar", "--clear-groups"]);
    {
        use std::os::fd::AsRawFd as _;
        unprivileged.arg(format!("/proc/self/fd/{}", program.as_raw_fd()));
    }
    vec![
        Seen::command("port-taken", &standalone(here(), folder.path(), &taken)),
        Seen::command(
            "port-taken-by-another-program",
            &standalone(here(), folder.path(), &other),
        ),
        Seen::command(
            "data-directory-taken",
            &standalone(here(), world.belljar.data(), &free),
        ),
        Seen::command("not-root", &standalone(unprivileged, folder.path(), &free)),
    ]
}
