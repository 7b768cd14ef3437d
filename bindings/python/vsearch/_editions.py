"""Editions: the embeddings of a catalogue by one encoder, and how one edition follows another."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex, TypeAlias

from . import _progress
from ._arguments import PathLike, Progress, count
from ._encoder import Encoder
from ._native import Catalog as NativeCatalog
from .errors import InvalidArgumentError


@dataclass(frozen=True)
class EditionInfo:
    """The embeddings by one encoder."""

    id: int
    """Counts from 1, never given twice."""
    state: str
    """"serving", "building" (being made, or waiting to be gone on with) or "kept" (served before,
    and can again)."""
    encoder: str
    """The name or absolute path it was made with."""
    encoder_name: str
    encoder_fingerprint: str
    dim: int
    metric: str
    embeddings: int
    """Pictures that have one."""


@dataclass(frozen=True)
class LabelledQuery:
    """A query whose right answers are known, to compare editions with."""

    relevant: Sequence[str]
    """Keys; at least one."""
    key: str | None = None
    """Of an item, which is then left out of the answers; or"""
    path: PathLike | None = None
    """of a picture file."""


# A LabelledQuery, or (query, relevant keys): a str is the key of an item, a Path a picture file.
Query: TypeAlias = "LabelledQuery | tuple[str | os.PathLike[str], Sequence[str]]"


@dataclass(frozen=True)
class EditionComparison:
    """The edition that serves and the one that would, side by side."""

    k: int
    sampled: int
    """Pictures that were searched for in both."""
    overlap: float
    """The share of the k nearest of the old edition that the new one has, too; on average."""
    labelled: int
    """Queries with known answers that could be asked."""
    recall_before: float
    """The share of these with a relevant item among the first k (Recall@K)."""
    recall_after: float


@dataclass(frozen=True)
class MissingPicture:
    """A picture that the new encoder could not look at."""

    id: int
    key: str
    path: str
    message: str


@dataclass(frozen=True)
class ReencodeReport:
    """What came of :meth:`Catalog.reencode` or :meth:`Catalog.rollback`."""

    edition: EditionInfo
    """The new one."""
    switched: bool
    """Whether it serves now."""
    refusal: str
    """Why not."""
    encoded: int
    """Pictures."""
    reused: int
    """Pictures whose embedding was there from an earlier, unfinished run."""
    missing: list[MissingPicture] = field(repr=False)
    comparison: EditionComparison


class EditionMethods:
    """The part of :class:`Catalog` that changes its encoder."""

    _native: NativeCatalog

    def reencode(
        self,
        encoder: Encoder | PathLike,
        *,
        keep_old: bool = True,
        max_missing_share: float = 0.0,
        queries: Iterable[Query] = (),
        k: SupportsIndex = 10,
        sample: SupportsIndex = 200,
        seed: int = 1,
        min_overlap: float = 0.0,
        max_recall_loss: float = math.inf,
        gate: Callable[[EditionComparison], bool] | None = None,
        progress: Progress = None,
    ) -> ReencodeReport:
        """Makes an edition of all embeddings by another encoder beside the one that serves, while
        adds, removes and searches go on, and lets it serve from one moment on, if the gate allows.

        Pictures are read from where they were, and must be as they were; at most
        ``max_missing_share`` of them may be lost. Both editions are then compared: by ``sample``
        pictures and by ``queries``, (query, relevant keys) where a str is the key of an item and a
        Path is a picture file. The new one serves only if it has ``min_overlap``, loses at most
        ``max_recall_loss`` of Recall@k, and ``gate`` does not return False. Else the report says
        why not. Interrupted or refused, it stays as it is, and the next call with this encoder goes
        on with it. ``keep_old`` keeps the old one for :meth:`rollback`. ``progress`` counts
        pictures.

        Raises ValueError (this encoder serves already), KeyError or FileNotFoundError (a query),
        :class:`CancelledError`, what `gate` raises, and what :class:`Encoder` raises.
        """
        loaded = encoder if isinstance(encoder, Encoder) else Encoder(encoder)
        found = self._native.reencode(
            loaded._native,
            bool(keep_old),
            float(max_missing_share),
            count(k, "k"),
            count(sample, "sample"),
            seed,
            [native_query(query) for query in queries],
            float(min_overlap),
            float(max_recall_loss),
            None if gate is None else lambda found: bool(gate(EditionComparison(**found))),
            _progress.callback(progress, "pictures"),
        )
        return _report(found)

    def rollback(self, *, progress: Progress = None) -> ReencodeReport:
        """Lets the edition that served last serve again; what was added since is encoded first.

        Raises KeyError (none is kept), and what :meth:`reencode` raises.
        """
        return _report(self._native.rollback(_progress.callback(progress, "pictures")))

    def editions(self) -> list[EditionInfo]:
        """All editions, in the order in which they were begun."""
        return [EditionInfo(**edition) for edition in self._native.editions()]

    def drop_edition(self, id: int) -> None:
        """Deletes an edition that is not serving. Raises KeyError, ValueError (it serves)."""
        self._native.drop_edition(id)


def native_query(query: Any) -> tuple[str | None, PathLike | None, list[str]]:
    """What the compiled module takes for a labelled query."""
    if isinstance(query, LabelledQuery):
        key, path, relevant = query.key, query.path, query.relevant
    elif isinstance(query, tuple) and len(query) == 2:
        what, relevant = query
        key, path = (what, None) if isinstance(what, str) else (None, what)
    else:
        raise InvalidArgumentError(
            "a query is (key or Path, relevant keys) or a LabelledQuery, not "
            + type(query).__name__
        )
    return key, path, [relevant] if isinstance(relevant, str) else list(relevant)


def _report(found: dict[str, Any]) -> ReencodeReport:
    return ReencodeReport(
        edition=EditionInfo(**found["edition"]),
        switched=found["switched"],
        refusal=found["refusal"],
        encoded=found["encoded"],
        reused=found["reused"],
        missing=[MissingPicture(*picture) for picture in found["missing"]],
        comparison=EditionComparison(**found["comparison"]),
    )
