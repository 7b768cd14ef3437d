"""The text towers of CLIP and SigLIP, from words to embeddings in the space of the pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .vit import Block, Normalise


@dataclass(frozen=True)
class TextConfig:
    vocabulary: int
    context: int  # most tokens of a text
    dim: int
    depth: int
    heads: int
    hidden_dim: int
    embedding_dim: int
    activation: str = "quick_gelu"  # as VitConfig's
    norm_eps: float = 1e-5
    # CLIP: a token sees those before it, and the end token's state is the embedding. SigLIP: all
    # see all, every text is filled up to `context`, and the last token's state is the embedding.
    causal: bool = True
    layer_scale: bool = False
    normalise: bool = False


class TextTransformer(nn.Module):
    """Texts to embeddings ``[B, embedding_dim]``; ``tokenizer`` gives the ids of one text."""

    def __init__(self, config: TextConfig, tokenizer: nn.Module):
        super().__init__()
        self.tokenizer = tokenizer
        self.context = config.context
        self.causal = config.causal
        self.embedding = nn.Embedding(config.vocabulary, config.dim)
        self.positions = nn.Parameter(torch.zeros(config.context, config.dim))
        self.blocks = nn.ModuleList(Block(config, config.causal) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.projection = nn.Linear(config.dim, config.embedding_dim)
        self.normalise = Normalise() if config.normalise else nn.Identity()

    def forward(self, texts: list[str]) -> torch.Tensor:
        rows = [self.tokenizer(text) for text in texts]
        ends = [len(row) - 1 for row in rows]
        length = self.context
        if self.causal:
            # Nothing is seen of what stands behind the end token, so no text is filled up more
            # than its batch needs. An end token written in the text ends it.
            ends = [row.index(self.tokenizer.end) for row in rows]
            length = max(ends) + 1
        for i, row in enumerate(rows):
            rows[i] = (row + [self.tokenizer.end] * length)[:length]
            if not self.causal:
                ends[i] = length - 1
        weight = self.embedding.weight
        ids = torch.tensor(rows, dtype=torch.long, device=weight.device)
        tokens = self.embedding(ids) + self.positions[:length]
        for block in self.blocks:
            tokens = block(tokens)
        places = torch.tensor(ends, dtype=torch.long, device=weight.device)
        states = tokens[torch.arange(len(texts), device=weight.device), places]
        return self.normalise(self.projection(self.norm(states)))
