"""The catalogue: items, their pictures and metadata, kept on disk and searched."""

from __future__ import annotations

import itertools
import json
import logging
import operator
from collections.abc import Iterable, Iterator, Mapping, Sized
from types import TracebackType
from typing import Any, SupportsIndex

import numpy.typing as npt

from . import _progress
from ._arguments import Fetch, Image, Log, PathLike, Progress, count
from ._care import CareMethods
from ._editions import EditionMethods
from ._encoder import Encoder
from ._items import AddReport, Hit, Item, Pictures, from_native, report_of, to_json, to_native
from ._native import Catalog as NativeCatalog
from ._sync import SyncMethods
from .errors import InvalidArgumentError, KeyNotFoundError

# How many items add_many() hands to the library at a time, and items() takes from it.
_ITEMS_AT_A_TIME = 256

# After so many changed pictures the index is saved in the background.
_SNAPSHOT_CHANGES = 20_000


def create(
    path: PathLike,
    *,
    encoder: Encoder | PathLike | None = None,
    log: Log | None = None,
    fetch: Fetch | None = None,
    snapshot_changes: SupportsIndex = _SNAPSHOT_CHANGES,
) -> Catalog:
    """Makes an empty catalogue in the new directory `path` and opens it.

    ``encoder`` is an :class:`Encoder`, a model package or a name; None is the encoder that comes
    with the library. The catalogue remembers it, and takes no other one's embeddings. ``log`` is
    called with (level, message), by default ``logging.getLogger("vsearch").log``. For ``fetch`` and
    ``snapshot_changes`` see :func:`open`.

    Raises FileExistsError, and what :class:`Encoder` raises.
    """
    loaded = encoder if isinstance(encoder, Encoder) else Encoder(encoder)
    return Catalog._of(
        NativeCatalog.create(
            path, loaded._native, _log(log), fetch, operator.index(snapshot_changes)
        )
    )


def open(
    path: PathLike,
    *,
    encoder: Encoder | PathLike | None = None,
    log: Log | None = None,
    fetch: Fetch | None = None,
    snapshot_changes: SupportsIndex = _SNAPSHOT_CHANGES,
    progress: Progress = None,
) -> Catalog:
    """Opens the catalogue in the directory `path`. One process can have it open.

    ``encoder`` None is the one the catalogue was made with, loaded when a picture must first be
    encoded. ``progress`` is of rebuilding the index, where that is necessary.

    ``fetch`` brings the picture files that are named by URIs ("https://..."): called with a URI,
    from several threads at once, it returns the bytes of the file; what it raises is that picture's
    failure. After ``snapshot_changes`` changed pictures, and not before a tenth of all, the index
    is saved in the background, which is what opening after a crash need not do again; 0: only when
    the catalogue is closed.

    Raises FileNotFoundError, :class:`BusyError`, :class:`CorruptError` (nothing is deleted),
    :class:`EncoderMismatchError`.
    """
    if encoder is not None and not isinstance(encoder, Encoder):
        encoder = Encoder(encoder)
    native = NativeCatalog.open(
        path,
        None if encoder is None else encoder._native,
        _log(log),
        fetch,
        operator.index(snapshot_changes),
        _progress.callback(progress, "pictures"),
    )
    return Catalog._of(native)


def _log(log: Log | None) -> Log:
    return logging.getLogger("vsearch").log if log is None else log


class Catalog(SyncMethods, EditionMethods, CareMethods):
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
        while part := [to_native(item) for item in itertools.islice(parts, _ITEMS_AT_A_TIME)]:
            of_part = report_of(self._native.add(part, on_progress))
            report.added += of_part.added
            report.replaced += of_part.replaced
            report.failures += of_part.failures
            report.encoded += of_part.encoded
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
            [(key, to_json(values, f"changes of {key!r}")) for key, values in changes.items()]
        )

    def get(self, key: str) -> Item | None:
        """The item with this key, or None."""
        found = self._native.get(key)
        return None if found is None else from_native(found)

    def keys(self) -> list[str]:
        """All keys, in ascending order of their UTF-8 bytes."""
        return self._native.keys()

    def items(self) -> Iterator[Item]:
        """All items that are there now, in the order of :meth:`keys`, read as they are asked for.
        Writers and searches go on meanwhile; an item that is removed before it is asked for is left
        out, and one that is changed comes as it was or as it is."""
        return self._items(iter(self.keys()))

    def _items(self, keys: Iterator[str]) -> Iterator[Item]:
        while page := list(itertools.islice(keys, _ITEMS_AT_A_TIME)):
            yield from map(from_native, self._native.get_many(page))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._native.get(key) is not None

    def __len__(self) -> int:
        items: int = self.info()["items"]
        return items

    def info(self) -> dict[str, Any]:
        """path, encoder (as recorded), encoder_name, encoder_fingerprint, dim, metric, items,
        pictures, generation (counts committed changes), snapshot_generation (the one that is saved
        with the index), disk_bytes, index_removed, index_memory_bytes."""
        return self._native.info()

    def search(
        self,
        *,
        image: Image | None = None,
        like: str | None = None,
        text: str | None = None,
        vector: npt.ArrayLike | None = None,
        k: SupportsIndex = 10,
        breadth: SupportsIndex = 64,
        where: str | Mapping[str, Any] | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The items that look like ``image``, like the item with the key ``like`` (itself left
        out), as the words of ``text`` say (where the model understands words), or whose embeddings
        are near ``vector`` [dim]; exactly one of the four is given. At most k, nearest first; fewer
        only if fewer match. A picture file is decoded as the catalogue decodes its own.

        ``where`` keeps only items whose metadata match: ``{"colour": "red", "price": {"<": 50}}``,
        or as text ``"colour = 'red' AND price < 50"``. ``breadth`` trades time for recall;
        ``exact`` compares with every picture.

        Raises FileNotFoundError or :class:`BadImageError` (the image), KeyError (like), ValueError
        (k=0, a vector of a wrong dimension, a condition that cannot be parsed),
        :class:`UnavailableError` (text, and a model without words).
        """
        given = [
            name
            for name, value in (
                ("image", image),
                ("like", like),
                ("text", text),
                ("vector", vector),
            )
            if value is not None
        ]
        if len(given) != 1:
            raise InvalidArgumentError(
                "search() takes exactly one of image, like, text and vector, not "
                + (" and ".join(given) or "none")
            )
        is_json = isinstance(where, Mapping)
        condition = to_json(where, "where") if isinstance(where, Mapping) else where
        hits = self._native.search(
            image,
            like,
            text,
            vector,
            count(k, "k"),
            count(breadth, "breadth"),
            condition,
            is_json,
            bool(exact),
        )
        return [
            Hit(key, score, distance, path, json.loads(metadata), role)
            for key, score, distance, path, metadata, role in hits
        ]

    def __repr__(self) -> str:
        if self._native.closed:
            return "<vsearch.Catalog, closed>"
        info = self.info()
        return f"<vsearch.Catalog {info['path']!r} of {info['items']} items>"
