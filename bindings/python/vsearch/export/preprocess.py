"""From 8-bit pixels to what a network takes: the reference that the C++ library repeats step for
step.

The steps, and the formula of the golden pictures, are specified in docs/models.md. Pictures
are uint8 tensors ``[3, height, width]`` in RGB order.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from . import ExportError


def resized_size(height: int, width: int, resize: dict) -> tuple[int, int]:
    """(height, width) after the resize step of a manifest's ``input.resize``."""
    edge = resize["edge"]
    if edge == "none":
        return height, width
    if edge == "stretch":
        new_height, new_width = resize["size"]
        return new_height, new_width
    if edge == "shortest":
        size = resize["size"]
        if height <= width:
            return size, size * width // height
        return size * height // width, size
    raise ExportError(f'input.resize.edge is "{edge}"; it must be "shortest", "stretch" or "none"')


def resize(pixels: torch.Tensor, rule: dict) -> torch.Tensor:
    """Antialiased resize of uint8 ``[3, height, width]``, on 8-bit values as Pillow does it."""
    size = resized_size(pixels.shape[1], pixels.shape[2], rule)
    if size == tuple(pixels.shape[1:]):
        return pixels
    return F.interpolate(
        pixels[None], size=size, mode=rule["interpolation"], antialias=True, align_corners=False
    )[0]


def center_crop(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The ``height`` x ``width`` middle of ``[3, H, W]``; an odd rest leaves one pixel more at the
    bottom and right.
    """
    top = (pixels.shape[1] - height) // 2
    left = (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def prepare_pixels(pixels: torch.Tensor, spec: dict) -> torch.Tensor:
    """Resize and crop by a manifest's ``input``: uint8 ``[3, H, W]`` to uint8 ``[3, spec.height,
    spec.width]``.
    """
    height, width = spec["height"], spec["width"]
    resized = resize(pixels, spec["resize"])
    if spec["crop"] == "center" and resized.shape[1] >= height and resized.shape[2] >= width:
        resized = center_crop(resized, height, width)
    if tuple(resized.shape[1:]) != (height, width):
        raise ExportError(
            f"a picture of {pixels.shape[2]} x {pixels.shape[1]} pixels becomes "
            f"{resized.shape[2]} x {resized.shape[1]}, but the model takes {width} x {height}; "
            "check input.resize and input.crop of the manifest"
        )
    return resized


def normalise(pixels: torch.Tensor, spec: dict) -> torch.Tensor:
    """uint8 ``[..., 3, H, W]`` to float32: colour order, then (x / 255 - mean) / std, by a
    manifest's ``input``.
    """
    if spec["colour_order"] == "bgr":
        pixels = pixels.flip(-3)
    mean = torch.tensor(spec["mean"], dtype=torch.float32).view(3, 1, 1)
    std = torch.tensor(spec["std"], dtype=torch.float32).view(3, 1, 1)
    return pixels.to(torch.float32).div(255).sub(mean).div(std)


def preprocess(pixels: torch.Tensor, spec: dict) -> torch.Tensor:
    """uint8 RGB ``[3, H, W]`` to the float32 ``[3, height, width]`` that ``encode_image`` takes."""
    return normalise(prepare_pixels(pixels, spec), spec)


def golden_picture(width: int, height: int, seed: int) -> torch.Tensor:
    """The golden picture of docs/models.md: uint8 RGB ``[3, height, width]``, exact on
    every machine.
    """
    x = np.arange(width, dtype=np.uint64)[None, None, :]
    y = np.arange(height, dtype=np.uint64)[None, :, None]
    c = np.arange(3, dtype=np.uint64)[:, None, None]
    s = np.uint64(seed)
    waves = (
        x * x * (c + np.uint64(3)) + y * y * (s + np.uint64(5)) + x * y * (c * s + np.uint64(2))
    ) // np.uint64(64)
    value = (waves + c * np.uint64(37) + s * np.uint64(11)) % np.uint64(256)
    value = np.where(value > 127, np.uint64(255) - value, value)
    return torch.from_numpy((value * np.uint64(2)).astype(np.uint8))
