"""Hugging Face convolutional networks: EfficientNet and ConvNeXt, traced up to their last map of
features.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from . import ExportError
from .encoder import Parts
from .head import MapPooling, Network, describe, read_projection, trace_features

families = ("efficientnet", "convnext", "convnextv2")


class _Features(nn.Module):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model(pixels).last_hidden_state


def convert(
    family: str,
    model: nn.Module,
    spec: dict,
    pooling: str,
    projection: str | Path | None,
    normalise: bool,
) -> Parts:
    """The transformers model ``model`` up to its embedding; a local token is a place of its last
    map of features.
    """
    pooling = pooling or "mean"
    if pooling not in ("mean", "gem"):
        raise ExportError(
            f"--pooling {pooling} needs tokens, and {family} has a map of features; "
            "choose mean or gem"
        )
    if getattr(model.config, "pooling_type", "mean") != "mean":
        raise ExportError(
            f'pooling_type "{model.config.pooling_type}" is not supported; give a model with "mean"'
        )
    if model.config.num_channels != 3:
        raise ExportError(
            f"the network takes {model.config.num_channels} channels; a package always gives it 3"
        )
    # ConvNeXt's last norm comes after the pooling; its kind of map has as many channels.
    norm = getattr(model, "layernorm", None)
    features, shape = trace_features(_Features(model), spec)
    weight = read_projection(projection, shape[1]) if projection else None
    return Parts(
        Network(features, MapPooling(pooling), norm, weight, normalise),
        dim=shape[1] if weight is None else len(weight),
        architecture=describe(family, pooling, weight is not None, normalise),
        token_dim=shape[1],
    )
