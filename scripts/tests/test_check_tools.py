"""check-tools.sh: says what is missing or too old, all of it, and accepts what is new enough."""

import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "check-tools.sh"


class CheckTools(unittest.TestCase):
    """Runs the script with programs of our own that only say a version."""

    def check(self, node, rustc):
        with tempfile.TemporaryDirectory() as folder:
            answers = {"node": node, "npm": "11.0.0", "git": "git", "cargo": "cargo", "rustc": f"rustc {rustc} (x)"}
            for name, answer in answers.items():
                program = pathlib.Path(folder, name)
                program.write_text(f"#!/bin/sh\necho '{answer}'\n")
                program.chmod(0o755)
            environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}
            return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)

    def test_accepts_what_is_new_enough(self):
        for node in ("v20.19.0", "v20.20.2", "v22.12.0", "v24.0.0"):
            with self.subTest(node=node):
                done = self.check(node, "1.95.0")
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_names_an_old_node(self):
        for node in ("v18.20.0", "v20.18.3", "v21.7.0", "v22.11.0", "v23.1.0"):
            with self.subTest(node=node):
                done = self.check(node, "1.95.0")
                self.assertEqual(done.returncode, 69)
                self.assertIn(f"Node is {node[1:]}", done.stderr)

    def test_names_everything_at_once(self):
        done = self.check("v18.0.0", "1.70.0")
        self.assertEqual(done.returncode, 69)
        self.assertIn("Node is 18.0.0", done.stderr)
        self.assertIn("Rust is 1.70.0", done.stderr)


if __name__ == "__main__":
    unittest.main()
