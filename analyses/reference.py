#!/usr/bin/env python3
"""An independent computation of every number of the demo analyses.

    python3 analyses/reference.py export.csv [timezone]

reads an export and prints one JSON document with the results that posts-clean,
social-engagement, writing-patterns and insights-report must give, under those
names. It is written from the definitions alone (docs of the analyses), with the
Python standard library alone, shares no code with the analyses, and reads of
them only the stop-word file, which is data.

`--posts FILE` also writes the cleaned posts, one JSON object a line.
Exit code 1 and a message on stderr for a file that is not an export.
"""

import csv
import html
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

HEADER = ["created_at", "text", "url", "replies", "retweets", "favorites", "user"]
COUNTS = ["replies", "retweets", "favorites"]
# Limits that the analyses document beside the definitions.
LISTED_REJECTIONS = 1000
LARGEST_COUNT = 2**63 - 1
LONGEST_RECORD_BYTES = 16 * 1024 * 1024

SHORT_TIME = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{2}) ([0-9]{1,2}):([0-9]{2})")
RFC3339_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)

# int() refuses more digits than this by default; a count may be any length.
sys.set_int_max_str_digits(0)
csv.field_size_limit(2**31 - 1)


def decode(data):
    """The text of the file and the name of its encoding."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "windows-1252"
    return text.removeprefix("\ufeff"), "utf-8"


def records(text):
    """The records of the file, and whether the last one is cut off in a quote."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    # A line put after the end becomes a record of its own unless a quote is open.
    probe = list(csv.reader(io.StringIO(text + "\nend", newline="")))
    return rows, probe[-1] != ["end"]


def instant(text):
    """The time in UTC and its fraction's digits, or None."""
    if match := SHORT_TIME.fullmatch(text):
        month, day, year, hour, minute = map(int, match.groups())
        try:
            return datetime(2000 + year, month, day, hour, minute), ""
        except ValueError:
            return None
    if match := RFC3339_TIME.fullmatch(text):
        fraction, zone = match[7] or "", match[8] or "Z"
        try:
            time = datetime(*(int(match[i]) for i in range(1, 7)))
            if zone not in "Zz":
                hours, minutes = int(zone[1:3]), int(zone[4:6])
                if hours > 23 or minutes > 59:
                    return None
                offset = timedelta(hours=hours, minutes=minutes)
                time = time - offset if zone[0] == "+" else time + offset
        except (ValueError, OverflowError):
            return None
        return time, fraction[:9].rstrip("0")
    return None


def rfc3339(time, fraction):
    """The instant in the form of posts.jsonl."""
    tail = f".{fraction}Z" if fraction else "Z"
    return time.isoformat() + tail


def count(text):
    """A non-negative integer, or None."""
    if not re.fullmatch(r"[0-9]+", text):
        return None
    value = int(text)
    return value if value <= LARGEST_COUNT else None


def is_space(character):
    """Unicode's White_Space, which is what \\s means beside \\p{L}."""
    return character.isspace() and character not in "\x1c\x1d\x1e\x1f"


def is_tag(character):
    """[\\p{L}\\p{Nd}_]"""
    category = unicodedata.category(character)
    return category[0] == "L" or category == "Nd" or character == "_"


def urls(text):
    """(start, end) of each https?://\\S+"""
    found, at = [], 0
    while match := re.compile(r"https?://").search(text, at):
        end = match.end()
        while end < len(text) and not is_space(text[end]):
            end += 1
        if end > match.end():
            found.append((match.start(), end))
            at = end
        else:
            at = match.start() + 1
    return found


def tags(text, sign):
    """(start, end) of each sign followed by [\\p{L}\\p{Nd}_]+"""
    found, at = [], 0
    while (start := text.find(sign, at)) >= 0:
        end = start + 1
        while end < len(text) and is_tag(text[end]):
            end += 1
        if end > start + 1:
            found.append((start, end))
        at = end
    return found


def kind(text):
    """reply, retweet or original."""
    if text.startswith("@"):
        return "reply"
    return "retweet" if text.startswith("RT @") else "original"


def clean(data):
    """posts-clean: its result and the posts; ValueError for a file that is no export."""
    text, encoding = decode(data)
    rows, cut = records(text)
    if not rows or rows[0] != HEADER or (cut and len(rows) == 1):
        raise ValueError("the first line is not " + ",".join(HEADER))
    rejected, posts = [], []
    numbered = [row for row in rows[1:] if row]  # blank lines are no records
    for number, fields in enumerate(numbered, 1):
        post = dict(zip(HEADER, fields))
        reason = None
        if cut and number == len(numbered):
            reason = "cut off inside a quoted field"
        elif sum(len(field.encode()) for field in fields) > LONGEST_RECORD_BYTES:
            reason = "longer than 16 MiB"
        elif len(fields) < len(HEADER):
            reason = f"missing column {HEADER[len(fields)]}"
        elif (time := instant(post["created_at"])) is None:
            reason = "bad time in created_at"
        else:
            for name in COUNTS:
                value = count(post[name])
                if value is None:
                    reason = f"bad count in {name}"
                    break
                post[name] = value
        if reason:
            rejected.append({"row": number, "reason": reason})
            continue
        text = html.unescape(post["text"])
        posts.append({
            "row": number,
            "created_at": rfc3339(*time),
            "text": text,
            "url": post["url"],
            "user": post["user"],
            "kind": kind(text),
            "urls": [text[a:b] for a, b in urls(text)],
            "hashtags": [text[a + 1:b] for a, b in tags(text, "#")],
            "mentions": [text[a + 1:b] for a, b in tags(text, "@")],
            **{name: post[name] for name in COUNTS},
        })
    result = {
        "encoding": encoding,
        "rows": len(numbered),
        "kept": len(posts),
        "rejected": rejected[:LISTED_REJECTIONS],
        "replaced_characters": sum(post["text"].count("\ufffd") for post in posts),
    }
    return result, posts


def mean(total, number):
    """Python divides integers of any size with one rounding."""
    return total / number if number else 0.0


def in_zone(time, zone):
    """The local time; at the ends of the calendar that of 400 years away, when
    weekdays and rules are the same."""
    time = time.replace(tzinfo=timezone.utc)
    try:
        return time.astimezone(zone)
    except OverflowError:
        years = 400 if time.year < 5000 else -400
        return time.replace(year=time.year + years).astimezone(zone)


def engagement(posts, zone_name):
    """social-engagement: its result."""
    zone = ZoneInfo(zone_name)
    values = []
    hours = [[] for _ in range(24)]
    weekdays = [[] for _ in range(7)]
    kinds = {"original": [], "reply": [], "retweet": []}
    for post in posts:
        value = sum(post[name] for name in COUNTS)
        local = in_zone(datetime.fromisoformat(post["created_at"][:19]), zone)
        values.append(value)
        hours[local.hour].append(value)
        weekdays[local.weekday()].append(value)
        kinds[post["kind"]].append(value)
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        median = 0.0
    elif len(ordered) % 2:
        median = mean(ordered[middle], 1)
    else:
        median = mean(ordered[middle - 1] + ordered[middle], 2)
    def groups(lists):
        return [{"posts": len(part), "mean": mean(sum(part), len(part))} for part in lists]
    return {
        "posts": len(values),
        "total_engagement": sum(values),
        "mean_engagement": mean(sum(values), len(values)),
        "median_engagement": median,
        "by_hour": groups(hours),
        "by_weekday": groups(weekdays),
        "by_kind": dict(zip(kinds, groups(kinds.values()))),
    }


def without(text, spans):
    """The text with the spans taken out."""
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return "".join(kept) + text[at:]


def words_of(text):
    """The words of one post, as a run of letters and marks joined by apostrophes."""
    text = without(text, urls(text))
    text = without(text, tags(text, "@"))
    text = without(text, tags(text, "#")).lower()
    # One class letter for each character: L letter, M mark, ' apostrophe, R U+FFFD.
    classes = "".join(
        "R" if c == "\ufffd" else "'" if c in "'\u2019"
        else {"L": "L", "M": "M"}.get(unicodedata.category(c)[0], ".")
        for c in text
    )
    for match in re.finditer(r"[LM]+(?:'[LM]+)*", classes):
        start, end = match.span()
        touching = classes[max(start - 1, 0):start] + classes[end:end + 1]
        if match[0].count("L") >= 2 and "R" not in touching:
            yield text[start:end]


def writing(posts):
    """writing-patterns: its result."""
    file = Path(__file__).parent / "writing-patterns" / "app" / "stopwords.txt"
    stop = {
        line.strip() for line in file.read_text("utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    }
    own = [post for post in posts if post["kind"] in ("original", "reply")]
    counts = Counter(word for post in own for word in words_of(post["text"]))
    top = sorted(
        ((word, n) for word, n in counts.items() if word not in stop),
        key=lambda pair: (-pair[1], pair[0]),
    )[:100]
    total = sum(counts.values())
    return {
        "posts": len(own),
        "words": total,
        "distinct_words": len(counts),
        "top_words": [{"word": word, "count": n} for word, n in top],
        "mean_words_per_post": mean(total, len(own)),
        "type_token_ratio": mean(len(counts), total),
    }


def results(data, zone_name="UTC"):
    """The four results by analysis name, and the cleaned posts."""
    cleaned, posts = clean(data)
    social = engagement(posts, zone_name)
    words = writing(posts)
    report = {
        "posts": social["posts"],
        "total_engagement": social["total_engagement"],
        "words": words["words"],
        "distinct_words": words["distinct_words"],
    }
    return {
        "posts-clean": cleaned,
        "social-engagement": social,
        "writing-patterns": words,
        "insights-report": report,
    }, posts


def main(arguments):
    posts_file = None
    if "--posts" in arguments:
        at = arguments.index("--posts")
        posts_file = arguments[at + 1]
        del arguments[at:at + 2]
    if len(arguments) not in (1, 2):
        sys.exit("usage: reference.py [--posts FILE] export.csv [timezone]")
    try:
        document, posts = results(Path(arguments[0]).read_bytes(), *arguments[1:])
    except ValueError as error:
        sys.exit(f"reference: {arguments[0]}: {error}")
    if posts_file:
        with open(posts_file, "w", encoding="utf-8", newline="\n") as file:
            for post in posts:
                file.write(json.dumps(post, ensure_ascii=False, separators=(",", ":")) + "\n")
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
