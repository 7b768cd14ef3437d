"""The catalogue: items, their pictures and metadata, kept on disk and searched."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _progress
from ._arguments import Image, Log, PathLike, Progress, count, is_array, is_bytes, is_path
from ._encoder import Encoder
from ._health import IndexHealth
from ._native import Catalog as NativeCatalog
from .errors import Error, InvalidArgumentError, KeyNotFoundError, class_of

# How many items add_many() hands to the library at a time.
_ITEMS_AT_A_TIME = 256


@dataclass(frozen=True)
class Picture:
    """A picture to add, where a path, bytes or an array alone do not say enough: bytes or an
    embedding with the path that hits shall show."""

    path: PathLike = ""
    """Kept, and shown with hits; the file is read if there is neither image nor embedding."""
    image: Image | None = None
    """The bytes of a picture file, or pixels."""
    embedding: npt.ArrayLike | None = None
    """[dim], by the catalogue's encoder; used instead of the image."""


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


@dataclass(frozen=True)
class Item:
    """What the catalogue holds of an item."""

    key: str
    metadata: dict[str, Any]
    paths: list[str]


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
    """What became of the items of :meth:`Catalog.add_many`."""

    added: int = 0
    replaced: int = 0
    failures: list[AddFailure] = field(default_factory=list)


def create(
    path: PathLike, *, encoder: Encoder | PathLike | None = None, log: Log | None = None
) -> Catalog:
    """Makes an empty catalogue in the new directory `path` and opens it.

    ``encoder`` is an :class:`Encoder`, a model package or a name; None is the encoder that comes
    with the library. The catalogue remembers it, and takes no other one's embeddings. ``log`` is
    called with (level, message), by default ``logging.getLogger("vsearch").log``.

    Raises FileExistsError, and what :class:`Encoder` raises.
    """
    loaded = encoder if isinstance(encoder, Encoder) else Encoder(encoder)
    return Catalog._of(NativeCatalog.create(path, loaded._native, _log(log)))


def open(
    path: PathLike,
    *,
    encoder: Encoder | PathLike | None = None,
    log: Log | None = None,
    progress: Progress = None,
) -> Catalog:
    """Opens the catalogue in the directory `path`. One process can have it open.

    ``encoder`` None is the one the catalogue was made with, loaded when a picture must first be
    encoded. ``progress`` is of rebuilding the index, where that is necessary.

    Raises FileNotFoundError, :class:`BusyError`, :class:`CorruptError` (nothing is deleted),
    :class:`EncoderMismatchError`.
    """
    if encoder is not None and not isinstance(encoder, Encoder):
        encoder = Encoder(encoder)
    native = NativeCatalog.open(
        path,
        None if encoder is None else encoder._native,
        _log(log),
        _progress.callback(progress, "pictures"),
    )
    return Catalog._of(native)


def _log(log: Log | None) -> Log:
    return logging.getLogger("vsearch").log if log is None else log


class Catalog:
    """A shop's items on disk. Made by :func:`vsearch.open` and :func:`vsearch.create`; a context
    manager that closes it.

    What a call has returned from is on disk and survives a crash or power loss. ``key in shop`` and
    ``len(shop)`` work.

    Threads: may be used from many threads; writers wait for each other, searches do not wait for
    encoding.
    """

    _native: NativeCatalog

    def __init__(self) -> None:
        raise TypeError("use vsearch.open(path) or vsearch.create(path)")

    @classmethod
    def _of(cls, native: NativeCatalog) -> Catalog:
        catalog = cls.__new__(cls)
        catalog._native = native
        return catalog

    def close(self) -> None:
        """Closes the catalogue, after the calls that are running on other threads. Closing twice is
        fine; using a closed catalogue is a ValueError. Nothing acknowledged depends on it: it saves
        opening time."""
        self._native.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, key: str, pictures: Pictures, metadata: Mapping[str, Any] | None = None) -> None:
        """Adds an item, replacing the one with this key.

        ``pictures`` is a path, the bytes of a picture file, pixels (as :meth:`Encoder.encode` takes
        them, RGB; of BGR give the view ``frame[:, :, ::-1]``), an embedding (float ``[dim]``, by
        this catalogue's encoder), a :class:`Picture`, or a list of these: one thing seen several
        times. ``metadata`` must be JSON.

        Raises FileNotFoundError, :class:`BadImageError`, ValueError (metadata, key or embedding);
        the item is then as before.
        """
        report = self.add_many([(key, pictures, metadata)])
        if report.failures:
            raise report.failures[0].error

    def add_many(
        self,
        items: Iterable[
            tuple[str, Pictures]
            | tuple[str, Pictures, Mapping[str, Any] | None]
            | Mapping[str, Any]
        ],
        *,
        progress: Progress = None,
    ) -> AddReport:
        """Adds items, replacing those whose keys are there; much faster than one by one.

        An item is ``(key, pictures)``, ``(key, pictures, metadata)``, or a mapping with ``"key"``,
        ``"pictures"`` and maybe ``"metadata"``; see :meth:`add`. `items` may be an endless
        generator's worth: it is taken in parts, each of which is on disk before the next is taken.

        An item with a picture that cannot be read is left out and reported. ``progress`` is True
        for a bar on stderr, or a callable(done, total) that may return False to cancel; total is
        None if `items` has no length.

        Raises :class:`CancelledError`, KeyboardInterrupt, and what `items` raises; what was
        acknowledged before stays.
        """
        report = AddReport()
        done = 0
        total = len(items) if isinstance(items, Sized) else None
        notify = _progress.callback(progress, "items")

        def on_progress(now: int, _: int) -> bool | None:
            return None if notify is None else notify(done + now, total)

        parts = iter(items)
        while part := [_item(item) for item in itertools.islice(parts, _ITEMS_AT_A_TIME)]:
            added, replaced, failures = self._native.add(part, on_progress)
            report.added += added
            report.replaced += replaced
            report.failures += (
                AddFailure(key, path, class_of(code)(message))
                for key, path, code, message in failures
            )
            done += len(part)
        return report

    def remove(self, keys: str | Iterable[str]) -> list[str]:
        """Removes the item or items with these keys, all at once; returns those keys that were not
        there."""
        return self._native.remove([keys] if isinstance(keys, str) else list(keys))

    def patch(self, key: str, changes: Mapping[str, Any]) -> None:
        """Changes the metadata of the item with this key: what `changes` names is set, and removed
        where it is None; all else stays (RFC 7396). Pictures are not encoded again.

        Raises KeyError, ValueError (no JSON, or too much of it; nothing was changed).
        """
        if self.patch_many({key: changes}):
            raise KeyNotFoundError(f"the catalogue has no item with the key {key!r}")

    def patch_many(self, changes: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Changes metadata as :meth:`patch` does, by key and all at once, much faster than one by
        one; returns those keys that were not there."""
        return self._native.patch(
            [(key, _json(values, f"changes of {key!r}")) for key, values in changes.items()]
        )

    def get(self, key: str) -> Item | None:
        """The item with this key, or None."""
        found = self._native.get(key)
        return None if found is None else Item(found[0], json.loads(found[1]), found[2])

    def keys(self) -> list[str]:
        """All keys, in ascending order of their UTF-8 bytes."""
        return self._native.keys()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._native.get(key) is not None

    def __len__(self) -> int:
        items: int = self.info()["items"]
        return items

    def info(self) -> dict[str, Any]:
        """path, encoder (as recorded), encoder_name, encoder_fingerprint, dim, metric, items,
        pictures, generation (counts committed changes), disk_bytes, index_removed,
        index_memory_bytes."""
        return self._native.info()

    def check_health(
        self,
        sample: SupportsIndex = 200,
        k: SupportsIndex = 10,
        breadth: SupportsIndex = 64,
        *,
        seed: int = 1,
        progress: Progress = None,
    ) -> IndexHealth:
        """Looks through the index of the catalogue, beside searches and changes: see
        :meth:`Index.check_health`."""
        found = self._native.check_health(
            count(sample, "sample"),
            count(k, "k"),
            count(breadth, "breadth"),
            seed,
            _progress.callback(progress, "pictures"),
        )
        return IndexHealth(**found)

    def search(
        self,
        *,
        image: Image | None = None,
        like: str | None = None,
        vector: npt.ArrayLike | None = None,
        k: SupportsIndex = 10,
        breadth: SupportsIndex = 64,
        where: str | Mapping[str, Any] | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The items that look like ``image``, like the item with the key ``like`` (itself left
        out), or whose embeddings are near ``vector`` [dim]; exactly one of the three is given. At
        most k, nearest first; fewer only if fewer match. A picture file is decoded as the catalogue
        decodes its own.

        ``where`` keeps only items whose metadata match: ``{"colour": "red", "price": {"<": 50}}``,
        or as text ``"colour = 'red' AND price < 50"``. ``breadth`` trades time for recall;
        ``exact`` compares with every picture.

        Raises FileNotFoundError or :class:`BadImageError` (the image), KeyError (like), ValueError
        (k=0, a vector of a wrong dimension, a condition that cannot be parsed).
        """
        given = [
            name
            for name, value in (("image", image), ("like", like), ("vector", vector))
            if value is not None
        ]
        if len(given) != 1:
            raise InvalidArgumentError(
                "search() takes exactly one of image, like and vector, not "
                + (" and ".join(given) or "none")
            )
        is_json = isinstance(where, Mapping)
        condition = _json(where, "where") if isinstance(where, Mapping) else where
        hits = self._native.search(
            image,
            like,
            vector,
            count(k, "k"),
            count(breadth, "breadth"),
            condition,
            is_json,
            bool(exact),
        )
        return [
            Hit(key, score, distance, path, json.loads(metadata))
            for key, score, distance, path, metadata in hits
        ]

    def __repr__(self) -> str:
        if self._native.closed:
            return "<vsearch.Catalog, closed>"
        info = self.info()
        return f"<vsearch.Catalog {info['path']!r} of {info['items']} items>"


def _json(value: Mapping[str, Any], name: str) -> str:
    try:
        return json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{name} is no JSON: {error}") from error


def _item(item: Any) -> tuple[str, list[tuple[PathLike, Image | None, npt.ArrayLike | None]], str]:
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
        _json(metadata or {}, f"metadata of {key!r}"),
    )


def _picture(picture: Any, key: object) -> tuple[PathLike, Image | None, npt.ArrayLike | None]:
    if isinstance(picture, Picture):
        if is_path(picture.image):
            raise TypeError(f"a Picture of {key!r} has a path as its image: put it into path")
        if picture.image is None and picture.embedding is None and not os.fspath(picture.path):
            raise InvalidArgumentError(
                f"a Picture of {key!r} has no path, no image and no embedding"
            )
        return picture.path, picture.image, picture.embedding
    if is_path(picture):
        return picture, None, None
    if is_bytes(picture):
        return "", picture, None
    if is_array(picture):
        array = np.asarray(picture)
        if array.dtype.kind == "f" and array.ndim == 1:
            return "", None, array
        return "", picture, None
    raise TypeError(
        f"a picture of {key!r} must be a path, bytes, pixels, an embedding or a Picture, "
        f"not {type(picture).__name__}"
    )
