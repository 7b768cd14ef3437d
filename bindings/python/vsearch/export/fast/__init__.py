"""Fast forms of networks for CPUs (docs/models.md, "Fast forms"): the same function in fused
operations of oneDNN, over weights that it packs when it is loaded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import torch

from .. import ExportError
from ..package import PRECISIONS, script
from ..preprocess import preprocess
from ..vit import VisionTransformer, VitConfig
from .calibration import Ranges, efficientnet_ranges, vit_ranges
from .convolution import FastEfficientNet
from .convolution_int8 import Int8EfficientNet
from .pictures import generated_pictures, pictures_from
from .vit import float_vit
from .vit_int8 import int8_vit

__all__ = ["PRECISIONS", "available", "efficientnet_forms", "forms", "pictures_from"]


def available() -> tuple[str, ...]:
    """The precisions that this torch can write: none without oneDNN."""
    return PRECISIONS if torch.backends.mkldnn.is_available() else ()


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
    if precisions and not available():
        raise ExportError("this torch was built without oneDNN, which fast forms are written for")
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
    encoder: torch.nn.Module, spec: dict, precisions: tuple[str, ...]
) -> dict[str, torch.jit.ScriptModule]:
    """The same of the ``Encoder`` of ``..efficientnet``."""
    made = {}
    for precision in precisions:
        if precision == "int8":
            # Ranges of single channels: a generated picture misses more of them than of a whole
            # tensor. Headroom of 1.1 costs .015 of the cosine, of 1.6 nothing that is measurable.
            maps = efficientnet_ranges(encoder, _batches(generated_pictures(), spec), headroom=1.6)
            form = Int8EfficientNet(encoder, maps)
        else:
            dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
            form = FastEfficientNet(encoder, dtype)
        made[precision] = script(form.eval())
    return made


def _ranges(
    network: VisionTransformer, spec: dict, calibration: Iterable[torch.Tensor] | None
) -> list[dict[str, Ranges]]:
    if calibration is None:  # real pictures may hold more than generated ones
        return vit_ranges(network, _batches(generated_pictures(), spec), headroom=1.1)
    return vit_ranges(network, _batches(calibration, spec))


def _batches(pictures: Iterable[torch.Tensor], spec: dict) -> Iterator[torch.Tensor]:
    pixels = (preprocess(picture, spec) for picture in pictures)
    return map(torch.stack, iter(lambda: [*itertools.islice(pixels, 8)], []))
