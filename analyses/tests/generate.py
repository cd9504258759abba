"""Exports made by chance, seeded: the same for everybody, everywhere."""

import random

HEADER = "created_at,text,url,replies,retweets,favorites,user"

WORDS = (
    "the a data party Don't isn’t I'm café naïve Straße ΣΑΣ İstanbul дом 漢字 e\u0301te\u0301 hello "
    "friend change work health care people today time year watch climate economy x9y a1 '' "
    "O'Neill’s rock'n'roll re-use under_score \ufffd caf\ufffd \ufffdlost ½ Ⅷ ٣٤ \u200d \u0301 &amp;"
).split()
PIECES = (
    "@friend @ #fun #Über_1 #e\u0301 #٣ ## @@x a@b.c https://t.co/aB1 http://x/#y@z https:// http://\u00a0 "
    "RT RT\u00a0@x &lt;3 &gt &ampx &amp;amp; &notit; &#64;x &#x40; &#0; &#128; &#xD800; &#1; &#; &nope; "
    "&NotEqualTilde; &Eacute \u2028 \x85 \x1f \0 \t"
).split(" ")
STARTS = ("", "", "", "@", "RT @", " @", "RT ", "&commat;", "&#82;T @", "rt @", "\ufeff@")
GOOD_TIMES = (
    "10/2/17 12:41", "1/1/00 0:00", "12/31/99 23:59", "2/29/16 9:07", "03/04/21 05:06",
    "2017-10-02T12:41:00Z", "2017-10-02 23:30:01", "2021-03-28T01:30:00+02:00",
    "2021-10-31t00:59:59.250z", "2016-12-31T23:59:59.123456789-11:30", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "1969-12-31T23:59:59.1+00:00",
)
BAD_TIMES = (
    "", "not-a-time", "2/29/17 1:00", "13/1/17 1:00", "1/1/2017 1:00", "1/1/17 24:00", "1/1/17 1:5",
    " 1/1/17 1:00", "2017-10-02", "2017-10-02T12:41Z", "2017-10-02T12:41:60Z", "2017-02-30T00:00:00Z",
    "2017-10-02T12:41:00+24:00", "0001-01-01T00:00:00+00:01", "٣/1/17 1:00", "1/1/17 1:00\0",
)
BAD_COUNTS = ("", "-1", "+1", "1.0", " 1", "1,000", "x", "9223372036854775808", "٣", "1e3", "1\0")


def count(rng):
    """A count, now and then a bad or a very large one."""
    if rng.random() < 0.02:
        return rng.choice(BAD_COUNTS)
    if rng.random() < 0.05:
        return rng.choice(("0", "007", "9223372036854775807", "9007199254740993"))
    return str(int(rng.paretovariate(0.6)) % 10**7)


def text(rng):
    """A text of words, tags, references and their look-alikes."""
    parts = [rng.choice(WORDS if rng.random() < 0.7 else PIECES) for _ in range(rng.randint(0, 25))]
    glue = rng.choices((" ", "", "\n", "\r\n", ", ", '"'), (80, 8, 4, 4, 2, 2), k=len(parts))
    return rng.choice(STARTS) + "".join(part + between for part, between in zip(parts, glue))


def field(rng, value):
    """As CSV, quoted where it must be, sometimes where it need not, and sometimes badly."""
    if rng.random() < 0.01:
        return rng.choice(('"a"b', 'a"b"', '"a""b', ' "x"', '""'))
    if any(c in value for c in ',"\r\n') or rng.random() < 0.2:
        return '"' + value.replace('"', '""') + '"'
    return value


def row(rng):
    """One line of an export, mostly a good one."""
    time = rng.choice(BAD_TIMES) if rng.random() < 0.08 else rng.choice(GOOD_TIMES)
    fields = [time, text(rng), f"u{rng.randrange(99)}", count(rng), count(rng), count(rng), "x"]
    if rng.random() < 0.04:
        del fields[rng.randrange(7):]
    if rng.random() < 0.03:
        fields.append("more")
    return ",".join(field(rng, value) for value in fields)


def export(seed):
    """Whole bytes of an export: any encoding and line ends, blank lines, perhaps cut off."""
    rng = random.Random(seed)
    end = rng.choice(("\n", "\r\n", "\r"))
    lines = [HEADER] + [row(rng) for _ in range(rng.randint(0, 40))]
    whole = "".join(line + end * rng.choice((1, 1, 1, 1, 1, 2)) for line in lines)
    if rng.random() < 0.2:
        whole = whole.removesuffix(end)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "cp1252", "random"))
    if encoding == "cp1252":
        data = whole.encode("cp1252", errors="ignore") + rng.choice((b"", b"\x81", b"1/1/17 1:00,\xe9\x8d"))
    elif encoding == "random":
        data = bytearray(whole.encode("utf-8"))
        for _ in range(rng.randint(1, 20)):
            at = rng.randrange(len(HEADER) + 2, len(data) + 1)
            data[at:at] = bytes([rng.randrange(256)])
        data = bytes(data)
    else:
        data = whole.encode(encoding)
    if rng.random() < 0.15:
        data = data[:rng.randrange(len(HEADER) + 5, len(data) + 6)]
    return data


def export_like_the_real_one():
    """About as many posts as the real file, not UTF-8, damaged, with references in the text."""
    rng = random.Random(20171020)
    end, lines = "\r\n", [HEADER]
    for number in range(3207):
        words = " ".join(rng.choice(WORDS[:33]) for _ in range(rng.randint(5, 20)))
        link = " https://t.co/" + "".join(rng.choices("abcXYZ019", k=10))
        start = rng.choices(("", "RT @friend: ", "@friend "), (85, 10, 5))[0]
        body = start + words.replace("\ufffd", "") + " &amp; more #fun" + link * rng.randint(0, 1)
        time = f"{rng.randint(1, 12)}/{rng.randint(1, 28)}/{rng.randint(7, 17):02} {rng.randint(0, 23)}:{rng.randint(0, 59):02}"
        counts = [str(int(rng.paretovariate(0.7) * 50) % 10**6) for _ in range(3)]
        lines.append(",".join([time, f'"{body}"', f"https://example.org/{number}", *counts, "x"]))
    text = (end.join(lines) + end).encode("cp1252", errors="ignore")
    return text.replace(b" more ", b" m\x81\x8dre ", 40)
