"""Packages from Hugging Face model folders: config.json, weights, preprocessor_config.json.

This file reads the folder and turns its preprocessing into a manifest's ``input``. What differs
from one architecture to the next lives in a file of its own (``hf_vit.py``), entered in
``_architectures``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import torch

from . import ExportError, hf_vit
from .package import Network, Package, input_spec, manifest, script, write_package

# A Hugging Face model_type, and what loads that kind from (folder, input (height, width)).
_architectures: dict[str, Callable[[Path, tuple[int, int]], Network]] = {
    "vit": hf_vit.load_vit,
    "deit": hf_vit.load_deit,
}

_interpolations = {2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
_known_steps = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}


class _ImageEncoder(torch.nn.Module):
    """Gives a traced network the method name that packages have."""

    def __init__(self, network: torch.jit.ScriptModule):
        super().__init__()
        self.network = network

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels)


def export(
    folder: str | Path, output: str | Path, *, name: str = "", licence: str = "", source: str = ""
) -> Package:
    """Writes the package of the Hugging Face model in ``folder`` to ``output``. ``name`` defaults
    to the folder's name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ExportError(
            f"{folder}: no such folder; give the folder that holds config.json and the weights"
        )
    model_type = _read_json(folder, "config.json").get("model_type")
    if model_type not in _architectures:
        raise ExportError(
            f'{folder / "config.json"}: model_type "{model_type}" is not supported; supported are: '
            + ", ".join(sorted(_architectures))
        )
    spec = read_preprocessing(folder)
    network = _architectures[model_type](folder, (spec["height"], spec["width"]))
    description = manifest(
        name=name or folder.resolve().name,
        licence=licence,
        source=source or f"Hugging Face model folder {folder.resolve().name}",
        architecture=network.architecture,
        dim=network.dim,
        spec=spec,
    )
    return write_package(output, script(_ImageEncoder(network.module)), description)


def read_preprocessing(folder: Path) -> dict:
    """A manifest's ``input`` from the folder's preprocessor_config.json."""
    path = folder / "preprocessor_config.json"
    config = _read_json(folder, path.name)

    for step in sorted(key for key, value in config.items() if key.startswith("do_") and value):
        if step not in _known_steps:
            raise ExportError(f"{path}: {step} is a step that a package cannot express")

    if config.get("do_rescale", True):
        factor = config.get("rescale_factor", 1 / 255)
        if abs(factor * 255 - 1) > 1e-6:
            raise ExportError(
                f"{path}: rescale_factor {factor} is not 1/255, "
                "the only scale that a package can express"
            )
    else:
        raise ExportError(f"{path}: do_rescale is off; a package always scales pixels by 1/255")

    crop = "center" if config.get("do_center_crop", "crop_size" in config) else "none"
    if config.get("do_resize", True):
        resize, size = _read_resize(path, config)
    elif crop == "center":
        resize, size = {"edge": "none"}, None
    else:
        raise ExportError(
            f"{path}: neither do_resize nor do_center_crop is on, "
            "so the size of the input is not known"
        )
    if crop == "center":
        size = _read_height_width(path, "crop_size", _required(path, config, "crop_size"))
    if size is None:
        raise ExportError(
            f"{path}: the short edge is resized but nothing is cropped; "
            "a package needs one input size"
        )

    normalised = config.get("do_normalize", True)
    return input_spec(
        width=size[1],
        height=size[0],
        resize=resize,
        crop=crop,
        mean=_three_numbers(path, config, "image_mean") if normalised else [0.0, 0.0, 0.0],
        std=_three_numbers(path, config, "image_std") if normalised else [1.0, 1.0, 1.0],
    )


def _read_resize(path: Path, config: dict) -> tuple[dict, tuple[int, int] | None]:
    """The manifest's ``resize`` and, where it fixes both edges, the resulting (height, width)."""
    resample = _required(path, config, "resample")
    if resample not in _interpolations:
        raise ExportError(
            f"{path}: resample {resample} is not supported; "
            "supported are 2 (bilinear) and 3 (bicubic)"
        )
    interpolation = _interpolations[resample]
    size = _required(path, config, "size")
    if (
        isinstance(size, dict)
        and set(size) == {"shortest_edge"}
        and _is_pixels(size["shortest_edge"])
    ):
        return {
            "edge": "shortest",
            "size": size["shortest_edge"],
            "interpolation": interpolation,
        }, None
    height, width = _read_height_width(path, "size", size)
    return {"edge": "stretch", "size": [height, width], "interpolation": interpolation}, (
        height,
        width,
    )


def _read_height_width(path: Path, key: str, value: object) -> tuple[int, int]:
    """{"height": h, "width": w}, or one number for a square: what the processors of ViT and DeiT
    mean by it.
    """
    if _is_pixels(value):
        return value, value
    if (
        isinstance(value, dict)
        and set(value) == {"height", "width"}
        and all(map(_is_pixels, value.values()))
    ):
        return value["height"], value["width"]
    raise ExportError(
        f'{path}: "{key}" is {json.dumps(value)}; supported are a number of pixels, '
        '{"height", "width"} and, for "size", {"shortest_edge"}'
    )


def _is_pixels(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _three_numbers(path: Path, config: dict, key: str) -> list[float]:
    value = _required(path, config, key)
    if not (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(item, (int, float)) for item in value)
    ):
        raise ExportError(f'{path}: "{key}" is {json.dumps(value)}; it must be three numbers')
    return [float(item) for item in value]


def _required(path: Path, config: dict, key: str) -> object:
    if key not in config:
        raise ExportError(f'{path} has no "{key}"; add it, a package leaves nothing to defaults')
    return config[key]


def _read_json(folder: Path, name: str) -> dict:
    path = folder / name
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(
            f"{folder} has no {name}; it is not a Hugging Face model folder"
        ) from None
    except ValueError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ExportError(f"{path} must hold a JSON object")
    return value
