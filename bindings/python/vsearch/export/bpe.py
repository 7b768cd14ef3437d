"""CLIP's tokenizer in TorchScript: byte pair encoding (Sennrich et al., ACL 2016) over bytes.

It follows transformers' CLIPTokenizer: normal form NFC, white space, lower case, then words, then
merges. It does not follow the first CLIP's clean-up (ftfy, HTML entities), nor does transformers.
"""

from __future__ import annotations

import json

from torch import nn

from . import ExportError
from .unicode_text import UnicodeText

_NORMALIZER = ["NFC", "Replace", "Lowercase"]
_PATTERN = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


class BpeTokenizer(nn.Module):
    """``forward``: text to token ids, the start token first, the end token last, at most
    ``context``.
    """

    def __init__(self, description: dict, context: int):
        """``description``: the JSON of a tokenizer of the library `tokenizers`."""
        super().__init__()
        _check(description)
        vocabulary = description["model"]["vocab"]
        unknown = vocabulary[description["model"]["unk_token"]]
        bytes_as_chars = _byte_chars()
        self.unicode = UnicodeText()
        self.context = context
        # What no text tower sees of a word is left away: the time for one grows with the square of
        # its length.
        self.max_word_bytes = context * max(map(len, vocabulary))
        self.start = int(description["post_processor"]["cls"][1])
        self.end = int(description["post_processor"]["sep"][1])
        self.byte_ids = [vocabulary.get(char, unknown) for char in bytes_as_chars]
        self.last_byte_ids = [vocabulary.get(char + "</w>", unknown) for char in bytes_as_chars]
        self.vocabulary_size = max(vocabulary.values()) + 1
        self.ranks, self.merged = {}, []
        for rank, (left, right) in enumerate(description["model"]["merges"]):
            self.ranks[vocabulary[left] * self.vocabulary_size + vocabulary[right]] = rank
            self.merged.append(vocabulary[left + right])
        added = description["added_tokens"]
        self.specials = [[ord(char) for char in token["content"]] for token in added]
        self.special_ids = [token["id"] for token in added]
        # Found in the text as it is normalised, or as it was written.
        self.specials_are_normalised = added[0]["normalized"]

    def forward(self, text: str) -> list[int]:
        points = self.unicode.decode(text)
        if self.specials_are_normalised:
            points = self.normalise(points)
        ids = [self.start]
        begin = 0
        i = 0
        while i < len(points) and len(ids) < self.context:
            special = self.special_at(points, i) if points[i] == 60 else -1
            if special < 0:
                i += 1
                continue
            self.add_words(points[begin:i], ids)
            ids.append(self.special_ids[special])
            i += len(self.specials[special])
            begin = i
        self.add_words(points[begin:], ids)
        ids = ids[: self.context - 1]
        ids.append(self.end)
        return ids

    def normalise(self, points: list[int]) -> list[int]:
        return self.unicode.lower_case(self.unicode.nfc(points))

    def special_at(self, points: list[int], i: int) -> int:
        for special in range(len(self.specials)):
            content = self.specials[special]
            if points[i : i + len(content)] == content:
                return special
        return -1

    def add_words(self, points: list[int], ids: list[int]) -> None:
        if not self.specials_are_normalised:
            points = self.normalise(points)
        kinds = [self.unicode.char_class(point) & 7 for point in points]
        count = len(points)
        i = 0
        while i < count and len(ids) < self.context:
            kind = kinds[i]
            end = i + 1
            if kind == 4:  # white space
                i = end
                continue
            if kind == 1:  # letters
                while end < count and kinds[end] == 1:
                    end += 1
            elif kind == 0:  # neither letters nor numbers; a number is a word of one character
                special = self.special_at(points, i) if points[i] == 60 else -1
                contraction = self.contraction_at(points, i) if points[i] == 39 else 0
                if special >= 0:
                    # Written in capitals: a word, not a token. Its parts are split as below.
                    end = i + len(self.specials[special])
                    self.add_word(points[i : i + 2], ids)
                    self.add_word(points[i + 2 : end - 2], ids)
                    i = end - 2
                elif contraction > 0:
                    end = i + contraction
                else:
                    while end < count and kinds[end] == 0:
                        end += 1
            self.add_word(points[i:end], ids)
            i = end

    def contraction_at(self, points: list[int], i: int) -> int:
        """Length of 's 't 're 've 'm 'll or 'd at ``i``, or 0."""
        if i + 1 >= len(points):
            return 0
        first = points[i + 1]
        if first == 115 or first == 116 or first == 109 or first == 100:
            return 2
        second = points[i + 2] if i + 2 < len(points) else 0
        if ((first == 114 or first == 118) and second == 101) or (first == 108 and second == 108):
            return 3
        return 0

    def rank(self, left: int, right: int) -> int:
        return self.ranks.get(left * self.vocabulary_size + right, 1 << 40)

    def add_word(self, points: list[int], ids: list[int]) -> None:
        """Merges neighbours, the pair of the lowest rank first, until no pair is known."""
        data = self.unicode.utf8(points)[: self.max_word_bytes]
        word = [self.byte_ids[byte] for byte in data[:-1]]
        word.append(self.last_byte_ids[data[-1]])
        ranks = [self.rank(word[k], word[k + 1]) for k in range(len(word) - 1)]
        while len(ranks) > 0:
            lowest = min(ranks)
            if lowest >= 1 << 40:
                break
            k = ranks.index(lowest)
            word[k] = self.merged[lowest]
            word.pop(k + 1)
            ranks.pop(k)
            if k > 0:
                ranks[k - 1] = self.rank(word[k - 1], word[k])
            if k < len(ranks):
                ranks[k] = self.rank(word[k], word[k + 1])
        ids.extend(word)


def read_bpe(folder, context: int) -> BpeTokenizer:
    """The tokenizer of a CLIP folder: tokenizer.json, or vocab.json and merges.txt."""
    from transformers import CLIPTokenizer

    names = ("tokenizer.json", "vocab.json")
    if not any((folder / name).is_file() for name in names):
        raise ExportError(
            f"{folder} has no tokenizer (tokenizer.json, or vocab.json and merges.txt); "
            "add it, or leave the text tower away with --no-text"
        )
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        return BpeTokenizer(json.loads(tokenizer.backend_tokenizer.to_str()), context)
    except ExportError:
        raise
    except Exception as error:  # transformers and tokenizers raise whatever they please
        raise ExportError(f"{folder}: the tokenizer cannot be read: {error}") from error


def _check(description: dict) -> None:
    """Refuses a tokenizer that is not CLIP's, rather than giving other tokens than it does."""
    normalizers = (description["normalizer"] or {}).get("normalizers", [])
    splits = (description["pre_tokenizer"] or {}).get("pretokenizers", [{}])
    model, added = description["model"], description["added_tokens"]
    known = (
        [step["type"] for step in normalizers] == _NORMALIZER
        and splits[0].get("pattern") == {"Regex": _PATTERN}
        and [split["type"] for split in splits] == ["Split", "ByteLevel"]
        and model["type"] == "BPE"
        and model["end_of_word_suffix"] == "</w>"
        and not model["continuing_subword_prefix"]
        and not model["ignore_merges"]
        and not any(token["lstrip"] or token["rstrip"] or token["single_word"] for token in added)
        and {token["content"] for token in added} == {"<|startoftext|>", "<|endoftext|>"}
        and len({token["normalized"] for token in added}) == 1
    )
    if not known:
        raise ExportError(
            "the tokenizer differs from CLIP's (NFC, lower case, byte pairs with </w>, no added "
            "tokens); leave the text tower away with --no-text"
        )


def _byte_chars() -> list[str]:
    """The character that stands for each byte in a vocabulary: itself where it can be seen, else
    one from U+0100 on.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    chars, spare = [], 0x100
    for byte in range(256):
        if byte in visible:
            chars.append(chr(byte))
        else:
            chars.append(chr(spare))
            spare += 1
    return chars
