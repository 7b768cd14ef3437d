"""The figures of the report, as small pure functions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence


def recall_at(k: int, labels: Sequence[str], found: Sequence[Sequence[str]]) -> float:
    """The share of queries that have an item of their own label among the first k results.

    `labels`: one a query; `found`: per query the labels of its results, nearest first.
    """
    if not labels:
        raise ValueError("recall of no queries at all")
    return sum(label in results[:k] for label, results in zip(labels, found, strict=True)) / len(
        labels
    )


def recall_by_label(
    ks: Sequence[int], labels: Sequence[str], found: Sequence[Sequence[str]]
) -> dict[str, tuple[float, ...]]:
    """recall_at() for every k of `ks`, label by label, in the order of the labels."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        rows[label].append(i)
    return {
        label: tuple(recall_at(k, [label] * len(own), [found[i] for i in own]) for k in ks)
        for label, own in sorted(rows.items())
    }


def index_recall(
    approximate: Sequence[tuple[str, float]], exact: Sequence[tuple[str, float]]
) -> float:
    """The share of the exact results that an approximate search gives too.

    Results are (key, distance), nearest first. One at the distance of the last exact result counts
    as well: among equals, any choice is right.
    """
    if not exact:
        raise ValueError("no exact results to compare with")
    keys = {key for key, _ in exact}
    farthest = exact[-1][1]
    right = sum(key in keys or abs(distance - farthest) <= 1e-6 for key, distance in approximate)
    return min(right, len(exact)) / len(exact)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` % of the values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("percentile of no values at all")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def log_histogram(values: Sequence[float], low: float, high: float, bins: int) -> list[int]:
    """How many values lie in each of `bins` parts of [low, high], of equal width in the logarithm.

    Values outside go into the first or last part, so that none is hidden.
    """
    counts = [0] * bins
    scale = bins / math.log(high / low)
    for value in values:
        i = int(math.log(value / low) * scale) if value > low else 0
        counts[min(max(i, 0), bins - 1)] += 1
    return counts
