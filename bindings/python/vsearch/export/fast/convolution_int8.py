"""The fast form of EfficientNet-Lite0 in int8.

Weights are signed with a scale for each channel, activations unsigned. Behind a ReLU6 a byte is
6/255. The maps between the blocks have no activation, so each of their channels is shifted and
scaled to fill -1..1 as calibration saw it, one way for all blocks that add to the same map; that is
folded into the weights before and behind. The stem and the first block, few and sensitive channels
at full size, are in bfloat16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .calibration import MapRange
from .convolution import Block, Convolution, Scalars
from .layers import Linear
from .vit_int8 import in_byte_order, pack_bytes

_map_scale = 1.0 / 127.0  # of a map whose channels fill -1..1
_map_zero = 128
_relu_scale = 6.0 / 255.0


class QuantConvolution(nn.Module):
    """From bytes to bytes; the last one to bfloat16."""

    def __init__(self, plain: nn.Module, in_scale: float, in_zero: int, out_scale: float):
        super().__init__()
        geometry = Convolution(plain, torch.float32)
        self.stride = geometry.stride
        self.groups = geometry.groups
        self.dilation = geometry.dilation
        self.extended = geometry.extended
        self.padding = geometry.padding
        self.activate = plain.activate
        self.in_scale = in_scale
        self.in_zero = in_zero
        self.out_scale = out_scale
        self.weight = torch.empty(0)
        self.scales = torch.empty(0)
        self.zeros = torch.empty(0)
        self.bias = torch.empty(0)

    @torch.jit.export
    def pack(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        weight = weight.detach().float()
        self.scales = weight.abs().amax([1, 2, 3]).clamp(min=1e-12) / 127.0
        quantised = (weight / self.scales.view(-1, 1, 1, 1)).round().to(torch.int8)
        if self.extended:
            quantised = F.pad(quantised, [1, 0, 1, 0])
        self.weight = torch.ops.onednn.qconv_prepack(
            quantised,
            self.scales,
            self.in_scale,
            self.in_zero,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            None,
        )
        self.zeros = torch.zeros([weight.size(0)], dtype=torch.int32)
        self.bias = bias.detach().float().clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """After a ReLU6 bytes have no zero point, without one that of a map."""
        limits: Scalars = [0.0, 6.0]
        return torch.ops.onednn.qconv2d_pointwise(
            x,
            self.in_scale,
            self.in_zero,
            self.weight,
            self.scales,
            self.zeros,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.out_scale,
            0 if self.activate else 128,
            torch.uint8,
            "hardtanh" if self.activate else "none",
            limits,
            "",
        )

    @torch.jit.export
    def bfloat16(self, x: torch.Tensor) -> torch.Tensor:
        limits: Scalars = [0.0, 6.0]
        return torch.ops.onednn.qconv2d_pointwise(
            x,
            self.in_scale,
            self.in_zero,
            self.weight,
            self.scales,
            self.zeros,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            1.0,
            0,
            torch.bfloat16,
            "hardtanh",
            limits,
            "",
        )

    @torch.jit.export
    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """``residual`` is a map, and is overwritten."""
        return torch.ops.onednn.qconv2d_pointwise(
            x,
            self.in_scale,
            self.in_zero,
            self.weight,
            self.scales,
            self.zeros,
            residual,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.out_scale,
            128,
            torch.uint8,
            self.out_scale,
            128,
            "sum",
            1.0,
            "none",
            [],
            "",
        )


class FromMap(nn.Module):
    """What a map's range does to the convolution that reads it."""

    def __init__(self, conv: QuantConvolution, entry: MapRange):
        super().__init__()
        self.conv = conv
        self.center = entry.center
        self.half = entry.half
        # The first map comes out of pack_bytes, which reorders the channels.
        self.packed = False

    @torch.jit.export
    def pack(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        matrix = weight.detach().flatten(1)
        bias = bias.detach() + torch.mv(matrix, self.center)
        matrix = matrix * self.half
        if self.packed:
            matrix = in_byte_order(matrix)
        self.conv.pack(matrix.unsqueeze(-1).unsqueeze(-1), bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class QuantBlock(nn.Module):
    def __init__(self, plain: nn.Module, entry: MapRange, leave: MapRange):
        """``entry`` and ``leave``: the maps before and behind."""
        super().__init__()
        self.residual = plain.residual
        expand, depthwise, project = plain.layers
        self.expand = FromMap(QuantConvolution(expand, _map_scale, _map_zero, _relu_scale), entry)
        self.depthwise = QuantConvolution(depthwise, _relu_scale, 0, _relu_scale)
        self.project = QuantConvolution(project, _relu_scale, 0, _map_scale)
        self.half = leave.half
        # A residual carries the centre already.
        self.center = torch.zeros_like(leave.center) if plain.residual else leave.center

    @torch.jit.export
    def pack(self, weights: dict[str, torch.Tensor], name: str) -> None:
        self.expand.pack(weights[name + ".layers.0.weight"], weights[name + ".layers.0.bias"])
        self.depthwise.pack(weights[name + ".layers.1.weight"], weights[name + ".layers.1.bias"])
        self.project.pack(
            weights[name + ".layers.2.weight"] / self.half.view(-1, 1, 1, 1),
            (weights[name + ".layers.2.bias"] - self.center) / self.half,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Overwrites ``x`` where it is added."""
        y = self.depthwise(self.expand(x))
        return self.project.add_to(x, y) if self.residual else self.project(y)


class Int8EfficientNet(nn.Module):
    """``plain``: the ``Encoder`` of ``..efficientnet``; ``maps``: from ``efficientnet_ranges``."""

    def __init__(self, plain: nn.Module, maps: list[MapRange]):
        super().__init__()
        backbone = plain.backbone
        self.stem = Convolution(backbone.stem, torch.bfloat16)
        self.first = Block(backbone.blocks[0], torch.bfloat16)
        self.center = maps[0].center
        self.half = maps[0].half
        self.blocks = nn.ModuleList(
            QuantBlock(block, maps[number], maps[number + 1])
            for number, block in enumerate(list(backbone.blocks)[1:])
        )
        self.blocks[0].expand.packed = True
        self.top = FromMap(QuantConvolution(backbone.head, _map_scale, _map_zero, 1.0), maps[-1])
        self.projection = Linear(torch.float32)

    @torch.jit.export
    def prepare(self, weights: dict[str, torch.Tensor]) -> None:
        self.stem.pack(weights, "backbone.stem")
        # The first map in steps of its bytes.
        project = "backbone.blocks.0.layers.1"
        scaled = weights.copy()
        scaled[project + ".weight"] = weights[project + ".weight"] * (
            127.0 / self.half.view(-1, 1, 1, 1)
        )
        scaled[project + ".bias"] = (weights[project + ".bias"] - self.center) * 127.0 / self.half
        self.first.pack(scaled, "backbone.blocks.0")
        for number, block in enumerate(self.blocks):
            block.pack(weights, "backbone.blocks." + str(number + 1))
        self.top.pack(weights["backbone.head.weight"], weights["backbone.head.bias"])
        self.projection.pack(weights["projection.weight"], weights["projection.bias"])

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.to(torch.bfloat16, memory_format=torch.channels_last)
        steps = self.first(self.stem(x)).permute(0, 2, 3, 1).float().add_(8388608.0 + 128.0)
        x = pack_bytes(steps).permute(0, 3, 1, 2)
        for block in self.blocks:
            x = block(x)
        features = self.top.conv.bfloat16(x).mean([2, 3], dtype=torch.float32)
        return self.projection(F.normalize(features, dim=1))
