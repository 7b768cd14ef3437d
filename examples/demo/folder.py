"""Pictures of one's own: a folder becomes a catalogue, with the folders in it as labels."""

from __future__ import annotations

import os
from pathlib import Path

from .data import Dataset, DemoError, Product, write_metadata
from .sampling import stable_order

EXTENSIONS = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}  # what `vsx add` takes for pictures
SMALLEST = 20
QUERY_SHARE, MOST_QUERIES = 0.05, 200
LIVE_SHARE, MOST_LIVE = 0.05, 500
SALT = "vsearch demo 1"


def find_pictures(folder: Path) -> list[Path]:
    """The pictures in `folder` and the folders in it, hidden ones left out, sorted by path."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = [
            name
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS
        ]
        found += [Path(place) / name for name in names]
    return sorted(found)


def products_of(folder: Path, label_name: str) -> list[Product]:
    """The pictures in `folder`; where there are several folders, a picture's is its label."""
    pictures = find_pictures(folder)
    several = len({path.parent for path in pictures}) > 1
    products = []
    for path in pictures:
        label = path.parent.name if several else None
        metadata = {label_name: label} if label is not None else {}
        products.append(
            Product(
                key=path.relative_to(folder).as_posix(), path=path, label=label, metadata=metadata
            )
        )
    return products


def prepare(folder: Path, work: Path) -> Dataset:
    """Splits the pictures in `folder` into three groups; writes into `work` only."""
    if not folder.is_dir():
        raise DemoError(f"PICTURES={folder}: there is no such folder; give one that holds pictures")
    products = products_of(folder, "label")
    if len(products) < SMALLEST:
        what = f"only {len(products)} pictures" if products else "no pictures"
        raise DemoError(
            f"PICTURES={folder}: {what} in it or its folders "
            f"({' '.join(sorted(EXTENSIONS))}); the demo needs at least {SMALLEST}"
        )
    order = stable_order([product.key for product in products], SALT)
    queries = max(1, min(MOST_QUERIES, int(len(products) * QUERY_SHARE)))
    live = max(1, min(MOST_LIVE, int(len(products) * LIVE_SHARE)))
    groups = [
        sorted(order[:queries]),
        sorted(order[queries : queries + live]),
        sorted(order[queries + live :]),
    ]
    query_products, live_products, items = ([products[i] for i in group] for group in groups)
    metadata_file = work / "own.jsonl"
    write_metadata(metadata_file, products)
    return Dataset(
        title=f"the folder {folder.resolve().name or folder}",
        source=f"Your own pictures in {folder}",
        folder=folder,
        metadata_file=metadata_file,
        items=items,
        live=live_products,
        queries=query_products,
    )
