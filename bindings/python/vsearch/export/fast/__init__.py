"""Fast forms of networks for CPUs (docs/models.md, "Fast forms"): the same function in fused
operations of oneDNN, over weights that it packs when it is loaded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch

from .. import ExportError
from ..package import PRECISIONS, script
from ..preprocess import preprocess
from ..vit import VisionTransformer, VitConfig
from .calibration import Ranges, vit_ranges
from .convolution import FastEfficientNet
from .pictures import generated_pictures
from .vit import float_vit
from .vit_int8 import int8_vit


def forms(
    config: VitConfig,
    network: VisionTransformer,
    spec: dict,
    precisions: tuple[str, ...] = PRECISIONS,
    calibration: Iterable[torch.Tensor] | None = None,
) -> dict[str, torch.jit.ScriptModule]:
    """The fast forms of ``network``, by their precision: what ``write_package`` takes as ``fast``.

    ``spec`` is the manifest's ``input``. ``calibration``: pictures, uint8 RGB ``[3, H, W]``, that
    int8 takes its scales from; None takes generated ones.
    """
    made = {}
    for precision in precisions:
        if precision == "fp32":
            form = float_vit(config, torch.float32)
        elif precision == "bf16":
            form = float_vit(config, torch.bfloat16)
        elif precision == "int8":
            form = int8_vit(config, _ranges(network, spec, calibration))
        else:
            raise ExportError(
                f'precision "{precision}" is not known; known are ' + ", ".join(PRECISIONS)
            )
        made[precision] = script(form.eval())
    return made


def efficientnet_forms(
    encoder: torch.nn.Module, precisions: tuple[str, ...]
) -> dict[str, torch.jit.ScriptModule]:
    """The same of the ``Encoder`` of ``..efficientnet``, in fp32 and bf16."""
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return {
        precision: script(FastEfficientNet(encoder, dtypes[precision]).eval())
        for precision in precisions
    }


def _ranges(
    network: VisionTransformer, spec: dict, calibration: Iterable[torch.Tensor] | None
) -> list[dict[str, Ranges]]:
    pictures = generated_pictures() if calibration is None else calibration
    headroom = 1.1 if calibration is None else 1.0  # real pictures may hold more than generated
    pixels = (preprocess(picture, spec) for picture in pictures)
    batches = iter(lambda: [*itertools.islice(pixels, 8)], [])
    return vit_ranges(network, map(torch.stack, batches), headroom)
