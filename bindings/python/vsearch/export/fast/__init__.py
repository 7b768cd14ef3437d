"""Fast forms of networks for CPUs (docs/models.md, "Fast forms"): the same function in fused
operations of oneDNN, over weights that it packs when it is loaded.
"""

from __future__ import annotations

import torch

from .. import ExportError
from ..package import PRECISIONS, script
from ..vit import VisionTransformer, VitConfig


def forms(
    config: VitConfig,
    network: VisionTransformer,
    spec: dict,
    precisions: tuple[str, ...] = PRECISIONS,
    calibration: list[torch.Tensor] | None = None,
) -> dict[str, torch.jit.ScriptModule]:
    """The fast forms of ``network``, by their precision: what ``write_package`` takes as ``fast``.

    ``spec`` is the manifest's ``input``. ``calibration``: pictures, uint8 RGB ``[3, H, W]``, that
    int8 takes its scales from; None takes generated ones.
    """
    from .vit import FastVit

    made = {}
    for precision in precisions:
        if precision == "fp32":
            form = FastVit(config, torch.float32)
        elif precision == "bf16":
            form = FastVit(config, torch.bfloat16)
        else:
            raise ExportError(
                f'precision "{precision}" is not known; known are ' + ", ".join(PRECISIONS)
            )
        made[precision] = script(form.eval())
    return made
