"""Sentence encoders, as the library sentence-transformers keeps them: what ``vsx train-text`` can
begin from. A file with ``encode_text(texts) -> [B, dim]`` and the tokenizer inside.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from . import ExportError, hub
from .hf import load_model
from .hf_preprocess import read_json
from .hf_vision import activation, copy_stacked, copy_weights
from .package import write_module
from .vit import Mlp
from .wordpiece import read_wordpiece

MANIFEST_FILE = "vsearch_sentence.json"
FORMAT_VERSION = 1


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        batch, length, dim = tokens.shape
        parts = self.qkv(tokens).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, dim))


class _Layer(nn.Module):
    """BERT's: norms stand behind what is added."""

    def __init__(self, dim: int, heads: int, hidden_dim: int, kind: str, norm_eps: float):
        super().__init__()
        self.attention = _Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, hidden_dim, kind)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)

    def forward(self, tokens: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        tokens = self.norm1(tokens + self.attention(tokens, seen))
        return self.norm2(tokens + self.mlp(tokens))


class SentenceEncoder(nn.Module):
    """Texts to embeddings ``[B, dim]`` of length 1, by BERT and the mean of its tokens or the first
    one.
    """

    def __init__(self, config, tokenizer: nn.Module, pooling: str):
        super().__init__()
        dim = config.hidden_size
        self.tokenizer = tokenizer
        self.takes_mean = pooling == "mean"
        self.embedding = nn.Embedding(config.vocab_size, dim)
        self.positions = nn.Parameter(torch.zeros(config.max_position_embeddings, dim))
        self.norm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(
            _Layer(
                dim,
                config.num_attention_heads,
                config.intermediate_size,
                activation(config.hidden_act),
                config.layer_norm_eps,
            )
            for _ in range(config.num_hidden_layers)
        )

    def forward(self, texts: list[str]) -> torch.Tensor:
        rows = [self.tokenizer(text) for text in texts]
        lengths = [len(row) for row in rows]
        longest = max(lengths)
        for i, row in enumerate(rows):
            rows[i] = row + [0] * (longest - len(row))
        device = self.positions.device
        ids = torch.tensor(rows, dtype=torch.long, device=device)
        ends = torch.tensor(lengths, dtype=torch.long, device=device)
        is_token = torch.arange(longest, device=device)[None] < ends[:, None]
        seen = is_token[:, None, None, :]
        tokens = self.norm(self.embedding(ids) + self.positions[:longest])
        for layer in self.layers:
            tokens = layer(tokens, seen)
        if self.takes_mean:
            weights = is_token[:, :, None].to(tokens.dtype)
            pooled = (tokens * weights).sum(1) / weights.sum(1)
        else:
            pooled = tokens[:, 0]
        return functional.normalize(pooled, dim=1)

    @torch.jit.export
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return self(texts)


def export(
    model: str | Path, output: str | Path, *, name: str = "", licence: str = "", source: str = ""
) -> dict:
    """Writes the sentence encoder ``model``, a folder or a name on Hugging Face, to ``output``, and
    returns its description.
    """
    folder = Path(model)
    if not folder.is_dir():
        if not hub.is_name(str(model)):
            raise ExportError(
                f"{model}: no such folder; give the folder that holds config.json, vocab.txt and "
                "the weights, or the model's name on Hugging Face"
            )
        folder = hub.fetch(str(model))
        source = source or f"Hugging Face, {model}, commit {folder.name}"
        name = name or str(model).split("/")[1]
    name = name or folder.resolve().name
    try:
        encoder = _read(folder)
    except ExportError as error:
        raise ExportError(f"{folder}: {error}") from error
    description = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "license": licence,
        "source": source or f"Hugging Face model folder {name}",
        "dim": encoder.positions.shape[1],
    }
    write_module(encoder, Path(output), {MANIFEST_FILE: json.dumps(description, indent=1)})
    return description


def _read(folder: Path) -> SentenceEncoder:
    model_type = read_json(folder, "config.json").get("model_type")
    if model_type != "bert":
        raise ExportError(
            f'config.json: model_type "{model_type}" is not supported; of sentence encoders bert is'
        )
    source = load_model("BertModel", folder)
    config = source.config
    if getattr(config, "position_embedding_type", "absolute") != "absolute":
        raise ExportError("config.json: only absolute position embeddings are supported")
    _check_modules(folder)
    context, lower_case = config.max_position_embeddings, False
    if (folder / "sentence_bert_config.json").exists():
        limits = read_json(folder, "sentence_bert_config.json")
        context = min(context, int(limits.get("max_seq_length") or context))
        lower_case = bool(limits.get("do_lower_case"))
    tokenizer = read_wordpiece(folder, context, lower_case)
    if tokenizer.vocabulary_size > config.vocab_size:
        raise ExportError(
            f"vocab.txt has {tokenizer.vocabulary_size} tokens, but config.json says "
            f"{config.vocab_size}; put the model's own vocabulary there"
        )
    encoder = SentenceEncoder(config, tokenizer, _pooling(folder)).eval()
    with torch.no_grad():
        _copy(encoder, source)
    return encoder


def _check_modules(folder: Path) -> None:
    """sentence-transformers may put more behind BERT and the pooling than a length of 1."""
    path = folder / "modules.json"
    if not path.exists():
        return
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = [str(one["type"]).split(".")[-1] for one in modules]
    except (ValueError, TypeError, KeyError) as error:
        raise ExportError(
            f"modules.json must hold a list of modules with a type: {error}"
        ) from error
    others = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if others:
        raise ExportError(
            f"modules.json has a module {others[0]}; what can be exported ends with the pooling"
        )


def _pooling(folder: Path) -> str:
    if not (folder / "1_Pooling" / "config.json").exists():
        return "mean"
    config = read_json(folder / "1_Pooling", "config.json")
    chosen = sorted(
        key for key, value in config.items() if key.startswith("pooling_mode_") and value
    )
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(chosen) != 1 or chosen[0] not in known:
        raise ExportError(
            f"1_Pooling/config.json takes {', '.join(chosen) or 'nothing'}; the mean of the tokens "
            "or the first one can be exported"
        )
    return known[chosen[0]]


def _copy(encoder: SentenceEncoder, source: nn.Module) -> None:
    embeddings = source.embeddings
    encoder.embedding.weight.copy_(embeddings.word_embeddings.weight)
    # Every token is of the first of the two texts that BERT can tell apart.
    encoder.positions.copy_(
        embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
    )
    copy_weights(encoder.norm, embeddings.LayerNorm)
    for ours, theirs in zip(encoder.layers, source.encoder.layer):
        own = theirs.attention.self
        copy_stacked(ours.attention.qkv, [own.query, own.key, own.value])
        copy_weights(ours.attention.out, theirs.attention.output.dense)
        copy_weights(ours.norm1, theirs.attention.output.LayerNorm)
        copy_weights(ours.mlp.fc1, theirs.intermediate.dense)
        copy_weights(ours.mlp.fc2, theirs.output.dense)
        copy_weights(ours.norm2, theirs.output.LayerNorm)
