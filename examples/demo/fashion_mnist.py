"""Fashion-MNIST: 70,000 product pictures of 28 x 28 grey pixels, MIT licence.

Xiao, Rasul and Vollgraf, arXiv 1708.07747. Read from Debian's package dataset-fashion-mnist;
downloaded from its authors where that package is absent.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import math
import struct
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from .data import Dataset, DemoError, Product, write_metadata
from .sampling import balanced_groups

PACKAGE = Path("/usr/share/datasets/fashion-mnist")
UPSTREAM = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
# SHA-256 of the decompressed files, so that they hold for every way of packing them.
CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
LABELS = (
    "T-shirt",
    "Trousers",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
ITEMS, LIVE, QUERIES = 10_000, 500, 1_000
SALT = "vsearch demo 1"


def read_idx(data: bytes, name: str) -> np.ndarray:
    """The array in an IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist)."""
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise DemoError(f"{name} is no IDX file of unsigned bytes")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != math.prod(shape):
        raise DemoError(
            f"{name} holds {values.size} values, its header promises {math.prod(shape)}"
        )
    return values.reshape(shape)


def checked(packed: bytes, name: str, place: str) -> bytes:
    """The decompressed content, if it is what the authors published."""
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError) as error:
        raise DemoError(f"{place}: not a whole gzip file ({error})") from error
    found = hashlib.sha256(data).hexdigest()
    if found != CHECKSUMS[name]:
        raise DemoError(
            f"{place}: the content has SHA-256 {found}, expected {CHECKSUMS[name]}; "
            "is the file damaged?"
        )
    return data


def download(name: str, target: Path) -> bytes:
    """Fetches one file from the authors and keeps it at `target`."""
    reasons = []
    for base in UPSTREAM:
        address = f"{base}{name}.gz"
        print(f"   fetching {address}", flush=True)
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                packed = answer.read()
            data = checked(packed, name, address)
        except (OSError, http.client.HTTPException, DemoError) as error:
            reasons.append(f"  {address}: {error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(packed)
        return data
    raise DemoError(
        "\n".join([f"cannot get Fashion-MNIST's {name}.gz:", *reasons])
        + f"\nPut the file at {target}, or install Debian's package dataset-fashion-mnist, "
        "or use pictures of your own: make demo PICTURES=DIR"
    )


def load(name: str, downloads: Path) -> np.ndarray:
    """The array called `name`: from the package, else an earlier download, else the network."""
    for place in (PACKAGE / f"{name}.gz", downloads / f"{name}.gz"):
        if place.is_file():
            return read_idx(checked(place.read_bytes(), name, str(place)), str(place))
    return read_idx(download(name, downloads / f"{name}.gz"), name)


def tone(picture: np.ndarray) -> int:
    """How bright the product is, 0 to 255: the mean of its pixels without the background."""
    body = picture[picture > 16]
    return round(float(body.mean())) if body.size else 0


def prepare(folder: Path) -> Dataset:
    """Writes the pictures below `folder` as PNG files, or finds them there from an earlier run."""
    listing = folder / "listing.json"  # written last: where it is, the pictures are complete
    wanted = {
        "salt": SALT,
        "items": ITEMS,
        "live": LIVE,
        "queries": QUERIES,
        "labels": list(LABELS),
    }
    known = json.loads(listing.read_text()) if listing.is_file() else {}
    if known.get("settings") == wanted:
        count = sum(map(len, known["groups"].values()))
        print(f"   {count:,} pictures are there from an earlier run: {folder}")
        rows = known["groups"]
    else:
        rows = write_pictures(folder)
        listing.write_text(json.dumps({"settings": wanted, "groups": rows}))
    groups = {name: [product(folder / name, *row) for row in rows[name]] for name in rows}
    metadata_file = folder / "items.jsonl"
    write_metadata(metadata_file, groups["items"])
    return Dataset(
        title="Fashion-MNIST",
        source="Fashion-MNIST, © Zalando SE, MIT licence",
        folder=folder / "items",
        metadata_file=metadata_file,
        items=groups["items"],
        live=groups["live"],
        queries=groups["queries"],
        pixelated=True,
    )


def product(folder: Path, file: str, label: str, number: int, brightness: int) -> Product:
    metadata = {"label": label, "number": number, "tone": brightness}
    return Product(key=file, path=folder / file, label=label, metadata=metadata)


def write_pictures(folder: Path) -> dict[str, list[tuple[str, str, int, int]]]:
    """Writes all three groups; returns file, label, number in the data set and tone of each."""
    downloads = folder.parent / "downloads"
    train, train_labels = (
        load(f"train-{part}-ubyte", downloads) for part in ("images-idx3", "labels-idx1")
    )
    test, test_labels = (
        load(f"t10k-{part}-ubyte", downloads) for part in ("images-idx3", "labels-idx1")
    )
    items, live = balanced_groups(train_labels.tolist(), [ITEMS, LIVE], SALT)
    (queries,) = balanced_groups(test_labels.tolist(), [QUERIES], SALT)
    rows: dict[str, list[tuple[str, str, int, int]]] = {}
    for name, positions, pictures, labels in (
        ("items", items, train, train_labels),
        ("live", live, train, train_labels),
        ("queries", queries, test, test_labels),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        rows[name] = []
        for i in positions:
            label = LABELS[labels[i]]
            file = f"{i:05d}-{label.lower().replace(' ', '-')}.png"
            Image.fromarray(pictures[i]).save(folder / name / file)
            rows[name].append((file, label, i, tone(pictures[i])))
    return rows
