"""Searches that may return only some of the vectors, beside hnswlib with a bitmap in C++.

random: any vectors match; near: those nearest to the queries; far: those farthest from them.
"""

from __future__ import annotations

import bisect
from pathlib import Path

import numpy as np
from common import report
from common.workers import Worker, by_turns

from index import data, engines, recall

KINDS = ("random", "near", "far")
TARGET = 0.95
FRACTIONS = (0.5, 0.1, 0.01, 0.001)
GROUP = 25 if report.quick() else 50  # queries
SECONDS = 0.15


def measure(workers: list[Worker], dataset: str) -> list[dict]:
    rows = []
    for kind in KINDS:
        for fraction in FRACTIONS:
            file = cases(data.load(dataset), kind, fraction)
            requests, recalls = zip(*(_tuned(worker, file) for worker in workers))
            speeds = by_turns(workers, list(requests), recall.ROUNDS, "qps")
            row = {"what": "filter", "data": dataset, "kind": kind, "fraction": fraction}
            part = [
                {
                    **row,
                    "contender": recall.contender(worker),
                    "recall": reached,
                    "setting": request["setting"],
                }
                for worker, request, reached in zip(workers, requests, recalls)
            ]
            rows += recall.with_ratios(part, speeds)
    print(f"\nfilters, {dataset}")
    report.print_table(
        rows, ["kind", "fraction", "contender", "recall", "qps", "to_hnswlib", "setting"]
    )
    return rows


def _tuned(worker: Worker, file: Path) -> tuple[dict, float]:
    """The request with the first setting that reaches the recall, and what it reaches."""
    settings = engines.settings(recall.contender(worker))
    request = {"do": "filtered", "file": str(file), "seconds": 0}

    def reached(setting) -> float:
        return worker.ask({**request, "setting": setting})["recall"]

    first = bisect.bisect_left(settings[:-1], True, key=lambda each: reached(each) >= TARGET)
    setting = settings[first]
    return {**request, "setting": setting, "seconds": SECONDS}, reached(setting)


def _groups(kind: str, fraction: float) -> int:
    """How many groups of queries that are near one another, with a filter each. Where hnswlib needs
    up to a tenth of a second a query, and reads more than caches hold, a few are enough.
    """
    return 4 if kind == "far" or fraction < 0.1 else 20


def cases(dataset: data.DataSet, kind: str, fraction: float) -> Path:
    """A file with filters, the queries of each, and their true neighbours."""
    folder = data.FOLDER / dataset.name
    groups = _groups(kind, fraction)
    path = folder / f"filter-{kind}-{fraction:g}-{groups}x{GROUP}.npz"
    if path.exists() and path.stat().st_mtime > (folder / "truth.npy").stat().st_mtime:
        return path
    random = np.random.default_rng(0)
    base, queries = np.array(dataset.base), np.array(dataset.queries)
    matches = int(len(base) * fraction)
    arrays = {"count": np.array(groups)}
    anchors = random.choice(len(queries), groups, replace=False)
    for i, anchor in enumerate(anchors):
        group = random.permutation(_by_distance(queries, queries[anchor])[:GROUP])
        ids = {
            "random": lambda: random.choice(len(base), matches, replace=False),
            "near": lambda q=queries[anchor]: _by_distance(base, q)[:matches],
            "far": lambda q=queries[anchor]: _by_distance(base, q)[-matches:],
        }[kind]()
        ids = np.sort(ids)
        found = data.nearest(base[ids], queries[group], data.K, dataset.metric)
        arrays |= {f"ids{i}": ids, f"queries{i}": group, f"truth{i}": ids[found]}
    np.savez(path, **arrays)
    return path


def _by_distance(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Of unit vectors the cosine gives the same order."""
    return np.argsort(((rows - query) ** 2).sum(1))


def goals(rows: list[dict]) -> list[dict]:
    made = []
    for kind in KINDS:
        for fraction, target in zip(FRACTIONS, (4, 6, 40, 100)):
            row = next(
                row
                for row in rows
                if (row["kind"], row["fraction"]) == (kind, fraction)
                and row["contender"] == engines.OURS[0]
            )
            ratio = row["to_hnswlib"] if row["recall"] >= TARGET else None
            name = f"filter, {fraction:.1%} match, {kind}, to hnswlib"
            made.append(report.goal(name, ratio, target, "x"))
    return made
