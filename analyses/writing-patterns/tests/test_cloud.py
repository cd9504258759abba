"""The picture: measured as a reader of the SVG would, with the real font if it is there."""

import json
import random
import sys
import unittest
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The folders that images are built from stay free of bytecode.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "app"))
sys.path.insert(0, str(HERE))

import cloud  # noqa: E402
import make_advances  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def entries(words, count=lambda index: 1):
    return [{"word": word, "count": count(index)} for index, word in enumerate(words)]


def luminance(colour):
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    """WCAG 2.2, contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class Measured(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.font = make_advances.Font() if make_advances.FONT.exists() else None

    def width(self, text, size):
        """By the font file where it is installed, else by the table made from it."""
        if self.font is None:
            return cloud.Font().width(text) * size
        em = self.font.units_per_em
        advances = [self.font.advance(ord(character)) for character in text]
        if None in advances:
            return None
        return sum(advances) / em * size

    def check(self, top_words):
        """Draws and measures; the texts shown."""
        root = ElementTree.fromstring(cloud.draw(top_words))
        width, height = float(root.get("width")), float(root.get("height"))
        background = root.find(f"{SVG}rect").get("fill")
        font = cloud.Font()
        boxes, texts = [], []
        for element in root.iter(f"{SVG}text"):
            size, x, y = (float(element.get(name)) for name in ("font-size", "x", "y"))
            self.assertGreaterEqual(size, 9)
            self.assertGreaterEqual(contrast(element.get("fill"), background), 4.5)
            told, real = float(element.get("textLength")), self.width(element.text, size)
            if real is not None:
                self.assertAlmostEqual(told, real, delta=0.02)
            box = (x, y - font.ascent * size, x + told, y + font.descent * size)
            self.assertGreaterEqual(min(box[:2]), 0, element.text)
            self.assertLessEqual(box[2], width, element.text)
            self.assertLessEqual(box[3], height, element.text)
            boxes.append(box)
            texts.append(element.text)
        for (a, one), (b, other) in combinations(zip(texts, boxes), 2):
            apart = (
                one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
            )
            self.assertTrue(apart, f"{a} {one} meets {b} {other}")
        self.assertEqual(len(texts), len(top_words))
        return texts

    def test_from_one_word_to_a_hundred(self):
        rng = random.Random(1)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        for number in (1, 2, 3, 7, 20, 50, 75, 100):
            words = ["".join(rng.choices(letters, k=rng.randint(2, 14))) for _ in range(number)]
            self.check(entries(words, lambda index: 1 + 400 // (index + 1)))

    def test_words_that_are_all_as_frequent(self):
        self.check(entries([f"word{'abcdefghij'[n // 10]}{'abcdefghij'[n % 10]}" for n in range(100)]))

    def test_one_word_far_ahead(self):
        letters = "abcdefghij"
        words = [f"w{letters[n // 10]}{letters[n % 10]}" for n in range(100)]
        self.check(entries(words, lambda index: 1 if index else 10**9))

    def test_long_words_are_cut(self):
        texts = self.check(entries([chr(97 + n % 26) * (200 + n) for n in range(100)]))
        self.assertEqual(set(map(len, texts)), {cloud.LONGEST_CHARACTERS})

    def test_scripts_that_the_font_has_and_has_not(self):
        words = ["слово", "λέξη", "мир", "漢字", "日本語の", "ภาษา", "हिन्दी", "كلمة", "e\u0301te\u0301", "don’t"]
        self.check(entries([word * (n % 3 + 1) for n in range(10) for word in words]))

    def test_markup_is_escaped(self):
        root = ElementTree.fromstring(cloud.draw(entries(["a<b>&\"'c"])))
        self.assertEqual(root.find(f".//{SVG}text").text, "a<b>&\"'c")

    def test_same_words_same_picture(self):
        words = entries(["bread", "flour", "water"], lambda index: 9 - index)
        self.assertEqual(cloud.draw(words), cloud.draw(words))

    def test_every_colour_has_contrast(self):
        for colour in cloud.COLOURS:
            self.assertGreaterEqual(contrast(colour, cloud.BACKGROUND), 4.5, colour)

    def test_the_table_is_that_of_the_font(self):
        table = json.loads((HERE.parent / "app" / "advances.json").read_text("utf-8"))
        # Known widths of the font, so that this holds where it is not installed too.
        self.assertEqual((table["units_per_em"], table["ascent"], table["descent"]), (2048, 1901, 483))
        self.assertAlmostEqual(cloud.Font().width("m") * 2048, 2134)
        if self.font is None:
            print("DejaVu Sans Bold is not installed: its table is not compared with it", file=sys.stderr)
            return
        for start, advances in table["runs"]:
            for at, advance in enumerate(advances):
                self.assertEqual(self.font.advance(start + at), advance)


if __name__ == "__main__":
    unittest.main()
