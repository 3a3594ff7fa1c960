"""From embeddings and the pairs that episodes ask for to scores of classes on three levels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.match.config import ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.pairs import score_pairs
from hcl.match.pooling import pool_supports


@dataclass(frozen=True)
class LevelScores:
    """Global, temporal and spatial scores."""

    of_pairs: NDArray[np.float64]  # (n, 3), of the distinct pairs
    of_classes: NDArray[np.float64]  # (E, N * M, N, 3), pooled over the supports of each class


def score_levels(
    embeddings: Embeddings,
    pairs: NDArray[np.int64],
    lookup: NDArray[np.int64],
    scoring: ScoreConfig,
    progress: Callable[[int], object] | None = None,
) -> LevelScores:
    """Score the distinct pairs of some episodes once, then the classes of each episode.

    Args:
        embeddings: of all videos
        pairs: (n, 2), rows of a query and a support
        lookup: (E, N * M, N, K) into pairs
        scoring: of pairs and of supports
        progress: called with the number of pairs that were scored since the last call
    """
    of_pairs = score_pairs(
        embeddings,
        pairs,
        top_clips=scoring.top_clips,
        top_patches=scoring.top_patches,
        attention_scale=scoring.attention_scale,
        progress=progress,
    ).astype(np.float64)
    return LevelScores(of_pairs, pool_supports(of_pairs, lookup, scoring.aggregate))
