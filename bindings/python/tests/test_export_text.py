"""Text towers: tokenizers in TorchScript give the tokens of transformers' own, towers its
embeddings.
"""

import gzip
import importlib.util
import io
import json
import shutil
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from export_support import (  # noqa: E402
    export,
    odd_texts,
    randomised,
    write_bert_tokenizer,
    write_clip_tokenizer,
    write_folder,
    write_siglip_tokenizer,
)
from vsearch.export import (  # noqa: E402
    ExportError,
    bpe,
    hf_text,
    package,
    sentence,
    unigram,
    wordpiece,
)

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 48,
}
TEXTS = ["a photo of a cat", "Crème brûlée 日本 🐱", "", "one <|endoftext|> two", "red shoes " * 60]


def reloaded(module):
    """``module`` scripted, saved and loaded: what a reader of the package gets."""
    archive = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(package.script(module), archive)
        archive.seek(0)
        return torch.jit.load(archive)


def clip_model(vocabulary, **options):
    return transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config={**SMALL, "vocab_size": vocabulary, **options},
            vision_config={**SMALL, "image_size": 32, "patch_size": 8},
            projection_dim=16,
        )
    )


@pytest.fixture(scope="module")
def clip_vocabulary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    write_clip_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def clip_size(clip_vocabulary):
    return len(json.loads((clip_vocabulary / "vocab.json").read_text()))


@pytest.fixture(scope="module")
def clip_folder(clip_vocabulary, clip_size, tmp_path_factory):
    """A whole CLIP model of random weights: 16 dimensions, pictures of 32 x 32."""
    folder = tmp_path_factory.mktemp("clip") / "small-clip"
    write_folder(folder, clip_model(clip_size, eos_token_id=clip_size - 1), 32)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((clip_vocabulary / name).read_bytes())
    return folder


# --- CLIP's tokenizer -----------------------------------------------------------------------------


def assert_equal_tokens(folder, texts):
    reference = transformers.CLIPTokenizer.from_pretrained(folder)
    expected = reference(texts, truncation=True, max_length=77)["input_ids"]
    tokenizer = reloaded(bpe.read_bpe(folder, 77))
    for text, ids in zip(texts, expected):
        assert tokenizer(text) == ids, repr(text)


def test_clip_tokens_equal_the_reference(clip_vocabulary):
    assert_equal_tokens(clip_vocabulary, odd_texts(2000))


def test_clip_tokens_equal_the_reference_with_the_published_vocabulary(tmp_path):
    found = importlib.util.find_spec("open_clip")
    if found is None:
        pytest.skip("open_clip_torch, which ships CLIP's vocabulary, is not installed")
    path = Path(found.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    chars = bpe._byte_chars()
    tokens = sorted(chars, key=ord)  # the published order: what can be seen, then the rest
    tokens += [char + "</w>" for char in tokens]
    tokens += [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    assert_equal_tokens(tmp_path, odd_texts(2000))


def test_special_tokens_that_are_found_in_normalised_text(clip_vocabulary, tmp_path):
    """As published: "normalized": true, so capitals are found too."""
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((clip_vocabulary / name).read_bytes())
    size = len(json.loads((tmp_path / "vocab.json").read_text()))
    token = {"lstrip": False, "rstrip": False, "single_word": False, "special": True}
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "added_tokens_decoder": {
                    str(size - 2): {**token, "content": "<|startoftext|>", "normalized": True},
                    str(size - 1): {**token, "content": "<|endoftext|>", "normalized": True},
                },
            }
        )
    )
    assert bpe.read_bpe(tmp_path, 77).specials_are_normalised
    assert_equal_tokens(tmp_path, odd_texts(300))


class CutBytes(torch.nn.Module):
    """Gives the tokenizer what only C++ can: the first ``count`` bytes of a text."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, text: str, count: int) -> list[int]:
        return self.tokenizer(text[:count])


def test_bytes_that_are_no_utf8_become_replacement_characters(clip_vocabulary):
    tokenizer = reloaded(CutBytes(bpe.read_bpe(clip_vocabulary, 77)))
    text = "a é日🐱"
    whole = text.encode()
    for count in range(len(whole) + 1):
        # Each byte of a broken character stands for one U+FFFD.
        valid = whole[:count].decode(errors="ignore")
        broken = count - len(valid.encode())
        assert tokenizer(text, count) == tokenizer(valid + "\ufffd" * broken, 1000)


@pytest.mark.parametrize(
    "word", ["x" * 200_000, "a" + "\u0301\u0323" * 50_000], ids=["letters", "marks"]
)
def test_long_words_take_bounded_time(clip_vocabulary, word):
    tokenizer = reloaded(bpe.read_bpe(clip_vocabulary, 77))
    reference = transformers.CLIPTokenizer.from_pretrained(clip_vocabulary)
    assert tokenizer(word) == reference(word, truncation=True, max_length=77)["input_ids"]


# --- CLIP -----------------------------------------------------------------------------------------


def test_clip_texts_and_pictures_equal_transformers(clip_folder, tmp_path):
    exported = export(clip_folder, tmp_path / "out.vsm.pt", tokens=True)
    model = transformers.CLIPModel.from_pretrained(clip_folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(clip_folder)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=77, return_tensors="pt")
    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = model.get_text_features(**inputs).pooler_output
        assert torch.allclose(exported.module.encode_text(TEXTS), expected, atol=1e-4)
        expected = model.get_image_features(pictures).pooler_output
        assert torch.allclose(exported.module.encode_image(pictures), expected, atol=1e-4)
        assert exported.module.encode_tokens(pictures).shape == (2, 16, 24)
    assert exported.manifest["text"] is True and exported.manifest["dim"] == 16


def test_golden_texts_hold(clip_folder, tmp_path):
    exported = export(clip_folder, tmp_path / "out.vsm.pt")
    golden = exported.manifest["golden_text"]
    assert [pair["text"] for pair in golden] == list(package.GOLDEN_TEXTS)
    with torch.no_grad():
        embeddings = exported.module.encode_text([pair["text"] for pair in golden])
    for pair, embedding in zip(golden, embeddings):
        assert torch.allclose(embedding, torch.tensor(pair["embedding"]), rtol=1e-4, atol=1e-5)
    without = {key: value for key, value in exported.manifest.items() if key != "golden_text"}
    assert package.fingerprint(package.Package(exported.module, without)) == package.fingerprint(
        exported
    )


def test_projection_and_length_are_those_of_the_pictures(clip_folder, tmp_path):
    from safetensors.torch import save_file

    weight = torch.randn(7, 16, generator=torch.Generator().manual_seed(2))
    save_file({"weight": weight}, tmp_path / "projection.safetensors")
    plain = export(clip_folder, tmp_path / "plain.vsm.pt").module
    changed = export(
        clip_folder,
        tmp_path / "changed.vsm.pt",
        projection=tmp_path / "projection.safetensors",
        normalise=True,
    ).module
    with torch.no_grad():
        expected = torch.nn.functional.normalize(plain.encode_text(TEXTS) @ weight.T, dim=1)
        assert torch.allclose(changed.encode_text(TEXTS), expected, atol=1e-4)


def test_text_tower_can_be_left_away(clip_folder, tmp_path):
    exported = export(clip_folder, tmp_path / "out.vsm.pt", text=False, pooling="mean")
    assert exported.manifest["text"] is False and "golden_text" not in exported.manifest
    assert not hasattr(exported.module, "encode_text")


def test_real_size_of_clips_text_tower(clip_vocabulary, clip_size):
    """In its real width; two of its layers."""
    model = transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config={"num_hidden_layers": 2, "eos_token_id": clip_size - 1},
            vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        )
    )
    model = randomised(model)
    _, tower = hf_text.convert("clip", model, clip_vocabulary)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(clip_vocabulary)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=77, return_tensors="pt")
    with torch.no_grad():
        expected = model.get_text_features(**inputs).pooler_output
        assert (package.script(tower)(TEXTS) - expected).abs().max() <= 1e-4


# --- SigLIP ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def siglip_vocabulary(tmp_path_factory):
    pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("pieces")
    write_siglip_tokenizer(folder)
    return folder


def siglip_model(vocabulary, **options):
    return transformers.SiglipModel(
        transformers.SiglipConfig(
            text_config={**SMALL, "vocab_size": vocabulary, **options},
            vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        )
    )


@pytest.fixture(scope="module")
def siglip_folder(siglip_vocabulary, tmp_path_factory):
    """A whole SigLIP model of random weights: 24 dimensions, pictures of 32 x 32."""
    folder = tmp_path_factory.mktemp("siglip") / "small-siglip"
    write_folder(folder, siglip_model(4000), 32)
    (folder / "spiece.model").write_bytes((siglip_vocabulary / "spiece.model").read_bytes())
    return folder


@pytest.mark.filterwarnings("ignore:This sequence already has")
@pytest.mark.parametrize(
    "options, count",
    [
        ({}, 2000),
        ({"normalization_rule_name": "identity", "add_dummy_prefix": False}, 300),
        ({"normalization_rule_name": "nfkc_cf", "remove_extra_whitespaces": False}, 300),
    ],
)
def test_siglip_tokens_equal_the_reference(tmp_path, options, count):
    pytest.importorskip("sentencepiece")
    write_siglip_tokenizer(tmp_path, **options)
    reference = transformers.SiglipTokenizer.from_pretrained(tmp_path)
    texts = [
        *odd_texts(count),
        "ΟΔΥΣΣΕΥΣ",
        "ΑΣ'",
        "Σ",
        "x Σ",
        "1Σ",
        "ʰΣ",
        "AʰΣ.",
        "a\u0345Σb",
        "▁a ▁",
    ]
    expected = reference(texts, truncation=True, max_length=64)["input_ids"]
    tokenizer = reloaded(unigram.read_unigram(tmp_path, 64))
    for text, ids in zip(texts, expected):
        assert tokenizer(text) == ids, repr(text)


def test_siglip_texts_and_pictures_equal_transformers(siglip_folder, tmp_path):
    exported = export(siglip_folder, tmp_path / "out.vsm.pt")
    model = transformers.SiglipModel.from_pretrained(siglip_folder).eval()
    tokenizer = transformers.SiglipTokenizer.from_pretrained(siglip_folder)
    inputs = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=64, return_tensors="pt"
    )
    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = model.get_text_features(input_ids=inputs["input_ids"]).pooler_output
        assert torch.allclose(exported.module.encode_text(TEXTS), expected, atol=1e-4)
        expected = model.get_image_features(pictures).pooler_output
        assert torch.allclose(exported.module.encode_image(pictures), expected, atol=1e-4)
    assert exported.manifest["text"] is True and exported.manifest["dim"] == 24


def test_real_size_of_siglips_text_tower(siglip_vocabulary):
    """In its real width; two of its layers."""
    model = transformers.SiglipModel(
        transformers.SiglipConfig(
            text_config={"num_hidden_layers": 2},
            vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        )
    )
    _, tower = hf_text.convert("siglip", randomised(model), siglip_vocabulary)
    tokenizer = transformers.SiglipTokenizer.from_pretrained(siglip_vocabulary)
    ids = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=64, return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        expected = model.get_text_features(input_ids=ids).pooler_output
        assert (package.script(tower)(TEXTS) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"tokenizer_class": "GemmaTokenizer"}, r'is "GemmaTokenizer" .SigLIP 2 has Gemma\'s.'),
        ({"do_lower_case": False}, "the tokenizer differs from SigLIP's"),
        ({"pad_token": "<pad>"}, "the tokenizer differs from SigLIP's"),
        ({"added_tokens_decoder": {"9": {"content": "<brand>"}}}, "the tokenizer differs"),
    ],
)
def test_siglip_tokenizers_that_are_not_supported(siglip_vocabulary, tmp_path, settings, message):
    (tmp_path / "spiece.model").write_bytes((siglip_vocabulary / "spiece.model").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ExportError, match=message + ".*--no-text"):
        unigram.read_unigram(tmp_path, 64)


def test_siglip_models_of_another_kind_are_refused(tmp_path):
    pytest.importorskip("sentencepiece")
    for options in ({"model_type": "bpe"}, {"user_defined_symbols": ["<brand>"]}):
        write_siglip_tokenizer(tmp_path, **options)
        with pytest.raises(ExportError, match="the tokenizer differs from SigLIP's"):
            unigram.read_unigram(tmp_path, 64)


def test_siglip_files_that_are_no_models(tmp_path):
    with pytest.raises(ExportError, match=r"has no tokenizer .spiece.model.; add it, or leave"):
        unigram.read_unigram(tmp_path, 64)
    for content in (
        b"",
        b"\xff",
        b"\x0a\x7fabc",
        b"\x08\x01",
        b"\x0a\x02\x10\x01",
        b"no such thing",
    ):
        (tmp_path / "spiece.model").write_bytes(content)
        with pytest.raises(ExportError, match=r"spiece.model is not a SentencePiece model: "):
            unigram.read_unigram(tmp_path, 64)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ExportError, match=r"tokenizer_config.json is not valid JSON"):
        unigram.read_unigram(tmp_path, 64)


# --- what is refused ------------------------------------------------------------------------------


@pytest.fixture
def editable(clip_folder, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in clip_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_model_without_a_tokenizer(editable, tmp_path):
    (editable / "vocab.json").unlink()
    with pytest.raises(ExportError, match=r"model has no tokenizer .* with --no-text"):
        export(editable, tmp_path / "out.vsm.pt")
    assert export(editable, tmp_path / "out.vsm.pt", text=False).manifest["text"] is False


def test_tokenizer_that_cannot_be_read(editable, tmp_path):
    (editable / "vocab.json").write_text("{")
    with pytest.raises(ExportError, match="the tokenizer cannot be read"):
        export(editable, tmp_path / "out.vsm.pt")


def test_tokenizer_of_another_model(editable, clip_size, tmp_path):
    config = json.loads((editable / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 5
    (editable / "config.json").write_text(json.dumps(config))
    message = f"ends a text with {clip_size - 1}, but config.json says {clip_size} and 5; put the"
    with pytest.raises(ExportError, match=message):
        export(editable, tmp_path / "out.vsm.pt")


def test_tokenizer_with_added_tokens(editable, tmp_path):
    tokenizer = transformers.CLIPTokenizer.from_pretrained(editable)
    tokenizer.add_tokens(["<brand>"])
    tokenizer.save_pretrained(editable)
    with pytest.raises(ExportError, match="the tokenizer differs from CLIP's"):
        export(editable, tmp_path / "out.vsm.pt")


def test_pooling_that_leaves_the_space_of_the_words(clip_folder, tmp_path):
    with pytest.raises(ExportError, match=r"--pooling mean leaves the space .*; give --no-text"):
        export(clip_folder, tmp_path / "out.vsm.pt", pooling="mean")


# --- sentence encoders ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sentence_folder(tmp_path_factory):
    """A whole sentence encoder of random weights, as sentence-transformers keeps it."""
    folder = tmp_path_factory.mktemp("sentence") / "small-bert"
    write_bert_tokenizer(folder)
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    config = transformers.BertConfig(
        **SMALL, vocab_size=len(vocabulary), max_position_embeddings=64, hidden_act="gelu"
    )
    randomised(transformers.BertModel(config)).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 48}')
    (folder / "1_Pooling").mkdir()
    write_pooling(folder, "pooling_mode_mean_tokens")
    return folder


def write_pooling(folder, kind):
    modes = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False, kind: True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))


@pytest.mark.parametrize("lower_case", [True, False])
def test_bert_tokens_equal_the_reference(sentence_folder, tmp_path, lower_case):
    (tmp_path / "vocab.txt").write_bytes((sentence_folder / "vocab.txt").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": lower_case})
    )
    reference = transformers.BertTokenizer.from_pretrained(tmp_path)
    tokenizer = reloaded(wordpiece.read_wordpiece(tmp_path, 48))
    texts = odd_texts(2000)
    expected = reference(texts, truncation=True, max_length=48)["input_ids"]
    for text, ids in zip(texts, expected):
        assert tokenizer(text) == ids, repr(text)


@pytest.mark.parametrize("kind", ["pooling_mode_mean_tokens", "pooling_mode_cls_token"])
def test_sentences_equal_the_reference(sentence_folder, tmp_path, kind):
    folder = tmp_path / "model"
    shutil.copytree(sentence_folder, folder)
    write_pooling(folder, kind)
    told = sentence.export(folder, tmp_path / "small.vst.pt", licence="MIT")
    assert (told["name"], told["dim"], told["license"]) == ("model", 24, "MIT")
    module = torch.jit.load(str(tmp_path / "small.vst.pt")).eval()

    model = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    texts = [text for text in TEXTS if "<|" not in text]
    with torch.no_grad():
        together = module.encode_text(texts)
        for text, row in zip(texts, together):
            tokens = tokenizer([text], truncation=True, max_length=48, return_tensors="pt")
            states = model(**tokens).last_hidden_state[0]
            expected = states.mean(0) if kind == "pooling_mode_mean_tokens" else states[0]
            torch.testing.assert_close(row, expected / expected.norm(), atol=1e-5, rtol=1e-4)


def test_what_is_no_sentence_encoder_is_named(sentence_folder, clip_folder, tmp_path):
    def refused(folder):
        with pytest.raises(ExportError) as caught:
            sentence.export(folder, tmp_path / "no.vst.pt")
        assert not (tmp_path / "no.vst.pt").exists()
        return str(caught.value)

    assert "no such folder" in refused(tmp_path / "absent")
    assert 'model_type "clip"' in refused(clip_folder)
    folder = tmp_path / "model"
    shutil.copytree(sentence_folder, folder)
    write_pooling(folder, "pooling_mode_max_tokens")
    assert "pooling_mode_max_tokens" in refused(folder)
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    assert "a module Dense" in refused(folder)
    (folder / "modules.json").unlink()
    (folder / "vocab.txt").unlink()
    assert "vocab.txt is missing" in refused(folder)
