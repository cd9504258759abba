"""The four programs one after another: the example, the samples, real data."""

import base64
import json
import re
import sys
import tempfile
import unittest

import generate
import support
from support import ANALYSES, reference

EXAMPLE = b"""created_at,text,url,replies,retweets,favorites,user
10/2/17 12:41,Hello &amp; welcome to the data party! https://t.co/a,u1,1,2,3,x
10/2/17 23:10,@friend thanks for the data,u2,0,0,1,x
10/3/17 0:05,"RT @other: data, data, data",u3,5,5,5,x
10/8/17 12:00,Don't stop the party #fun,u4,2,2,2,x
not-a-time,lost,u5,1,1,1,x
"""


def setUpModule():
    support.build()


class Example(unittest.TestCase):
    """Every number that the definitions give, written out here."""

    def check(self, results):
        clean, social, words, report = (
            results[name] for name in
            ("posts-clean", "social-engagement", "writing-patterns", "insights-report")
        )
        self.assertEqual((clean["rows"], clean["kept"]), (5, 4))
        self.assertEqual([entry["row"] for entry in clean["rejected"]], [5])
        self.assertEqual((clean["encoding"], clean["replaced_characters"]), ("utf-8", 0))
        self.assertEqual(social["posts"], 4)
        self.assertEqual(social["total_engagement"], 28)
        self.assertEqual((social["mean_engagement"], social["median_engagement"]), (7, 6))
        nothing = {"posts": 0, "mean": 0}
        self.assertEqual(social["by_kind"], {
            "original": {"posts": 2, "mean": 6}, "reply": {"posts": 1, "mean": 1},
            "retweet": {"posts": 1, "mean": 15},
        })
        hours = {12: {"posts": 2, "mean": 6}, 23: {"posts": 1, "mean": 1}, 0: {"posts": 1, "mean": 15}}
        self.assertEqual(social["by_hour"], [hours.get(hour, nothing) for hour in range(24)])
        days = {0: {"posts": 2, "mean": 3.5}, 1: {"posts": 1, "mean": 15}, 6: {"posts": 1, "mean": 6}}
        self.assertEqual(social["by_weekday"], [days.get(day, nothing) for day in range(7)])
        self.assertEqual((words["posts"], words["words"], words["distinct_words"]), (3, 14, 10))
        self.assertEqual(words["type_token_ratio"], 10 / 14)
        self.assertEqual(words["mean_words_per_post"], 14 / 3)
        counts = {entry["word"]: entry["count"] for entry in words["top_words"]}
        self.assertEqual((counts["data"], counts["party"]), (2, 2))
        self.assertEqual(report, {
            "posts": 4, "total_engagement": 28, "words": 14, "distinct_words": 10,
        })

    def test_the_programs(self):
        results, files = support.chain(EXAMPLE)
        self.check(results)
        kinds = [json.loads(line)["kind"] for line in files["posts.jsonl"].splitlines()]
        self.assertEqual(kinds, ["original", "reply", "retweet", "original"])

    def test_the_independent_computation(self):
        self.check(reference.results(EXAMPLE)[0])

    def test_noop(self):
        with tempfile.TemporaryDirectory() as out:
            self.assertEqual(support.run("noop", {}, out), {})


class Whole(unittest.TestCase):
    def check(self, export, timezone="UTC"):
        """The programs and the independent computation agree, to the last bit."""
        results, files = support.chain(export, timezone)
        expected, posts = reference.results(export, timezone)
        self.assertEqual(results, expected)
        lines = files["posts.jsonl"].decode("utf-8").split("\n")
        self.assertEqual(lines.pop(), "")
        self.assertEqual([json.loads(line) for line in lines], posts)
        self.assertEqual([list(json.loads(line)) for line in lines[:1]], [list(posts[0])])
        self.pictures(files)
        return results, files

    def pictures(self, files):
        """The page holds both pictures, and the cloud its fifty words."""
        page = files["report.html"].decode("utf-8")
        for name in ("heatmap.svg", "wordcloud.svg"):
            self.assertIn(base64.b64encode(files[name]).decode(), page)
        words = json.loads(files["writing-patterns.json"])["top_words"]
        self.assertGreaterEqual(files["wordcloud.svg"].count(b"<text"), min(50, len(words)))
        self.assertNotRegex(page, r"<script|https?:")

    def test_the_sample_and_those_made_from_it(self):
        export = (ANALYSES / "posts-clean/sample/export").read_bytes()
        _, files = self.check(export, "Europe/Prague")
        for sample, file in [
            ("social-engagement/sample/posts", "posts.jsonl"),
            ("writing-patterns/sample/posts", "posts.jsonl"),
            ("insights-report/sample/engagement", "social-engagement.json"),
            ("insights-report/sample/heatmap", "heatmap.svg"),
            ("insights-report/sample/words", "writing-patterns.json"),
            ("insights-report/sample/cloud", "wordcloud.svg"),
        ]:
            fresh = (ANALYSES / sample).read_bytes() == files[file]
            self.assertTrue(fresh, f"{sample} is old: run analyses/refresh-samples.sh")

    def test_real_data(self):
        folder = support.real_data()
        if folder is None:
            print("real data is absent (BELLJAR_REAL_DATA): generated data instead", file=sys.stderr)
            export = generate.export_like_the_real_one()
        else:
            export = (folder / "tweets-obama.csv").read_bytes()
        results, _ = self.check(export)
        self.assertEqual(results["posts-clean"]["encoding"], "windows-1252")
        self.assertGreater(results["posts-clean"]["kept"], 3000)
        self.check(export, "America/New_York")

    def test_generated_data_of_the_same_shape(self):
        self.check(generate.export_like_the_real_one(), "Australia/Lord_Howe")

    def test_a_header_alone_goes_through_all_four(self):
        results, files = support.chain(EXAMPLE.splitlines(keepends=True)[0])
        self.assertEqual(results, reference.results(EXAMPLE.splitlines(keepends=True)[0])[0])
        self.assertEqual(files["posts.jsonl"], b"")
        self.assertTrue(re.search(rb"No posts\.", files["heatmap.svg"]))


if __name__ == "__main__":
    unittest.main()
