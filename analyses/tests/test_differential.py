"""The programs against the independent computation, on exports made by chance and
on every character and character reference there is."""

import html
import json
import sys
import tempfile
import unicodedata
import unittest
from html.entities import html5
from pathlib import Path

import generate
import support
from support import ANALYSES, reference

sys.path.insert(0, str(ANALYSES / "writing-patterns" / "app"))

import words  # noqa: E402

SEEDS = range(300)
ZONES = ("UTC", "Europe/Prague", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu")


def setUpModule():
    support.build()


def clean(export):
    """posts-clean on an export: result and posts."""
    with tempfile.TemporaryDirectory() as out:
        result = support.run("posts-clean", {"export": export}, out)
        lines = Path(out, "posts.jsonl").read_bytes().decode("utf-8").split("\n")[:-1]
    return result, [json.loads(line) for line in lines], lines


def texts(values):
    """An export with each text in a row, quoted."""
    rows = "".join('1/1/17 1:00,"' + v.replace('"', '""') + '",,0,0,0,\n' for v in values)
    return (generate.HEADER + "\n" + rows).encode("utf-8")


class Differential(unittest.TestCase):
    def test_exports_by_chance(self):
        kept = rejected = cut = 0
        for seed in SEEDS:
            with self.subTest(seed=seed):
                export = generate.export(seed)
                result, posts, lines = clean(export)
                expected, expected_posts = reference.clean(export)
                self.assertEqual(result, expected)
                self.assertEqual(posts, expected_posts)
                kept += result["kept"]
                rejected += len(result["rejected"])
                cut += any("cut off" in entry["reason"] for entry in result["rejected"])
                own = words.measure((post["kind"], post["text"]) for post in posts)
                self.assertEqual(own, reference.writing(expected_posts))
                zone = ZONES[seed % len(ZONES)]
                with tempfile.TemporaryDirectory() as out:
                    social = support.run("social-engagement", {
                        "posts": "".join(line + "\n" for line in lines).encode("utf-8"),
                        "params.json": json.dumps({"timezone": zone}).encode(),
                    }, out)
                self.assertEqual(social, reference.engagement(expected_posts, zone))
        # The generator makes what it is meant to make.
        self.assertGreater(kept, 3000)
        self.assertGreater(rejected, 500)
        self.assertGreater(cut, 10)

    def test_every_character_reference(self):
        values = []
        for name in html5:
            bare = name.rstrip(";")
            values += [f"&{name}", f"x&{bare};y", f"&{bare}", f"&{bare}q1;", f"&{bare[:-1]};", f"&{bare}="]
        step = [*range(0, 0x300), *range(0xD7F0, 0xE010), *range(0xFDC0, 0x10010), *range(0x10FFF0, 0x110010)]
        values += [f"&#{code};|&#x{code:X}|&#X{code:x};" for code in step]
        values += [f"&#{plane * 0x10000 + low};" for plane in range(17) for low in (0xFFFD, 0xFFFE, 0xFFFF)]
        values += ["&#" + "9" * 5000 + ";", "&#x" + "0" * 50 + "41", "&" + "a" * 40 + ";", "&am\0p;", "&é&amp;é"]
        posts = clean(texts(values))[1]
        self.assertEqual([post["text"] for post in posts], [html.unescape(value) for value in values])

    def test_every_character_in_tags_and_urls(self):
        """Of those that this Python knows: the program may know a newer Unicode."""
        known = [
            chr(code) for code in range(1, 0x110000)
            if unicodedata.category(chr(code)) not in ("Cn", "Cs") and chr(code) not in "&\""
        ]
        values = [f"#a{c}b @a{c}b https://a{c}b" for c in known]
        posts = clean(texts(values))[1]
        self.assertEqual(len(posts), len(values))
        different = [
            f"U+{ord(c):04X}" for c, value, post in zip(known, values, posts)
            if (post["urls"], post["hashtags"], post["mentions"]) != (
                [value[a:b] for a, b in reference.urls(value)],
                [value[a + 1:b] for a, b in reference.tags(value, "#")],
                [value[a + 1:b] for a, b in reference.tags(value, "@")],
            )
        ]
        self.assertEqual(different, [])

    def test_every_character_in_words(self):
        for code in range(0x110000):
            text = f"xa{chr(code)}bx {chr(code)}cd"
            if unicodedata.category(chr(code)) not in ("Cn", "Cs"):
                self.assertEqual(list(words.words_of(text)), list(reference.words_of(text)), hex(code))

    def test_what_is_no_export_is_none_for_both(self):
        for export in (b"", b"\n", b"a,b\n", b"\xff\xfe\0\0", b"\xef\xbb\xbf" * 2 + generate.HEADER.encode()):
            with self.assertRaises(ValueError):
                reference.clean(export)
            with self.assertRaisesRegex(AssertionError, "posts-clean: exit 1: .*is not an export"):
                clean(export)


if __name__ == "__main__":
    unittest.main()
