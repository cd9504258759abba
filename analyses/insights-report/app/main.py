"""insights-report: one page about a person's posts, to read, keep and print.

Reads /in/engagement and /in/words (results, JSON) and /in/heatmap and /in/cloud
(pictures, SVG); writes /out/report.html and, last, /out/result.json. `--in DIR`
and `--out DIR` name other folders for a try outside a container. This file owns
reading and writing; what the page says is insight.py's, how it looks page.py's.
"""

import argparse
import json
import sys
from pathlib import Path

import page

NAME = "insights-report"
# The page may be 4 MiB, pictures grow by a third inside it.
PICTURE_BYTES_MAX = 1024 * 1024
GROUPS = {"by_hour": 24, "by_weekday": 7}


class InputError(Exception):
    """What is wrong with an input and what to do about it."""


def is_count(value):
    """Whether the value is an integer from 0; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value):
    """Whether the value is a number from 0."""
    return is_count(value) or isinstance(value, float) and 0 <= value < float("inf")


def is_group(value):
    """Whether the value is {posts, mean}."""
    return isinstance(value, dict) and is_count(value.get("posts")) and is_number(value.get("mean"))


def is_top_word(value):
    """Whether the value is {word, count}."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("word"), str)
        and is_count(value.get("count"))
    )


def require(document, path, source, checks):
    """Raises InputError unless each field passes its check."""
    for field, check in checks.items():
        if not isinstance(document, dict) or field not in document:
            raise InputError(f"{path} has no `{field}`. It must be the result.json of {source}")
        if not check(document[field]):
            raise InputError(f"`{field}` in {path} is wrong. It must be the result.json of {source}")


def read_json(path, source, checks):
    """A result whose fields have been checked."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON ({error}). It must be the result.json of {source}"
        ) from error
    require(document, path, source, checks)
    return document


def read_engagement(path):
    """The result of social-engagement."""
    def groups(length):
        return lambda value: (
            isinstance(value, list) and len(value) == length and all(map(is_group, value))
        )
    return read_json(path, "social-engagement", {
        "posts": is_count,
        "total_engagement": is_count,
        "mean_engagement": is_number,
        "median_engagement": is_number,
        **{field: groups(length) for field, length in GROUPS.items()},
        "by_kind": lambda value: isinstance(value, dict)
        and all(is_group(value.get(kind)) for kind in ("original", "reply", "retweet")),
    })


def read_words(path):
    """The result of writing-patterns."""
    return read_json(path, "writing-patterns", {
        "posts": is_count,
        "words": is_count,
        "distinct_words": is_count,
        "mean_words_per_post": is_number,
        "type_token_ratio": is_number,
        "top_words": lambda value: isinstance(value, list) and all(map(is_top_word, value)),
    })


def read_picture(path):
    """An SVG picture as it is. The page shows it as an image, where nothing in it
    can run or load anything, so that it need not be trusted."""
    picture = path.read_bytes()
    if len(picture) > PICTURE_BYTES_MAX:
        raise InputError(f"{path} is larger than {PICTURE_BYTES_MAX} bytes, too large for the page")
    if b"<svg" not in picture:
        raise InputError(f"{path} is not an SVG picture")
    return picture


def main(arguments=None):
    """Runs the analysis; the exit code."""
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__.split("\n", 1)[0])
    parser.add_argument("--in", dest="in_dir", type=Path, default=Path("/in"), metavar="DIR")
    parser.add_argument("--out", dest="out_dir", type=Path, default=Path("/out"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        engagement = read_engagement(options.in_dir / "engagement")
        words = read_words(options.in_dir / "words")
        heatmap = read_picture(options.in_dir / "heatmap")
        cloud = read_picture(options.in_dir / "cloud")
        report = page.render(engagement, words, heatmap, cloud)
        result = {
            "posts": engagement["posts"],
            "total_engagement": engagement["total_engagement"],
            "words": words["words"],
            "distinct_words": words["distinct_words"],
        }
        (options.out_dir / "report.html").write_text(report, "utf-8")
        (options.out_dir / "result.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    except InputError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename or options.out_dir
        print(f"{NAME}: cannot read or write {where}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{NAME}: a page about {result['posts']} posts", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
