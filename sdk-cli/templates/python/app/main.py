"""NAME: counts the words of a text.

Reads /in/text and /in/params.json, writes /out/words.csv and /out/result.json. Nothing else can be reached
from here: no network, no other files. What is printed is a log, never a result; exit code 0 says that
/out/result.json is complete.
"""

import collections
import csv
import json
import re
import sys
from pathlib import Path

IN = Path("/in")
OUT = Path("/out")

WORD = re.compile(r"[^\W\d_]+")


def main():
    params = json.loads((IN / "params.json").read_text("utf-8"))
    counts = collections.Counter()
    lines = 0
    # Line by line: the input may be larger than the memory limit.
    with open(IN / "text", encoding="utf-8", errors="replace") as text:
        for line in text:
            lines += 1
            counts.update(WORD.findall(line.lower()))
    # By count, then by the word itself: the same input gives the same bytes.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    with open(OUT / "words.csv", "w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["word", "count"])
        writer.writerows(ranked)
    result = {
        "lines": lines,
        "words": counts.total(),
        "distinct_words": len(counts),
        "top": [{"word": word, "count": count} for word, count in ranked[: params["top"]]],
    }
    (OUT / "result.json").write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(f"{result['words']} words in {lines} lines", file=sys.stderr)


if __name__ == "__main__":
    main()
