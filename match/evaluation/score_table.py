"""Scores of pairs of videos that are known already: a pair is scored once, however many episodes ask for it."""

import numpy as np
from numpy.typing import NDArray

from hcl.match.config import LEVELS


class ScoreTable:
    """Global, temporal and spatial scores of some (query, support) pairs of an embedding store.

    Args:
        videos: how many the store holds
        pairs: (n, 2) int, rows of a query and a support
        scores: (n, 3), of these pairs
    """

    def __init__(
        self,
        videos: int,
        pairs: NDArray[np.integer] | None = None,
        scores: NDArray[np.float32] | None = None,
    ) -> None:
        self._videos = videos
        self._codes = np.empty(0, dtype=np.int64)  # ascending
        self._scores = np.empty((0, len(LEVELS)), dtype=np.float32)
        if pairs is not None and scores is not None:
            self.add(pairs, scores)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(n, 2), of all known pairs, ascending."""
        return np.stack(np.divmod(self._codes, self._videos), axis=1)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n, 3), of all known pairs, in the order of `pairs`."""
        return self._scores

    def add(self, pairs: NDArray[np.integer], scores: NDArray[np.float32]) -> None:
        """Put in the scores (n, 3) of pairs (n, 2) that are not known yet."""
        codes = np.concatenate((self._codes, self._code(pairs)))
        order = np.argsort(codes, kind="stable")
        self._codes, self._scores = codes[order], np.concatenate((self._scores, scores))[order]

    def contains(self, pairs: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of the pairs (n, 2) are known: (n,)."""
        return np.isin(self._code(pairs), self._codes)

    def take(self, pairs: NDArray[np.integer]) -> NDArray[np.float64]:
        """Look up the scores (n, 3) of pairs (n, 2); NaN where a pair is not known."""
        codes = self._code(pairs)
        found = np.full((len(codes), len(LEVELS)), np.nan)
        if len(self._codes):
            places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
            known = self._codes[places] == codes
            found[known] = self._scores[places[known]]
        return found

    def _code(self, pairs: NDArray[np.integer]) -> NDArray[np.int64]:
        wide = pairs.astype(np.int64)
        return np.asarray(wide[:, 0] * self._videos + wide[:, 1])
