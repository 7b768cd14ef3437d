"""The contenders behind one interface. Their graphs are built with M = 16 and efConstruction = 200;
queries run on the calling thread.

A setting trades speed for recall: the breadth of a graph's walk; of our index instead the recall
that is asked for, for which it is calibrated on the queries that others are tuned on; of the
inverted file the lists that are read and how many times K are compared again.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from index.data import DataSet, K

from index import hnswlib

LINKS, BUILD_BREADTH = 16, 200
OURS = ("vsearch-int8", "vsearch-compact", "vsearch-float32")
PEERS = (
    "hnswlib",
    "faiss-hnsw-flat",
    "faiss-hnsw-sq8",
    "faiss-ivfpq-refine",
    "usearch-bf16",
    "usearch-i8",
)
# Steps of a quarter, from K on.
BREADTHS = tuple(round(K * 1.25**step) for step in range(26))
FIXED_BREADTH = 64
LISTS_AND_FACTORS = [(1 << step, factor) for factor in (3, 10, 30, 100) for step in range(9)]


# Misses of three tenths to a thousandth.
RECALLS = tuple(round(1 - 0.3 * 0.77**step, 5) for step in range(23))


def settings(name: str):
    if name in OURS:
        return RECALLS
    return LISTS_AND_FACTORS if name == "faiss-ivfpq-refine" else BREADTHS


def make(name: str, dataset: DataSet, capacity: int, threads: int):
    """An empty engine, which gets at most ``capacity`` vectors, with ``threads`` to add them."""
    kind, _, variant = name.partition("-")
    classes = {"vsearch": Vsearch, "hnswlib": Hnswlib, "faiss": Faiss, "usearch": Usearch}
    return classes[kind](variant, dataset, capacity, threads)


class Vsearch:
    def __init__(self, storage: str, dataset: DataSet, _capacity: int, threads: int):
        import vsearch

        self._index = vsearch.Index(
            dataset.dim,
            metric=dataset.metric,
            links=LINKS,
            build_breadth=BUILD_BREADTH,
            storage=storage,
            threads=threads,
        )

    def add(self, rows: np.ndarray, ids: np.ndarray) -> None:
        self._index.add(rows, ids)

    def remove(self, ids: np.ndarray) -> None:
        self._index.remove(ids)

    def calibrate(self, queries: np.ndarray) -> None:
        self._index.calibrate(queries)

    def search(self, queries: np.ndarray, setting: float, allowed=None) -> np.ndarray:
        """A setting below 1 is a recall, others are breadths."""
        how = {"recall": setting} if setting < 1 else {"breadth": int(setting)}
        return self._index.search(queries, k=K, ids=allowed, **how)[0]

    def filter(self, ids: np.ndarray):
        import vsearch

        return vsearch.IdFilter(ids)

    def stats(self) -> dict[str, int]:
        return self._index.stats()

    def save(self, path: Path) -> None:
        self._index.save(path)

    def load(self, path: Path) -> None:
        self._index = type(self._index).load(path)


class Hnswlib:
    def __init__(self, _: str, dataset: DataSet, capacity: int, threads: int):
        self._threads, self._capacity = threads, capacity
        self._graph = hnswlib.Graph(
            dataset.dim, dataset.metric == "l2", capacity, LINKS, BUILD_BREADTH
        )

    def add(self, rows: np.ndarray, ids: np.ndarray) -> None:
        self._graph.add(rows, ids, self._threads)

    def remove(self, ids: np.ndarray) -> None:
        self._graph.remove(ids)

    def search(self, queries: np.ndarray, breadth: int, allowed=None) -> np.ndarray:
        return self._graph.search(queries, K, breadth, allowed)

    def filter(self, ids: np.ndarray) -> np.ndarray:
        allowed = np.zeros(self._capacity, bool)
        allowed[ids] = True
        return np.packbits(allowed, bitorder="little")

    def save(self, path: Path) -> None:
        self._graph.save(path)

    def load(self, path: Path) -> None:
        self._graph.load(path)


class Faiss:
    """``hnsw-flat``, ``hnsw-sq8`` and ``ivfpq-refine``."""

    def __init__(self, variant: str, dataset: DataSet, capacity: int, threads: int):
        import faiss

        self._faiss, self._threads = faiss, threads
        metric = faiss.METRIC_L2 if dataset.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self._is_graph = variant != "ivfpq-refine"
        if variant == "hnsw-flat":
            self._index = faiss.IndexHNSWFlat(dataset.dim, LINKS, metric)
        elif variant == "hnsw-sq8":
            eight_bits = faiss.ScalarQuantizer.QT_8bit
            self._index = faiss.IndexHNSWSQ(dataset.dim, eight_bits, LINKS, metric)
        else:
            lists = 1 << int(np.log2(4 * capacity**0.5))
            parts = dataset.dim // 2
            self._index = faiss.index_factory(
                dataset.dim, f"IVF{lists},PQ{parts}x4fs,RFlat", metric
            )
            # What is made before memory is measured has too few vectors, which faiss would tell.
            faiss.downcast_index(self._index.base_index).cp.min_points_per_centroid = 1
        if self._is_graph:
            self._index.hnsw.efConstruction = BUILD_BREADTH

    def add(self, rows: np.ndarray, _: np.ndarray) -> None:
        self._faiss.omp_set_num_threads(self._threads)
        self._index.train(rows)
        self._index.add(rows)

    def search(self, queries: np.ndarray, setting) -> np.ndarray:
        self._faiss.omp_set_num_threads(1)
        if self._is_graph:
            self._index.hnsw.efSearch = setting
        else:
            lists = self._faiss.downcast_index(self._index.base_index)
            lists.nprobe, self._index.k_factor = setting
        return self._index.search(queries, K)[1]

    def save(self, path: Path) -> None:
        self._faiss.write_index(self._index, str(path))

    def load(self, path: Path) -> None:
        self._index = self._faiss.read_index(str(path))


class Usearch:
    """``bf16`` and ``i8``."""

    def __init__(self, variant: str, dataset: DataSet, _capacity: int, threads: int):
        from usearch.index import Index

        self._threads = threads
        self._index = Index(
            ndim=dataset.dim,
            metric="l2sq" if dataset.metric == "l2" else "ip" if variant == "bf16" else "cos",
            dtype=variant,
            connectivity=LINKS,
            expansion_add=BUILD_BREADTH,
        )
        # usearch scales a float vector to the length 127 in i8, which leaves few steps for each of
        # many dimensions and loses the lengths, so it gets whole numbers made here.
        self._scale = None
        if variant == "i8":
            self._scale = 127 / np.quantile(np.abs(dataset.base[:10000]), 0.9999)

    def _convert(self, rows: np.ndarray) -> np.ndarray:
        if self._scale is None:
            return np.asarray(rows)
        return (rows * self._scale).round().clip(-127, 127).astype(np.int8)

    def add(self, rows: np.ndarray, ids: np.ndarray) -> None:
        self._index.add(ids, self._convert(rows), threads=self._threads)

    def search(self, queries: np.ndarray, breadth: int) -> np.ndarray:
        self._index.expansion_search = breadth
        return self._index.search(self._convert(queries), K, threads=1).keys

    def save(self, path: Path) -> None:
        self._index.save(str(path))

    def load(self, path: Path) -> None:
        self._index.load(str(path))


def resident_bytes() -> int:
    """Of this process, without what is read from files."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0]) * 1024
