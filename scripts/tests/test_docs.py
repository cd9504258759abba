"""What the documents point at exists: relative links, and the scripts and make targets that they name."""

import json
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def documents():
    """The tracked Markdown files."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


class Documents(unittest.TestCase):
    """Checks over all documents."""

    def test_relative_links_lead_somewhere(self):
        for document in documents():
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
                if not re.match(r"[a-z]+:", target):
                    with self.subTest(document=document.name, target=target):
                        self.assertTrue((document.parent / target).exists())

    def test_named_make_targets_exist(self):
        targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for document in documents():
            for target in re.findall(r"(?:`|^    |^)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE):
                with self.subTest(document=document.name, target=target):
                    self.assertIn(target, targets)

    def test_every_field_of_a_format_is_described(self):
        formats = {"dag-reference.md": "belljar-dag", "analysis-contract.md": "belljar-analysis"}
        for document, name in formats.items():
            text = (ROOT / "docs" / document).read_text()
            schema = json.loads((ROOT / "dag-specs" / "schema" / f"{name}.schema.json").read_text())
            for part in (schema, *schema["$defs"].values()):
                for field in part.get("properties", {}):
                    with self.subTest(document=document, field=field):
                        self.assertRegex(text, rf"(`{field}`|\b{field}:)")

    def test_places_on_the_map_exist(self):
        text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
        folders = "api|belljar|dag-specs|executor|scheduler|sdk-cli|tests|web"
        for place in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
            with self.subTest(place=place):
                self.assertTrue((ROOT / place).exists())

    def test_named_scripts_exist(self):
        for document in documents():
            for name in re.findall(r"\bscripts/[\w./-]+\w", document.read_text()):
                with self.subTest(document=document.name, script=name):
                    self.assertTrue((ROOT / name).exists())


if __name__ == "__main__":
    unittest.main()
