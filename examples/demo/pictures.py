"""Pictures as data URIs, so that the page is one file."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path

from PIL import Image, ImageOps

EDGE_PX = 168  # twice what the page shows at most, for dense screens


@cache
def data_uri(path: Path, pixelated: bool) -> str:
    """The picture at `path`: unchanged if `pixelated`, else upright, small, on white, a JPEG."""
    if pixelated:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    try:
        small = thumbnail(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        small = Image.new("RGBA", (1, 1))  # a picture that Pillow cannot read, though we can
    flat = Image.new("RGB", small.size, "white")
    flat.paste(small, mask=small.getchannel("A"))
    buffer = io.BytesIO()
    flat.save(buffer, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def thumbnail(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.draft("RGB", (2 * EDGE_PX, 2 * EDGE_PX))  # a JPEG need not be decoded in full
        small = ImageOps.exif_transpose(picture).convert("RGBA")
    small.thumbnail((EDGE_PX, EDGE_PX), Image.Resampling.LANCZOS)
    return small
