"""The scores of the pairs that some episodes compare, level by level, and what they make of the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.match.episodes.aggregation import PROTOTYPE, SupportPairs, pool_supports, prototype_lengths


@dataclass(frozen=True)
class Case:
    """One way of putting the supports of a class together; the supports of few shots are the first of many."""

    k_shot: int
    aggregate: str  # of the scores over supports, where a method scores pairs


@dataclass(frozen=True)
class LevelTable:
    """Scores of pairs on some levels: of queries with supports, and of the supports of a class with each other."""

    names: tuple[str, ...]  # of the L levels
    scores: NDArray[np.float64]  # (n, L) of the distinct pairs, NaN where one was left out
    lookup: NDArray[np.int64]  # (E, N * M, N, K) into them
    of_supports: NDArray[np.float64]  # (m, L), NaN where scores are no cosines, or prototypes are not asked for
    supports: SupportPairs

    def of_classes(self, case: Case) -> NDArray[np.float64]:
        """Score the classes on each level: (E, N * M, N, L)."""
        lengths = None
        if case.aggregate == PROTOTYPE:
            lengths = prototype_lengths(self.of_supports, self.supports.lookup, case.k_shot)
        return pool_supports(self.scores, self.lookup[..., : case.k_shot], case.aggregate, lengths)

    def columns(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """The scores of pairs on some levels: (n, L')."""
        return self.scores[:, self.places(names)]

    def places(self, names: tuple[str, ...]) -> list[int]:
        """Where some levels stand."""
        return [self.names.index(name) for name in names]
