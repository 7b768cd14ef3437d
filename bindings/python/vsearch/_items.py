"""Items of a catalogue: what is added, what is there, what is found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._arguments import Image, PathLike, is_array, is_bytes, is_path, is_pillow_image
from .errors import Error, InvalidArgumentError, class_of

# A part of a picture: left, top, right and bottom in shares of its width and height, from 0 to 1.
Crop: TypeAlias = "tuple[float, float, float, float]"

WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Picture:
    """A picture to add, where a path, bytes or an array alone do not say enough: bytes or an
    embedding with the path that hits shall show, or a part of a picture."""

    path: PathLike = ""
    """Kept, and shown with hits; the file is read if there is neither image nor embedding. A URI
    ("https://...") is brought by the ``fetch`` that the catalogue was opened with."""
    image: Image | None = None
    """The bytes of a picture file, or pixels."""
    embedding: npt.ArrayLike | None = None
    """[dim], by the catalogue's encoder; used instead of the image."""
    crop: Crop = WHOLE
    """The part that is encoded: left, top, right and bottom in shares of width and height."""
    role: str = ""
    """What the picture shows, in a word: "front", "worn"."""
    keep_bytes: bool = False
    """Keep the picture file in the catalogue, so that another encoder can look at it though nothing
    else has it."""


# What can be added: a Picture, or one of its three parts alone. A float array [dim] is an embedding
# by the catalogue's encoder.
Pictures: TypeAlias = "Picture | Image | Sequence[Picture | Image]"


@dataclass(frozen=True)
class Hit:
    """An item that a search found."""

    key: str
    score: float
    """In [0, 1]; 1 is the same picture."""
    distance: float
    """Of the item's nearest picture: 1 - cosine for the cosine metric."""
    path: str
    """Of that picture."""
    metadata: dict[str, Any] = field(repr=False)
    role: str = ""
    """Of that picture."""


@dataclass(frozen=True)
class PictureInfo:
    """What the catalogue holds of a picture."""

    id: int
    """In the index; an item whose pictures are replaced gets new ones."""
    path: str
    role: str
    crop: Crop
    content_hash: str
    """SHA-256 of the file in 64 hex digits; empty if it was given as pixels or as an embedding."""
    kept_bytes: int
    """Length of the file that the catalogue keeps, or 0."""


@dataclass(frozen=True)
class Item:
    """What the catalogue holds of an item."""

    key: str
    metadata: dict[str, Any]
    pictures: list[PictureInfo]

    @property
    def paths(self) -> list[str]:
        """Of the pictures, in the order they were given."""
        return [picture.path for picture in self.pictures]


@dataclass(frozen=True)
class AddFailure:
    """An item that could not be added; the catalogue holds of it what it held before."""

    key: str
    path: str
    """Of the picture that could not be read, if that was the reason."""
    error: Error
    """Not raised, but as it would have been by :meth:`Catalog.add`."""


@dataclass
class AddReport:
    """What became of the items of :meth:`Catalog.add_many` or :meth:`Catalog.import_from`."""

    added: int = 0
    replaced: int = 0
    """With those that were found to be the same already."""
    failures: list[AddFailure] = field(default_factory=list)
    encoded: int = 0
    """Pictures: those whose content was there already are not encoded again."""


# What the compiled module takes and gives, see _vsearch.pyi.
NativePicture: TypeAlias = "tuple[PathLike, Image | None, npt.ArrayLike | None, Crop, str, bool]"
NativeItem: TypeAlias = "tuple[str, str, list[tuple[int, str, str, Crop, str, int]]]"
NativeReport: TypeAlias = "tuple[int, int, int, list[tuple[str, str, int, str]]]"

_PLAIN = (WHOLE, "", False)


def to_json(value: Mapping[str, Any], name: str) -> str:
    try:
        return json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{name} is no JSON: {error}") from error


def to_native(item: Any) -> tuple[str, list[NativePicture], str]:
    """What the compiled module takes for an item."""
    if isinstance(item, Mapping):
        if unknown := set(item) - {"key", "pictures", "metadata"}:
            raise InvalidArgumentError(
                f"an item has key, pictures and metadata, not {', '.join(map(repr, unknown))}"
            )
        item = (item.get("key"), item.get("pictures"), item.get("metadata"))
    elif not isinstance(item, tuple) or len(item) not in (2, 3):
        raise InvalidArgumentError(
            "an item is (key, pictures), (key, pictures, metadata) or a mapping with these names"
        )
    key, pictures, metadata = (*item, None)[:3]
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidArgumentError(
            f"metadata of {key!r} must be a mapping, not {type(metadata).__name__}"
        )
    if not isinstance(pictures, (list, tuple)):
        pictures = [pictures]
    return (
        key,
        [_picture(picture, key) for picture in pictures],
        to_json(metadata or {}, f"metadata of {key!r}"),
    )


def _picture(picture: Any, key: object) -> NativePicture:
    if isinstance(picture, Picture):
        if is_path(picture.image):
            raise TypeError(f"a Picture of {key!r} has a path as its image: put it into path")
        if picture.image is None and picture.embedding is None and not os.fspath(picture.path):
            raise InvalidArgumentError(
                f"a Picture of {key!r} has no path, no image and no embedding"
            )
        if picture.keep_bytes and (picture.embedding is not None or is_array(picture.image)):
            raise InvalidArgumentError(
                f"a Picture of {key!r} has keep_bytes, but no picture file to keep: give a path or "
                "the bytes of the file"
            )
        return (
            picture.path,
            picture.image,
            picture.embedding,
            _crop(picture.crop, key),
            picture.role,
            bool(picture.keep_bytes),
        )
    if is_path(picture):
        return picture, None, None, *_PLAIN
    if is_bytes(picture):
        return "", picture, None, *_PLAIN
    if is_array(picture):
        embedding = _as_embedding(picture)
        if embedding is not None:
            return "", None, embedding, *_PLAIN
        return "", picture, None, *_PLAIN
    raise TypeError(
        f"a picture of {key!r} must be a path, bytes, pixels, an embedding or a Picture, "
        f"not {type(picture).__name__}"
    )


def _as_embedding(array: Any) -> np.ndarray | None:
    """The numbers of an embedding; None of pixels."""
    if is_pillow_image(array):
        return None
    values = np.asarray(array)
    return values if values.dtype.kind == "f" and values.ndim == 1 else None


def _crop(crop: Any, key: object) -> Crop:
    try:
        left, top, right, bottom = map(float, crop)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"the crop of a Picture of {key!r} must be (left, top, right, bottom), not {crop!r}"
        ) from error
    return left, top, right, bottom


def from_native(record: NativeItem) -> Item:
    """An item as the compiled module gives it."""
    key, metadata, pictures = record
    return Item(
        key,
        json.loads(metadata),
        [
            PictureInfo(id, path, role, _shortest(crop), content_hash, kept_bytes)
            for id, path, role, crop, content_hash, kept_bytes in pictures
        ],
    )


def _shortest(crop: Crop) -> Crop:
    """A crop is of 32-bit floats: 0.1 shall be 0.1 again."""
    left, top, right, bottom = (float(str(np.float32(share))) for share in crop)
    return left, top, right, bottom


def report_of(native: NativeReport) -> AddReport:
    """A report as the compiled module gives it."""
    added, replaced, encoded, failures = native
    return AddReport(
        added,
        replaced,
        [AddFailure(key, path, class_of(code)(text)) for key, path, code, text in failures],
        encoded,
    )
