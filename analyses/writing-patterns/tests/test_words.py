"""What a word is, and the program on whole inputs."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The folders that images are built from stay free of bytecode.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "app"))

import main  # noqa: E402
import words  # noqa: E402


class WordsOf(unittest.TestCase):
    def check(self, text, expected):
        self.assertEqual(list(words.words_of(text)), expected.split(), text)

    def test_letters_marks_and_apostrophes(self):
        self.check("Don't stop", "don't stop")
        self.check("rock ’n’ roll isn’t", "rock roll isn’t")
        self.check("'quoted' o''clock ab'", "quoted clock ab")
        self.check("well-known e-mail x2y abc123def", "well known mail abc def")
        self.check("snake_case 50/50", "snake case")
        self.check("Ⅷ ½ ²ab", "ab")  # numbers that are no letters

    def test_at_least_two_letters(self):
        self.check("a I x'y e\u0301 \u0301\u0301 éa", "x'y éa")

    def test_lower_case_is_unicode(self):
        self.check("ÀÉ ΣΑΣ STRASSE İzmir ДОМ", "àé σας strasse i\u0307zmir дом")
        self.check("漢字 日本語の ภาษา हिन्दी", "漢字 日本語の ภาษา हिन्दी")

    def test_urls_mentions_and_hashtags_go(self):
        self.check("see https://t.co/abc now", "see now")
        self.check("see http://x\u00a0now https://", "see now https")
        self.check("@friend thanks #fun_1 ok", "thanks ok")
        self.check("mail me@example.org", "mail me org")
        self.check("HTTP://X.Y stays", "http stays")
        # Taken out, not replaced: what stood around them meets.
        self.check("foo@bar'baz", "foo'baz")
        self.check("# @ alone ## @@x", "alone")
        self.check("one@a\u0301b", "one\u0301b")

    def test_words_that_touch_a_lost_character_are_dropped(self):
        self.check("caf\ufffd is \ufffdopen don\ufffdt ok", "is ok")
        self.check("ab'\ufffd \ufffd' cd", "ab cd")
        self.check("ab @x\ufffd cd@y\ufffd", "ab")


class Measure(unittest.TestCase):
    def test_retweets_are_left_out(self):
        result = words.measure([
            ("original", "Bread bread"), ("retweet", "cheese"), ("reply", "bread wine"),
        ])
        self.assertEqual(result, {
            "posts": 2, "words": 4, "distinct_words": 2, "mean_words_per_post": 2.0,
            "type_token_ratio": 0.5,
            "top_words": [{"word": "bread", "count": 3}, {"word": "wine", "count": 1}],
        })

    def test_nothing(self):
        result = words.measure([])
        self.assertEqual(result["mean_words_per_post"], 0)
        self.assertEqual(result["type_token_ratio"], 0)
        self.assertEqual(words.measure([("original", "1 2 3")])["type_token_ratio"], 0)

    def test_ties_are_in_code_point_order_and_the_list_is_short(self):
        text = " ".join(f"{a}{b}q" for a in "zéab" for b in "abcdefghijklmnopqrstuvwxyzž")
        top = words.measure([("original", text)])["top_words"]
        self.assertEqual(len(top), 100)
        self.assertEqual([e["word"] for e in top], sorted(set(text.split()))[:100])

    def test_stop_words_count_as_words_but_are_not_listed(self):
        result = words.measure([("original", "the bread and the wine don't isn’t")])
        self.assertEqual(result["words"], 7)
        self.assertEqual([e["word"] for e in result["top_words"]], ["bread", "wine"])

    def test_the_stop_word_file_can_match(self):
        stop = words.stop_words()
        self.assertGreater(len(stop), 250)
        for word in stop:
            self.assertEqual(list(words.words_of(word)), [word])


class Program(unittest.TestCase):
    def run_on(self, posts):
        with tempfile.TemporaryDirectory() as folder:
            if posts is not None:
                Path(folder, "posts").write_bytes(posts)
            message = io.StringIO()
            with contextlib.redirect_stderr(message):
                code = main.main(["--in", folder, "--out", folder])
            result = Path(folder, "result.json")
            picture = Path(folder, "wordcloud.svg")
            return (
                code, message.getvalue(),
                json.loads(result.read_text("utf-8")) if result.exists() else None,
                picture.read_text("utf-8") if picture.exists() else None,
            )

    def test_no_posts(self):
        code, _, result, picture = self.run_on(b"")
        self.assertEqual((code, result["posts"], result["top_words"]), (0, 0, []))
        self.assertIn("No words to show", picture)

    def test_wrong_inputs_are_told_and_leave_no_result(self):
        good = b'{"kind":"original","text":"bread"}\n'
        for posts, message in [
            (good + b"{}\n", "posts:2 is not a clean post (KeyError: 'kind')"),
            (b"\n", "posts:1 is not a clean post"),
            (b"\xff\xfe\0", "posts:1 is not a clean post"),
            (b'{"kind":"original","text":1}\n', "must be strings"),
            (b"[]\n", "posts:1 is not a clean post"),
            (b"[" * 100_000, "posts:1 is not a clean post"),
            (None, "posts: No such file or directory"),
        ]:
            code, told, result, _ = self.run_on(posts)
            self.assertEqual(code, 1, message)
            self.assertIn(message, told)
            self.assertIsNone(result)

    def test_a_full_disk_is_told_and_leaves_no_result(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "posts").write_bytes(b"")
            Path(folder, "wordcloud.svg").symlink_to("/dev/full")
            message = io.StringIO()
            with contextlib.redirect_stderr(message):
                code = main.main(["--in", folder, "--out", folder])
            self.assertEqual(code, 1)
            self.assertIn("No space left on device", message.getvalue())
            self.assertFalse(Path(folder, "result.json").exists())

    def test_the_sample(self):
        code, _, result, picture = self.run_on((HERE.parent / "sample" / "posts").read_bytes())
        self.assertEqual(code, 0)
        self.assertGreater(result["distinct_words"], 50)
        self.assertGreaterEqual(picture.count("<text"), 50)


if __name__ == "__main__":
    unittest.main()
