"""The page: what it says, what it must not hold, and the program on wrong inputs."""

import base64
import contextlib
import copy
import io
import json
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "sample"
# The folders that images are built from stay free of bytecode.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "app"))

import insight  # noqa: E402
import main  # noqa: E402

# Elements without an end tag (HTML Standard, 13.1.2).
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page: elements, attributes, <data> values, and that tags match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.values, self.open, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "data":
            self.values.append(json.loads(dict(attrs)["value"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def run(changes=None):
    """Runs the program on the sample with some inputs replaced: code, message, page, result."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in ("engagement", "heatmap", "words", "cloud"):
            content = (changes or {}).get(name, (SAMPLE / name).read_bytes())
            if content is not None:
                (folder / name).write_bytes(content)
        message = io.StringIO()
        with contextlib.redirect_stderr(message):
            code = main.main(["--in", str(folder), "--out", str(folder)])
        report, result = folder / "report.html", folder / "result.json"
        return (
            code, message.getvalue(),
            report.read_text("utf-8") if report.exists() else None,
            json.loads(result.read_text("utf-8")) if result.exists() else None,
        )


def sample(name):
    return json.loads((SAMPLE / name).read_text("utf-8"))


def changed(name, **fields):
    return {name: json.dumps(sample(name) | fields).encode()}


class Report(unittest.TestCase):
    def check(self, changes=None):
        code, message, report, result = run(changes)
        self.assertEqual(code, 0, message)
        return Page(report), report, result

    def test_figures_are_those_of_the_inputs(self):
        page, _, result = self.check()
        engagement, words = sample("engagement"), sample("words")
        self.assertEqual(result, {
            "posts": engagement["posts"], "total_engagement": engagement["total_engagement"],
            "words": words["words"], "distinct_words": words["distinct_words"],
        })
        expected = [
            engagement[key] for key in
            ("posts", "total_engagement", "mean_engagement", "median_engagement")
        ] + [words[key] for key in ("words", "distinct_words", "mean_words_per_post", "type_token_ratio")]
        groups = engagement["by_hour"] + engagement["by_weekday"] + list(engagement["by_kind"].values())
        expected += [group[key] for group in groups for key in ("posts", "mean")]
        expected += [entry["count"] for entry in words["top_words"]]
        for value in expected:
            self.assertIn(value, page.values)
        # And nothing that is in no input.
        counts = {group["posts"] for group in groups} | set(expected) | {words["posts"]}
        self.assertEqual(set(page.values) - counts, set())

    def test_every_top_word_is_there_and_escaped(self):
        top = [{"word": f"w{n}", "count": 200 - n} for n in range(99)]
        page, report, _ = self.check(changed("words", top_words=top + [{"word": "<script>x</script>", "count": 1}]))
        for entry in top:
            self.assertIn(entry["word"], page.text)
        self.assertIn("<script>x</script>", "".join(page.text))
        self.assertNotIn("<script", report)

    def test_no_script_and_nothing_remote(self):
        hostile = (
            b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script>'
            b'<image href="https://example.org/x.png"/></svg>'
        )
        for changes in (None, {"heatmap": hostile, "cloud": hostile}):
            page, report, _ = self.check(changes)
            tags = {tag for tag, _ in page.elements}
            self.assertEqual(tags & {"script", "link", "iframe", "object", "embed", "form", "base", "svg"}, set())
            for tag, attributes in page.elements:
                for name, value in attributes.items():
                    self.assertFalse(name.startswith("on"), name)
                    self.assertNotIn(name, ("href", "srcset", "action", "srcdoc"))
                    if name == "src":
                        self.assertTrue(value.startswith("data:image/svg+xml;base64,"))
            for remote in ("http:", "https:", "url(", "@import", "javascript:"):
                self.assertNotIn(remote, report)
            self.assertIn("default-src 'none'; style-src 'unsafe-inline'; img-src data:", report)

    def test_both_pictures_are_in_the_page_as_they_are(self):
        page, _, _ = self.check()
        pictures = [
            base64.b64decode(attributes["src"].partition(",")[2])
            for tag, attributes in page.elements if tag == "img"
        ]
        self.assertEqual(pictures, [(SAMPLE / name).read_bytes() for name in ("heatmap", "cloud")])

    def test_no_posts_at_all(self):
        nothing = {"posts": 0, "mean": 0.0}
        engagement = {
            "posts": 0, "total_engagement": 0, "mean_engagement": 0.0, "median_engagement": 0.0,
            "by_hour": [nothing] * 24, "by_weekday": [nothing] * 7,
            "by_kind": dict.fromkeys(("original", "reply", "retweet"), nothing),
        }
        words = {
            "posts": 0, "words": 0, "distinct_words": 0, "top_words": [],
            "mean_words_per_post": 0, "type_token_ratio": 0,
        }
        _, report, result = self.check({
            "engagement": json.dumps(engagement).encode(), "words": json.dumps(words).encode(),
        })
        self.assertIn("There are no posts to tell about.", report)
        self.assertEqual(set(result.values()), {0})

    def test_wrong_inputs_are_told_and_leave_no_result(self):
        by_kind = sample("engagement")["by_kind"]
        for changes, message in [
            ({"engagement": b"{"}, "engagement is not JSON"),
            ({"engagement": b"[" * 100_000}, "engagement is not JSON"),
            ({"engagement": b"[]"}, "engagement has no `posts`"),
            ({"words": (SAMPLE / "engagement").read_bytes()}, "words has no `words`"),
            (changed("engagement", posts=-1), "`posts` in"),
            (changed("engagement", posts=True), "`posts` in"),
            (changed("engagement", mean_engagement=float("nan")), "`mean_engagement` in"),
            (changed("engagement", by_hour=[]), "`by_hour` in"),
            (changed("engagement", by_kind={**by_kind, "reply": None}), "`by_kind` in"),
            (changed("words", top_words=[{"word": 1, "count": 1}]), "must be the result.json of writing-patterns"),
            ({"heatmap": b"\x89PNG"}, "heatmap is not an SVG picture"),
            ({"cloud": b"<svg>" + b" " * (1 << 20)}, "cloud is larger than 1048576 bytes"),
            ({"cloud": None}, "cloud: No such file or directory"),
        ]:
            code, told, report, result = run(changes)
            self.assertEqual(code, 1, message)
            self.assertIn(message, told)
            self.assertIsNone(report)
            self.assertIsNone(result)


class Sentences(unittest.TestCase):
    def engagement(self, **fields):
        return copy.deepcopy(sample("engagement")) | fields

    def test_a_group_of_few_posts_is_not_praised(self):
        hours = [{"posts": 100, "mean": 10.0}] * 23 + [{"posts": 2, "mean": 9e9}]
        text = insight.timing(self.engagement(posts=2302, by_hour=hours))
        self.assertNotIn("23:00", text)
        self.assertIn("Groups of fewer than 24 posts are not compared.", text)

    def test_mean_and_median_far_apart(self):
        text = insight.opening(self.engagement(posts=9, mean_engagement=50.0, median_engagement=5.0))
        self.assertIn("carry much of the total", text)
        text = insight.opening(self.engagement(posts=9, mean_engagement=5.5, median_engagement=5.0))
        self.assertTrue(text.endswith(" or less."), text)

    def test_one_of_something(self):
        self.assertIn(">1</data> post drew", insight.opening(self.engagement(posts=1)))

    def test_numbers(self):
        self.assertEqual(insight.number(1234567), '<data value="1234567">1,234,567</data>')
        self.assertEqual(insight.number(7.0), '<data value="7.0">7</data>')
        self.assertEqual(insight.number(1234.56), '<data value="1234.56">1,234.6</data>')
        shown = [insight.short(n) for n in (0, 7, 999, 1000, 9949, 9950, 34567, 999500, 5.6e6, 1e16)]
        self.assertEqual(shown, ["0", "7", "999", "1.0k", "9.9k", "10k", "35k", "1.0M", "5.6M", "10000T"])


if __name__ == "__main__":
    unittest.main()
