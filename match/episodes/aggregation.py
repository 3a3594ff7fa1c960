"""From scores of pairs of videos to scores of classes in episodes: each distinct pair is scored once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hcl.match.config import LEVELS
from hcl.match.episodes.drawing import Episodes

SPATIAL = LEVELS.index("spatial")  # the level that costs nearly all the time
COMBINATIONS = tuple(chosen for size in (1, 2, 3) for chosen in combinations(range(3), size))


@dataclass(frozen=True)
class PairTable:
    """The distinct (query, support) pairs of some episodes and where each episode finds its own."""

    pairs: NDArray[np.int64]  # (n, 2) row numbers of query and support
    lookup: NDArray[np.int64]  # (E, N * M, N, K) into pairs
    first: NDArray[np.int64]  # (n,) the first episode that compares each pair


def distinct_pairs(episodes: Episodes) -> PairTable:
    """List the pairs of videos that episodes compare: a score is a function of a pair."""
    query = episodes.query.reshape(len(episodes.query), -1, 1, 1)  # (E, N * M, 1, 1)
    support = episodes.support[:, None]  # (E, 1, N, K)
    width = int(episodes.support.max()) + 1
    compared = query * width + support  # (E, N * M, N, K)
    codes, places, lookup = np.unique(compared, return_index=True, return_inverse=True)
    first = places // compared[0].size
    return PairTable(np.stack(np.divmod(codes, width), axis=1), lookup.reshape(compared.shape), first)


def pool_supports(scores: NDArray[np.float64], lookup: NDArray[np.int64], aggregate: str) -> NDArray[np.float64]:
    """Score classes by the mean or the largest score of their supports, level by level.

    Args:
        scores: (n, L) of the distinct pairs
        lookup: (E, N * M, N, K)
        aggregate: "mean" or "max"

    Returns:
        (E, N * M, N, L)
    """
    of_supports = scores[lookup]  # (E, N * M, N, K, L)
    return np.asarray(of_supports.mean(axis=3) if aggregate == "mean" else of_supports.max(axis=3))


def combination_name(chosen: Sequence[int]) -> str:
    """Name some levels by their places: (0, 2) is "global+spatial"."""
    return "+".join(LEVELS[level] for level in chosen)


def sum_name(levels: Sequence[str]) -> str:
    """Name the sum of some levels: ("global", "spatial") is "global+spatial"."""
    return combination_name([LEVELS.index(level) for level in levels])


def combine_levels(of_classes: NDArray[np.float64], *, spatial: bool = True) -> dict[str, NDArray[np.float64]]:
    """Add up the levels of every combination (Eq. 6 for all three).

    Args:
        of_classes: (E, N * M, N, 3)
        spatial: False leaves out the combinations with the spatial level

    Returns:
        seven arrays (E, N * M, N), or three, by name; the last is the sum of all levels there are
    """
    chosen = [levels for levels in COMBINATIONS if spatial or SPATIAL not in levels]
    return {combination_name(levels): of_classes[..., list(levels)].sum(axis=-1) for levels in chosen}


def true_places(episodes: Episodes) -> NDArray[np.int64]:
    """(N * M,) place of each query's class within an episode."""
    _, n_way, n_query = episodes.query.shape
    return np.repeat(np.arange(n_way), n_query)
