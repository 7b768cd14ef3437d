"""Choosing some of many, the same ones on every machine and in every run."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence


def stable_order(names: Sequence[str], salt: str) -> list[int]:
    """Positions of `names` in a shuffled order that depends on the names and `salt` alone."""
    return sorted(
        range(len(names)), key=lambda i: hashlib.sha256(f"{salt}:{names[i]}".encode()).digest()
    )


def sample(names: Sequence[str], count: int, salt: str) -> list[int]:
    """`count` positions of `names` (all, if there are fewer), ascending."""
    return sorted(stable_order(names, salt)[:count])


def balanced_groups(labels: Sequence[int], sizes: Sequence[int], salt: str) -> list[list[int]]:
    """Disjoint groups of sizes[g] positions each, every label as often as every other.

    Each list is ascending. Raises ValueError if a size is no multiple of the number of labels, or a
    label is too rare.
    """
    by_label: dict[int, list[int]] = defaultdict(list)
    for i in stable_order([str(i) for i in range(len(labels))], salt):
        by_label[labels[i]].append(i)
    groups: list[list[int]] = []
    start = 0
    for size in sizes:
        share, rest = divmod(size, len(by_label))
        if rest:
            raise ValueError(
                f"{size} pictures cannot be shared out equally over {len(by_label)} labels"
            )
        for label, positions in by_label.items():
            if len(positions) < start + share:
                raise ValueError(
                    f"label {label} has only {len(positions)} pictures, {start + share} are needed"
                )
        groups.append(
            sorted(i for positions in by_label.values() for i in positions[start : start + share])
        )
        start += share
    return groups
