"""What scores make of episodes: the class that each of them gives to every query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.system.progress import progress_bar
from hcl.match.config import ScoreConfig
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.pooling import PairTable, combine_levels, distinct_pairs, pool_supports
from hcl.match.evaluation.score_table import ScoreTable
from hcl.match.methods.registry import Arrays, Method
from hcl.match.pairwise.pair_scores import score_pairs
from hcl.match.store.embedding_store import EmbeddingStore

PAIRS_PER_SLICE = 120_000  # between two of which an interrupt loses nothing; each slice tabulates its supports anew
BLOCK_BYTES = 64 * 2**20  # of the arrays of a baseline that are gathered at a time

Scored = dict[str, NDArray[np.float64]]  # (E, N * M, N) scores of classes, by the name of the score


@dataclass(frozen=True)
class Case:
    """One way of putting the supports of a class together; the supports of few shots are the first of many."""

    k_shot: int
    aggregate: str  # of the scores over supports, where a method scores pairs


def score_missing(
    store: EmbeddingStore,
    pairs: PairTable,
    scoring: ScoreConfig,
    known: ScoreTable,
    *,
    spatial: bool,
) -> None:
    """Score the pairs that are not known yet, those of the first episodes first; an interrupt ends it early."""
    order = np.argsort(pairs.first, kind="stable")
    order = order[~known.contains(pairs.pairs[order])]
    if not len(order):
        return
    used, local = np.unique(pairs.pairs[order], return_inverse=True)
    local = local.reshape(-1, 2)
    embeddings = store.embeddings(used)
    with progress_bar(len(order), "pair", "score") as bar:
        try:
            for start in range(0, len(order), PAIRS_PER_SLICE):
                some = slice(start, start + PAIRS_PER_SLICE)
                scores = score_pairs(embeddings, local[some], **scoring.of_pairs, spatial=spatial, progress=bar.update)
                known.add(pairs.pairs[order[some]], scores)
        except KeyboardInterrupt:
            bar.write("interrupted: the episodes that are scored whole are reported")


def finished_episodes(pairs: PairTable, known: ScoreTable) -> int:
    """Count the first episodes all of whose pairs are known."""
    missing = ~known.contains(pairs.pairs)
    return int(pairs.first[missing].min()) if missing.any() else len(pairs.lookup)


def level_scores(levels: NDArray[np.float64], lookup: NDArray[np.int64], case: Case, *, spatial: bool = True) -> Scored:
    """Score classes by every combination of levels.

    Args:
        levels: (n, 3), of the distinct pairs
        lookup: (E, N * M, N, K) into them
        case: how many of the K supports count, and how
        spatial: False leaves the spatial level out
    """
    return combine_levels(pool_supports(levels, lookup[..., : case.k_shot], case.aggregate), spatial=spatial)


def baseline_scores(
    store: EmbeddingStore, method: Method, drawn: Episodes, cases: Sequence[Case]
) -> dict[Case, NDArray[np.float64]]:
    """Score classes (E, N * M, N) by another method than HCL, in each case."""
    used, local = drawn.renumbered()
    arrays = store.arrays(method.arrays, used)
    if not method.pairwise:
        return {case: class_scores(method, arrays, local, case.k_shot) for case in cases}
    pairs = distinct_pairs(local)
    scores = _by_pair(method, arrays, pairs.pairs)[:, None]
    return {case: pool_supports(scores, pairs.lookup[..., : case.k_shot], case.aggregate)[..., 0] for case in cases}


@torch.inference_mode()
def _by_pair(method: Method, arrays: Arrays, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,), of pairs of rows of the arrays."""
    found = np.empty(len(pairs))
    block = _fitting(arrays, videos=2)
    with progress_bar(len(pairs), "pair", f"score {method.name}") as bar:
        for start in range(0, len(pairs), block):
            some = torch.from_numpy(pairs[start : start + block])
            scores = method.class_scores(_take(arrays, some[:, :1]), _take(arrays, some[:, 1:, None]))  # (b, 1, 1)
            found[start : start + block] = scores[:, 0, 0].double().numpy()
            bar.update(len(some))
    return found


@torch.inference_mode()
def class_scores(method: Method, arrays: Arrays, drawn: Episodes, k_shot: int) -> NDArray[np.float64]:
    """Score classes of episodes over rows of the arrays, some episodes at a time: (E, N * M, N)."""
    count, n_way, n_query = drawn.query.shape
    queries = torch.from_numpy(drawn.query.reshape(count, -1))
    supports = torch.from_numpy(np.ascontiguousarray(drawn.support[:, :, :k_shot]))
    found = np.empty((count, n_way * n_query, n_way))
    block = _fitting(arrays, videos=n_way * (n_query + k_shot))
    with progress_bar(count, "episode", f"score {method.name}, {k_shot}-shot") as bar:
        for start in range(0, count, block):
            some = slice(start, start + block)
            scores = method.class_scores(_take(arrays, queries[some]), _take(arrays, supports[some]))
            found[some] = scores.double().numpy()
            bar.update(len(scores))
    return found


def _take(arrays: Arrays, rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: values[rows].float() for name, values in arrays.items()}


def _fitting(arrays: Mapping[str, torch.Tensor], *, videos: int) -> int:
    """How many groups of some videos are gathered at a time."""
    bytes_each = sum(4 * values[0].numel() for values in arrays.values())
    return max(1, BLOCK_BYTES // (videos * bytes_each))
