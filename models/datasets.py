"""The pictures and labels that the projection is fitted and measured on, read straight from their
archives.

``../shared/data`` (or ``$VSEARCH_SHARED/data``) holds grocery.tar, caltech101.tar and fashion.tar;
Fashion-MNIST comes from Debian's ``dataset-fashion-mnist``. A data set is a list of pictures in a
fixed order; a picture is known by its path in the archive.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import os
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image, ImageOps

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def shared_data() -> Path:
    shared = os.environ.get("VSEARCH_SHARED")
    folder = Path(shared) if shared else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        raise SystemExit(
            f"{folder / 'data'}: no such folder; set VSEARCH_SHARED to the folder that holds data/"
        )
    return folder / "data"


@dataclass
class Dataset:
    paths: list[str]
    pictures: Callable[[], Iterator[Image.Image]]  # upright RGB, in the order of paths
    fine: np.ndarray  # label of each picture; -1 where it has none
    split: np.ndarray  # "train", "val", "test", "iconic", or "" where the set has no splits
    colour: np.ndarray | None = None  # second label (fashion)

    def only(self, keep: np.ndarray) -> Dataset:
        """The pictures where ``keep`` [pictures] is true."""

        def pictures() -> Iterator[Image.Image]:
            return itertools.compress(self.pictures(), keep)

        paths = list(itertools.compress(self.paths, keep))
        return Dataset(
            paths,
            pictures,
            self.fine[keep],
            self.split[keep],
            None if self.colour is None else self.colour[keep],
        )


def load(name: str) -> Dataset:
    return {
        "grocery": _grocery,
        "caltech101": _caltech101,
        "fashion": _fashion,
        "fashion-mnist": _fashion_mnist,
    }[name]()


def _read_tar(name: str) -> dict[str, bytes]:
    """All files of an archive by their path in it, without its top folder."""
    with tarfile.open(shared_data() / f"{name}.tar") as tar:
        return {
            member.name.removeprefix(f"{name}/"): tar.extractfile(member).read()
            for member in tar
            if member.isfile()
        }


def _from_files(files: dict[str, bytes], paths: list[str]) -> Callable[[], Iterator[Image.Image]]:
    def pictures() -> Iterator[Image.Image]:
        for path in paths:
            yield ImageOps.exif_transpose(Image.open(io.BytesIO(files[path]))).convert("RGB")

    return pictures


def _grocery() -> Dataset:
    files = _read_tar("grocery")
    paths, fine, split = [], [], []
    for part in ("train", "val", "test"):
        for line in files[f"{part}.txt"].decode().splitlines():
            path, label, _ = (field.strip() for field in line.split(","))
            paths.append(path)
            fine.append(int(label))
            split.append(part)
    for row in csv.DictReader(io.StringIO(files["classes.csv"].decode())):
        paths.append(row["Iconic Image Path (str)"].lstrip("/"))
        fine.append(int(row["Class ID (int)"]))
        split.append("iconic")
    return Dataset(paths, _from_files(files, paths), np.array(fine), np.array(split))


def _caltech101() -> Dataset:
    files = _read_tar("caltech101")
    paths = sorted(path for path in files if path.endswith(".jpg"))
    fine = np.unique([path.split("/")[0] for path in paths], return_inverse=True)[1]
    return Dataset(paths, _from_files(files, paths), fine, np.full(len(paths), ""))


def _fashion() -> Dataset:
    files = _read_tar("fashion")
    rows = list(csv.DictReader(io.StringIO(files["catalog.csv"].decode())))
    paths = [row["path"] for row in rows]
    fine = np.unique([row["articleType"] for row in rows], return_inverse=True)[1]
    colour = np.unique([row["baseColour"] for row in rows], return_inverse=True)[1]
    return Dataset(paths, _from_files(files, paths), fine, np.full(len(paths), ""), colour)


def _fashion_mnist() -> Dataset:
    images, labels, split, paths = [], [], [], []
    for part, prefix in (("train", "train"), ("test", "t10k")):
        with gzip.open(FASHION_MNIST / f"{prefix}-images-idx3-ubyte.gz") as file:
            _, count, rows, columns = struct.unpack(">4I", file.read(16))
            images.append(np.frombuffer(file.read(), np.uint8).reshape(count, rows, columns))
        with gzip.open(FASHION_MNIST / f"{prefix}-labels-idx1-ubyte.gz") as file:
            file.read(8)
            labels.append(np.frombuffer(file.read(), np.uint8))
        split += [part] * count
        paths += [f"{part}/{number}" for number in range(count)]
    stacked = np.concatenate(images)

    def pictures() -> Iterator[Image.Image]:
        for image in stacked:
            yield Image.fromarray(image).convert("RGB")

    return Dataset(paths, pictures, np.concatenate(labels).astype(int), np.array(split))
