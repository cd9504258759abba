"""Starting, recording and stopping background processes: never the wrong one, never a hanging pipe."""

import os
import pathlib
import subprocess
import tempfile
import unittest

COMMON = pathlib.Path(__file__).resolve().parent.parent / "lib" / "common.sh"


class Processes(unittest.TestCase):
    """Each test has a state folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name, "state")
        self.log = pathlib.Path(folder.name, "log")
        self.addCleanup(self.bash, "stop_recorded it 10")

    def bash(self, script):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f". {COMMON}\n{script}"],
            env={**os.environ, "BELLJAR_STATE_DIR": str(self.state), "LOG": str(self.log)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def test_starts_detached_and_stops(self):
        # A daemon that kept our pipe would make this call wait for its end: the time-out would tell.
        self.assertEqual(self.bash('start_detached it "$LOG" sh -c "echo begun; exec sleep 1000"').returncode, 0)
        pid = int(self.bash("recorded_pid it").stdout)
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual(self.bash('wait_until 10 grep -q begun "$LOG"').returncode, 0)
        self.assertEqual(self.bash("stop_recorded it 10").returncode, 0)
        self.assertEqual(self.bash("recorded_pid it").stdout, "")
        self.assertEqual(list(self.state.iterdir()), [])

    def test_a_pid_used_again_by_another_process_is_not_ours(self):
        other = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        self.state.mkdir()
        (self.state / "it.pid").write_text(f"{other.pid} 1\n")
        self.assertEqual(self.bash("recorded_pid it").stdout, "")
        self.assertEqual(self.bash("stop_recorded it 5").returncode, 0)
        self.assertIsNone(other.poll(), "a process of others was stopped")

    def test_a_process_that_does_not_end_is_reported_and_kept_on_record(self):
        self.bash('start_detached it "$LOG" sh -c "trap \'\' TERM; echo armed; while :; do sleep 0.1; done"')
        self.bash('wait_until 10 grep -q armed "$LOG"')
        self.assertNotEqual(self.bash("stop_recorded it 1").returncode, 0)
        pid = int(self.bash("recorded_pid it").stdout)
        os.kill(pid, 9)
        self.assertEqual(self.bash("wait_until 10 recorded_ended it").returncode, 0)

    def test_stopping_what_was_never_started_is_no_error(self):
        self.assertEqual(self.bash("stop_recorded it 1").returncode, 0)


if __name__ == "__main__":
    unittest.main()
