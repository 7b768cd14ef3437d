"""The fast form of the vision transformer in floating point: float32 and bfloat16.

The same function as ``VisionTransformer`` in ``..vit``, written for oneDNN: linear layers over
prepacked weights with activation and residual fused into them, attention as two matrix products
around a softmax with its scale folded into q, layer scale folded into the weights before it.

Where one query is asked about all tokens (the class token in the last block, the head of SigLIP),
``OneQuery`` computes attention without keys and values.
"""

from __future__ import annotations

import torch
from torch import nn

from ..vit import VitConfig
from .layers import Linear, Norm, PatchEmbedding

# x sigmoid(a x) is swish(a x) / a, and swish is what oneDNN has: a goes into the weights.
QUICK_GELU = 1.702


class Attention(nn.Module):
    def __init__(self, config: VitConfig, dtype: torch.dtype):
        super().__init__()
        self.heads = config.heads
        self.size = config.dim // config.heads
        self.qkv = Linear(dtype)
        self.out = Linear(dtype)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str, scale: torch.Tensor) -> None:
        """``scale``: what the branch is scaled by before it is added, ``[dim]``."""
        dim = self.heads * self.size
        weight, bias = weights[name + ".qkv.weight"], weights[name + ".qkv.bias"]
        q_scale = torch.ones([3 * dim])
        q_scale[:dim] = self.size**-0.5
        self.qkv.pack(weight * q_scale.unsqueeze(1), bias * q_scale)
        self.out.pack(
            weights[name + ".out.weight"] * scale.unsqueeze(1), weights[name + ".out.bias"] * scale
        )

    def forward(self, tokens: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        mixed = mix_heads(self.qkv(tokens), self.heads, self.size)
        return self.out.add_to(residual, mixed.reshape(residual.shape))


def mix_heads(qkv: torch.Tensor, heads: int, size: int) -> torch.Tensor:
    """``[B, N, 3 * heads * size]``, q scaled, to ``[B, N, heads, size]``, which is not
    contiguous.
    """
    batch, count = qkv.size(0), qkv.size(1)
    split = qkv.view(batch, count, 3, heads, size).permute(2, 0, 3, 1, 4)
    q = split[0].reshape(batch * heads, count, size)
    k = split[1].reshape(batch * heads, count, size)
    v = split[2].reshape(batch * heads, count, size)
    mixed = torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)), -1), v)
    return mixed.view(batch, heads, count, size).transpose(1, 2)


class Mlp(nn.Module):
    def __init__(self, config: VitConfig, dtype: torch.dtype):
        super().__init__()
        self.inner = QUICK_GELU if config.activation == "quick_gelu" else 1.0
        self.fc1 = Linear(dtype, config.activation)
        self.fc2 = Linear(dtype)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str, scale: torch.Tensor) -> None:
        self.fc1.pack(
            weights[name + ".fc1.weight"] * self.inner, weights[name + ".fc1.bias"] * self.inner
        )
        self.fc2.pack(
            weights[name + ".fc2.weight"] * (scale / self.inner).unsqueeze(1),
            weights[name + ".fc2.bias"] * scale,
        )

    def forward(self, tokens: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        return self.fc2.add_to(residual, self.fc1(tokens))


def branch_scale(
    weights: dict[str, torch.Tensor], name: str, dim: int, present: bool
) -> torch.Tensor:
    return weights[name + ".scale"] if present else torch.ones([dim])


class Block(nn.Module):
    def __init__(self, config: VitConfig, dtype: torch.dtype):
        super().__init__()
        self.dim = config.dim
        self.layer_scale = config.layer_scale
        self.norm1 = Norm(config.dim, config.norm_eps)
        self.attention = Attention(config, dtype)
        self.norm2 = Norm(config.dim, config.norm_eps)
        self.mlp = Mlp(config, dtype)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        self.norm1.pack(weights[name + ".norm1.weight"], weights[name + ".norm1.bias"])
        self.norm2.pack(weights[name + ".norm2.weight"], weights[name + ".norm2.bias"])
        self.attention.pack(
            weights,
            name + ".attention",
            branch_scale(weights, name + ".scale1", self.dim, self.layer_scale),
        )
        self.mlp.pack(
            weights,
            name + ".mlp",
            branch_scale(weights, name + ".scale2", self.dim, self.layer_scale),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = self.attention(self.norm1(tokens), tokens)
        return self.mlp(self.norm2(tokens), tokens)


class OneQuery(nn.Module):
    """Attention of one query a head over all tokens x, without their keys and values:
    ``q . (K x) = (K^T q) . x``, where the bias of K is the same for every token and leaves the
    softmax as it is, and ``sum a V x = V sum a x``. Two small products in place of two large ones.
    """

    def __init__(self, heads: int, size: int):
        super().__init__()
        self.heads = heads
        self.size = size
        self.keys = torch.empty(0)  # [heads, size, dim]
        self.values = torch.empty(0)  # [heads, dim, size]
        self.bias = torch.empty(0)  # of the values, [heads * size]

    @torch.jit.export
    def pack(self, kv: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        split = kv.detach().to(dtype).view(2, self.heads, self.size, -1)
        self.keys = (split[0] * self.size**-0.5).contiguous()
        self.values = split[1].transpose(1, 2).contiguous()
        self.bias = bias.detach().to(dtype)[self.heads * self.size :].clone()

    def forward(self, query: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """``query [B, heads * size]`` with its bias, ``tokens [B, N, dim]``."""
        batch = query.size(0)
        by_head = query.view(batch, self.heads, self.size).transpose(0, 1)
        towards = torch.bmm(by_head, self.keys).transpose(0, 1)  # [B, heads, dim]
        attention = torch.softmax(torch.bmm(towards, tokens.transpose(1, 2)), -1)
        mixed = torch.bmm(attention, tokens).transpose(0, 1)  # [heads, B, dim]
        return torch.bmm(mixed, self.values).transpose(0, 1).reshape(batch, -1) + self.bias


class ClassBlock(nn.Module):
    """The last block, for the class token alone: ``[B, N, dim]`` to ``[B, dim]``."""

    def __init__(self, config: VitConfig, dtype: torch.dtype):
        super().__init__()
        self.dim = config.dim
        self.dtype = dtype
        self.layer_scale = config.layer_scale
        self.norm1 = Norm(config.dim, config.norm_eps)
        self.query = Linear(dtype)
        self.attention = OneQuery(config.heads, config.dim // config.heads)
        self.out = Linear(dtype)
        self.norm2 = Norm(config.dim, config.norm_eps)
        self.mlp = Mlp(config, dtype)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        self.norm1.pack(weights[name + ".norm1.weight"], weights[name + ".norm1.bias"])
        self.norm2.pack(weights[name + ".norm2.weight"], weights[name + ".norm2.bias"])
        weight, bias = (
            weights[name + ".attention.qkv.weight"],
            weights[name + ".attention.qkv.bias"],
        )
        self.query.pack(weight[: self.dim], bias[: self.dim])
        self.attention.pack(weight[self.dim :], bias[self.dim :], self.dtype)
        scale = branch_scale(weights, name + ".scale1", self.dim, self.layer_scale)
        self.out.pack(
            weights[name + ".attention.out.weight"] * scale.unsqueeze(1),
            weights[name + ".attention.out.bias"] * scale,
        )
        self.mlp.pack(
            weights,
            name + ".mlp",
            branch_scale(weights, name + ".scale2", self.dim, self.layer_scale),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens.to(self.dtype)
        normed = self.norm1(tokens)
        mixed = self.attention(self.query(normed[:, 0]), normed)
        token = self.out.add_to(tokens[:, 0].contiguous(), mixed)
        return self.mlp(self.norm2(token), token)


class TokenPooling(nn.Module):
    def __init__(self, config: VitConfig):
        super().__init__()
        self.kind = config.pooling
        self.prefix_tokens = config.prefix_tokens
        self.power = 1.0

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        if self.kind == "gem":
            self.power = float(weights[name + ".power"].item())

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.kind == "cls":  # the last block left nothing else
            return tokens
        patches = tokens[:, self.prefix_tokens :]
        if self.kind == "gem":
            positive = patches.clamp(min=1e-6)
            return positive.pow(self.power).mean(1).pow(1.0 / self.power)
        mean = patches.mean(1)
        return mean if self.kind == "mean" else torch.cat([tokens[:, 0], mean], 1)


class AttentionPooling(nn.Module):
    def __init__(self, config: VitConfig):
        super().__init__()
        self.attention = OneQuery(config.heads, config.dim // config.heads)
        self.query = torch.empty(0)
        self.out = Linear(torch.float32)
        self.norm = Norm(config.dim, config.norm_eps)
        self.mlp = Mlp(config, torch.float32)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        query = weights[name + ".query"].detach().view(1, -1)
        self.query = torch.nn.functional.linear(
            query, weights[name + ".q.weight"].detach(), weights[name + ".q.bias"].detach()
        )
        self.attention.pack(weights[name + ".kv.weight"], weights[name + ".kv.bias"], torch.float32)
        self.out.pack(weights[name + ".out.weight"], weights[name + ".out.bias"])
        self.norm.pack(weights[name + ".norm.weight"], weights[name + ".norm.bias"])
        self.mlp.pack(weights, name + ".mlp", torch.ones([self.query.size(1)]))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query = self.query.expand(tokens.size(0), -1)
        pooled = self.out(self.attention(query, tokens))
        return self.mlp(self.norm(pooled), pooled)


class Head(nn.Module):
    """From the last block to the embedding, in float32."""

    def __init__(self, config: VitConfig):
        super().__init__()
        self.projected = config.projection_dim > 0
        self.normalised = config.normalise
        self.norm = Norm(config.dim, config.norm_eps)
        self.pooling = (
            AttentionPooling(config) if config.pooling == "attention" else TokenPooling(config)
        )
        self.projection = Linear(torch.float32)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor]) -> None:
        self.norm.pack(weights["network.norm.weight"], weights["network.norm.bias"])
        self.pooling.pack(weights, "network.pooling")
        if self.projected:
            weight = weights["network.projection.weight"]
            self.projection.pack(weight, torch.zeros([weight.size(0)]))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        embeddings = self.pooling(self.norm(tokens.float()))
        if self.projected:
            embeddings = self.projection(embeddings)
        return torch.nn.functional.normalize(embeddings, dim=1) if self.normalised else embeddings


class FastVit(nn.Module):
    """``dtype`` is that of the patch embedding, ``stream`` that of the residual stream."""

    def __init__(
        self,
        config: VitConfig,
        blocks: list[nn.Module],
        dtype: torch.dtype,
        stream: torch.dtype,
    ):
        super().__init__()
        self.stream = stream
        self.pre_normed = config.pre_norm
        self.patch = PatchEmbedding(config, dtype)
        self.pre_norm = Norm(config.dim, config.norm_eps)
        self.blocks = nn.ModuleList(blocks)
        self.head = Head(config)

    @torch.jit.export
    def prepare(self, weights: dict[str, torch.Tensor]) -> None:
        self.patch.pack(
            weights["network.patch.weight"],
            weights["network.patch.bias"],
            weights["network.prefix"],
            weights["network.positions"],
        )
        if self.pre_normed:
            self.pre_norm.pack(weights["network.pre_norm.weight"], weights["network.pre_norm.bias"])
        for number, block in enumerate(self.blocks):
            block.pack(weights, "network.blocks." + str(number))
        self.head.pack(weights)

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patch(pixels).to(self.stream)
        if self.pre_normed:
            tokens = self.pre_norm(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens)


def float_vit(config: VitConfig, dtype: torch.dtype) -> FastVit:
    blocks: list[nn.Module] = [Block(config, dtype) for _ in range(config.depth)]
    if config.pooling == "cls":
        blocks[-1] = ClassBlock(config, dtype)
    return FastVit(config, blocks, dtype, dtype)
