"""wordcloud.svg: the top words, larger where they are more frequent.

Every word gets a box, its advance width by the height of a line, and no two
boxes touch. Widths are those of DejaVu Sans Bold (advances.json, made from the
font) and `textLength` holds other fonts to them, so that the picture is the same
where that font is missing.
"""

import json
import math
import unicodedata
from html import escape
from pathlib import Path

WIDTH = 900
HEIGHT = 520
MARGIN = 16
LARGEST_PX = 84
# Still 9 px where the picture is shown at 70 % of its size.
SMALLEST_PX = 13
LONGEST_CHARACTERS = 24
BACKGROUND = "#ffffff"
# Contrast with the background at least 4.5 (WCAG 2.2); a test computes it.
COLOURS = ("#123f78", "#0b6e69", "#8a3d6b", "#1d5c94", "#a3481c", "#3c4a5a")
# Boxes are placed on a grid of this many pixels, with one free cell between two.
CELL = 2
# Words never fill more of the canvas than this: not worth a try.
FULLEST = 0.6


class Font:
    """Widths and line height in em."""

    def __init__(self):
        table = json.loads((Path(__file__).parent / "advances.json").read_text("utf-8"))
        em = table["units_per_em"]
        self.ascent, self.descent = table["ascent"] / em, table["descent"] / em
        self._advances = {
            start + at: advance / em
            for start, advances in table["runs"]
            for at, advance in enumerate(advances)
        }

    def width(self, text):
        """The width of a text. A character that the font lacks counts one em, which
        is what its replacements are at most; a mark without a width of its own, none."""
        total = 0.0
        for character in text:
            advance = self._advances.get(ord(character))
            if advance is None:
                advance = 0.0 if unicodedata.combining(character) else 1.0
            total += advance
        return total


class Grid:
    """Which cells of the canvas are taken, one integer of bits a row."""

    def __init__(self, width, height):
        self.columns, self.rows = width // CELL, height // CELL
        self._taken = [0] * self.rows

    def take(self, left, top, columns, rows):
        """Takes the cells if all are free and on the canvas; whether it did."""
        if left < 0 or top < 0 or left + columns > self.columns or top + rows > self.rows:
            return False
        bits = ((1 << columns) - 1) << left
        if any(taken & bits for taken in self._taken[top:top + rows]):
            return False
        for row in range(top, top + rows):
            self._taken[row] |= bits
        return True


def shown(word):
    """The word, cut where it is too long for the picture."""
    if len(word) <= LONGEST_CHARACTERS:
        return word
    return word[:LONGEST_CHARACTERS - 1] + "\u2026"


def spiral(turn):
    """Points around the middle, ever further out, in units of the half canvas."""
    for step in range(4000):
        distance = step / 4000 * 1.42
        angle = turn + math.sqrt(step) * 1.1
        yield distance * math.cos(angle), distance * math.sin(angle)


def place(font, texts, sizes, height):
    """(left, baseline, width) of each text in pixels, or None when they do not fit."""
    line = font.ascent + font.descent
    widths = [font.width(text) * size for text, size in zip(texts, sizes)]
    area = sum(width * line * size for width, size in zip(widths, sizes))
    if area > FULLEST * WIDTH * height:
        return None
    grid = Grid(WIDTH - 2 * MARGIN, height - 2 * MARGIN)
    placed = []
    for index, (width, size) in enumerate(zip(widths, sizes)):
        # One cell more on every side than the box needs.
        columns = math.ceil(width / CELL) + 2
        rows = math.ceil(line * size / CELL) + 1
        for x, y in spiral(index * 2.4):
            left = round((grid.columns - columns) / 2 + x * grid.columns / 2)
            top = round((grid.rows - rows) / 2 + y * grid.rows / 2)
            if grid.take(left, top, columns, rows):
                baseline = MARGIN + top * CELL + font.ascent * size
                placed.append((MARGIN + (left + 1) * CELL, baseline, width))
                break
        else:
            return None
    return placed


def layout(font, texts, counts):
    """Sizes, places and the canvas height: the largest sizes at which all words fit."""
    height, largest = HEIGHT, LARGEST_PX
    while True:
        # The area of a word grows with its count.
        sizes = [
            round(max(SMALLEST_PX, largest * math.sqrt(count / counts[0])), 1)
            for count in counts
        ]
        if placed := place(font, texts, sizes, height):
            return sizes, placed, height
        if largest > SMALLEST_PX:
            largest = max(largest * 0.92, SMALLEST_PX)
        else:
            # Very wide words: more room rather than text that nobody can read.
            height += 80


def draw(top_words):
    """The picture as an SVG document, from the result's top_words."""
    if not top_words:
        return document(HEIGHT, [
            f'<text x="{WIDTH / 2:g}" y="{HEIGHT / 2:g}" text-anchor="middle" font-size="20" '
            f'fill="#56636f">No words to show</text>'
        ])
    font = Font()
    texts = [shown(entry["word"]) for entry in top_words]
    sizes, placed, height = layout(font, texts, [entry["count"] for entry in top_words])
    lines = []
    for index, (entry, text, size, (x, y, width)) in enumerate(
        zip(top_words, texts, sizes, placed)
    ):
        times = "once" if entry["count"] == 1 else f"{entry['count']} times"
        lines.append(
            f'<g><title>{escape(text)}: {times}</title>'
            f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" '
            f'fill="{COLOURS[index % len(COLOURS)]}" textLength="{width:.2f}" '
            f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text></g>'
        )
    return document(height, lines)


def document(height, lines):
    """The frame around the words."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title" '
        "font-family=\"'DejaVu Sans', Verdana, sans-serif\" font-weight=\"bold\">",
        '<title id="title">The most frequent words</title>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{BACKGROUND}"/>',
        *lines,
        "</svg>",
        "",
    ])
