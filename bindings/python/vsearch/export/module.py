"""Any TorchScript module that gives embeddings, with its preprocessing as options."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from . import ExportError, encoder
from .head import Network, finish, output_shape
from .package import Package, input_spec


def export(
    model: str | Path,
    output: str | Path,
    *,
    size: tuple[int, int],
    resize: dict,
    mean: list[float],
    std: list[float],
    bgr: bool = False,
    name: str = "",
    licence: str = "",
    source: str = "",
    projection: str | Path | None = None,
    normalise: bool = False,
) -> Package:
    """Writes the package of the TorchScript file ``model``, whose ``forward`` turns float32
    ``[B, 3, height, width]`` into ``[B, dim]``.

    ``resize`` is the manifest's ``input.resize``; what it leaves larger than ``size`` (height,
    width) is cropped to the middle.
    """
    path = Path(model)
    if not path.is_file():
        raise ExportError(f"{path}: no such file; give a file of torch.jit.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise ExportError(
            f"{path} is not a TorchScript archive: {str(error).splitlines()[0]}; "
            "save it with torch.jit.save"
        ) from error
    height, width = size
    cropped = resize["edge"] != "none" and resize.get("size") != [height, width]
    spec = input_spec(
        width=width,
        height=height,
        resize=resize,
        crop="center" if cropped else "none",
        mean=mean,
        std=std,
        colour_order="bgr" if bgr else "rgb",
    )
    try:
        shape = output_shape(module, spec)
    except (RuntimeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ExportError(
            f"{path} does not take float32 [B, 3, {height}, {width}]: {reason}; check --size"
        ) from error
    if len(shape) != 2:
        raise ExportError(
            f"{path} gives {list(shape)} for one picture; "
            "it must give [1, dim]: do the pooling inside"
        )
    parts = encoder.Parts(Network(module), dim=shape[1], architecture=f"module {name or path.stem}")
    return encoder.write(
        output,
        finish(parts, projection, normalise),
        spec,
        name=name or path.stem,
        licence=licence,
        source=source or f"TorchScript file {path.name}",
    )
