"""SigLIP's tokenizer in TorchScript: SentencePiece's unigram model (Kudo, ACL 2018).

It follows transformers' SiglipTokenizer: lower case, no punctuation, one space between words, then
SentencePiece's own normalisation, then the likeliest split into pieces by Viterbi's algorithm.
"""

from __future__ import annotations

import json
import string
import struct
from pathlib import Path

from torch import nn

from . import ExportError
from .unicode_text import CASE_IGNORABLE, CASED, SPACE, UnicodeText

_NORMAL, _UNKNOWN, _CONTROL, _UNUSED = 1, 2, 3, 5  # types of pieces
_UNKNOWN_PENALTY = 10.0  # below the least likely piece, as in SentencePiece
_CASES = (CASED, CASE_IGNORABLE, SPACE)


class UnigramTokenizer(nn.Module):
    """``forward``: text to token ids, the end token last, at most ``context``; not filled up."""

    def __init__(self, model: dict, context: int):
        """``model``: what ``read_model`` gives."""
        super().__init__()
        self.unicode = UnicodeText()
        self.context = context
        names = [piece for piece, _, _ in model["pieces"]]
        self.end = names.index("</s>")
        self.unknown = names.index("<unk>")
        self.space_piece = names.index("▁") if "▁" in names else -1
        self.vocabulary_size = len(names)
        self.scores = [score for _, score, _ in model["pieces"]]
        usable = [score for _, score, kind in model["pieces"] if kind == _NORMAL]
        self.unknown_score = self.as_float32(min(usable) - _UNKNOWN_PENALTY)
        self.trie, self.piece_at = _trie(model["pieces"])
        self.punctuation = {ord(char): True for char in string.punctuation}
        self.specials = [[ord(char) for char in name] for name in ("</s>", "<unk>")]
        self.special_ids = [self.end, self.unknown]

        self.dummy_prefix = model["dummy_prefix"]
        self.trims = model["trims"]
        self.has_map = len(model["map"]) > 0
        self.map = model["map"] or [0]  # TorchScript needs to see what a list holds
        self.replacements = model["replacements"] or [0]
        self.cased, self.ignorable, self.space = _CASES
        # transformers puts this before every text, against SentencePiece's trimming of spaces, and
        # takes its tokens away again.
        self.guard = list(b"<unk>")
        self.guard_count = len(self.pieces(self.guard))

    def forward(self, text: str) -> list[int]:
        points = [32 if point == 0x2581 else point for point in self.unicode.decode(text)]
        points.insert(0, 0x2581)
        ids: list[int] = []
        begin = 0
        i = 0
        while i < len(points):
            special = self.special_at(points, i) if points[i] == 60 else -1
            if special < 0:
                i += 1
                continue
            ids.extend(self.segment(points[begin:i]))
            if begin == 0 and len(ids) == 1 and ids[0] == self.space_piece:
                ids.pop()
            ids.append(self.special_ids[special])
            i += len(self.specials[special])
            begin = i
        ids.extend(self.segment(points[begin:]))
        ids = ids[: self.context - 1]
        if len(ids) == 0 or ids[-1] != self.end:
            ids.append(self.end)
        return ids

    def special_at(self, points: list[int], i: int) -> int:
        for special in range(len(self.specials)):
            content = self.specials[special]
            if points[i : i + len(content)] == content:
                return special
        return -1

    def segment(self, points: list[int]) -> list[int]:
        """Token ids of a text without special tokens."""
        if len(points) == 0:
            return []
        ids = self.pieces(self.guard + self.unicode.utf8(self.canonical(points)))
        return ids[self.guard_count :] if len(ids) >= self.guard_count else ids

    def canonical(self, points: list[int]) -> list[int]:
        """Lower case, no ASCII punctuation, one space for any white space, none at the ends."""
        result: list[int] = []
        pending = False
        for point in self.lower(points):
            if self.is_space(point):
                pending = len(result) > 0
            elif point not in self.punctuation:
                if pending:
                    result.append(32)
                result.append(point)
                pending = False
        return result

    def is_space(self, point: int) -> bool:
        """As Python's ``str.isspace``, which counts four separators in."""
        if point >= 0x1C and point <= 0x1F:
            return True
        return self.unicode.char_class(point) & self.space > 0

    def lower(self, points: list[int]) -> list[int]:
        """As Python's ``str.lower``: a sigma at the end of a word has its own small letter."""
        if 0x3A3 not in points:
            return self.unicode.lower_case(points)
        points = points[:]
        for i in range(len(points)):
            if points[i] == 0x3A3 and self.is_final(points, i):
                points[i] = 0x3C2
        return self.unicode.lower_case(points)

    def is_final(self, points: list[int], i: int) -> bool:
        before = i - 1
        while before >= 0 and self.unicode.char_class(points[before]) & self.ignorable > 0:
            before -= 1
        after = i + 1
        while after < len(points) and self.unicode.char_class(points[after]) & self.ignorable > 0:
            after += 1
        if before < 0 or self.unicode.char_class(points[before]) & self.cased == 0:
            return False
        return after >= len(points) or self.unicode.char_class(points[after]) & self.cased == 0

    def normalise(self, data: list[int]) -> list[int]:
        """SentencePiece's normalisation of UTF-8, spaces as U+2581."""
        result: list[int] = []
        begin = 0
        if self.trims:
            while begin < len(data):
                replacement, length = self.replace(data, begin)
                if replacement != [32]:
                    break
                begin += length
        if begin >= len(data):
            return result
        if self.dummy_prefix:
            result.extend([0xE2, 0x96, 0x81])
        after_space = self.trims
        while begin < len(data):
            replacement, length = self.replace(data, begin)
            begin += length
            for byte in replacement:
                if byte == 32:
                    if not after_space:
                        result.extend([0xE2, 0x96, 0x81])
                        after_space = self.trims
                else:
                    result.append(byte)
                    after_space = False
        if self.trims:
            while len(result) >= 3 and result[-3:] == [0xE2, 0x96, 0x81]:
                result = result[:-3]
        return result

    def replace(self, data: list[int], begin: int) -> tuple[list[int], int]:
        """What stands for the longest known prefix at ``begin``, and its length in bytes; for an
        unknown one the character itself.
        """
        best = -1
        best_length = 0
        if self.has_map:  # a double-array trie (Aoe, 1989) as the library Darts-clone stores it
            node = self.offset(self.map[0])
            i = begin
            while i < len(data):
                node = node ^ data[i]
                unit = self.map[node]
                if unit & 0x800000FF != data[i]:
                    break
                i += 1
                node = node ^ self.offset(unit)
                if unit >> 8 & 1 == 1:
                    best = self.map[node] & 0x7FFFFFFF
                    best_length = i - begin
        if best < 0:
            length = self.char_length(data[begin])
            return data[begin : begin + length], length
        end = best
        while self.replacements[end] != 0:
            end += 1
        return self.replacements[best:end], best_length

    def offset(self, unit: int) -> int:
        return (unit >> 10) << ((unit & 512) >> 6)

    def char_length(self, first: int) -> int:
        if first < 0x80:
            return 1
        return 2 if first < 0xE0 else 3 if first < 0xF0 else 4

    def as_float32(self, value: float) -> float:
        """The nearest float32, by Veltkamp's splitting: "i" + "ii" and "ii" + "i" are equally
        likely but for rounding, and SentencePiece sums in float32.
        """
        scaled = value * 536870913.0
        return scaled - (scaled - value)

    def pieces(self, text: list[int]) -> list[int]:
        """The likeliest split of UTF-8 into pieces; neighbours that are unknown become one."""
        data = self.normalise(text)
        count = len(data)
        scores = [0.0] * (count + 1)  # of the best split that ends here
        starts = [-1] * (count + 1)  # of the last piece in it
        ids = [-1] * (count + 1)
        i = 0
        while i < count:
            length = self.char_length(data[i])
            score = scores[i]
            whole = False  # the character alone is a piece
            node = 0
            j = i
            while j < count:
                node = self.trie.get(node * 256 + data[j], -1)
                if node < 0:
                    break
                j += 1
                piece = self.piece_at[node]
                if piece >= 0:
                    candidate = self.as_float32(score + self.scores[piece])
                    if starts[j] < 0 or candidate > scores[j]:
                        scores[j] = candidate
                        starts[j] = i
                        ids[j] = piece
                    whole = whole or j - i == length
            if not whole:
                j = i + length
                candidate = self.as_float32(score + self.unknown_score)
                if starts[j] < 0 or candidate > scores[j]:
                    scores[j] = candidate
                    starts[j] = i
                    ids[j] = self.unknown
            i += length
        result: list[int] = []
        j = count
        while j > 0:
            if ids[j] != self.unknown or len(result) == 0 or result[-1] != self.unknown:
                result.append(ids[j])
            j = starts[j]
        result.reverse()
        return result


def read_unigram(folder: Path, context: int) -> UnigramTokenizer:
    """The tokenizer of a SigLIP folder, from its spiece.model."""
    hint = "leave the text tower away with --no-text"
    path = folder / "spiece.model"
    settings = _settings(folder)
    kind = settings.get("tokenizer_class", "SiglipTokenizer")
    if kind != "SiglipTokenizer":
        raise ExportError(
            f"{folder}: its tokenizer is \"{kind}\" (SigLIP 2 has Gemma's), and of SigLIP's "
            f"tokenizers only SiglipTokenizer is supported; {hint}"
        )
    if not path.is_file():
        raise ExportError(f"{folder} has no tokenizer (spiece.model); add it, or {hint}")
    try:
        model = read_model(path.read_bytes())
    except (LookupError, TypeError, ValueError, struct.error) as error:
        raise ExportError(f"{path} is not a SentencePiece model: {error}; {hint}") from error
    names = [piece for piece, _, _ in model["pieces"]]
    known = (
        model["unigram"]
        and {"</s>", "<unk>"} <= set(names)
        and all(type_ in (_NORMAL, _UNKNOWN, _CONTROL, _UNUSED) for _, _, type_ in model["pieces"])
        and settings.get("do_lower_case", True)
        and settings["specials"] <= {"</s>", "<unk>"}
        and settings["pad"] == "</s>"
    )
    if not known:
        raise ExportError(
            f"{folder}: the tokenizer differs from SigLIP's (SentencePiece unigram without user "
            f"symbols or bytes, lower case, filled up with </s>); {hint}"
        )
    return UnigramTokenizer(model, context)


def _settings(folder: Path) -> dict:
    path = folder / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error

    def content(token) -> str:
        return token["content"] if isinstance(token, dict) else token

    added = settings.get("added_tokens_decoder", {}).values()
    named = [settings.get(key) for key in ("eos_token", "unk_token", "pad_token")]
    settings["specials"] = {content(token) for token in [*added, *named] if token}
    settings["pad"] = content(settings.get("pad_token") or "</s>")
    return settings


def read_model(data: bytes) -> dict:
    """What is needed of a SentencePiece model, a protocol buffer (sentencepiece_model.proto)."""
    fields = _fields(data)
    pieces = []
    for piece in fields.get(1, []):
        parts = _fields(piece)
        score = struct.unpack("<f", parts[2][0])[0] if 2 in parts else 0.0
        pieces.append((parts[1][0].decode(), score, parts.get(3, [_NORMAL])[0]))
    if not pieces:
        raise ValueError("it holds no pieces")
    trainer = _fields(fields[2][0]) if 2 in fields else {}
    normaliser = _fields(fields[3][0]) if 3 in fields else {}
    compiled = normaliser.get(2, [b""])[0]
    size = struct.unpack_from("<I", compiled)[0] if compiled else 0
    return {
        "pieces": pieces,
        "unigram": trainer.get(3, [1])[0] == 1
        and not trainer.get(35, [0])[0]  # byte_fallback
        and not trainer.get(24, [0])[0]  # treat_whitespace_as_suffix
        and normaliser.get(5, [1])[0] == 1,  # escape_whitespaces
        "dummy_prefix": bool(normaliser.get(3, [1])[0]),
        "trims": bool(normaliser.get(4, [1])[0]),
        "map": [unit for (unit,) in struct.iter_unpack("<I", compiled[4 : 4 + size])],
        "replacements": list(compiled[4 + size :]),
    }


def _fields(data: bytes) -> dict[int, list]:
    """The fields of a protocol buffer's message by number: integers, or bytes."""
    fields: dict[int, list] = {}
    i = 0

    def varint() -> int:
        nonlocal i
        value = shift = 0
        while True:
            byte = data[i]
            i += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while i < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            value = varint()
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire) or varint()
            if i + length > len(data):
                raise ValueError("a field is longer than the file")
            value = data[i : i + length]
            i += length
        else:
            raise ValueError(f"a field has the unknown wire type {wire}")
        fields.setdefault(number, []).append(value)
    return fields


def _trie(pieces: list[tuple[str, float, int]]) -> tuple[dict[int, int], list[int]]:
    """Children by node * 256 + byte, and the piece that ends at each node, or -1."""
    children: dict[int, int] = {}
    piece_at = [-1]
    for number, (piece, _, kind) in enumerate(pieces):
        if kind != _NORMAL:
            continue
        node = 0
        for byte in piece.encode():
            key = node * 256 + byte
            if key not in children:
                children[key] = len(piece_at)
                piece_at.append(-1)
            node = children[key]
        piece_at[node] = number
    return children, piece_at
