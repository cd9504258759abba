"""Makes src/entities.tsv, the names of the HTML Standard, from Python's table.

    python3 analyses/posts-clean/tests/entities.py > analyses/posts-clean/src/entities.tsv
"""

from html.entities import html5

for name, value in sorted(html5.items()):
    print(name, " ".join(f"{ord(c):x}" for c in value), sep="\t")
