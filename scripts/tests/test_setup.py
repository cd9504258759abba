"""setup.sh and teardown.sh for real, on a second Docker daemon with its own root, socket and settings.

Needs root and the packages; the machine's own daemon and daemon.json are not touched (and that is checked).
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
FOREIGN = {"log-level": "warn", "runtimes": {"other": {"path": "/bin/true"}}}


def runs(pid):
    """Whether the process runs; a zombie that an init has not yet reaped does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


class Setup(unittest.TestCase):
    """Each test has a daemon of its own, started by setup.sh and ended by teardown.sh."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bj-setup-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.daemon_json = self.folder / "daemon.json"
        self.daemon_json.write_text(json.dumps(FOREIGN))
        socket, pidfile = self.folder / "docker.sock", self.folder / "docker.pid"
        self.environment = dict(
            os.environ,
            DAEMON_JSON=str(self.daemon_json),
            DOCKER_HOST=f"unix://{socket}",
            BELLJAR_STATE_DIR=str(self.folder / "state"),
            BELLJAR_DOCKERD_LOG=str(self.folder / "dockerd.log"),
            BELLJAR_DOCKERD_PIDFILE=str(pidfile),
            BELLJAR_DOCKERD_ARGS=f"--data-root {self.folder}/data --exec-root {self.folder}/exec --pidfile {pidfile} "
            f"--host unix://{socket} --bridge=none --iptables=false",
        )
        self.environment.pop("RUNSC", None)
        self.addCleanup(self.run_script, "teardown.sh", "--force")

    def run_script(self, name, *arguments, **environment):
        return subprocess.run(
            [SCRIPTS / name, *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def setup_succeeds(self, *arguments):
        done = self.run_script("setup.sh", "--for", "demo", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def daemon(self, *arguments):
        script = SCRIPTS / "lib" / "docker_api.py"
        return subprocess.run(
            ["python3", script, self.folder / "docker.sock", *arguments], capture_output=True, text=True, check=False
        )

    def pid(self):
        return int((self.folder / "docker.pid").read_text())

    def test_starts_registers_runs_again_and_stops(self):
        own = pathlib.Path("/etc/docker/daemon.json")
        own_before = own.read_bytes() if own.exists() else None
        self.assertIn("starting dockerd", self.setup_succeeds())
        registered = json.loads(self.daemon_json.read_text())
        runsc = registered["runtimes"].pop("belljar-runsc")
        self.assertEqual(registered, FOREIGN)
        self.assertEqual(runsc["runtimeArgs"], ["--network=none"])
        self.assertEqual(self.daemon("runtime", "belljar-runsc").stdout, f"{runsc['path']} --network=none\n")
        pid, text = self.pid(), self.daemon_json.read_bytes()

        self.assertIn("left alone", self.setup_succeeds())
        self.assertEqual((self.pid(), self.daemon_json.read_bytes()), (pid, text))
        self.assertEqual(self.run_script("setup.sh", "--check", "--for", "demo").returncode, 0)

        done = self.run_script("teardown.sh")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(runs(pid))
        self.assertIn("nothing to stop", self.run_script("teardown.sh").stderr)
        self.assertEqual(own.read_bytes() if own.exists() else None, own_before)

    def test_a_newer_runsc_by_path_reaches_the_running_daemon_without_a_restart(self):
        self.setup_succeeds()
        pid = self.pid()
        newer = self.folder / "runsc"
        registered = json.loads(self.daemon_json.read_text())["runtimes"]["belljar-runsc"]["path"]
        newer.symlink_to(registered)
        self.setup_succeeds("--runsc", str(newer))
        self.assertEqual(self.daemon("runtime", "belljar-runsc").stdout, f"{newer} --network=none\n")
        self.assertEqual(self.pid(), pid)
        self.setup_succeeds()
        kept = json.loads(self.daemon_json.read_text())["runtimes"]["belljar-runsc"]["path"]
        self.assertEqual(kept, str(newer), "a run without --runsc must keep the newer one")

    def test_a_daemon_of_others_is_never_restarted(self):
        self.setup_succeeds()
        pid = self.pid()
        newer = self.folder / "runsc"
        newer.symlink_to(json.loads(self.daemon_json.read_text())["runtimes"]["belljar-runsc"]["path"])
        elsewhere = {"BELLJAR_STATE_DIR": str(self.folder / "none"), "BELLJAR_DOCKERD_PIDFILE": "/nonexistent"}
        done = self.run_script("setup.sh", "--for", "demo", "--runsc", str(newer), **elsewhere)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("does not know the runtime", done.stderr)
        self.assertEqual(self.pid(), pid)

    def test_refuses_a_broken_daemon_json_and_starts_nothing(self):
        self.daemon_json.write_text('{"debug": true,}')
        done = self.run_script("setup.sh", "--for", "demo")
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("line 1, column", done.stderr)
        self.assertEqual(self.daemon_json.read_text(), '{"debug": true,}')
        self.assertFalse((self.folder / "docker.sock").exists())

    def test_refuses_a_runsc_that_is_none(self):
        for path, reason in (("/bin/true", "not a working runsc"), ("runsc", "absolute path")):
            done = self.run_script("setup.sh", "--for", "demo", "--runsc", path)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(reason, done.stderr)
        self.assertEqual(json.loads(self.daemon_json.read_text()), FOREIGN)

    def test_wrong_use_is_told(self):
        self.assertEqual(self.run_script("setup.sh", "--for", "lunch").returncode, 64)
        self.assertEqual(self.run_script("setup.sh", "--what").returncode, 64)


if __name__ == "__main__":
    unittest.main()
