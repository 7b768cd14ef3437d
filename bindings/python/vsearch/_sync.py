"""Keeping a catalogue in step with what a shop has: sources, and what a synchronisation did."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsIndex, TypeAlias

from . import _progress
from ._arguments import PathLike, Progress, is_path
from ._native import Catalog as NativeCatalog
from .errors import Error, InvalidArgumentError, class_of

_MANIFESTS = (".csv", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class FilesSource:
    """Pictures, and folders with pictures in them, however deep. Hidden files and folders are left
    out."""

    paths: PathLike | Sequence[PathLike]
    keys: str = "path"
    """How a key follows from where a picture lies below its folder: "path" ("shoes/red.jpg"),
    "stem" ("shoes/red"), "name" ("red.jpg") or "folder" (the pictures in "shoes/red" are one item).
    """
    metadata: PathLike | None = None
    """What is known of the pictures: a .csv or .jsonl file with a row for each picture, which its
    column "path", or else its key, names; all other columns are metadata."""
    key_column: str | None = None
    """The column of ``metadata`` with the key, which every row must then have; None: "key", which
    rows may lack."""


@dataclass(frozen=True)
class ManifestSource:
    """A table of items in a .csv, .jsonl or .ndjson file: the columns "path", relative to the
    file or a URI, maybe "role" and "crop", and metadata. Rows with one key are one item."""

    file: PathLike
    key_column: str = "key"


@dataclass(frozen=True)
class SqlSource:
    """The rows of a SELECT on an SQLite database, which is only read: columns as those of a
    :class:`ManifestSource`. A column "metadata" holds a JSON object to be merged in."""

    database: PathLike
    query: str
    key_column: str = "key"


Source: TypeAlias = "FilesSource | ManifestSource | SqlSource | PathLike | Sequence[PathLike]"


@dataclass(frozen=True)
class SyncChange:
    """One item that differed."""

    action: str
    """"add", "replace" (a picture is encoded), "rename" (nothing is encoded), "patch" (only
    metadata, roles or paths), "remove" or "duplicate" (a new item that is left out)."""
    key: str
    other: str = ""
    """Of a rename the old key; of a duplicate the item it is like."""


@dataclass(frozen=True)
class SyncFailure:
    """An item, or a picture of it, that could not be taken; the catalogue holds of it what it held
    before."""

    key: str
    path: str
    error: Error
    """Not raised, but as it would have been by :meth:`Catalog.add`."""


@dataclass(frozen=True)
class SyncReport:
    """What :meth:`Catalog.sync` did or, on a dry run, would do."""

    listed: int
    """Items in the source."""
    unchanged: int
    encoded: int
    """Pictures."""
    changes: list[SyncChange] = field(repr=False)
    """In the order of keys."""
    failures: list[SyncFailure]
    problems: list[str]
    """What could not be read of the source, and why. Then nothing is removed."""

    def count(self, action: str) -> int:
        """How many changes are of this kind."""
        return sum(change.action == action for change in self.changes)


class SyncMethods:
    """The part of :class:`Catalog` that follows a shop."""

    _native: NativeCatalog

    def sync(
        self,
        source: Source,
        *,
        keys: str | None = None,
        metadata: PathLike | None = None,
        key_column: str | None = None,
        key_prefix: str = "",
        dry_run: bool = False,
        remove_missing: bool = True,
        max_removed_share: float = 0.2,
        duplicates: str = "keep",
        duplicate_distance: float = 0.02,
        progress: Progress = None,
    ) -> SyncReport:
        """Brings the catalogue in step with `source`: adds what is new, encodes what has changed,
        removes what is gone. Interrupted at any point, the next call goes on where this one
        stopped. A picture that cannot be read leaves its item as it was, and is reported.

        `source` is a folder or a picture or a list of them, a .csv or .jsonl file that lists items,
        or a :class:`SqlSource`. ``keys`` and ``metadata`` are of folders, see :class:`FilesSource`.
        ``key_prefix`` is put before every key, and items without it are left alone: so several
        sources can fill one catalogue.

        ``dry_run`` only tells what would be done. More removals than ``max_removed_share`` of the
        items are refused, since an unmounted disk looks like an empty shop. A new item that is at
        most ``duplicate_distance`` from another one is added as well ("keep"), left out ("skip"),
        or added with the other's key as "duplicate_of" in its metadata ("link"). ``progress``
        counts items that differ.

        Raises :class:`RefusedError`, FileNotFoundError, ValueError (what is wrong in the source,
        with its line), :class:`BusyError` (the database), :class:`CancelledError`.
        """
        found = self._native.sync(
            _source(source, keys, metadata, key_column),
            _options(
                dry_run,
                remove_missing,
                max_removed_share,
                key_prefix,
                duplicates,
                duplicate_distance,
            ),
            _progress.callback(progress, "items"),
        )
        return _report(found)

    def watch(
        self,
        source: FilesSource | PathLike | Sequence[PathLike],
        *,
        keys: str | None = None,
        metadata: PathLike | None = None,
        key_column: str | None = None,
        key_prefix: str = "",
        remove_missing: bool = True,
        max_removed_share: float = 0.2,
        duplicates: str = "keep",
        duplicate_distance: float = 0.02,
        quiet_ms: SupportsIndex = 300,
        on_report: Callable[[SyncReport], bool | None] | None = None,
        on_trouble: Callable[[Error], object] | None = None,
        stop: threading.Event | None = None,
        progress: Progress = None,
    ) -> None:
        """Synchronises as :meth:`sync` does, and again whenever something has changed in the
        folders of `source` and they have been quiet for ``quiet_ms``.

        Returns when ``on_report``, which gets each result, or ``progress`` returns False, when
        ``stop`` is set, or when the catalogue is closed; Ctrl-C and what the callbacks raise end
        it, too. ``on_trouble`` gets the error of a run that failed for now, such as a
        :class:`RefusedError`; it is tried again with the next change.

        Raises ValueError, :class:`InputOutputError` (a folder that cannot be followed).
        """
        given = _source(source, keys, metadata, key_column)
        if given[0] != "files":
            raise InvalidArgumentError("watch() follows folders and pictures only; use sync()")
        notify = _progress.callback(progress, "items")

        def report(found: dict[str, Any]) -> bool | None:
            nonlocal notify
            notify = _progress.callback(progress, "items")  # a bar begins anew with every run
            return None if on_report is None else on_report(_report(found))

        def trouble(code: int, message: str) -> None:
            if on_trouble is not None:
                on_trouble(class_of(code)(message))

        def go_on(done: int, total: int) -> bool | None:
            if self._native.closed or (stop is not None and stop.is_set()):
                return False
            # Asked all the time, with nothing to tell of, while nothing happens.
            return None if notify is None or total == 0 else notify(done, total)

        options = _options(
            False, remove_missing, max_removed_share, key_prefix, duplicates, duplicate_distance
        )
        self._native.watch(given, options, operator.index(quiet_ms), report, trouble, go_on)


def _options(
    dry_run: bool,
    remove_missing: bool,
    max_removed_share: float,
    key_prefix: str,
    duplicates: str,
    duplicate_distance: float,
) -> tuple[bool, bool, float, str, str, float]:
    return (
        bool(dry_run),
        bool(remove_missing),
        float(max_removed_share),
        key_prefix,
        duplicates,
        float(duplicate_distance),
    )


def _source(
    source: Any, keys: str | None, metadata: PathLike | None, key_column: str | None
) -> tuple[Any, ...]:
    """What the compiled module takes for a source."""
    given = {"keys": keys, "metadata": metadata, "key_column": key_column}
    named = [name for name, value in given.items() if value is not None]
    if isinstance(source, (FilesSource, ManifestSource, SqlSource)):
        if named:
            raise InvalidArgumentError(
                f"{named[0]} is given beside a {type(source).__name__}: say it there, if it has it"
            )
    elif is_path(source) and Path(source).suffix.lower() in _MANIFESTS:
        for name in ("keys", "metadata"):
            if name in named:
                raise InvalidArgumentError(
                    f"{name} is of folders; {os.fspath(source)!r} lists items itself"
                )
        source = ManifestSource(source, key_column or "key")
    else:
        source = FilesSource(source, keys or "path", metadata, key_column)
    if isinstance(source, ManifestSource):
        return "manifest", source.file, source.key_column
    if isinstance(source, SqlSource):
        return "sql", source.database, source.query, source.key_column
    paths = [source.paths] if is_path(source.paths) else list(source.paths)
    return "files", paths, source.keys, source.metadata, source.key_column


def _report(found: dict[str, Any]) -> SyncReport:
    return SyncReport(
        found["listed"],
        found["unchanged"],
        found["encoded"],
        [SyncChange(*change) for change in found["changes"]],
        [
            SyncFailure(key, path, class_of(code)(message))
            for key, path, code, message in found["failures"]
        ],
        found["problems"],
    )
