"""Pictures to calibrate int8 with: from a folder, or generated where there are no real ones.

The generated ones are dead leaves (Lee, Mumford and Huang, IJCV 2001): overlapping shapes whose
sizes follow a power law, with textures of 1/f noise. They share edges, occlusion, flat regions and
the spectrum with photographs; every third one lies on a plain background, as product photographs
do.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F

from .. import ExportError

COUNT = 64
_size_px = 288
_suffixes = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@lru_cache(maxsize=2)
def generated_pictures(count: int = COUNT) -> list[torch.Tensor]:
    """uint8 RGB ``[3, H, W]``, the same ones each time."""
    generator = torch.Generator().manual_seed(2026)
    noise = [_noise(0.8 + 0.05 * (number % 8), generator) for number in range(24)]
    return [_picture(number, noise, generator) for number in range(count)]


def _picture(number: int, noise: list[torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * (high - low) + low

    def texture() -> torch.Tensor:
        which, down, right = (uniform(0, 1, 3) * torch.tensor([len(noise), size, size])).tolist()
        return noise[int(which)].roll((int(down), int(right)), (0, 1))

    size = _size_px
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    plain = number % 3 == 0
    if plain:
        picture = uniform(0.8, 1.0, 3, 1, 1).expand(3, size, size).clone()
        leaves, places, largest = 12, (0.3, 0.7), 0.3
    else:
        colours = torch.stack([texture(), texture(), texture()])
        picture = 0.5 + 0.2 * texture() + 0.08 * colours
        leaves, places, largest = 200, (0.0, 1.0), 0.4
    for _ in range(leaves):
        # Radii with density r^-3, between 2 % of the picture and `largest`.
        least = 0.02
        chance = uniform(0, 1, 1).item()
        radius = (least**-2 - chance * (least**-2 - largest**-2)) ** -0.5
        column, row = uniform(*places, 2).tolist()
        angle, narrow = uniform(0, 3.1416, 1).item(), uniform(0.3, 1.0, 1).item()
        turn = torch.tensor(angle)
        u = (x - column) * turn.cos() + (y - row) * turn.sin()
        v = ((y - row) * turn.cos() - (x - column) * turn.sin()) / narrow
        if uniform(0, 1, 1).item() < 0.5:
            inside = (u * u + v * v < radius * radius).float()
        else:
            inside = (torch.maximum(u.abs(), v.abs()) < radius).float()
        colour = uniform(0, 1, 3, 1, 1)
        shade = 1 + uniform(-0.5, 0.5, 1).item() * u / radius
        rough = uniform(0, 0.15, 1).item() * texture()
        picture = torch.lerp(picture, colour * shade + rough, inside)
    if number % 4 == 1:  # out of focus
        picture = F.avg_pool2d(picture[None], 5, stride=1, padding=2)[0]
    contrast = uniform(0.5, 1.2, 1).item()
    picture = (picture - 0.5) * contrast + 0.5 + uniform(-0.15, 0.15, 1).item()
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def _noise(power: float, generator: torch.Generator) -> torch.Tensor:
    """Noise of mean 0 and deviation 1 whose amplitude falls with frequency to ``-power``."""
    frequency = torch.fft.fftfreq(_size_px)
    radius = (frequency[:, None] ** 2 + frequency[None, :] ** 2).sqrt()
    amplitude = radius.clamp(min=1 / _size_px) ** -power
    amplitude[0, 0] = 0
    white = torch.randn(_size_px, _size_px, generator=generator)
    noise = torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real
    return noise / noise.std()


def pictures_from(folder: str | Path, count: int = 128) -> Iterator[torch.Tensor]:
    """Up to ``count`` pictures of ``folder`` and what lies below, evenly from all of them by name:
    uint8 RGB ``[3, H, W]``, each read when its turn comes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such folder; --calibration takes a folder of pictures")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _suffixes)
    if not paths:
        raise ExportError(
            f"{folder} holds no picture ({', '.join(sorted(_suffixes))}); "
            "int8 needs some like those that the model will see, or leave --calibration away"
        )
    count = min(count, len(paths))
    return (_read(paths[number * len(paths) // count]) for number in range(count))


def _read(path: Path) -> torch.Tensor:
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            upright = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ExportError(
            f"{path} cannot be read as a picture: {error}; take it out of the folder"
        ) from error
    return torch.from_numpy(upright).permute(2, 0, 1).contiguous()
