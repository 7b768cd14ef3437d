"""The fast forms of EfficientNet-Lite0 in floating point: oneDNN's convolutions over prepacked
weights, channels last, with ReLU6 and the residual fused into them.
"""

from __future__ import annotations

from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import nn

from .layers import Linear

# As TorchScript spells the type of an activation's arguments, Scalar?[].
Scalars = list[Optional[Union[int, float, complex]]]


class Convolution(nn.Module):
    """``plain``: the layer of ``..efficientnet`` that it stands for."""

    def __init__(self, plain: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype
        self.stride = [plain.stride, plain.stride]
        self.groups = plain.groups
        self.dilation = [1, 1]
        # TensorFlow's padding is one wider at the end where the stride is 2; oneDNN's, as torch
        # calls it, is even. A depthwise kernel gets a row and a column of zeros in front instead,
        # which costs less than a padded copy of its large input.
        before, after = plain.uneven_padding[:2]
        self.copied = before != after and plain.groups == 1
        self.extended = before != after and plain.groups > 1
        self.uneven = plain.uneven_padding
        self.padding = [0, 0] if self.copied else [after, after]
        self.activate = plain.activate
        self.weight = torch.empty(0)
        self.bias = torch.empty(0)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        weight = weights[name + ".weight"].detach()
        if self.extended:
            weight = F.pad(weight, [1, 0, 1, 0])
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight.to(self.dtype), self.padding, self.stride, self.dilation, self.groups
        )
        self.bias = weights[name + ".bias"].detach().to(self.dtype).clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.copied:
            x = F.pad(x, self.uneven)
        limits: Scalars = [0.0, 6.0]  # read where there is an activation
        return torch.ops.mkldnn._convolution_pointwise(
            x,
            self.weight,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            "hardtanh" if self.activate else "none",
            limits,
            "",
        )

    @torch.jit.export
    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """``residual + self(x)``, without an activation. Overwrites ``residual``."""
        return torch.ops.mkldnn._convolution_pointwise_(
            residual,
            x,
            self.weight,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            "add",
            1.0,
            None,
            [],
            None,
        )


class Block(nn.Module):
    def __init__(self, plain: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.residual = plain.residual
        layers = [Convolution(layer, dtype) for layer in plain.layers]
        self.layers = nn.ModuleList(layers[:-1])
        self.project = layers[-1]
        self.last = str(len(layers) - 1)

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        for number, layer in enumerate(self.layers):
            layer.pack(weights, name + ".layers." + str(number))
        self.project.pack(weights, name + ".layers." + self.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Overwrites ``x`` where it is added."""
        y = x
        for layer in self.layers:
            y = layer(y)
        return self.project.add_to(x, y) if self.residual else self.project(y)


class FastEfficientNet(nn.Module):
    """``plain``: the ``Encoder`` of ``..efficientnet``."""

    def __init__(self, plain: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype
        backbone = plain.backbone
        self.stem = Convolution(backbone.stem, dtype)
        self.blocks = nn.ModuleList(Block(block, dtype) for block in backbone.blocks)
        self.top = Convolution(backbone.head, dtype)
        self.projection = Linear(torch.float32)

    @torch.jit.export
    def prepare(self, weights: dict[str, torch.Tensor]) -> None:
        self.stem.pack(weights, "backbone.stem")
        for number, block in enumerate(self.blocks):
            block.pack(weights, "backbone.blocks." + str(number))
        self.top.pack(weights, "backbone.head")
        self.projection.pack(weights["projection.weight"], weights["projection.bias"])

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.to(self.dtype, memory_format=torch.channels_last)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        features = self.top(x).mean([2, 3], dtype=torch.float32)
        return self.projection(F.normalize(features, dim=1))
