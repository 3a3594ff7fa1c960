"""From scores of pairs of videos to scores of classes in episodes: each distinct pair is scored once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hcl.match.config import AGGREGATES, LEVELS
from hcl.match.episodes.drawing import Episodes

SPATIAL = LEVELS.index("spatial")  # the level that costs nearly all the time
PROTOTYPE = AGGREGATES[0]
SHORTEST = 1e-3  # length of a prototype: supports that point everywhere have none
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


@dataclass(frozen=True)
class SupportPairs:
    """The distinct pairs of supports of one class, and where each class of an episode finds its own."""

    pairs: NDArray[np.int64]  # (m, 2) row numbers of supports
    lookup: NDArray[np.int64]  # (E, N, K * (K - 1) / 2) into pairs; those among the first supports come first


def support_pairs(support: NDArray[np.int64]) -> SupportPairs:
    """List the pairs of supports that stand for one class: (E, N, K) row numbers."""
    second, first = np.tril_indices(support.shape[2], -1)  # (1, 0), (2, 0), (2, 1), ...: few shots are a beginning
    width = int(support.max()) + 1
    codes, lookup = np.unique(support[:, :, first] * width + support[:, :, second], return_inverse=True)
    shape = (*support.shape[:2], len(first))
    return SupportPairs(np.stack(np.divmod(codes, width), axis=1), lookup.reshape(shape))


def prototype_lengths(scores: NDArray[np.float64], lookup: NDArray[np.int64], k_shot: int) -> NDArray[np.float64]:
    """How long the mean of a class's supports is, where a score is the cosine of two vectors of length 1.

    Its square is the mean score of all k * k pairs of supports, a support with itself among them. The mean score of a
    query with the supports, divided by it, is the cosine of the query to their mean: to the prototype of the class.

    Args:
        scores: (m, L) of pairs of supports; NaN: of a level whose scores are no cosines
        lookup: (E, N, K * (K - 1) / 2) as of `support_pairs`
        k_shot: k, how many of the K supports count, the first

    Returns:
        (E, N, L), at most 1; 1 for levels without scores
    """
    lengths = np.ones((*lookup.shape[:2], scores.shape[1]))
    pairs = lookup[..., : k_shot * (k_shot - 1) // 2]
    for level, column in enumerate(scores.T):
        if pairs.shape[-1] and not np.isnan(column).any():
            squares = (k_shot + 2 * column[pairs].sum(axis=-1)) / k_shot**2
            lengths[..., level] = np.sqrt(squares.clip(SHORTEST**2, 1))
    return lengths


def pool_supports(
    scores: NDArray[np.float64],
    lookup: NDArray[np.int64],
    aggregate: str,
    lengths: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Score classes from the scores of their supports, level by level.

    Args:
        scores: (n, L) of the distinct pairs
        lookup: (E, N * M, N, K)
        aggregate: one of AGGREGATES
        lengths: (E, N, L) of the prototypes, for this aggregate; None: scores are no cosines, and their mean counts

    Returns:
        (E, N * M, N, L)
    """
    pool = np.max if aggregate == "max" else np.mean
    pooled = np.stack([pool(column[lookup], axis=3) for column in scores.T], axis=-1)
    return pooled / lengths[:, None] if aggregate == PROTOTYPE and lengths is not None else pooled


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
