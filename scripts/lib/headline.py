"""Prints the demo's results for a person: headline.py FOLDER, with clean.json, engagement.json and words.json in it."""

import json
import pathlib
import sys

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def best(entries, posts):
    """The index of the highest mean among those with 1 % of the posts, at least 3; None where there are none.

    The report has the same threshold: one lucky post at noon is not a good time to post.
    """
    least = max(3, -(-posts // 100))
    filled = [(entry["mean"], -index) for index, entry in enumerate(entries) if entry["posts"] >= least]
    return -max(filled)[1] if filled else None


def lines(clean, engagement, words):
    """The lines to print."""
    yield "Posts", f"{clean['kept']:,} kept of {clean['rows']:,} rows, read as {clean['encoding']}"
    yield "Engagement", (
        f"{engagement['total_engagement']:,} in all; "
        f"mean {engagement['mean_engagement']:,.1f}, median {engagement['median_engagement']:,.1f} a post"
    )
    hour, weekday = (best(engagement[key], engagement["posts"]) for key in ("by_hour", "by_weekday"))
    if hour is not None:
        yield "Best hour", f"{hour:02}:00 to {hour:02}:59, mean {engagement['by_hour'][hour]['mean']:,.1f} a post"
    if weekday is not None:
        yield "Best day", f"{WEEKDAYS[weekday]}, mean {engagement['by_weekday'][weekday]['mean']:,.1f} a post"
    kinds = engagement["by_kind"].items()
    yield "Kinds", ", ".join(f"{kind} {entry['posts']:,}" for kind, entry in kinds)
    yield "Words", (
        f"{words['words']:,} in {words['posts']:,} posts, {words['distinct_words']:,} different, "
        f"type-token ratio {words['type_token_ratio']:.3f}"
    )
    top = ", ".join(f"{entry['word']} {entry['count']}" for entry in words["top_words"][:10])
    if top:
        yield "Top words", top


def main(folder):
    """Reads the three results and prints them."""
    results = [
        json.loads(pathlib.Path(folder, f"{task}.json").read_text()) for task in ("clean", "engagement", "words")
    ]
    for name, text in lines(*results):
        print(f"  {name:<11} {text}")


if __name__ == "__main__":
    main(sys.argv[1])
