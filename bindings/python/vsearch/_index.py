"""The nearest-neighbour index, for those who have embeddings already."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _progress
from ._arguments import PathLike, Progress, count
from ._health import IndexHealth
from ._native import ExactSearcher as NativeExactSearcher
from ._native import IdFilter as NativeIdFilter
from ._native import Index as NativeIndex
from .errors import InvalidArgumentError, KeyNotFoundError


def _rows(query: npt.ArrayLike) -> tuple[npt.NDArray[Any], bool]:
    """`query` as rows, and whether it is a single one."""
    queries = np.asarray(query)
    single = queries.ndim == 1
    return (queries[np.newaxis] if single else queries), single


def _contains(native: NativeIdFilter | NativeIndex, id: object) -> bool:
    try:
        number = operator.index(id)  # type: ignore[arg-type]
    except TypeError:
        return False
    return 0 <= number < 2**64 and native.contains(number)


class IdFilter:
    """A set of ids that searches may return, for several of them: it remembers where an index
    holds its ids, until that index changes.

    ``ids`` [n] are whole numbers from 0 to 2**64 - 1.

    Threads: searches with one filter may run side by side.
    """

    def __init__(self, ids: npt.ArrayLike) -> None:
        self._native = NativeIdFilter(ids)

    def __len__(self) -> int:
        return self._native.size()

    def __contains__(self, id: object) -> bool:
        return _contains(self._native, id)

    def ids(self) -> npt.NDArray[np.uint64]:
        """All ids, ascending."""
        return self._native.ids()

    def __repr__(self) -> str:
        return f"<vsearch.IdFilter of {len(self)} ids>"


def _allowed(ids: npt.ArrayLike | IdFilter | None) -> npt.ArrayLike | NativeIdFilter | None:
    return ids._native if isinstance(ids, IdFilter) else ids


class Index:
    """Approximate nearest-neighbour search over float32 vectors: an HNSW graph that grows as
    needed.

    ``metric`` is ``"cosine"`` (distance 1 - cosine, in [0, 2]), ``"inner_product"`` (1 - <q, x>) or
    ``"l2"`` (the squared Euclidean distance). ``links`` (M) and ``build_breadth`` (efConstruction)
    trade memory and building time for recall. ``storage`` is ``"int8"`` (16-bit fixed point, of
    which walks read the upper bytes: the fastest), ``"float32"``, ``"float16"``, ``"bfloat16"``, or
    ``"compact"`` (two bits a dimension that walks read, and 16 that are read of what they find: for
    machines short of memory). ``threads``
    share the work of :meth:`add`; 0: as many as the machine has.

    Threads: searches may run beside every other call, and let other threads run.
    """

    def __init__(
        self,
        dim: SupportsIndex,
        metric: str = "cosine",
        links: SupportsIndex = 16,
        build_breadth: SupportsIndex = 200,
        storage: str = "int8",
        threads: SupportsIndex = 0,
    ) -> None:
        self._native = NativeIndex(
            count(dim, "dim"),
            metric,
            count(links, "links"),
            count(build_breadth, "build_breadth"),
            storage,
            count(threads, "threads"),
        )

    @classmethod
    def load(cls, path: PathLike) -> Index:
        """Opens what :meth:`save` wrote, after checking all of it. Raises FileNotFoundError,
        :class:`CorruptError`."""
        index = cls.__new__(cls)
        index._native = NativeIndex.load(path)
        return index

    def save(self, path: PathLike) -> None:
        """Writes the index to `path`, so that a crash leaves the old file or the new one."""
        self._native.save(path)

    @property
    def dim(self) -> int:
        """Floats per vector."""
        return self._native.dim

    @property
    def metric(self) -> str:
        return self._native.metric

    @property
    def storage(self) -> str:
        return self._native.storage

    def __len__(self) -> int:
        return self._native.size()

    def __contains__(self, id: object) -> bool:
        return _contains(self._native, id)

    def ids(self) -> npt.NDArray[np.uint64]:
        """All ids, ascending."""
        return self._native.ids()

    def vector(self, id: SupportsIndex) -> npt.NDArray[np.float32]:
        """The stored vector of `id`, of unit length under cosine. Raises KeyError."""
        number = operator.index(id)
        if not 0 <= number < 2**64:
            raise KeyNotFoundError(f"no vector has the id {number}: ids are from 0 to 2**64 - 1")
        return self._native.vector(number)

    def stats(self) -> dict[str, int]:
        """size, removed (slots waiting to be reused), capacity, memory_bytes, and its parts:
        vector_bytes, link_bytes, table_bytes, free_bytes (slots that hold no vector); walked_bytes
        are those of vectors and links that every search reads, which should have room in memory.
        """
        return self._native.stats()

    def check_health(
        self,
        sample: SupportsIndex = 200,
        k: SupportsIndex = 10,
        breadth: SupportsIndex = 64,
        *,
        seed: int = 1,
        progress: Progress = None,
    ) -> IndexHealth:
        """Looks through the whole index, beside searches and changes: what no link leads to,
        duplicates, and how well a `sample` of its own vectors finds its `k` nearest others at this
        `breadth`. The result is approximate while the index changes.

        Takes a time that grows with sample * len(index) * dim. Raises ValueError (k=0),
        :class:`CancelledError`.
        """
        found = self._native.check_health(
            count(sample, "sample"),
            count(k, "k"),
            count(breadth, "breadth"),
            seed,
            _progress.callback(progress, "vectors"),
        )
        return IndexHealth(**found)

    def add(self, vectors: npt.ArrayLike, ids: npt.ArrayLike, *, progress: Progress = None) -> None:
        """Copies the rows of `vectors` [n, dim] into the index under `ids` [n], whole numbers from
        0 to 2**64 - 1.

        An id that is there is replaced. float32 arrays without gaps are read where they are. After
        a cancellation, what was added stays.

        Raises ValueError (a wrong dimension, NaN, a zero vector under cosine; nothing was added),
        :class:`CancelledError`.
        """
        self._native.add(vectors, ids, _progress.callback(progress, "vectors"))

    def add_file(
        self,
        path: PathLike,
        ids: npt.ArrayLike | None = None,
        *,
        dataset: str = "train",
        progress: Progress = None,
    ) -> int:
        """Adds all rows of a .npy, .fvecs, .bvecs or .hdf5 file (of that, one `dataset`) under
        `ids` [n]; without any, under the numbers of the rows, from 0 on. Returns how many.

        The file is read piece by piece, and twice: before the first row is added, all have been
        found to be good. After a cancellation, what was added stays.

        Raises FileNotFoundError, ValueError (no such file, or a bad row; nothing was added),
        :class:`UnavailableError` (.hdf5 in a build without libhdf5), :class:`CancelledError`.
        """
        return self._native.add_file(path, dataset, ids, _progress.callback(progress, "vectors"))

    def merge(self, other: Index, *, progress: Progress = None) -> None:
        """Adds the vectors of `other` under their ids, replacing what is there under the same.

        An empty index with the same options copies the graph of `other`, in no time.

        Raises ValueError (this index itself, another dim or metric), :class:`CancelledError`.
        """
        self._native.merge(other._native, _progress.callback(progress, "vectors"))

    def remove(self, ids: npt.ArrayLike) -> int:
        """Removes the vectors of these ids; returns how many were there."""
        return self._native.remove(ids)

    def calibrate(self, queries: npt.ArrayLike | None = None) -> None:
        """Finds out how far searches must go for a ``recall``, by the exact answers to the first
        256 of `queries` [n, dim], such as shoppers have asked.

        Without queries, by some made beside stored vectors, which real ones resemble more or less;
        so does the first search with a recall, if nobody has calibrated. Not saved.
        """
        self._native.calibrate(queries)

    def search(
        self,
        query: npt.ArrayLike,
        k: SupportsIndex = 10,
        *,
        breadth: SupportsIndex = 64,
        ids: npt.ArrayLike | IdFilter | None = None,
        recall: float = 0.0,
        exact: bool = False,
        threads: SupportsIndex = 1,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
        """The nearest neighbours of `query`, nearest first: their ids and their distances.

        A query [dim] gives two arrays [m]; queries [n, dim] give two arrays [n, m]. m is k, or less
        if no query has k matches; where one query of several found less than the others, its rows
        end in id 0 at the distance infinity.

        ``breadth`` (ef) trades time for recall; ``recall``, such as 0.95, is the share of the true
        neighbours that is wanted on average instead (see :meth:`calibrate`); ``ids`` restricts the
        search to these ids, an :class:`IdFilter` where several searches have the same; ``exact``
        compares with every vector: many queries together as a matrix product, each of them many
        times as fast as alone. ``threads`` share the work of several queries, and of an exact
        search for one; 0: as many as the machine has.

        Raises ValueError (a wrong dimension, k=0, NaN).
        """
        queries, single = _rows(query)
        found, distances = self._native.search(
            queries,
            count(k, "k"),
            count(breadth, "breadth"),
            _allowed(ids),
            float(recall),
            bool(exact),
            count(threads, "threads"),
        )
        return (found[0], distances[0]) if single else (found, distances)

    def __repr__(self) -> str:
        return f"<vsearch.Index of {len(self)} vectors, {self.dim} dimensions, {self.metric}>"


class ExactSearcher:
    """Exact search of many queries on a GPU: the same ids and distances as
    ``index.search(queries, exact=True)``, to the last bit.

    ``device`` is named as torch names it: ``"cuda"``, ``"cuda:1"``; ``"cpu"`` is there for tests,
    ``index.search(queries, exact=True)`` is as fast there. The device holds a copy of the vectors,
    4 bytes a dimension, and uses about ``working_bytes`` more for a batch. A change of the index
    is copied with the next search, or by :meth:`refresh`.

    Raises ValueError (an unknown device), :class:`UnavailableError` (no such GPU, or a library
    built without torch), :class:`OutOfMemoryError`.

    Threads: may be used from many threads, which take turns.
    """

    def __init__(
        self, index: Index, device: str = "cuda", *, working_bytes: SupportsIndex = 1 << 30
    ) -> None:
        size = operator.index(working_bytes)
        if not 0 <= size < 2**64:
            raise InvalidArgumentError(f"working_bytes is {size}: give at least {2**20}")
        self._native = NativeExactSearcher(index._native, device, size)

    @property
    def device(self) -> str:
        """As torch names it, with its number."""
        return self._native.device

    def refresh(self) -> bool:
        """Brings the copy up to date with the index; returns whether there was anything to do."""
        return self._native.refresh()

    def search(
        self,
        query: npt.ArrayLike,
        k: SupportsIndex = 10,
        *,
        ids: npt.ArrayLike | IdFilter | None = None,
        threads: SupportsIndex = 1,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
        """As :meth:`Index.search` with ``exact=True``. ``threads`` compute the distances of what
        the device has found."""
        queries, single = _rows(query)
        found, distances = self._native.search(
            queries, count(k, "k"), _allowed(ids), count(threads, "threads")
        )
        return (found[0], distances[0]) if single else (found, distances)

    def __repr__(self) -> str:
        return f"<vsearch.ExactSearcher on {self.device}>"
