"""What a Hugging Face preprocessor_config.json, or processor_config.json, says, as a manifest's
``input``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from . import ExportError
from .package import input_spec

_interpolations = {2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
_known_steps = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}

# Processors that read a "size" of one number as the short edge; all others read a square. Where the
# file does not name the processor, it is that of the model's type.
_short_edge_processors = ("clip", "bit", "convnext")
_short_edge_models = ("clip", "dinov2", "convnext")


def read_preprocessing(folder: Path, interpolation: str = "") -> dict:
    """A manifest's ``input`` from what the folder says of pictures; ``interpolation`` overrules
    that.
    """
    path, config = _picture_config(folder)

    for step in sorted(key for key, value in config.items() if key.startswith("do_") and value):
        if step not in _known_steps:
            raise ExportError(f"{path}: {step} is a step that a package cannot express")

    crop = "center" if config.get("do_center_crop", "crop_size" in config) else "none"
    if config.get("do_resize", True):
        resize, size = _read_resize(path, config, interpolation)
        if "crop_pct" in config and size is None:
            resize, size, crop = _convnext_resize(path, config, resize)
    elif crop == "center":
        resize, size = {"edge": "none"}, None
    else:
        raise ExportError(
            f"{path}: neither do_resize nor do_center_crop is on, "
            "so the size of the input is not known"
        )
    if crop == "center" and "crop_pct" not in config:
        size = _read_height_width(path, "crop_size", _required(path, config, "crop_size"))
    if size is None:
        raise ExportError(
            f"{path}: the short edge is resized but nothing is cropped; "
            "a package needs one input size"
        )
    mean, std = _read_scale(path, config)
    return input_spec(width=size[1], height=size[0], resize=resize, crop=crop, mean=mean, std=std)


def _picture_config(folder: Path) -> tuple[Path, dict]:
    """The file and what it says: where processor_config.json has a part for pictures, that goes
    before preprocessor_config.json, as in transformers.
    """
    name = "processor_config.json"
    if (folder / name).is_file():
        nested = read_json(folder, name).get("image_processor")
        if isinstance(nested, dict):
            return folder / name, nested
    name = "preprocessor_config.json"
    return folder / name, read_json(folder, name)


def with_size(spec: dict, height: int, width: int) -> dict:
    """``spec`` for pictures of another size: the resize keeps its proportion to the crop."""
    resize = dict(spec["resize"])
    if resize["edge"] == "shortest":
        proportion = resize["size"] / max(spec["height"], spec["width"])
        resize["size"] = math.ceil(proportion * max(height, width) - 1e-6)
    elif resize["edge"] == "stretch":
        old_height, old_width = resize["size"]
        resize["size"] = [
            math.ceil(old_height / spec["height"] * height - 1e-6),
            math.ceil(old_width / spec["width"] * width - 1e-6),
        ]
    return {**spec, "height": height, "width": width, "resize": resize}


def _read_scale(path: Path, config: dict) -> tuple[list[float], list[float]]:
    """mean and std for values of 0..1, into which all the processors' steps on values combine."""
    gain = 255 * config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 255
    gain = 1.0 if abs(gain - 1) < 1e-6 else gain
    offset = -1.0 if config.get("rescale_offset") else 0.0
    normalised = config.get("do_normalize", True)
    mean = _three_numbers(path, config, "image_mean") if normalised else [0.0] * 3
    std = _three_numbers(path, config, "image_std") if normalised else [1.0] * 3
    mean = [(value - offset) / gain for value in mean]
    std = [value / gain for value in std]
    if config.get("include_top"):  # EfficientNet divides once more
        again = _three_numbers(path, config, "image_std")
        std = [value * factor for value, factor in zip(std, again)]
    return mean, std


def _read_resize(
    path: Path, config: dict, interpolation: str
) -> tuple[dict, tuple[int, int] | None]:
    """The manifest's ``resize`` and, where it fixes both edges, the resulting (height, width)."""
    if not interpolation:
        resample = _required(path, config, "resample")
        if resample not in _interpolations:
            raise ExportError(
                f"{path}: resample {resample} is not supported; "
                "supported are 2 (bilinear) and 3 (bicubic); "
                "--interpolation takes another one, at the price of slightly other embeddings"
            )
        interpolation = _interpolations[resample]
    size = _required(path, config, "size")
    if _is_pixels(size) and _reads_short_edge(path.parent, config):
        size = {"shortest_edge": size}
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


def _reads_short_edge(folder: Path, config: dict) -> bool:
    kind = config.get("image_processor_type", config.get("feature_extractor_type"))
    if kind is not None:
        return str(kind).lower().startswith(_short_edge_processors)
    model = read_json(folder, "config.json").get("model_type", "")
    return str(model).startswith(_short_edge_models)


def _convnext_resize(path: Path, config: dict, resize: dict) -> tuple[dict, tuple[int, int], str]:
    """ConvNeXt's rule: below 384 the short edge becomes size / crop_pct and the middle is cropped,
    from 384 on the picture is stretched.
    """
    side, part = resize["size"], config["crop_pct"]
    if config.get("do_center_crop"):
        raise ExportError(f"{path}: crop_pct and do_center_crop together are not supported")
    if part is None:
        part = 224 / 256
    if side < 384:
        return {**resize, "size": int(side / part)}, (side, side), "center"
    return {**resize, "edge": "stretch", "size": [side, side]}, (side, side), "none"


def _read_height_width(path: Path, key: str, value: object) -> tuple[int, int]:
    """{"height": h, "width": w}, or one number for a square."""
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


def read_json(folder: Path, name: str) -> dict:
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
