"""The text towers of Hugging Face CLIP and SigLIP models, with their tokenizers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from . import ExportError
from .bpe import read_bpe
from .hf_vision import activation, copy_block, copy_weights
from .text import TextConfig, TextTransformer
from .unigram import read_unigram


def convert(family: str, model: nn.Module, folder: Path) -> tuple[TextConfig, TextTransformer]:
    """The text tower of the transformers model ``model``, which was loaded from ``folder``."""
    source, config = model.text_model, model.text_model.config
    head = model.text_projection if family == "clip" else source.head
    tokenizer = _tokenizer(family, folder, config)
    ours = TextConfig(
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        dim=config.hidden_size,
        depth=config.num_hidden_layers,
        heads=config.num_attention_heads,
        hidden_dim=config.intermediate_size,
        embedding_dim=head.out_features,
        activation=activation(config.hidden_act),
        norm_eps=config.layer_norm_eps,
        causal=family == "clip",
    )
    tower = TextTransformer(ours, tokenizer).eval()
    with torch.no_grad():
        tower.embedding.weight.copy_(source.embeddings.token_embedding.weight)
        tower.positions.copy_(source.embeddings.position_embedding.weight)
        for block, layer in zip(tower.blocks, source.encoder.layers):
            copy_block(block, layer)
        copy_weights(tower.norm, source.final_layer_norm)
        copy_weights(tower.projection, head)
    return ours, tower


def rebuilt(
    config: TextConfig, tower: TextTransformer, projection: torch.Tensor | None, normalise: bool
) -> TextTransformer:
    """``tower`` with what the pictures' embeddings get too: a linear map behind it, length 1."""
    weights = tower.state_dict()
    if projection is not None:
        weights["projection.weight"] = projection @ weights["projection.weight"]
        weights["projection.bias"] = projection @ weights["projection.bias"]
        config = replace(config, embedding_dim=len(projection))
    changed = TextTransformer(replace(config, normalise=normalise), tower.tokenizer).eval()
    changed.load_state_dict(weights, assign=True)
    return changed


def _tokenizer(family: str, folder: Path, config) -> nn.Module:
    read = read_bpe if family == "clip" else read_unigram
    tokenizer = read(folder, config.max_position_embeddings)
    end = tokenizer.end
    if family == "clip":
        # 2 stands in many published files, where transformers takes the greatest id for the end.
        end = config.vocab_size - 1 if config.eos_token_id == 2 else config.eos_token_id
    if tokenizer.end != end or tokenizer.vocabulary_size > config.vocab_size:
        raise ExportError(
            f"the tokenizer has {tokenizer.vocabulary_size} tokens and ends a text with "
            f"{tokenizer.end}, but config.json says {config.vocab_size} and {end}; "
            "put the model's own tokenizer there, or leave the text tower away with --no-text"
        )
    return tokenizer
