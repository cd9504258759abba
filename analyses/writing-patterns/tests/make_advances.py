"""Makes app/advances.json, the widths of DejaVu Sans Bold, from the font file.

    python3 analyses/writing-patterns/tests/make_advances.py > analyses/writing-patterns/app/advances.json

Also what the tests measure with where the font is installed. The tables are those
of the OpenType specification: head, hhea, hmtx, cmap (formats 4 and 12).
"""

import json
import struct
import sys
import unicodedata
from pathlib import Path

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf")


class Font:
    """Widths and line height of a TrueType font, in units per em."""

    def __init__(self, path=FONT):
        self._data = Path(path).read_bytes()
        count = struct.unpack_from(">H", self._data, 4)[0]
        self._tables = {}
        for at in range(12, 12 + 16 * count, 16):
            tag, _, offset, _ = struct.unpack_from(">4sIII", self._data, at)
            self._tables[tag.decode("ascii")] = offset
        self.units_per_em = self._read("head", 18, ">H")[0]
        self.ascent, descent = self._read("hhea", 4, ">hh")
        self.descent = -descent
        self._metrics = self._read("hhea", 34, ">H")[0]
        self.glyphs = self._cmap()

    def _read(self, table, offset, form):
        return struct.unpack_from(form, self._data, self._tables[table] + offset)

    def advance(self, code):
        """The advance width of a code point, or None where the font lacks it."""
        glyph = self.glyphs.get(code)
        if glyph is None:
            return None
        return self._read("hmtx", 4 * min(glyph, self._metrics - 1), ">H")[0]

    def _cmap(self):
        count = self._read("cmap", 2, ">H")[0]
        glyphs = {}
        for at in range(4, 4 + 8 * count, 8):
            platform, encoding, offset = self._read("cmap", at, ">HHI")
            form = self._read("cmap", offset, ">H")[0]
            if platform == 3 and encoding == 1 and form == 4:
                glyphs.update(self._format_4(offset))
            elif platform == 3 and encoding == 10 and form == 12:
                glyphs.update(self._format_12(offset))
        return glyphs

    def _format_4(self, offset):
        segments = self._read("cmap", offset + 6, ">H")[0] // 2
        row = lambda index: self._read("cmap", offset + 14 + index, f">{segments}H")
        ends, starts = row(0), row(2 * segments + 2)
        deltas, ranges_at = row(4 * segments + 2), offset + 14 + 6 * segments + 2
        for index in range(segments):
            shift = self._read("cmap", ranges_at + 2 * index, ">H")[0]
            for code in range(starts[index], min(ends[index], 0xFFFE) + 1):
                glyph = code
                if shift:
                    at = ranges_at + 2 * index + shift + 2 * (code - starts[index])
                    glyph = self._read("cmap", at, ">H")[0]
                    if not glyph:
                        continue
                glyph = (glyph + deltas[index]) & 0xFFFF
                if glyph:
                    yield code, glyph

    def _format_12(self, offset):
        groups = self._read("cmap", offset + 12, ">I")[0]
        for at in range(offset + 16, offset + 16 + 12 * groups, 12):
            start, end, glyph = self._read("cmap", at, ">III")
            for code in range(start, end + 1):
                yield code, glyph + code - start


def wanted(code):
    """Whether a word may hold the character."""
    return chr(code) in "'\u2019\u2026" or unicodedata.category(chr(code))[0] in "LM"


def main():
    font = Font()
    runs = []
    for code in sorted(filter(wanted, font.glyphs)):
        if not runs or runs[-1][0] + len(runs[-1][1]) != code:
            runs.append([code, []])
        runs[-1][1].append(font.advance(code))
    json.dump({
        "font": "DejaVu Sans Bold",
        "units_per_em": font.units_per_em,
        "ascent": font.ascent,
        "descent": font.descent,
        "runs": runs,
    }, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
