"""BERT's tokenizer in TorchScript: words, and the longest pieces of them that are known (WordPiece;
Devlin et al., NAACL 2019).

It follows transformers' BertTokenizer: control characters go, Chinese signs and punctuation stand
alone, accents and case are taken away where the model's own tokenizer does so.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from . import ExportError
from .hf_preprocess import read_json
from .unicode_text import CONTROL, MARK, PUNCTUATION, SPACE, UnicodeText

_ENDS = {"start": "[CLS]", "end": "[SEP]", "unknown": "[UNK]"}
_WORD_BEGIN, _WORD_REST = 0, 1  # roots of the tree of pieces: "shoe", "##s"
_POINTS = 0x200000  # more than there are code points


class WordPieceTokenizer(nn.Module):
    """``forward``: text to token ids, the start token first, the end token last, at most
    ``context``.
    """

    def __init__(
        self,
        vocabulary: dict[str, int],
        context: int,
        *,
        lower_case: bool = True,
        strip_accents: bool = True,
        split_chinese: bool = True,
    ):
        super().__init__()
        lacking = [token for token in _ENDS.values() if token not in vocabulary]
        if lacking:
            raise ExportError(f"the vocabulary has no token {lacking[0]}; it is not BERT's kind")
        self.unicode = UnicodeText()
        self.context = context
        self.lower_case = lower_case
        self.strip_accents = strip_accents
        self.split_chinese = split_chinese
        self.start = vocabulary[_ENDS["start"]]
        self.end = vocabulary[_ENDS["end"]]
        self.unknown = vocabulary[_ENDS["unknown"]]
        self.vocabulary_size = max(vocabulary.values()) + 1
        self.most_of_a_word = 100
        self.space = SPACE
        self.mark = MARK
        self.punctuation = PUNCTUATION
        self.control = CONTROL
        self.word_begin = _WORD_BEGIN
        self.word_rest = _WORD_REST
        self.points = _POINTS
        self.edges, self.pieces = _tree(vocabulary)

    def forward(self, text: str) -> list[int]:
        ids = [self.start]
        word: list[int] = []
        for point in self.normalise(self.unicode.decode(text)):
            if len(ids) >= self.context:
                break
            kind = self.unicode.char_class(point)
            if kind & (self.space | self.punctuation) == 0:
                word.append(point)
                continue
            self.add_word(word, ids)
            word.clear()
            if kind & self.punctuation > 0:
                word.append(point)
                self.add_word(word, ids)
                word.clear()
        self.add_word(word, ids)
        ids = ids[: self.context - 1]
        ids.append(self.end)
        return ids

    def normalise(self, points: list[int]) -> list[int]:
        kept: list[int] = []
        for point in points:
            kind = self.unicode.char_class(point)
            # Beyond the tables lie tags, selectors of variants and private characters.
            if point == 0xFFFD or point >= 0xE0000 or kind & self.control > 0:
                continue
            if kind & self.space > 0:
                kept.append(32)
            elif self.split_chinese and self.is_chinese(point):
                kept.extend([32, point, 32])
            else:
                kept.append(point)
        if self.strip_accents:
            plain: list[int] = []
            for point in self.unicode.order(self.unicode.decompose(kept)):
                if self.unicode.char_class(point) & self.mark == 0:
                    plain.append(point)
            kept = plain
        if self.lower_case:
            kept = self.unicode.lower_case(kept)
        return kept

    def is_chinese(self, point: int) -> bool:
        if point < 0x3400:
            return False
        return (
            (point >= 0x4E00 and point <= 0x9FFF)
            or (point >= 0x3400 and point <= 0x4DBF)
            or (point >= 0x20000 and point <= 0x2A6DF)
            or (point >= 0x2A700 and point <= 0x2B73F)
            or (point >= 0x2B740 and point <= 0x2B81F)
            or (point >= 0x2B820 and point <= 0x2CEAF)
            or (point >= 0xF900 and point <= 0xFAFF)
            or (point >= 0x2F800 and point <= 0x2FA1F)
        )

    def add_word(self, word: list[int], ids: list[int]) -> None:
        """The longest piece that the word begins with, then the longest of the rest; a word that
        has a part of no piece is unknown as a whole."""
        if len(word) == 0:
            return
        if len(word) > self.most_of_a_word:
            ids.append(self.unknown)
            return
        found: list[int] = []
        begin = 0
        while begin < len(word):
            node = self.word_begin if begin == 0 else self.word_rest
            piece = -1
            end = begin
            i = begin
            while i < len(word):
                node = self.edges.get(node * self.points + word[i], -1)
                if node < 0:
                    break
                i += 1
                if self.pieces[node] >= 0:
                    piece = self.pieces[node]
                    end = i
            if piece < 0:
                ids.append(self.unknown)
                return
            found.append(piece)
            begin = end
        ids.extend(found)


def _tree(vocabulary: dict[str, int]) -> tuple[dict[int, int], list[int]]:
    """All pieces as a tree of code points: from a node and a point to the next node; and each
    node's piece, or -1.
    """
    edges: dict[int, int] = {}
    pieces = [-1, -1]
    for piece, number in vocabulary.items():
        node, rest = _WORD_BEGIN, piece
        if piece.startswith("##") and len(piece) > 2:
            node, rest = _WORD_REST, piece[2:]
        for char in rest:
            edge = node * _POINTS + ord(char)
            if edge not in edges:
                edges[edge] = len(pieces)
                pieces.append(-1)
            node = edges[edge]
        pieces[node] = number
    return edges, pieces


def read_wordpiece(folder: Path, context: int, lower_case: bool = False) -> WordPieceTokenizer:
    """The tokenizer in vocab.txt, as tokenizer_config.json says that it is used; ``lower_case``:
    behind texts in lower case, whatever it says.
    """
    path = folder / "vocab.txt"
    if not path.exists():
        raise ExportError(f"{path} is missing; the tokenizer's vocabulary stands there")
    options = read_json(folder, "tokenizer_config.json")
    kind = (options.get("tokenizer_class") or "BertTokenizer").removesuffix("Fast")
    if kind != "BertTokenizer":
        raise ExportError(
            f"{folder / 'tokenizer_config.json'}: tokenizer_class is {kind}; sentence encoders "
            "with BERT's tokenizer can be exported"
        )
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    takes_lower_case = bool(options.get("do_lower_case", True))
    accents = options.get("strip_accents")
    return WordPieceTokenizer(
        {line.rstrip("\r"): number for number, line in enumerate(lines)},
        context,
        lower_case=takes_lower_case or lower_case,
        strip_accents=takes_lower_case if accents is None else bool(accents),
        split_chinese=bool(options.get("tokenize_chinese_chars", True)),
    )
