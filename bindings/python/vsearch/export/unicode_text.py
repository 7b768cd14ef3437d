"""Unicode in TorchScript, for the tokenizers of text towers.

A ``str`` of TorchScript is bytes in UTF-8, in C++ as in a script called from Python, so these
modules work on lists of code points. They give the right answer only once they are scripted:
Python's own ``str`` is no bytes.

The tables are made at export, from Python's Unicode data.
"""

from __future__ import annotations

import functools
import unicodedata

from torch import nn

# Bits of a code point's class.
LETTER, NUMBER, SPACE, CASED, CASE_IGNORABLE = 1, 2, 4, 8, 16
# A mark that takes no room of its own; a control, format or private character but a tab, the end of
# a line or a carriage's return.
PUNCTUATION, MARK, CONTROL = 32, 64, 128

_PAGE = 256
_LAST = 0x323AF  # no letter lies beyond but for private use
_HANGUL, _HANGUL_COUNT = 0xAC00, 11172


class UnicodeText(nn.Module):
    """Decoding, classes, lower case and the normal form NFC, by tables."""

    def __init__(self):
        super().__init__()
        tables = _tables()
        self.pages = tables["pages"]
        self.classes = tables["classes"]
        self.lower = tables["lower"]
        self.decompositions = tables["decompositions"]
        self.combining = tables["combining"]
        self.compositions = tables["compositions"]

    def decode(self, text: str) -> list[int]:
        """The code points of UTF-8; every byte that is none becomes U+FFFD."""
        data = [ord(byte) for byte in list(text)]
        points: list[int] = []
        count = len(data)
        i = 0
        while i < count:
            byte = data[i]
            i += 1
            if byte < 0x80:
                points.append(byte)
                continue
            more = 0
            least = 0
            point = 0
            if byte >= 0xC2 and byte < 0xE0:
                more, least, point = 1, 0x80, byte & 0x1F
            elif byte >= 0xE0 and byte < 0xF0:
                more, least, point = 2, 0x800, byte & 0x0F
            elif byte >= 0xF0 and byte < 0xF5:
                more, least, point = 3, 0x10000, byte & 0x07
            valid = more > 0 and i + more <= count
            if valid:
                for k in range(more):
                    valid = valid and data[i + k] & 0xC0 == 0x80
                    point = (point << 6) | (data[i + k] & 0x3F)
                surrogate = point >= 0xD800 and point <= 0xDFFF
                valid = valid and point >= least and point <= 0x10FFFF and not surrogate
            if valid:
                points.append(point)
                i += more
            else:
                points.append(0xFFFD)
        return points

    def char_class(self, point: int) -> int:
        page = point >> 8
        if page >= len(self.pages):
            return 0
        return self.classes[self.pages[page] + (point & 255)]

    def lower_case(self, points: list[int]) -> list[int]:
        """Each code point by itself."""
        result: list[int] = []
        for point in points:
            if point < 0x80:
                result.append(point + 32 if point >= 65 and point <= 90 else point)
            elif point == 0x130:  # the only one that becomes two
                result.append(0x69)
                result.append(0x307)
            else:
                result.append(self.lower.get(point, point))
        return result

    def nfc(self, points: list[int]) -> list[int]:
        """Unicode Standard Annex 15: decompose, order the marks, compose."""
        if len(points) == 0 or max(points) < 0x300:
            return points
        return self.compose(self.order(self.decompose(points)))

    def decompose(self, points: list[int]) -> list[int]:
        result: list[int] = []
        for point in points:
            if point < 0xC0:
                result.append(point)
            elif point >= 0xAC00 and point < 0xAC00 + 11172:
                syllable = point - 0xAC00
                result.append(0x1100 + syllable // 588)
                result.append(0x1161 + syllable % 588 // 28)
                if syllable % 28 > 0:
                    result.append(0x11A7 + syllable % 28)
            elif point in self.decompositions:
                result.extend(self.decompositions[point])
            else:
                result.append(point)
        return result

    def order(self, points: list[int]) -> list[int]:
        """Sorts every run of marks by their combining class, without moving equals."""
        result: list[int] = []
        run: dict[int, list[int]] = {}  # the marks at hand, by class
        for point in points:
            kind = self.combining.get(point, 0) if point >= 0x300 else 0
            if kind > 0:
                if kind in run:
                    run[kind].append(point)
                else:
                    run[kind] = [point]
                continue
            if len(run) > 0:
                self.put_marks(result, run)
            result.append(point)
        self.put_marks(result, run)
        return result

    def put_marks(self, result: list[int], run: dict[int, list[int]]) -> None:
        for kind in sorted(run.keys()):
            result.extend(run[kind])
        run.clear()

    def compose(self, points: list[int]) -> list[int]:
        result: list[int] = []
        starter = -1  # where in `result` the last character of class 0 stands
        previous = 0  # class of the last mark that stands behind it
        for point in points:
            kind = self.combining.get(point, 0) if point >= 0x300 else 0
            if starter >= 0:
                blocked = starter + 1 < len(result) and (previous == 0 or previous >= kind)
                together = -1 if blocked else self.pair(result[starter], point)
                if together >= 0:
                    result[starter] = together
                    continue
            result.append(point)
            if kind == 0:
                starter = len(result) - 1
            previous = kind
        return result

    def pair(self, first: int, second: int) -> int:
        """What two characters compose to, or -1."""
        if first >= 0x1100 and first < 0x1113 and second >= 0x1161 and second < 0x1176:
            return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
        syllable = first - 0xAC00
        open_syllable = syllable >= 0 and syllable < 11172 and syllable % 28 == 0
        if open_syllable and second > 0x11A7 and second < 0x11C3:
            return first + second - 0x11A7
        return self.compositions.get(first * 0x200000 + second, -1)

    def utf8(self, points: list[int]) -> list[int]:
        data: list[int] = []
        for point in points:
            if point < 0x80:
                data.append(point)
            elif point < 0x800:
                data.append(0xC0 | point >> 6)
                data.append(0x80 | point & 0x3F)
            elif point < 0x10000:
                data.append(0xE0 | point >> 12)
                data.append(0x80 | point >> 6 & 0x3F)
                data.append(0x80 | point & 0x3F)
            else:
                data.append(0xF0 | point >> 18)
                data.append(0x80 | point >> 12 & 0x3F)
                data.append(0x80 | point >> 6 & 0x3F)
                data.append(0x80 | point & 0x3F)
        return data


@functools.lru_cache(maxsize=1)
def _tables() -> dict:
    pages: dict[tuple[int, ...], int] = {}
    numbers = []
    for first in range(0, _LAST, _PAGE):
        page = tuple(_class(chr(point)) for point in range(first, first + _PAGE))
        numbers.append(pages.setdefault(page, len(pages)) * _PAGE)
    decompositions, combining, compositions, lower = {}, {}, {}, {}
    for point in range(0x80, _LAST):
        char = chr(point)
        if unicodedata.combining(char):
            combining[point] = unicodedata.combining(char)
        small = char.lower()
        if small != char and len(small) == 1:
            lower[point] = ord(small)
        decomposed = unicodedata.normalize("NFD", char)
        if decomposed == char or _HANGUL <= point < _HANGUL + _HANGUL_COUNT:
            continue
        decompositions[point] = [ord(part) for part in decomposed]
        parts = unicodedata.decomposition(char).split()
        if len(parts) == 2 and unicodedata.normalize("NFC", decomposed) == char:
            compositions[int(parts[0], 16) * 0x200000 + int(parts[1], 16)] = point
    return {
        "pages": numbers,
        "classes": [value for page in pages for value in page],
        "lower": lower,
        "decompositions": decompositions,
        "combining": combining,
        "compositions": compositions,
    }


def _class(char: str) -> int:
    category = unicodedata.category(char)
    value = LETTER if category[0] == "L" else NUMBER if category[0] == "N" else 0
    if char.isspace() and char not in "\x1c\x1d\x1e\x1f":  # Python alone calls these space
        value |= SPACE
    if category in ("Cc", "Cf", "Co") and char not in "\t\n\r":
        value |= CONTROL
    if category[0] == "P" or (category[0] == "S" and char < "\x7f"):
        value |= PUNCTUATION
    if category == "Mn":
        value |= MARK
    # Python tells both properties by its rule for a sigma at the end of a word.
    if ("A" + char + "Σ").lower()[-1] == "ς":
        value |= CASED if ("1" + char + "Σ").lower()[-1] == "ς" else CASE_IGNORABLE
    return value
