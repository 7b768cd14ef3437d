"""Retrieval protocols: who asks, who answers, and how well. Cosine similarity throughout; see
models/README.md for the figures.

Recall@k is the share of queries with at least one right answer among the first k; mAP is the mean
over queries of the average precision over the whole ranking. Queries without any right answer in
the gallery are left out.
"""

from __future__ import annotations

import numpy as np
import torch
from datasets import Dataset

RECALL_AT = (1, 5, 20)
FASHION_QUERIES = 8000


def unit_rows(features: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.normalize(
        torch.from_numpy(np.ascontiguousarray(features, np.float32)), dim=1
    )


def measure(
    queries: torch.Tensor,
    query_labels: np.ndarray,
    gallery: torch.Tensor,
    gallery_labels: np.ndarray,
    leave_one_out: bool,
) -> dict[str, float]:
    """Percentages R@1, R@5, R@20 and mAP. With ``leave_one_out``, query i is gallery picture i and
    not an answer to itself.
    """
    query_labels, gallery_labels = torch.from_numpy(query_labels), torch.from_numpy(gallery_labels)
    hits, precisions = [], []
    for start in range(0, len(queries), 1000):
        similarity = queries[start : start + 1000] @ gallery.T
        if leave_one_out:
            rows = torch.arange(len(similarity))
            similarity[rows, start + rows] = -2
        order = similarity.argsort(dim=1, descending=True)
        if leave_one_out:
            order = order[:, :-1]
        right = gallery_labels[order] == query_labels[start : start + 1000, None]
        right = right[right.any(dim=1)]
        hits.append(torch.stack([right[:, :k].any(dim=1) for k in RECALL_AT], dim=1))
        ranks = torch.arange(1, right.shape[1] + 1)
        found = right.cumsum(dim=1)
        precisions.append((right * found / ranks).sum(dim=1) / found[:, -1])
    recall = torch.cat(hits).float().mean(dim=0) * 100
    result = {f"R@{k}": value for k, value in zip(RECALL_AT, recall.tolist())}
    result["mAP"] = torch.cat(precisions).mean().item() * 100
    return result


def protocols(name: str, dataset: Dataset, features: np.ndarray) -> dict[str, dict[str, float]]:
    """All protocols of a data set, by title."""
    rows = unit_rows(features)

    def across(queries: str, gallery: str) -> dict[str, float]:
        asks, answers = dataset.split == queries, dataset.split == gallery
        return measure(
            rows[asks],
            dataset.fine[asks],
            rows[answers],
            dataset.fine[answers],
            leave_one_out=False,
        )

    if name == "grocery":
        return {
            "grocery: test against train": across("test", "train"),
            "grocery: test against iconic": across("test", "iconic"),
        }
    if name == "caltech101":
        return {
            "caltech101: leave one out": measure(
                rows, dataset.fine, rows, dataset.fine, leave_one_out=True
            )
        }
    if name == "fashion":
        drawn = np.random.default_rng(0).permutation(len(rows))[:FASHION_QUERIES]
        both = dataset.fine * (dataset.colour.max() + 1) + dataset.colour
        return {
            "fashion: articleType": measure(
                rows[drawn], dataset.fine[drawn], rows[drawn], dataset.fine[drawn], True
            ),
            "fashion: articleType and baseColour": measure(
                rows[drawn], both[drawn], rows[drawn], both[drawn], True
            ),
        }
    raise ValueError(f"no protocol of {name}")
