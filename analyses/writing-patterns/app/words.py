"""What a word is, and counting them.

Python's `re` knows no \\p{L}: a text is first translated, character by character,
to a string of class letters of the same length, and patterns run on that.
"""

import re
import unicodedata
from collections import Counter
from pathlib import Path

KINDS = ("original", "reply")
TOP_WORDS = 100


class _Classes(dict):
    """Code point to class letter, found once: L letter, M mark, D decimal digit,
    R U+FFFD, the signs @ # _ themselves, ' both apostrophes, . anything else."""

    def __missing__(self, code):
        character = chr(code)
        category = unicodedata.category(character)
        if character in "@#_'":
            value = character
        elif character == "\u2019":
            value = "'"
        elif character == "\ufffd":
            value = "R"
        elif category[0] in "LM":
            value = category[0]
        else:
            value = "D" if category == "Nd" else "."
        self[code] = value
        return value


_CLASSES = _Classes()
# \S by Unicode's White_Space: Python counts four separator controls as space too.
_URL = re.compile(r"https?://(?:\S|[\x1c-\x1f])+")
_MENTION = re.compile(r"@[LD_]+")
_HASHTAG = re.compile(r"#[LD_]+")
_WORD = re.compile(r"[LM]+(?:'[LM]+)*")


def _remove(pattern, text):
    """The text without what the pattern finds in its classes."""
    kept, at = [], 0
    for match in pattern.finditer(text.translate(_CLASSES)):
        kept.append(text[at:match.start()])
        at = match.end()
    return text if not at else "".join(kept) + text[at:]


def words_of(text):
    """Yields the words of one post, in order, lower-case."""
    text = _URL.sub("", text)
    text = _remove(_HASHTAG, _remove(_MENTION, text)).lower()
    classes = text.translate(_CLASSES)
    for match in _WORD.finditer(classes):
        start, end = match.span()
        if classes.count("L", start, end) < 2:
            continue
        # A character beside it was lost: what is left may be half a word.
        if classes.startswith("R", end) or (start and classes[start - 1] == "R"):
            continue
        yield text[start:end]


def stop_words():
    """The words that top_words leaves out: stopwords.txt without its comments."""
    lines = (Path(__file__).parent / "stopwords.txt").read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def measure(posts):
    """The result, from (kind, text) of each post; other kinds than KINDS are left out."""
    number, counts = 0, Counter()
    for kind, text in posts:
        if kind in KINDS:
            number += 1
            counts.update(words_of(text))
    total, distinct = sum(counts.values()), len(counts)
    stop = stop_words()
    top = sorted(
        (item for item in counts.items() if item[0] not in stop),
        key=lambda item: (-item[1], item[0]),
    )
    return {
        "posts": number,
        "words": total,
        "distinct_words": distinct,
        "top_words": [{"word": word, "count": count} for word, count in top[:TOP_WORDS]],
        "mean_words_per_post": total / number if number else 0.0,
        "type_token_ratio": distinct / total if total else 0.0,
    }
