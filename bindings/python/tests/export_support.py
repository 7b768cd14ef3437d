"""What the tests of the exporters share: Hugging Face folders with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

PREPROCESSING = {
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """``model`` with every weight moved: what starts as zeros or ones must not hide a weight that
    was lost on the way.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model.eval()


def write_folder(
    folder: Path, model: torch.nn.Module, pixels: int, **preprocessing: object
) -> Path:
    """``model`` as a Hugging Face folder whose pictures are stretched to ``pixels``."""
    randomised(model).save_pretrained(folder)
    config = {**PREPROCESSING, "size": {"height": pixels, "width": pixels}, **preprocessing}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return folder
