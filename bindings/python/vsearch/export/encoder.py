"""The script of a package: a network behind the names that docs/models.md gives to its methods."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from . import ExportError, fast
from .package import Package, manifest, script, write_package
from .vit import VitConfig


@dataclass
class Parts:
    """What a source makes of a model, on its way into a package."""

    network: nn.Module  # [B, 3, height, width] -> [B, dim]
    dim: int
    architecture: str  # the manifest's
    token_dim: int = 0  # of what network.local_tokens gives; 0: it has none
    text: nn.Module | None = None  # list[str] -> [B, dim]
    vit: VitConfig | None = None  # where `network` is a VisionTransformer


class _ImageEncoder(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels)


class _WithTokens(_ImageEncoder):
    @torch.jit.export
    def encode_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.local_tokens(pixels)


class _WithText(_ImageEncoder):
    def __init__(self, network: nn.Module, text: nn.Module):
        super().__init__(network)
        self.text = text

    @torch.jit.export
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return self.text(texts)


class _WithBoth(_WithTokens, _WithText):
    pass


def write(
    output: str | Path,
    parts: Parts,
    spec: dict,
    *,
    name: str,
    licence: str,
    source: str,
    tokens: bool = False,
    precisions: tuple[str, ...] | None = None,
    calibration: str | Path | None = None,
) -> Package:
    """Writes the package of ``parts``; ``spec`` is the manifest's ``input``.

    ``precisions`` are those to write fast forms for, where the network is a VisionTransformer; None
    writes all that keep its embeddings. ``calibration`` is a folder of pictures for int8.
    """
    if precisions and parts.vit is None:
        raise ExportError(
            f"fast forms ({', '.join(precisions)}) are written for vision transformers of known "
            "families only; leave --precision away"
        )
    if calibration and (parts.vit is None or (precisions is not None and "int8" not in precisions)):
        raise ExportError(
            "--calibration is for the int8 form, which is not written here; leave it away"
        )
    description = manifest(
        name=name,
        licence=licence,
        source=source,
        architecture=parts.architecture,
        dim=parts.dim,
        spec=spec,
        tokens=parts.token_dim if tokens else 0,
        text=parts.text is not None,
    )
    if parts.text is None:
        module = (_WithTokens if tokens else _ImageEncoder)(parts.network)
    else:
        module = (_WithBoth if tokens else _WithText)(parts.network, parts.text)
    forms = {}
    if parts.vit is not None:
        pictures = fast.pictures_from(calibration) if calibration else None
        wanted = fast.available() if precisions is None else precisions
        forms = fast.forms(parts.vit, parts.network, spec, wanted, pictures)
    return write_package(
        output, script(module.eval()), description, forms, all_fast=precisions is not None
    )
