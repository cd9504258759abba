"""daemon.json: our runtime goes in, everything else stays, and what is not understood is left alone."""

import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parent.parent / "lib" / "daemon_json.py"
ARGUMENTS = ("/usr/bin/runsc", "--network=none")
ENTRY = {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=none"]}


class DaemonJson(unittest.TestCase):
    """Each test works on its own folder."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = pathlib.Path(self.folder.name, "docker", "daemon.json")

    def write(self, content):
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run_script(self, *arguments):
        return subprocess.run(
            [sys.executable, SCRIPT, self.file, *arguments], capture_output=True, text=True, check=False
        )

    def set_runtime(self):
        return self.run_script("set", "belljar-runsc", *ARGUMENTS)

    def backups(self):
        return sorted(self.file.parent.glob("daemon.json.before-belljar-*"))

    def assert_refused(self, content, reason):
        self.write(content)
        before = self.file.read_bytes()
        done = self.set_runtime()
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn(reason, done.stderr)
        self.assertIn(str(self.file), done.stderr)
        self.assertEqual(self.file.read_bytes(), before)
        self.assertEqual(self.backups(), [])

    def test_makes_the_file_and_its_folder(self):
        self.assertEqual(self.set_runtime().stdout, "created\n")
        self.assertEqual(json.loads(self.file.read_text()), {"runtimes": {"belljar-runsc": ENTRY}})
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o644)
        self.assertEqual(self.backups(), [])

    def test_an_empty_file_counts_as_an_empty_object(self):
        self.write("\n")
        self.assertEqual(self.set_runtime().stdout, "updated\n")
        self.assertEqual(json.loads(self.file.read_text()), {"runtimes": {"belljar-runsc": ENTRY}})

    def test_keeps_all_that_is_there_in_its_order_and_form(self):
        self.write(
            '{\n    "log-opts": {"max-size": "10m"},\n    "shutdown-timeout": 1.50,\n'
            '    "max-concurrent-downloads": 123456789012345678901234567890,\n    "labels": ["größe=1", "\\u0000"],\n'
            '    "runtimes": {"runsc": {"path": "/opt/runsc", "runtimeArgs": ["--debug"]}}\n}\n'
        )
        before = json.loads(self.file.read_text())
        self.assertEqual(self.set_runtime().stdout, "updated\n")
        text = self.file.read_text()
        after = json.loads(text)
        self.assertEqual(after["runtimes"].pop("belljar-runsc"), ENTRY)
        self.assertEqual(after, before)
        self.assertEqual(list(after), list(before))
        self.assertIn('"shutdown-timeout": 1.50', text)
        self.assertIn('\n    "labels"', text)
        self.assertIn("größe", text)

    def test_keeps_a_copy_of_the_former_file(self):
        self.write('{"debug": true}')
        self.set_runtime()
        self.assertEqual([copy.read_text() for copy in self.backups()], ['{"debug": true}'])

    def test_a_second_run_changes_nothing(self):
        self.write('{"debug": true}')
        self.set_runtime()
        before = (self.file.read_bytes(), self.file.stat().st_mtime_ns, self.file.stat().st_ino)
        self.assertEqual(self.set_runtime().stdout, "unchanged\n")
        self.assertEqual((self.file.read_bytes(), self.file.stat().st_mtime_ns, self.file.stat().st_ino), before)
        self.assertEqual(len(self.backups()), 1)

    def test_a_newer_path_replaces_the_entry_only(self):
        self.write('{"runtimes": {"belljar-runsc": {"path": "/old"}, "kata": {"path": "/kata"}}}')
        self.assertEqual(self.set_runtime().stdout, "updated\n")
        runtimes = json.loads(self.file.read_text())["runtimes"]
        self.assertEqual(runtimes, {"belljar-runsc": ENTRY, "kata": {"path": "/kata"}})

    def test_keeps_mode_and_link(self):
        self.write("{}")
        target = self.file.with_name("managed.json")
        self.file.rename(target)
        target.chmod(0o600)
        self.file.symlink_to(target)
        self.set_runtime()
        self.assertTrue(self.file.is_symlink())
        self.assertEqual(stat.S_IMODE(target.stat().st_mode), 0o600)
        self.assertIn("belljar-runsc", target.read_text())

    def test_refuses_what_it_does_not_understand(self):
        for content, reason in (
            ('{"debug": true,}', "line 1, column"),
            ('{\n  // a comment\n  "debug": true}', "line 2, column 3"),
            ("[]", "not a JSON object"),
            ('"text"', "not a JSON object"),
            (b"\xff\xfe{}", "not UTF-8"),
            ('{"debug": true, "debug": false}', '"debug" occurs twice'),
            ('{"runtimes": []}', '"runtimes" is not a JSON object'),
        ):
            with self.subTest(content=content):
                self.assert_refused(content, reason)

    def test_leaves_no_temporary_file(self):
        self.write("{}")
        self.set_runtime()
        names = {name for name in os.listdir(self.file.parent) if not name.startswith("daemon.json.before")}
        self.assertEqual(names, {"daemon.json"})

    def test_get_prints_the_path_or_nothing(self):
        self.assertEqual(self.run_script("get", "belljar-runsc").stdout, "\n")
        self.set_runtime()
        self.assertEqual(self.run_script("get", "belljar-runsc").stdout, "/usr/bin/runsc\n")

    def test_wrong_use_is_told(self):
        for arguments in (("set", "name"), ("get",), ("drop", "name")):
            self.assertEqual(self.run_script(*arguments).returncode, 64)


if __name__ == "__main__":
    unittest.main()
