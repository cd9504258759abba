"""What the figures say, in sentences.

Pure: from results to HTML text. A sentence only speaks of groups that have
enough posts to mean something, and says how many they have.
"""

import math
from html import escape

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
KINDS = {"original": "Original posts", "reply": "Replies", "retweet": "Retweets"}


def number(value):
    """A number for reading, with its exact value beside it for machines."""
    exact = repr(value)
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")
    return f'<data value="{exact}">{shown}</data>'


def short(value):
    """At most four characters up to 999T: 7, 950, 1.2k, 34k, 5.6M."""
    for unit in ("", "k", "M", "B", "T"):
        if value < 999.5 or unit == "T":
            break
        value /= 1000
    digits = 1 if unit and value < 9.95 else 0
    return f"{value:.{digits}f}{unit}"


def plural(count, one, many=None):
    """The number and the noun that fits it."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def enough(total):
    """How many posts a group needs before its mean is spoken of."""
    return max(3, math.ceil(total / 100))


def hour(at):
    """An hour of the day as a span of time."""
    return f"between {at:02}:00 and {at:02}:59"


def best(groups, least, key):
    """The index of the group with the largest `key` among those with `least` posts."""
    known = [at for at, group in enumerate(groups) if group["posts"] >= least]
    return max(known, key=lambda at: groups[at][key], default=None)


def opening(engagement):
    """What all posts together drew."""
    posts = engagement["posts"]
    if not posts:
        return "There are no posts to tell about."
    mean, median = engagement["mean_engagement"], engagement["median_engagement"]
    text = (
        f"{plural(posts, 'post')} drew {number(engagement['total_engagement'])} replies, retweets "
        f"and favorites: {number(mean)} per post on average."
    )
    if median and mean >= 2 * median:
        text += (
            f" Half of them drew {number(median)} or less: a few posts that travelled far carry "
            "much of the total."
        )
    elif posts > 1:
        text += f" Half of them drew {number(median)} or less."
    return text


def timing(engagement):
    """When posts go out and when they draw most."""
    posts = engagement["posts"]
    if not posts:
        return "Without posts there is no rhythm to see."
    hours, weekdays = engagement["by_hour"], engagement["by_weekday"]
    busy_hour, busy_day = best(hours, 1, "posts"), best(weekdays, 1, "posts")
    sentences = [
        f"The busiest hour is {busy_hour:02}:00 to {busy_hour:02}:59, with "
        f"{plural(hours[busy_hour]['posts'], 'post')}, the busiest day {WEEKDAYS[busy_day]}, with "
        f"{number(weekdays[busy_day]['posts'])}."
    ]
    least = enough(posts)
    strong_hour, strong_day = best(hours, least, "mean"), best(weekdays, least, "mean")
    if strong_hour is not None:
        group = hours[strong_hour]
        sentences.append(
            f"A post draws most {hour(strong_hour)}: {number(group['mean'])} on average, over "
            f"{plural(group['posts'], 'post')}."
        )
    if strong_day is not None:
        group = weekdays[strong_day]
        sentences.append(
            f"{WEEKDAYS[strong_day]} is the strongest day, with {number(group['mean'])} per post "
            f"over {plural(group['posts'], 'post')}."
        )
    if strong_hour is not None or strong_day is not None:
        sentences.append(f"Groups of fewer than {least} posts are not compared.")
    return " ".join(sentences)


def kinds(engagement):
    """How the kinds of post compare."""
    groups = [(kind, engagement["by_kind"][kind]) for kind in KINDS]
    least = enough(engagement["posts"])
    known = sorted(
        (item for item in groups if item[1]["posts"] >= least),
        key=lambda item: -item[1]["mean"],
    )
    if len(known) < 2 or not known[-1][1]["mean"]:
        return ""
    (high, most), (low, fewest) = known[0], known[-1]
    ratio = most["mean"] / fewest["mean"]
    if ratio < 1.05:
        return "The kinds draw about the same."
    return f"{KINDS[high]} draw {ratio:,.1f} times as much as {KINDS[low].lower()}."


def writing(words):
    """How much is written and how varied it is."""
    if not words["words"]:
        return "There are no words to count."
    text = (
        f"{plural(words['posts'], 'original post or reply', 'original posts and replies')} hold "
        f"{plural(words['words'], 'word')}, {number(words['mean_words_per_post'])} per post. "
        f"{number(words['distinct_words'])} of them are different"
        f" (type-token ratio {ratio(words['type_token_ratio'])})."
    )
    if words["top_words"]:
        top = words["top_words"][0]
        times = "once" if top["count"] == 1 else f"{number(top['count'])} times"
        text += (
            " The most frequent one, common words left out, is "
            f"<strong>{escape(top['word'])}</strong>, used {times}."
        )
    return text


def ratio(value):
    """A ratio from 0 to 1, with its exact value beside it."""
    return f'<data value="{value!r}">{value:.3f}</data>'
