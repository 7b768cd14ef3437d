"""The fast form of the vision transformer in int8.

Weights are signed with a scale for each row, activations unsigned with one scale and zero point for
each tensor, both fixed by the calibration: a scale taken from the batch would make an embedding
depend on the other pictures in it. SmoothQuant (Xiao et al., ICML 2023; alpha 0.5) moves outliers
of the activations into the weights. Attention is in bfloat16, the residual stream in float32; the
last block for the class token alone stays in bfloat16: there is nothing to gain.

``norm_to_bytes`` and ``mix_heads_to_bytes`` are written here for torch alone; the library has
operators of its own for them (docs/models.md, "Fast forms"). Scale and zero point are folded into
the layer norm and into the rows of v, so that values arrive in steps of a byte. 2^23 is added,
which rounds: the lowest byte of a float between 2^23 and 2^24 is its value. Four channels are then
packed into each 32-bit word. torch's own conversion from float to bytes is several times slower.
"""

from __future__ import annotations

import torch
from torch import nn

from ..vit import VitConfig
from .calibration import Ranges
from .layers import ACTIVATIONS
from .vit import QUICK_GELU, ClassBlock, FastVit, branch_scale, mix_heads


def pack_bytes(steps: torch.Tensor) -> torch.Tensor:
    """Float ``2^23 + q`` to bytes q, clamped to 0..255, with the channels in the order of
    ``in_byte_order``. Overwrites ``steps``.
    """
    clamped = steps.clamp_(8388608.0, 8388608.0 + 255.0)
    # set_: the same memory as another type. TorchScript has no Tensor.view(dtype).
    words = torch.empty([0], dtype=torch.int32).set_(clamped)
    first, second, third, fourth = words.chunk(4, -1)
    packed = first - 0x4B000000  # the sign and exponent of 2^23
    packed.add_(second, alpha=1 << 8).add_(third, alpha=1 << 16).add_(fourth, alpha=1 << 24)
    return torch.empty([0], dtype=torch.uint8).set_(packed, 0, steps.shape)


def norm_to_bytes(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> torch.Tensor:
    """Layer norm over the last dimension, as bytes. ``bias`` is whole: beside 2^23 nothing else
    survives.
    """
    return pack_bytes(torch.layer_norm(x, [x.size(-1)], weight, bias + 8388608.0, eps))


def mix_heads_to_bytes(qkv: torch.Tensor, heads: int, size: int, offset: float) -> torch.Tensor:
    """``mix_heads`` plus ``offset``, as bytes ``[B, N, heads * size]``, ordered head by head."""
    mixed = mix_heads(qkv, heads, size)
    steps = torch.empty(mixed.shape, dtype=torch.float32).copy_(mixed)
    return pack_bytes(steps.add_(offset + 8388608.0)).flatten(2)


def in_byte_order(weight: torch.Tensor) -> torch.Tensor:
    """The columns of ``weight`` in the order in which ``pack_bytes`` gives the channels."""
    rows, columns = weight.size(0), weight.size(1)
    return weight.reshape(rows, 4, columns // 4).transpose(1, 2).reshape(rows, columns)


class QuantLinear(nn.Module):
    """A linear layer from bytes, over prepacked int8 weights: to bfloat16, to bytes after an
    activation, or added to a float32 residual.
    """

    def __init__(self, scale: float, zero: int, activation: str = "none"):
        super().__init__()
        self.in_scale = scale
        self.in_zero = zero
        self.out_scale = 1.0
        self.out_zero = 0
        self.activation, self.variant = ACTIVATIONS[activation]
        self.weight = torch.empty(0)
        self.scales = torch.empty(0)
        self.zeros = torch.empty(0)
        self.bias = torch.empty(0)

    @torch.jit.export
    def pack(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """``weight`` for inputs of which a byte q means ``in_scale * (q - in_zero)``."""
        weight = weight.detach().float()
        self.scales = weight.abs().amax(1).clamp(min=1e-12) / 127.0
        quantised = (weight / self.scales.unsqueeze(1)).round().to(torch.int8)
        # The zero point of the input is the same for every picture: it belongs to the bias.
        sums = quantised.float().sum(1) * self.scales
        self.bias = bias.detach().float() - self.in_scale * self.in_zero * sums
        self.weight = torch.ops.onednn.qlinear_prepack(quantised, None)
        self.zeros = torch.zeros([weight.size(0)], dtype=torch.int32)

    @torch.jit.export
    def bfloat16(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.onednn.qlinear_pointwise(
            x,
            self.in_scale,
            0,
            self.weight,
            self.scales,
            self.zeros,
            self.bias,
            1.0,
            0,
            torch.bfloat16,
            "none",
            [],
            "",
        )

    @torch.jit.export
    def bytes(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.onednn.qlinear_pointwise(
            x,
            self.in_scale,
            0,
            self.weight,
            self.scales,
            self.zeros,
            self.bias,
            self.out_scale,
            self.out_zero,
            torch.uint8,
            self.activation,
            [],
            self.variant,
        )

    @torch.jit.export
    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Overwrites ``residual``."""
        return torch.ops.onednn.qlinear_pointwise(
            x,
            self.in_scale,
            0,
            self.weight,
            self.scales,
            self.zeros,
            residual,
            self.bias,
            1.0,
            0,
            torch.float32,
            1.0,
            0,
            "sum",
            1.0,
            "none",
            [],
            "",
        )


class QuantNorm(nn.Module):
    """A layer norm that gives bytes, for the linear layer ``follow`` packs."""

    def __init__(self, config: VitConfig, ranges: Ranges, activation: str = "none"):
        super().__init__()
        self.eps = config.norm_eps
        self.smooth = ranges.smooth
        self.scale = ranges.scale
        self.zero = ranges.zero
        self.weight = torch.empty(0)
        self.bias = torch.empty(0)
        self.linear = QuantLinear(ranges.scale, ranges.zero, activation)

    @torch.jit.export
    def pack(
        self,
        norm_weight: torch.Tensor,
        norm_bias: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> None:
        step = self.smooth * self.scale
        offset = norm_bias.detach() / step
        # What the rounding takes from the offset goes through the linear layer into its bias.
        whole = offset.round()
        self.weight = norm_weight.detach() / step
        self.bias = whole + self.zero
        weight = weight.detach()
        lost = torch.mv(weight, (offset - whole) * step)
        self.linear.pack(in_byte_order(weight * self.smooth), bias.detach() + lost)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return norm_to_bytes(x, self.weight, self.bias, self.eps)


class QuantAttention(nn.Module):
    def __init__(self, config: VitConfig, ranges: dict[str, Ranges]):
        super().__init__()
        self.heads = config.heads
        self.size = config.dim // config.heads
        mixed = ranges["attention.out"]
        self.smooth = mixed.smooth
        self.scale = mixed.scale
        self.zero = mixed.zero
        self.norm = QuantNorm(config, ranges["attention.qkv"])
        self.out = QuantLinear(mixed.scale, mixed.zero)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str, scale: torch.Tensor) -> None:
        dim = self.heads * self.size
        rows = torch.ones([3 * dim])
        rows[:dim] = self.size**-0.5
        rows[2 * dim :] = 1.0 / (self.smooth * self.scale)
        self.norm.pack(
            weights[name + ".norm1.weight"],
            weights[name + ".norm1.bias"],
            weights[name + ".attention.qkv.weight"] * rows.unsqueeze(1),
            weights[name + ".attention.qkv.bias"] * rows,
        )
        weight = weights[name + ".attention.out.weight"].detach() * scale.unsqueeze(1)
        by_head = in_byte_order((weight * self.smooth).view(dim * self.heads, self.size))
        self.out.pack(by_head.view(dim, dim), weights[name + ".attention.out.bias"] * scale)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        qkv = self.norm.linear.bfloat16(self.norm(tokens))
        mixed = mix_heads_to_bytes(qkv, self.heads, self.size, float(self.zero))
        return self.out.add_to(tokens, mixed)


class QuantMlp(nn.Module):
    def __init__(self, config: VitConfig, ranges: dict[str, Ranges]):
        super().__init__()
        self.inner = QUICK_GELU if config.activation == "quick_gelu" else 1.0
        hidden = ranges["mlp.fc2"]
        self.norm = QuantNorm(config, ranges["mlp.fc1"], config.activation)
        self.norm.linear.out_scale = hidden.scale * self.inner
        self.norm.linear.out_zero = hidden.zero
        self.fc2 = QuantLinear(hidden.scale, hidden.zero)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str, scale: torch.Tensor) -> None:
        self.norm.pack(
            weights[name + ".norm2.weight"],
            weights[name + ".norm2.bias"],
            weights[name + ".mlp.fc1.weight"] * self.inner,
            weights[name + ".mlp.fc1.bias"] * self.inner,
        )
        self.fc2.pack(
            weights[name + ".mlp.fc2.weight"] * scale.unsqueeze(1),
            weights[name + ".mlp.fc2.bias"] * scale,
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2.add_to(tokens, self.norm.linear.bytes(self.norm(tokens)))


class QuantBlock(nn.Module):
    def __init__(self, config: VitConfig, ranges: dict[str, Ranges]):
        super().__init__()
        self.dim = config.dim
        self.layer_scale = config.layer_scale
        self.attention = QuantAttention(config, ranges)
        self.mlp = QuantMlp(config, ranges)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        scale1 = branch_scale(weights, name + ".scale1", self.dim, self.layer_scale)
        scale2 = branch_scale(weights, name + ".scale2", self.dim, self.layer_scale)
        self.attention.pack(weights, name, scale1)
        self.mlp.pack(weights, name, scale2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Overwrites ``tokens``."""
        return self.mlp(self.attention(tokens))


def int8_vit(config: VitConfig, ranges: list[dict[str, Ranges]]) -> FastVit:
    """``ranges``: of each block, from ``calibration.vit_ranges``."""
    blocks: list[nn.Module] = [QuantBlock(config, block) for block in ranges]
    if config.pooling == "cls":
        blocks[-1] = ClassBlock(config, torch.bfloat16)
    return FastVit(config, blocks, torch.bfloat16, torch.float32)
