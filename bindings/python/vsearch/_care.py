"""Looking after a catalogue: checks, clean-up, copies, declared fields and duplicates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import SupportsIndex

from . import _progress
from ._arguments import PathLike, Progress, count
from ._health import IndexHealth
from ._items import AddReport, report_of
from ._native import Catalog as NativeCatalog


@dataclass(frozen=True)
class CheckReport:
    """What :meth:`Catalog.check` found."""

    faults: list[str]
    """What is wrong, and the remedy."""
    items: int
    pictures: int
    without_embedding: int
    """Pictures that the serving edition cannot find."""
    orphans: int
    """Rows that belong to nothing."""
    index_missing: int
    """Pictures that should be in the index and are not."""
    index_extra: int
    """And the reverse."""
    index_differs: int
    """Sampled vectors that are not those of the store."""
    health: IndexHealth = field(repr=False)

    @property
    def sound(self) -> bool:
        """Whether there are no faults."""
        return not self.faults


@dataclass(frozen=True)
class CompactReport:
    """What :meth:`Catalog.compact` gave back."""

    bytes_before: int
    """Of the catalogue's directory."""
    bytes_after: int
    index_rebuilt: bool


@dataclass(frozen=True)
class ExportReport:
    """What :meth:`Catalog.export_to` wrote."""

    items: int
    pictures: int


@dataclass(frozen=True)
class DuplicateGroup:
    """Items that look the same: each is near at least one other of its group."""

    keys: list[str]
    """Ascending."""
    first: str
    """The one that was added first."""
    max_distance: float
    """Of the pairs that were found."""
    same_content: bool
    """All have a picture file in common, byte for byte."""


class CareMethods:
    """The part of :class:`Catalog` that looks after it."""

    _native: NativeCatalog

    def check(
        self,
        sample: SupportsIndex = 200,
        k: SupportsIndex = 10,
        breadth: SupportsIndex = 64,
        *,
        seed: int = 1,
        min_self_recall: float = 0.9,
        progress: Progress = None,
    ) -> CheckReport:
        """Looks whether all is well: the database, what belongs together in it, the index against
        it, and whether searches find what is there. Searches and changes go on, but wait for the
        look at the database. For the sample see :meth:`Index.check_health`."""
        found = self._native.check(
            count(sample, "sample"),
            count(k, "k"),
            count(breadth, "breadth"),
            seed,
            float(min_self_recall),
            _progress.callback(progress, "pictures"),
        )
        return CheckReport(**{**found, "health": IndexHealth(**found["health"])})

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

    def near_duplicates(
        self,
        max_distance: float = 0.02,
        *,
        neighbours: SupportsIndex = 16,
        progress: Progress = None,
    ) -> list[DuplicateGroup]:
        """Groups of items that look the same, the largest first: those with pictures at most
        ``max_distance`` from each other, of the ``neighbours`` that are looked at of each, or of
        the same content. ``progress`` counts pictures."""
        groups = self._native.near_duplicates(
            float(max_distance),
            count(neighbours, "neighbours"),
            _progress.callback(progress, "pictures"),
        )
        return [DuplicateGroup(*group) for group in groups]

    def compact(self, *, progress: Progress = None) -> CompactReport:
        """Gives room back: the database is written anew, and the index if removals have left holes
        in it. Needs as much room again meanwhile; writers wait."""
        return CompactReport(*self._native.compact(_progress.callback(progress, "steps")))

    def backup(self, path: PathLike, *, progress: Progress = None) -> None:
        """Copies the catalogue as it is at one moment into the new directory `path`, which can be
        opened as it is, while searches and changes go on.

        Raises FileExistsError, OSError.
        """
        self._native.backup(path, _progress.callback(progress, "pages"))

    def export_to(self, path: PathLike, *, progress: Progress = None) -> ExportReport:
        """Writes items.jsonl (a line an item: key, metadata, pictures) and embeddings.npy (float32
        [pictures, dim], in the order of the lines) into the new directory `path`.

        Raises FileExistsError, OSError.
        """
        return ExportReport(*self._native.export_to(path, _progress.callback(progress, "items")))

    def import_from(self, path: PathLike, *, progress: Progress = None) -> AddReport:
        """Adds what :meth:`export_to` wrote, replacing items whose keys are there.

        Raises FileNotFoundError, ValueError (the line), :class:`EncoderMismatchError` (made with
        another encoder).
        """
        return report_of(self._native.import_from(path, _progress.callback(progress, "items")))

    def save_snapshot(self) -> None:
        """Saves the index now, as closing does; it saves opening time and nothing depends on it."""
        self._native.save_snapshot()

    def declare_field(self, name: str, type: str) -> None:
        """Keeps an index of a field of the metadata from now on, so that conditions on it are
        answered without looking at metadata. ``type`` is "text", "number", "boolean" or "tags" (a
        list of texts, for HAS); all items must have a value of this type, or none; ``a.b`` reaches
        into objects.

        Raises ValueError (items have other values, or it is declared with another type).
        """
        self._native.declare_field(name, type)

    def drop_field(self, name: str) -> None:
        """Undoes :meth:`declare_field`; metadata stay. Raises KeyError."""
        self._native.drop_field(name)

    def fields(self) -> dict[str, str]:
        """The type of every declared field, by name."""
        return self._native.fields()
