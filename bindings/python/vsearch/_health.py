"""How well an index serves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .errors import InvalidArgumentError


@dataclass(frozen=True)
class IndexHealth:
    """What :meth:`Index.check_health` and :meth:`Catalog.check_health` found.

    What recall and distances are usual depends on the vectors: compare with an earlier check of the
    same index, or of a new one.
    """

    size: int
    """Vectors that were looked at."""
    removed_share: float
    """Of the slots in use, those of removed vectors: 0 to 1."""
    degrees: npt.NDArray[np.uint64] = field(repr=False)
    """[2 links + 1]: i links on level 0 have degrees[i] vectors."""
    least_degree: int
    most_degree: int
    mean_degree: float
    unreachable: int
    """Vectors to which no path of links leads: no walk finds them."""
    duplicates: int
    """Vectors that are stored like another one, without the first."""
    mean: npt.NDArray[np.float32] = field(repr=False)
    """[dim]"""
    spread: float
    """The root of the mean squared distance from the mean."""
    sampled: int
    """Vectors that were searched for."""
    self_recall: float
    """Which share of a sampled vector's true k nearest others was found, on average."""
    lost: int
    """Sampled vectors that do not come where they belong in their own result."""
    distances_per_query: float
    """The noise-free measure of wear: what a search had to compare."""

    def drift_from(self, earlier: IndexHealth) -> float:
        """How far the vectors have drifted since an earlier check of the same index: the distance
        of the means, in units of the earlier spread. Of vectors of one kind it is about
        1 / sqrt(size)."""
        if self.mean.shape != earlier.mean.shape:
            raise InvalidArgumentError(
                f"the checks are of indexes with {len(earlier.mean)} and {len(self.mean)} "
                "dimensions: compare two of one index"
            )
        if earlier.spread == 0:
            return 0.0
        difference = self.mean.astype(np.float64) - earlier.mean.astype(np.float64)
        return float(np.linalg.norm(difference) / earlier.spread)
