"""Parts that the fast forms of all vision transformers share, in floating point.

A part is made empty, saved as code, and packs its weights in ``pack`` once it is loaded: what
oneDNN makes of a weight depends on the CPU and cannot be stored.
"""

from __future__ import annotations

import torch
from torch import nn

# oneDNN's name of an activation, and the variant of it.
ACTIVATIONS = {
    "none": ("none", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "quick_gelu": ("swish", ""),
}


class Linear(nn.Module):
    """A linear layer over prepacked weights, with an activation fused into it."""

    def __init__(self, dtype: torch.dtype, activation: str = "none"):
        super().__init__()
        self.dtype = dtype
        self.activation, self.variant = ACTIVATIONS[activation]
        self.weight = torch.empty(0)
        self.bias = torch.empty(0)

    @torch.jit.export
    def pack(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(
            weight.detach().to(self.dtype).contiguous()
        )
        self.bias = bias.detach().to(self.dtype).clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.variant
        )

    @torch.jit.export
    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """``residual + self(x)``, in one pass; without an activation."""
        return torch.ops.mkldnn._linear_pointwise(x, residual, self.weight, self.bias, "add")


class Norm(nn.Module):
    """Layer norm; also of bfloat16, with weights in float32."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.weight = torch.empty(0)
        self.bias = torch.empty(0)

    @torch.jit.export
    def pack(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.weight = weight.detach().float().clone()
        self.bias = bias.detach().float().clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.layer_norm(x, [self.dim], self.weight, self.bias, self.eps)


class PatchEmbedding(nn.Module):
    """Pixels to tokens: the convolution as a linear layer over unfolded patches. The prefix and the
    positions are one table: the linear layer is applied to zeros in place of the prefix.
    """

    def __init__(self, config, dtype: torch.dtype):
        super().__init__()
        self.patch_px = config.patch_px
        self.rows = config.height_px // config.patch_px
        self.columns = config.width_px // config.patch_px
        self.prefix_tokens = config.prefix_tokens
        self.dtype = dtype
        self.linear = Linear(dtype)
        self.table = torch.empty(0)

    @torch.jit.export
    def pack(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor,
        prefix: torch.Tensor,
        positions: torch.Tensor,
    ) -> None:
        self.linear.pack(weight.flatten(1), torch.zeros_like(bias))
        table = torch.cat([prefix.detach(), positions.detach() + bias.detach()])
        self.table = table.to(self.dtype)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        batch, px = pixels.size(0), self.patch_px
        rows, columns, prefix = self.rows, self.columns, self.prefix_tokens
        unfolded = torch.empty(
            [batch, prefix + rows * columns, 3 * px * px], dtype=self.dtype, device=pixels.device
        )
        unfolded[:, :prefix].zero_()
        whole = pixels[:, :, : rows * px, : columns * px]
        patches = whole.view(batch, 3, rows, px, columns, px).permute(0, 2, 4, 1, 3, 5)
        unfolded[:, prefix:].view(batch, rows, columns, 3, px, px).copy_(patches)
        return self.linear(unfolded).add_(self.table)
