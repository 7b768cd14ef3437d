"""hnswlib 0.8.0, compiled for this machine; see hnswlib.cpp and fetch_hnswlib."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from common.report import ROOT

HEADERS = ROOT / ".deps" / "hnswlib-0.8.0" / "hnswlib"
SOURCE = Path(__file__).with_name("hnswlib.cpp")
LIBRARY = ROOT / "build" / "bench" / "index" / "libhnswlib.so"

_POINTER, _SIZE, _BOOL, _TEXT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_bool, ctypes.c_char_p
_FUNCTIONS = {
    "hnsw_create": (_POINTER, [_SIZE, _BOOL, _SIZE, _SIZE, _SIZE]),
    "hnsw_load": (_POINTER, [_TEXT, _SIZE, _BOOL]),
    "hnsw_free": (None, [_POINTER]),
    "hnsw_save": (None, [_POINTER, _TEXT]),
    "hnsw_add": (None, [_POINTER, _POINTER, _POINTER, _SIZE, _SIZE]),
    "hnsw_remove": (None, [_POINTER, _POINTER, _SIZE]),
    "hnsw_search": (None, [_POINTER, _POINTER, _SIZE, _SIZE, _SIZE, _POINTER, _POINTER]),
}


def compile_library() -> None:
    if LIBRARY.exists() and LIBRARY.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread", "-w"]
    subprocess.run(["g++", *flags, "-I", str(HEADERS), str(SOURCE), "-o", str(LIBRARY)], check=True)


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(LIBRARY))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Graph:
    def __init__(self, dim: int, l2: bool, capacity: int, links: int, build_breadth: int):
        self._library = _library()
        self._dim, self._l2 = dim, l2
        self._index = self._library.hnsw_create(dim, l2, capacity, links, build_breadth)

    def __del__(self):
        self._library.hnsw_free(self._index)

    def add(self, rows: np.ndarray, ids: np.ndarray, threads: int) -> None:
        rows, ids = _floats(rows), _numbers(ids)
        self._library.hnsw_add(self._index, rows.ctypes.data, ids.ctypes.data, len(rows), threads)

    def remove(self, ids: np.ndarray) -> None:
        ids = _numbers(ids)
        self._library.hnsw_remove(self._index, ids.ctypes.data, len(ids))

    def search(
        self, queries: np.ndarray, k: int, breadth: int, bits: np.ndarray | None = None
    ) -> np.ndarray:
        """``bits``: of every label whether it may be found, as ``np.packbits`` of little bits."""
        queries = _floats(queries)
        found = np.empty((len(queries), k), np.uint64)
        self._library.hnsw_search(
            self._index,
            queries.ctypes.data,
            len(queries),
            k,
            breadth,
            None if bits is None else bits.ctypes.data,
            found.ctypes.data,
        )
        return found

    def save(self, path: Path) -> None:
        self._library.hnsw_save(self._index, str(path).encode())

    def load(self, path: Path) -> None:
        self._library.hnsw_free(self._index)
        self._index = self._library.hnsw_load(str(path).encode(), self._dim, self._l2)


def _floats(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows, np.float32)


def _numbers(ids: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(ids, np.uint64)
