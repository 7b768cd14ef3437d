"""The one vision transformer that all its families are brought to: ViT, DeiT, DINOv2, CLIP, SigLIP.

They differ in what the configuration below says and in how their files name the weights. With one
network under one set of names, a package of any of them can be tuned, and the fast forms in
``fast`` read its weights without knowing the family.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class VitConfig:
    height_px: int  # of the input; what is left over a multiple of patch_px is not looked at
    width_px: int
    patch_px: int
    dim: int
    depth: int
    heads: int
    hidden_dim: int  # of the block's multi-layer perceptron
    prefix_tokens: int = 1  # before the patches: the class token first, then registers and others
    activation: str = "gelu"  # "gelu" (by erf), "gelu_tanh" or "quick_gelu" (x * sigmoid(1.702 x))
    norm_eps: float = 1e-6
    pre_norm: bool = False  # CLIP: a layer norm before the first block
    layer_scale: bool = False  # DINOv2: each branch is scaled by a vector before it is added
    # What becomes of the last hidden state after its layer norm: "cls" the class token, "mean" of
    # the patches, "cls_mean" both, one after the other, "gem" the patches' generalised mean,
    # "attention" SigLIP's head, in which a learned query attends to all tokens.
    pooling: str = "cls"
    projection_dim: int = 0  # 0: none
    normalise: bool = False  # embeddings of length 1

    @property
    def patches(self) -> int:
        return (self.height_px // self.patch_px) * (self.width_px // self.patch_px)

    @property
    def pooled_dim(self) -> int:
        return 2 * self.dim if self.pooling == "cls_mean" else self.dim

    @property
    def embedding_dim(self) -> int:
        return self.projection_dim or self.pooled_dim


def architecture(family: str, config: VitConfig) -> str:
    """The manifest's ``architecture``: what the shapes of the weights do not say."""
    parts = [f"{family} patch{config.patch_px} heads{config.heads} {config.activation}"]
    parts.append(f"eps{config.norm_eps:g} {config.pooling}")
    if config.projection_dim:
        parts.append("projected")
    if config.normalise:
        parts.append("normalised")
    return " ".join(parts)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, causal: bool = False):
        super().__init__()
        self.heads = heads
        self.causal = causal  # a token sees itself and what stands before it: CLIP's text tower
        self.qkv = nn.Linear(dim, 3 * dim)  # rows: all of q, all of k, all of v
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, dim = tokens.shape
        split = self.qkv(tokens).view(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, count, dim))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden_dim: int, activation: str):
        super().__init__()
        self.activation = activation
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.fc1(tokens)
        if self.activation == "quick_gelu":
            hidden = hidden * torch.sigmoid(1.702 * hidden)
        elif self.activation == "gelu_tanh":
            hidden = functional.gelu(hidden, approximate="tanh")
        else:
            hidden = functional.gelu(hidden)
        return self.fc2(hidden)


class LayerScale(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        return branch * self.scale


class Block(nn.Module):
    """``config`` is a VitConfig, or the TextConfig of ``text``, which has the same fields."""

    def __init__(self, config, causal: bool = False):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.attention = Attention(config.dim, config.heads, causal)
        self.scale1 = LayerScale(config.dim) if config.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.mlp = Mlp(config.dim, config.hidden_dim, config.activation)
        self.scale2 = LayerScale(config.dim) if config.layer_scale else nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.scale1(self.attention(self.norm1(tokens)))
        return tokens + self.scale2(self.mlp(self.norm2(tokens)))


class TokenPooling(nn.Module):
    """Every pooling without weights: "cls", "mean" and "cls_mean"."""

    def __init__(self, config: VitConfig):
        super().__init__()
        self.kind = config.pooling
        self.prefix_tokens = config.prefix_tokens

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.kind == "cls":
            return tokens[:, 0]
        mean = tokens[:, self.prefix_tokens :].mean(dim=1)
        if self.kind == "mean":
            return mean
        return torch.cat([tokens[:, 0], mean], dim=1)


class GemPooling(nn.Module):
    """Generalised mean of the patches (Radenovic et al., TPAMI 2019): a power between the mean, at
    1, and the maximum.
    """

    def __init__(self, config: VitConfig):
        super().__init__()
        self.prefix_tokens = config.prefix_tokens
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        positive = tokens[:, self.prefix_tokens :].clamp(min=1e-6)
        return positive.pow(self.power).mean(dim=1).pow(1.0 / self.power)


class AttentionPooling(nn.Module):
    """SigLIP's head: one learned query over all tokens, then a perceptron."""

    def __init__(self, config: VitConfig):
        super().__init__()
        self.heads = config.heads
        self.query = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.q = nn.Linear(config.dim, config.dim)
        self.kv = nn.Linear(config.dim, 2 * config.dim)  # rows: all of k, all of v
        self.out = nn.Linear(config.dim, config.dim)
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.mlp = Mlp(config.dim, config.hidden_dim, config.activation)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, dim = tokens.shape
        size = dim // self.heads
        q = self.q(self.query).view(1, 1, self.heads, size).transpose(1, 2)
        k, v = (
            self.kv(tokens).view(batch, count, 2, self.heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        )
        mixed = functional.scaled_dot_product_attention(q.expand(batch, -1, -1, -1), k, v)
        pooled = self.out(mixed.transpose(1, 2).reshape(batch, dim))
        return pooled + self.mlp(self.norm(pooled))


_poolings = {
    "cls": TokenPooling,
    "mean": TokenPooling,
    "cls_mean": TokenPooling,
    "gem": GemPooling,
    "attention": AttentionPooling,
}


class Normalise(nn.Module):
    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return functional.normalize(embeddings, dim=1)


class VisionTransformer(nn.Module):
    """Pixels float32 ``[B, 3, height, width]`` to embeddings ``[B, embedding_dim]``.

    ``prefix`` holds the class token and its like with their positions already added, ``positions``
    those of the patches, row by row: both are the same for every picture.
    """

    def __init__(self, config: VitConfig):
        super().__init__()
        self.patch = nn.Conv2d(3, config.dim, config.patch_px, stride=config.patch_px)
        self.prefix = nn.Parameter(torch.zeros(config.prefix_tokens, config.dim))
        self.positions = nn.Parameter(torch.zeros(config.patches, config.dim))
        self.pre_norm = (
            nn.LayerNorm(config.dim, eps=config.norm_eps) if config.pre_norm else nn.Identity()
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.pooling = _poolings[config.pooling](config)
        self.projection = (
            nn.Linear(config.pooled_dim, config.projection_dim, bias=False)
            if config.projection_dim
            else nn.Identity()
        )
        self.normalise = Normalise() if config.normalise else nn.Identity()

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """All tokens after the last layer norm, the prefix first: ``[B, N, dim]``."""
        patches = self.patch(pixels).flatten(2).transpose(1, 2) + self.positions
        prefix = self.prefix.unsqueeze(0).expand(pixels.size(0), -1, -1)
        tokens = self.pre_norm(torch.cat([prefix, patches], dim=1))
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def local_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Those of the patches alone: ``[B, patches, dim]``."""
        return self.tokens(pixels)[:, self.prefix.size(0) :]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.normalise(self.projection(self.pooling(self.tokens(pixels))))
