"""Searches while the catalogue changes, and the promises that must hold meanwhile.

The search threads never wait: each sends its next query as soon as the last is answered. What the
catalogue has acknowledged is counted before a search begins, so that a result can be judged by what
was promised at that moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .data import Product
from .metrics import percentile

THREADS = 2
ROUNDS = 20
RESULTS = 10  # k of every search
SAME_DISTANCE = 1e-5


@dataclass
class Latencies:
    """Milliseconds a search took, by how it was asked."""

    by_vector: list[float] = field(default_factory=list)
    by_item: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.by_vector) + len(self.by_item)


@dataclass(frozen=True)
class Changes:
    """What is to be removed and added."""

    removals: Sequence[str]  # keys
    additions: Sequence[Product]
    vectors: np.ndarray  # [len(additions) x dim], the embeddings of their pictures


@dataclass
class LiveResult:
    """What happened. `violations` is empty if every promise was kept."""

    idle: Latencies
    during: Latencies
    idle_s: float
    during_s: float
    removed: int
    added: int
    remove_ms: list[float]  # one call each
    add_ms: list[float]
    violations: list[str]


class Ledger:
    """Which keys are gone for good, and since when."""

    def __init__(self, removals: Sequence[str]) -> None:
        self.position = {key: i for i, key in enumerate(removals)}  # in the order of removal
        self.acknowledged = 0  # this many are known to be gone

    def wrong(self, acknowledged_before: int, keys: Sequence[str]) -> list[str]:
        """Those of a search's results that had been removed before it began."""
        return [
            key for key in keys if self.position.get(key, acknowledged_before) < acknowledged_before
        ]


@dataclass(frozen=True)
class Workload:
    """What the search threads ask."""

    shop: Any
    vectors: np.ndarray  # [n x dim], of the searches by vector
    like: Sequence[str]  # keys of items that stay, of the searches by item
    ledger: Ledger


class SearchThread(threading.Thread):
    """Searches by vector and by item in turn until told to stop."""

    def __init__(self, load: Workload, start_at: int) -> None:
        super().__init__(daemon=True)
        self.load, self.turn = load, start_at
        self.latencies = Latencies()
        self.violations: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        turns = 0
        while turns < 2 or not self.stop.is_set():  # at least once each way
            turns += 1
            self.turn += 1
            by_item = self.turn % 2 == 0
            queries = self.load.like if by_item else self.load.vectors
            query = {"like" if by_item else "vector": queries[self.turn // 2 % len(queries)]}
            acknowledged = self.load.ledger.acknowledged
            began = time.perf_counter()
            try:
                hits = self.load.shop.search(**query, k=RESULTS)
            except Exception as error:
                kind = "item" if by_item else "vector"
                self.violations.append(f"a search by {kind} failed: {error}")
                continue
            took_ms = (time.perf_counter() - began) * 1000
            (self.latencies.by_item if by_item else self.latencies.by_vector).append(took_ms)
            if len(hits) < RESULTS:
                self.violations.append(f"a search found {len(hits)} items instead of {RESULTS}")
            for key in self.load.ledger.wrong(acknowledged, [hit.key for hit in hits]):
                self.violations.append(
                    f"{key} was returned by a search that began after its removal was acknowledged"
                )


def with_searches(load: Workload, work: Callable[[], None]) -> tuple[Latencies, list[str], float]:
    """Does `work` while the search threads run.

    Returns their latencies, the promises broken, and how long it took in seconds.
    """
    threads = [SearchThread(load, start_at=7 * i) for i in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join()
    took_s = time.perf_counter() - began
    merged = Latencies()
    for thread in threads:
        merged.by_vector += thread.latencies.by_vector
        merged.by_item += thread.latencies.by_item
    return merged, [violation for thread in threads for violation in thread.violations], took_s


def found_first(shop: Any, key: str, vector: np.ndarray) -> bool:
    """Whether a search with an item's own embedding gives the item first.

    Another item at the same distance may take its place: pictures are often there more than once.
    """
    hits = shop.search(vector=vector, k=RESULTS)
    nearest = [hit.key for hit in hits if hit.distance - hits[0].distance <= SAME_DISTANCE]
    return key in nearest or len(nearest) == RESULTS


def change_while_searching(
    shop: Any,
    changes: Changes,
    vectors: np.ndarray,
    like: Sequence[str],
    idle_s: float = 3.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LiveResult:
    """Removes and adds in ROUNDS rounds with searches going on; before and after, searches alone.

    `vectors` and `like`: what the searches ask for, see Workload.
    """
    load = Workload(shop, vectors, like, Ledger(changes.removals))
    idle, violations, idle_took_s = with_searches(load, lambda: time.sleep(idle_s))
    remove_ms: list[float] = []
    add_ms: list[float] = []
    rounds = min(ROUNDS, max(len(changes.removals), len(changes.additions)))

    def change() -> None:
        for turn in range(rounds):
            gone = changes.removals[part(len(changes.removals), turn, rounds)]
            began = time.perf_counter()
            unknown = shop.remove(gone)
            remove_ms.append((time.perf_counter() - began) * 1000)
            violations.extend(f"{key}: to be removed, but not there" for key in unknown)
            load.ledger.acknowledged += len(gone)

            now = part(len(changes.additions), turn, rounds)
            new = changes.additions[now]
            began = time.perf_counter()
            report = shop.add_many([(item.key, str(item.path), item.metadata) for item in new])
            add_ms.append((time.perf_counter() - began) * 1000)
            violations.extend(f"{failed.key}: {failed.error}" for failed in report.failures)
            for item, vector in zip(new, changes.vectors[now], strict=True):
                if not found_first(shop, item.key, vector):
                    violations.append(
                        f"{item.key}: not found by its own picture right after adding"
                    )
            progress(turn + 1, rounds)

    during, broken, during_took_s = with_searches(load, change)
    # The last removals too must hold against searches that begin later.
    _, broken_later, _ = with_searches(load, lambda: time.sleep(idle_s / 4))
    return LiveResult(
        idle=idle,
        during=during,
        idle_s=idle_took_s,
        during_s=during_took_s,
        removed=len(changes.removals),
        added=len(changes.additions),
        remove_ms=remove_ms,
        add_ms=add_ms,
        violations=violations + broken + broken_later,
    )


def part(total: int, turn: int, turns: int) -> slice:
    """The `turn`-th of `turns` nearly equal parts of a list of `total`."""
    return slice(total * turn // turns, total * (turn + 1) // turns)


def check_contents(shop: Any, expected: int, changes: Changes) -> list[str]:
    """What is wrong with a catalogue that was closed after the changes and opened again."""
    violations = []
    items = shop.info()["items"]
    if items != expected:
        violations.append(f"opened again, the catalogue holds {items} items instead of {expected}")
    for key in changes.removals:
        if key in shop:
            violations.append(f"{key}: removed, but there when the catalogue was opened again")
    for item, vector in zip(changes.additions, changes.vectors, strict=True):
        if not found_first(shop, item.key, vector):
            violations.append(
                f"{item.key}: added, but not found when the catalogue was opened again"
            )
    return violations


def p50_p99(values: Sequence[float]) -> tuple[float, float]:
    return percentile(values, 50), percentile(values, 99)
