"""What follows a network: pooling of traced ones, projection, length 1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from . import ExportError
from .encoder import Parts
from .package import trace
from .vit import Normalise, VisionTransformer, VitConfig


class MapPooling(nn.Module):
    """A map of features ``[B, C, height, width]`` to ``[B, C]``: "mean", or "gem" as GemPooling."""

    def __init__(self, kind: str):
        super().__init__()
        self.gem = kind == "gem"
        self.power = nn.Parameter(torch.tensor(3.0)) if self.gem else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        power = self.power
        if power is None:
            return features.mean([2, 3])
        return features.clamp(min=1e-6).pow(power).mean([2, 3]).pow(1.0 / power)


class Network(nn.Module):
    """``features`` traced, with a head: ``pooling`` None where the features are ``[B, dim]``."""

    def __init__(
        self,
        features: torch.jit.ScriptModule,
        pooling: nn.Module | None = None,
        norm: nn.Module | None = None,
        projection: torch.Tensor | None = None,
        normalise: bool = False,
    ):
        super().__init__()
        self.features = features
        self.pooling = pooling or nn.Identity()
        self.norm = norm or nn.Identity()
        self.projection = nn.Identity() if projection is None else linear(projection)
        self.normalise = Normalise() if normalise else nn.Identity()

    def local_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Each place of the map of features: ``[B, places, C]``."""
        return self.features(pixels).flatten(2).transpose(1, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        pooled = self.norm(self.pooling(self.features(pixels)))
        return self.normalise(self.projection(pooled))


def trace_features(module: nn.Module, spec: dict) -> tuple[torch.jit.ScriptModule, tuple[int, ...]]:
    """``module`` traced for pictures as ``spec`` says, and the shape that it gives for one."""
    example = torch.randn(
        2, 3, spec["height"], spec["width"], generator=torch.Generator().manual_seed(0)
    )
    try:
        traced = trace(module.eval(), example)
    except (AssertionError, RuntimeError) as error:
        told = str(error).strip().splitlines() or ["it cannot be traced"]
        raise ExportError(
            f"the network takes no pictures of {spec['width']} x {spec['height']} pixels: "
            f"{told[-1]}; check --size, or leave it away"
        ) from error
    return traced, output_shape(traced, spec)


def output_shape(module: nn.Module, spec: dict) -> tuple[int, ...]:
    """Of what ``module`` gives for one picture."""
    with torch.no_grad():
        return tuple(module(torch.zeros(1, 3, spec["height"], spec["width"])).shape)


def traced_parts(module: nn.Module, name: str, spec: dict) -> Parts:
    """``module``, which gives embeddings ``[B, dim]``, traced."""
    traced, shape = trace_features(module, spec)
    if len(shape) != 2:
        raise ExportError(f"{name} gives {list(shape)} for one picture, not [1, dim]")
    return Parts(Network(traced), dim=shape[1], architecture=name)


def finish(parts: Parts, projection: str | Path | None, normalise: bool) -> Parts:
    """With the linear map of ``projection`` and length 1 behind the network's own output."""
    weight = read_projection(projection, parts.dim) if projection else None
    if weight is None and not normalise:
        return parts
    if parts.vit is not None:
        config, network = rebuilt(parts.vit, parts.network, weight, normalise)
        name = parts.architecture + (" projected" if weight is not None else "")
        return replace(
            parts,
            network=network,
            vit=config,
            dim=config.embedding_dim,
            architecture=name + (" normalised" if normalise else ""),
        )
    network = Network(parts.network.features, None, None, weight, normalise)
    return Parts(
        network,
        dim=parts.dim if weight is None else len(weight),
        architecture=describe(parts.architecture, "", weight is not None, normalise),
    )


def rebuilt(
    config: VitConfig, network: VisionTransformer, projection: torch.Tensor | None, normalise: bool
) -> tuple[VitConfig, VisionTransformer]:
    """``network`` with the linear map ``projection`` and length 1 behind its own output."""
    weights = network.state_dict()
    if projection is not None:
        own = weights.get("projection.weight")
        weights["projection.weight"] = projection if own is None else projection @ own
        config = replace(config, projection_dim=len(projection))
    config = replace(config, normalise=normalise)
    changed = VisionTransformer(config).eval()
    changed.load_state_dict(weights, assign=True)
    return config, changed


def linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def describe(name: str, pooling: str, projected: bool, normalised: bool) -> str:
    """The manifest's ``architecture``."""
    parts = [name, pooling, "projected" if projected else "", "normalised" if normalised else ""]
    return " ".join(part for part in parts if part)


def read_projection(path: str | Path, dim: int) -> torch.Tensor:
    """The linear map of a safetensors file: ``weight`` [dimensions, dim]."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise ExportError(f"{path}: no such file; --projection takes a safetensors file")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ExportError(f"{path} is not a safetensors file: {error}") from error
    if set(tensors) != {"weight"} or tensors["weight"].shape[1:] != (dim,):
        found = ", ".join(f"{key} {list(value.shape)}" for key, value in sorted(tensors.items()))
        raise ExportError(f"{path} holds {found}; it must hold weight [dimensions, {dim}] alone")
    return tensors["weight"].float()
