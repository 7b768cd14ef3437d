"""Hugging Face ViT and DeiT: the embedding is the CLS token of the last hidden state."""

from __future__ import annotations

from pathlib import Path

import torch

from . import ExportError
from .package import Network, trace


class _ClsToken(torch.nn.Module):
    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixels).last_hidden_state[:, 0]


def load_vit(folder: Path, size: tuple[int, int]) -> Network:
    from transformers import ViTModel

    return _load(ViTModel, folder, size, "vit cls")


def load_deit(folder: Path, size: tuple[int, int]) -> Network:
    from transformers import DeiTModel

    return _load(DeiTModel, folder, size, "deit cls")


def _load(model_class: type, folder: Path, size: tuple[int, int], architecture: str) -> Network:
    from safetensors import SafetensorError

    try:
        model, report = model_class.from_pretrained(
            folder,
            add_pooling_layer=False,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ExportError(f"{folder}: the weights cannot be loaded: {error}") from error
    if report["missing_keys"] or report["mismatched_keys"]:
        lacking = sorted(str(key) for key in [*report["missing_keys"], *report["mismatched_keys"]])
        raise ExportError(
            f"{folder}: the weights lack {len(lacking)} tensors of the network, "
            f"among them {lacking[0]}"
        )
    expected = model.config.image_size
    expected = tuple(expected) if isinstance(expected, (list, tuple)) else (expected, expected)
    if expected != size:
        raise ExportError(
            f"{folder}: preprocessor_config.json gives pictures of {size[1]} x {size[0]} pixels, "
            f"but config.json says the network takes {expected[1]} x {expected[0]}; "
            "make the two agree"
        )
    network = _ClsToken(model.eval())
    example = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    return Network(trace(network, example), model.config.hidden_size, architecture)
