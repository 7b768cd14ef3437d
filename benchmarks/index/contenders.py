"""One contender on one data set, as a worker process (see common/workers.py), started with
CONTENDER DATASET PART.

Parts: "all" of the vectors; "half" of them, added on one thread; "fresh", those that count in the
end, and "churned", the same after TURNOVERS turnovers; "none". What is asked is a method's name,
{"do": NAME, ...}.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from common import report
from common.workers import serve, timed_rate

from index import data, engines

THREADS = 2
STEPS = 20  # of a turnover
LATENCIES = 10_000
# Settings are chosen on one half of the queries; what they give is measured on the other.
_USED = data.QUERIES // 2 if report.quick() else data.QUERIES
HALVES = {"tune": slice(_USED // 2), "measure": slice(_USED // 2, _USED), "all": slice(None)}
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class Session:
    def __init__(self, name: str, dataset: str, part: str):
        self.name, self.data = name, data.load(dataset)
        self.queries = np.array(self.data.queries)
        # Whatever a library allocates once is there before memory is measured.
        self._empty()
        self._add(0, 1000)
        self._empty()
        self.idle_bytes = engines.resident_bytes()
        self.filters = None  # those asked for last: the name of their file, and they
        self.ready = getattr(self, f"_{part}")()
        size = self.ready.setdefault("size", len(self.data.base))
        self.ready["bytes_a_vector"] = (engines.resident_bytes() - self.idle_bytes) / size
        if self.name in engines.OURS:
            self.engine.calibrate(self.queries[HALVES["tune"]])
            stats = self.engine.stats()
            self.ready["stated_bytes_a_vector"] = stats["memory_bytes"] / size
            self.ready["walked_bytes_a_vector"] = stats["walked_bytes"] / size

    def _empty(self, capacity: int = 1000, threads: int = THREADS) -> None:
        self.engine = None  # frees the former one first
        self.engine = engines.make(self.name, self.data, capacity, threads)

    def _add(self, begin: int, end: int) -> float:
        """The processor's seconds that it took."""
        rows, ids = np.array(self.data.base[begin:end]), np.arange(begin, end)
        start = time.process_time()
        self.engine.add(rows, ids)
        return time.process_time() - start

    def _none(self) -> dict:
        return {}

    def _all(self) -> dict:
        """A peer's index is built once and loaded after that."""
        size = len(self.data.base)
        path = index_file(self.data.name, self.name)
        made_of = (REQUIREMENTS, data.FOLDER / self.data.name / "truth.npy")
        is_peer = self.name in engines.PEERS
        current = path.exists() and all(
            path.stat().st_mtime > part.stat().st_mtime for part in made_of
        )
        if not (is_peer and current):
            self._empty(size)
            self.engine.add(self.data.base, np.arange(size))
            self.engine.save(path)
        if is_peer:
            self._empty(size)
            self.engine.load(path)
        return {}

    def _half(self) -> dict:
        size = len(self.data.base) // 2
        self._empty(len(self.data.base), 1)
        self._add(0, size)
        return {"size": size}

    def _fresh(self) -> dict:
        window = len(self.data.base) // (data.TURNOVERS + 1)
        self._empty(len(self.data.base))
        seconds = self._add(len(self.data.base) - window, len(self.data.base))
        return {"size": window, "add_s": seconds / window}

    def _churned(self) -> dict:
        total = len(self.data.base)
        window = total // (data.TURNOVERS + 1)
        step = window // STEPS
        self._empty(window)
        self._add(0, window)
        before, added, removed = engines.resident_bytes(), 0.0, 0.0
        for begin in range(window, total, step):
            oldest = np.arange(begin - window, begin - window + step)
            start = time.process_time()
            self.engine.remove(oldest)
            removed += time.process_time() - start
            added += self._add(begin, begin + step)
        changed = total - window
        return {
            "size": window,
            "add_s": added / changed,
            "remove_s": removed / changed,
            "memory_growth": (engines.resident_bytes() - before) / (before - self.idle_bytes),
        }

    def recalls(self, request: dict) -> dict:
        """Of each setting, on one half of the queries."""
        chosen = HALVES[request["half"]]
        queries, truth = self.queries[chosen], self.data.truth[chosen]
        return {
            "recall": [recall(self.engine.search(queries, s), truth) for s in request["settings"]]
        }

    def rates(self, request: dict) -> dict:
        """Queries a second of each setting, on one half of the queries."""
        queries = self.queries[HALVES[request["half"]]]
        return {
            "qps": [
                self._rate(lambda s=setting: self.engine.search(queries, s), request)
                for setting in request["settings"]
            ]
        }

    def threads(self, request: dict) -> dict:
        """How many times faster two threads are than one."""
        queries, setting = self.queries, request["setting"]
        parts = np.array_split(queries, THREADS)
        with ThreadPoolExecutor(THREADS) as pool:

            def search() -> np.ndarray:
                found = pool.map(lambda part: self.engine.search(part, setting), parts)
                return np.concatenate(list(found))

            search()  # starts the threads
            two = self._rate(search, request)
        one = self._rate(lambda: self.engine.search(queries, setting), request)
        return {"speedup": two / one}

    def filtered(self, request: dict) -> dict:
        """Filters of a file, each for its own queries: their recall or, if seconds are given,
        queries a second. What making the filters takes does not count.
        """
        if self.filters is None or self.filters[0] != request["file"]:
            with np.load(request["file"]) as arrays:
                cases = [
                    (
                        self.engine.filter(arrays[f"ids{i}"]),
                        self.queries[arrays[f"queries{i}"]],
                        arrays[f"truth{i}"],
                    )
                    for i in range(int(arrays["count"]))
                ]
            self.filters = request["file"], cases
        cases = self.filters[1]

        def search() -> list[np.ndarray]:
            return [self.engine.search(q, request["setting"], allowed) for allowed, q, _ in cases]

        if request["seconds"]:
            return {"qps": timed_rate(lambda: sum(map(len, search())), request["seconds"], 1)}
        hits = [recall(ids, truth) for ids, (_, _, truth) in zip(search(), cases)]
        return {"recall": sum(hits) / len(hits)}

    def mixed(self, request: dict) -> dict:
        """The 99th percentile of a query's time, alone and beside a thread that inserts."""
        stop = threading.Event()
        size, inserted, step = self.ready["size"], 0, 100
        others = np.array(self.data.base[size:])

        def insert() -> None:
            nonlocal inserted
            while not stop.is_set():
                begin = inserted % (len(others) - step)  # the same ones again where they run out
                ids = np.arange(size + inserted, size + inserted + step)
                self.engine.add(others[begin : begin + step], ids)
                inserted += step

        idle = self._latency(request["setting"])
        with ThreadPoolExecutor(1) as pool:
            inserting = pool.submit(insert)
            begin = time.perf_counter()
            loaded = self._latency(request["setting"])
            rate = inserted / (time.perf_counter() - begin)
            stop.set()
            inserting.result()
        # As it was, for the next time.
        self.engine.remove(np.arange(size, size + inserted))
        return {"p99": [idle, loaded, rate]}

    def _latency(self, setting) -> float:
        times = []
        for i in range(LATENCIES):
            query = self.queries[i % len(self.queries)][np.newaxis]
            start = time.perf_counter()
            self.engine.search(query, setting)
            times.append(time.perf_counter() - start)
        return float(np.quantile(times, 0.99))

    def build(self, _: dict) -> dict:
        """The seconds of a build, and the graph's recall at a fixed breadth."""
        self._empty(len(self.data.base))
        rows, ids = np.array(self.data.base), np.arange(len(self.data.base))
        start = time.perf_counter()
        self.engine.add(rows, ids)
        seconds = time.perf_counter() - start
        found = self.engine.search(self.queries, engines.FIXED_BREADTH)
        return {"built": [seconds, recall(found, self.data.truth)]}

    def open(self, request: dict) -> dict:
        """From a file to the first answer, which must be right."""
        self._empty()
        start = time.perf_counter()
        self.engine.load(index_file(self.data.name, self.name))
        found = self.engine.search(self.queries[:1], request["setting"])
        seconds = time.perf_counter() - start
        if recall(found, self.data.truth[:1]) < 0.8:
            raise RuntimeError(f"{self.name} answers wrongly from its file")
        return {"seconds": seconds}

    def lost(self, request: dict) -> dict:
        """How many vectors of the last window do not find themselves."""
        first = len(self.data.base) - request["size"]
        rows = np.array(self.data.base[first:])
        found = self.engine.search(rows, request["setting"])
        themselves = (found == np.arange(first, len(self.data.base))[:, np.newaxis]).any(1)
        return {"lost": int((~themselves).sum())}

    def _rate(self, search, request: dict) -> float:
        return timed_rate(lambda: len(search()), request["seconds"], 1)


def index_file(dataset: str, name: str) -> Path:
    return data.FOLDER / dataset / f"{name}.index"


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true neighbours that were found."""
    hits = found.astype(np.int64)[:, :, np.newaxis] == truth[:, np.newaxis, :]
    return float(hits.sum() / truth.size)


def main() -> None:
    session = Session(*sys.argv[1:])
    serve(session.ready, lambda request: getattr(session, request["do"])(request))


if __name__ == "__main__":
    main()
