"""writing-patterns: which words a person uses, how many and how varied.

Reads /in/posts (the posts.jsonl of posts-clean), writes /out/wordcloud.svg and,
last, /out/result.json. `--in DIR` and `--out DIR` name other folders for a try
outside a container. This file owns reading and writing; what a word is is
words.py's, the picture cloud.py's.
"""

import argparse
import json
import sys
from pathlib import Path

import cloud
import words

NAME = "writing-patterns"


class InputError(Exception):
    """What is wrong with an input and what to do about it."""


def read_posts(path):
    """Yields (kind, text) of each line of posts.jsonl."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                post = json.loads(line)
                kind, text = post["kind"], post["text"]
                if not isinstance(kind, str) or not isinstance(text, str):
                    raise TypeError("kind and text must be strings")
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{path}:{number} is not a clean post ({type(error).__name__}: {error}). "
                    "The input `posts` is the posts.jsonl of posts-clean"
                ) from error
            yield kind, text


def main(arguments=None):
    """Runs the analysis; the exit code."""
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__.split("\n", 1)[0])
    parser.add_argument("--in", dest="in_dir", type=Path, default=Path("/in"), metavar="DIR")
    parser.add_argument("--out", dest="out_dir", type=Path, default=Path("/out"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        result = words.measure(read_posts(options.in_dir / "posts"))
        picture = cloud.draw(result["top_words"])
        (options.out_dir / "wordcloud.svg").write_text(picture, "utf-8")
        text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
        (options.out_dir / "result.json").write_text(text, "utf-8")
    except InputError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename or options.out_dir
        print(f"{NAME}: cannot read or write {where}: {error.strerror}", file=sys.stderr)
        return 1
    print(
        f"{NAME}: {result['words']} words, {result['distinct_words']} different ones, "
        f"in {result['posts']} posts",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
