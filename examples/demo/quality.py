"""How good the answers to held-out pictures are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data import Product
from .metrics import index_recall, recall_at, recall_by_label

RECALL_KS = (1, 5, 20)
INDEX_K = 10
FEWEST_QUERIES = 5  # of a label, for its own recall to say something


@dataclass(frozen=True)
class Quality:
    """What a set of queries brought."""

    hits: list[list[Any]]  # per query, max(RECALL_KS) at most, nearest first
    recall: dict[int, float]  # against labels, by k; empty where there are no labels
    by_label: dict[str, tuple[float, ...]]  # of labels with FEWEST_QUERIES, by RECALL_KS
    index_recall: float  # approximate against exact search, the first INDEX_K results


def evaluate(
    shop: Any, queries: Sequence[Product], vectors: np.ndarray, labels_by_key: dict[str, str]
) -> Quality:
    """Searches for every query with its embedding, a row of `vectors`.

    `labels_by_key`: of the items; empty where there are none.
    """
    hits = [shop.search(vector=vector, k=max(RECALL_KS)) for vector in vectors]
    against_exact = []
    for vector in vectors:
        pair = [shop.search(vector=vector, k=INDEX_K, exact=exact) for exact in (False, True)]
        against_exact.append(
            index_recall(*([(hit.key, hit.distance) for hit in found] for found in pair))
        )
    recall: dict[int, float] = {}
    by_label: dict[str, tuple[float, ...]] = {}
    if labels_by_key:
        labels = [query.label or "" for query in queries]
        found = [[labels_by_key.get(hit.key, "") for hit in results] for results in hits]
        recall = {k: recall_at(k, labels, found) for k in RECALL_KS}
        counts = Counter(labels)
        by_label = {
            label: recalls
            for label, recalls in recall_by_label(RECALL_KS, labels, found).items()
            if counts[label] >= FEWEST_QUERIES
        }
    return Quality(hits, recall, by_label, sum(against_exact) / len(against_exact))


def picture_latencies_ms(shop: Any, queries: Sequence[Product], count: int = 100) -> list[float]:
    """Milliseconds of whole queries, one after the other: read the file, decode, encode, search."""
    shop.search(image=str(queries[0].path), k=INDEX_K)  # loads the encoder
    latencies = []
    for query in queries[:count]:
        began = time.perf_counter()
        shop.search(image=str(query.path), k=INDEX_K)
        latencies.append((time.perf_counter() - began) * 1000)
    return latencies
