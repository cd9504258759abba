"""The page: report.html, one file with everything in it.

No script, nothing loaded from elsewhere, and a policy in the page that forbids
both. Pictures of other analyses are images by data URL: a browser runs and loads
nothing inside them. What the sentences say is insight.py's, the look style.css's.
"""

import base64
from html import escape
from pathlib import Path

import insight
from insight import KINDS, WEEKDAYS, number, short

TOP_WORDS_SHOWN = 20
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(engagement, words, heatmap, cloud):
    """The whole page."""
    style = (Path(__file__).parent / "style.css").read_text("utf-8")
    return "\n".join([
        '<!doctype html>',
        '<html lang="en">',
        '<head>',
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<title>Your posts: when people engage, and what you write about</title>',
        f'<style>\n{style}</style>',
        '</head>',
        '<body>',
        '<main>',
        header(engagement),
        headline(engagement, words),
        rhythm(engagement, heatmap),
        kinds(engagement),
        language(words, cloud),
        figures(engagement),
        footer(),
        '</main>',
        '</body>',
        '</html>',
        '',
    ])


def header(engagement):
    """Title and the one sentence that everything hangs on."""
    return (
        '<header>\n<p class="kicker">Insights report</p>\n<h1>What became of your posts</h1>'
        f'\n<p class="lede">{insight.opening(engagement)}</p>\n</header>'
    )


def headline(engagement, words):
    """The figures that people look for first."""
    cards = [
        ("posts", number(engagement["posts"]), "originals, replies and retweets"),
        ("total engagement", number(engagement["total_engagement"]), "replies + retweets + favorites"),
        ("mean per post", number(engagement["mean_engagement"]), "total ÷ posts"),
        ("median per post", number(engagement["median_engagement"]), "half of the posts drew no more"),
        ("words", number(words["words"]), "in originals and replies"),
        ("different words", number(words["distinct_words"]), "each counted once"),
    ]
    items = "\n".join(
        f'<div class="card"><dt>{name}</dt><dd>{value}</dd><dd class="note">{note}</dd></div>'
        for name, value, note in cards
    )
    return f'<dl class="cards" aria-label="Headline figures">\n{items}\n</dl>'


def picture(svg, description):
    """A picture of another analysis, as an image in which nothing can run."""
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<div class="picture"><img alt="{escape(description)}" '
        f'src="data:image/svg+xml;base64,{data}"></div>'
    )


def rhythm(engagement, heatmap):
    """When: the heatmap, the hours and the weekdays."""
    hours = engagement["by_hour"]
    least = insight.enough(engagement["posts"])
    return "\n".join([
        '<section>',
        '<h2>The rhythm of your week</h2>',
        f'<p>{insight.timing(engagement)}</p>',
        picture(heatmap, "Heatmap of engagement by weekday and hour"),
        columns("Posts by hour", hours, "posts", 0),
        columns("Mean engagement by hour", hours, "mean", least),
        bars("By weekday", list(zip(WEEKDAYS, engagement["by_weekday"]))),
        '</section>',
    ])


def scale_end(groups, key, least):
    """The value at the full length of a bar: the largest of the groups that have
    enough posts, so that one lucky post does not flatten all the others."""
    known = [group[key] for group in groups if group["posts"] >= least]
    return max(known or [group[key] for group in groups], default=0)


def columns(title, groups, key, least):
    """24 columns. Those of few posts are pale; those beyond the scale are marked."""
    end = scale_end(groups, key, least)
    items, pale, beyond = [], False, False
    for at, group in enumerate(groups):
        value = group[key]
        share = min(value / end, 1) if end else 0
        classes = []
        if 0 < group["posts"] < least:
            classes, pale = ["few"], True
        if end and value > end:
            classes, beyond = classes + ["beyond"], True
        label = short(value) if group["posts"] else ""
        items.append(
            f'<li class="{" ".join(classes)}" title="{at:02}:00 to {at:02}:59: '
            f'{group["posts"]:,} posts, mean engagement {group["mean"]:,.1f}">'
            f'<i>{label}</i><b style="--share:{share:.4f}"></b><span>{at:02}</span></li>'
        )
    notes = []
    if pale:
        notes.append(f"Pale: fewer than {least} posts.")
    if beyond:
        notes.append("▲: beyond the scale.")
    note = f'<p class="note">{" ".join(notes)}</p>' if notes else ""
    return (
        f'<figure><figcaption>{title}</figcaption>\n<ol class="columns">\n'
        + "\n".join(items) + f'\n</ol>{note}</figure>'
    )


def bars(title, rows):
    """A row for each group: its mean as a bar and as a number, and its posts."""
    end = scale_end([group for _, group in rows], "mean", 1)
    items = []
    for name, group in rows:
        share = group["mean"] / end if end else 0
        items.append(
            f'<tr><th scope="row">{name}</th>'
            f'<td class="bar"><b style="width:{share * 100:.1f}%"></b></td>'
            f'<td>{number(group["mean"])}</td><td>{number(group["posts"])}</td></tr>'
        )
    return (
        f'<table class="bars"><caption>{title}</caption>\n<thead><tr><td></td><td></td>'
        '<th scope="col">mean engagement</th><th scope="col">posts</th></tr></thead>\n<tbody>\n'
        + "\n".join(items) + '\n</tbody></table>'
    )


def kinds(engagement):
    """What kind of post draws how much."""
    rows = [(name, engagement["by_kind"][kind]) for kind, name in KINDS.items()]
    return "\n".join([
        '<section class="whole">',
        '<h2>Originals, replies, retweets</h2>',
        f'<p>{insight.kinds(engagement)}</p>',
        bars("By kind of post", rows),
        '</section>',
    ])


def language(words, cloud):
    """What: the cloud and the top words."""
    top = words["top_words"]
    parts = [
        '<section>',
        '<h2>What you write about</h2>',
        f'<p>{insight.writing(words)}</p>',
        picture(cloud, "Word cloud of the most frequent words"),
    ]
    if top:
        parts.append(word_table(top[:TOP_WORDS_SHOWN], top[0]["count"], 1))
    if len(top) > TOP_WORDS_SHOWN:
        rest = word_table(top[TOP_WORDS_SHOWN:], top[0]["count"], TOP_WORDS_SHOWN + 1)
        parts.append(
            f'<details><summary>Words {TOP_WORDS_SHOWN + 1} to {len(top)}</summary>\n{rest}\n</details>'
        )
    parts.append('</section>')
    return "\n".join(parts)


def word_table(entries, largest, first):
    """The words in two columns of rank, word, bar and count."""
    half = (len(entries) + 1) // 2
    tables = []
    for start in (0, half):
        part = entries[start:start + half]
        if not part:
            continue
        rows = "\n".join(
            f'<tr><td class="rank">{first + start + at}</td><th scope="row">{escape(entry["word"])}</th>'
            f'<td class="bar"><b style="width:{entry["count"] / largest * 100 if largest else 0:.1f}%">'
            f'</b></td><td>{number(entry["count"])}</td></tr>'
            for at, entry in enumerate(part)
        )
        tables.append(
            '<table class="bars words"><thead><tr><td></td><th scope="col">word</th><td></td>'
            f'<th scope="col">times</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table>'
        )
    return '<div class="pair">\n' + "\n".join(tables) + '\n</div>'


def figures(engagement):
    """The exact figures behind the columns."""
    rows = "\n".join(
        f'<tr><th scope="row">{at:02}:00–{at:02}:59</th><td>{number(group["posts"])}</td>'
        f'<td>{number(group["mean"])}</td></tr>'
        for at, group in enumerate(engagement["by_hour"])
    )
    return (
        '<section>\n<details><summary>Every hour in figures</summary>\n<table class="plain"><thead>'
        '<tr><th scope="col">hour</th><th scope="col">posts</th><th scope="col">mean engagement</th>'
        f'</tr></thead>\n<tbody>\n{rows}\n</tbody></table>\n</details>\n</section>'
    )


def footer():
    """How to read the page and what it is made of."""
    return (
        '<footer>\n<p><strong>Engagement</strong> is replies + retweets + favorites. Hours and '
        'weekdays are those of the time zone named in the heatmap. Words are counted in original '
        'posts and replies, without links, mentions and hashtags; the lists leave out common '
        'English words.</p>\n<p>Numbers are rounded for reading only. This page holds '
        'everything it shows: it runs no script and loads nothing. Made by insights-report 1.0.0 '
        'from the results of social-engagement and writing-patterns.</p>\n</footer>'
    )
