"""What the tests of the exporters share: Hugging Face folders with random weights."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import torch
from vsearch.export import hf

PREPROCESSING = {
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """``model`` with every weight moved: what starts as zeros or ones must not hide a weight that
    was lost on the way.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model.eval()


def write_folder(
    folder: Path, model: torch.nn.Module, pixels: int, **preprocessing: object
) -> Path:
    """``model`` as a Hugging Face folder whose pictures are stretched to ``pixels``."""
    randomised(model).save_pretrained(folder)
    config = {**PREPROCESSING, "size": {"height": pixels, "width": pixels}, **preprocessing}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return folder


# Pieces of texts that tokenizers get wrong.
_PIECES = [
    "a photo of a cat",
    "don't",
    "we'll they've I'm he'd",
    "IT'S",
    "''s",
    "!'s",
    "co-op",
    "_foo_bar",
    "crème brûlée",
    "e\u0301te\u0301",
    "A\u030angstro\u0308m",
    "q\u0323\u0307 q\u0307\u0323",
    "naïve",
    "ﬁ ﬀ",
    "İstanbul",
    "ΣΑΣ",
    "Ǆ ß ẞ",
    "\u0344 \u0958 \u2126",
    "½ Ⅷ ٣",
    "3.14",
    "12345",
    "€5 №7",
    "日本語のテキスト",
    "한국어 \u1112\u1161\u11ab",
    "नमस्ते",
    "العربية",
    "עברית",
    "ไทย",
    "𝔘𝔫𝔦",
    "ＡＢＣ",
    "🐱",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "👍🏽",
    "&amp;",
    "&lt;b&gt;",
    "&#39;",
    "<b>bold</b>",
    "<|endoftext|>",
    "<|startoftext|>",
    "<|ENDOFTEXT|>!",
    "!<|EndOfText|>",
    "</s>",
    "<unk>",
    "\t",
    "\n\n",
    "\u00a0",
    "\u2003",
    "\u200b",
    "\u3000",
    "\x1c",
    "\x85",
    "\u180e",
    "\ufeff",
    "\ufffd",
    "...",
    "!!!",
    "@user #tag",
    "▁",
    "http://x.y/z?q=1&r=2",
    "supercalifragilisticexpialidocious",
    "x" * 90,
    "’s",
    "“quoted”",
    "{} [] ~`^",
]


def odd_texts(count: int) -> list[str]:
    """Texts of all lengths, among them the empty one and more than any text tower takes."""
    random_ = random.Random(0)
    texts = ["", " ", "one two " * 60]
    while len(texts) < count:
        parts = []
        for _ in range(random_.choice([1, 2, 3, 5, 8, 30])):
            if random_.random() < 0.8:
                parts.append(random_.choice(_PIECES))
            else:
                first, last = random_.choice(
                    [
                        (0x20, 0x7F),
                        (0x80, 0x530),
                        (0x300, 0x370),
                        (0x1100, 0x1200),
                        (0xAC00, 0xD7A4),
                    ]
                )
                parts.append("".join(chr(random_.randrange(first, last)) for _ in range(5)))
            parts.append(random_.choice(["", " ", " ", "  "]))
        texts.append("".join(parts))
    return texts


def write_clip_tokenizer(folder: Path, merges: int = 400) -> None:
    """A small vocabulary of CLIP's kind, learned from such texts, as vocab.json and merges.txt."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=3 * len(alphabet) + merges,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(odd_texts(300), trainer)
    learned = json.loads(learner.to_str())["model"]["merges"]
    tokens = alphabet + [char + "</w>" for char in alphabet]
    tokens += [left + right for left, right in learned]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    lines = [" ".join(merge) for merge in learned]
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )


def write_bert_tokenizer(folder: Path) -> None:
    """A small vocabulary of BERT's kind, learned from such texts, as vocab.txt."""
    from tokenizers import BertWordPieceTokenizer

    learner = BertWordPieceTokenizer(lowercase=True)
    texts = [*odd_texts(600), *(text.title() for text in odd_texts(100))]
    learner.train_from_iterator(texts, vocab_size=1200, min_frequency=1, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    learner.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )


def write_siglip_tokenizer(folder: Path, **options: object) -> None:
    """A small SentencePiece model of SigLIP's kind, learned from such texts, as spiece.model."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    texts = [text.lower().replace("\n", " ") for text in odd_texts(600) if text.strip()]
    with open(folder / "spiece.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            **{
                "sentence_iterator": iter(texts),
                "model_writer": file,
                "vocab_size": 4000,
                "hard_vocab_limit": False,
                "character_coverage": 0.98,
                "max_sentence_length": 100_000,
                "pad_id": 0,
                "eos_id": 1,
                "unk_id": 2,
                "bos_id": -1,
                "minloglevel": 2,
                **options,
            }
        )


# Without fast forms, which have tests of their own and take longer than all the rest.
export = functools.partial(hf.export, precisions=())
