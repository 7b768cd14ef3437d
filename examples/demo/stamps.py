"""Debian's tuxpaint-stamps-default: photographs and drawings in colour, GPL-2 and public domain."""

from __future__ import annotations

from pathlib import Path

from .data import Product, write_metadata
from .folder import find_pictures

PACKAGE = Path("/usr/share/tuxpaint/stamps")
LICENCE = (
    "Stamps of Tux Paint, © Bill Kendrick and contributors, GPL-2; "
    "read from this machine's package tuxpaint-stamps-default"
)


def prepare(metadata_file: Path) -> list[Product]:
    """All stamps, with their folders as categories; empty where the package is not installed."""
    products = []
    for path in find_pictures(PACKAGE):
        folders = path.relative_to(PACKAGE).parent.parts
        metadata = {"category": "/".join(folders[:2]), "group": folders[0] if folders else ""}
        products.append(
            Product(key=path.relative_to(PACKAGE).as_posix(), path=path, metadata=metadata)
        )
    if products:
        write_metadata(metadata_file, products)
    return products
