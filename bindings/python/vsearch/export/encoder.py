"""The script of a package: a network behind the names that docs/models.md gives to its methods."""

from __future__ import annotations

import torch
from torch import nn


class _ImageEncoder(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels)


class _WithTokens(_ImageEncoder):
    """``network`` is a VisionTransformer: its local tokens are the patches."""

    @torch.jit.export
    def encode_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.tokens(pixels)[:, self.network.prefix.size(0) :]


class _WithText(_ImageEncoder):
    def __init__(self, network: nn.Module, text: nn.Module):
        super().__init__(network)
        self.text = text

    @torch.jit.export
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return self.text(texts)


class _WithBoth(_WithTokens):
    def __init__(self, network: nn.Module, text: nn.Module):
        super().__init__(network)
        self.text = text

    @torch.jit.export
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return self.text(texts)


def encoder(network: nn.Module, *, tokens: bool = False, text: nn.Module | None = None):
    """The module to script: ``encode_image`` by ``network``, and what else is asked for."""
    if text is None:
        return (_WithTokens if tokens else _ImageEncoder)(network).eval()
    return (_WithBoth if tokens else _WithText)(network, text).eval()
