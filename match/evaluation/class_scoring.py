"""What scores make of episodes: how every query is scored against the classes of its episode."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.system.progress import logger, progress_bar
from hcl.match.config import LEVELS, ScoreConfig
from hcl.match.embeddings import Arrays, Clips, Embeddings
from hcl.match.episodes.aggregation import (
    PROTOTYPE,
    PairTable,
    SupportPairs,
    combine_levels,
    distinct_pairs,
    sum_name,
    support_pairs,
)
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.level_table import Case, LevelTable
from hcl.match.evaluation.known_levels import known_levels, known_scores
from hcl.match.evaluation.score_cache import ScoreCache
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.fast_scoring.remote_pairs import score_blocks
from hcl.match.methods.registry import Method
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.scorer import arrays_for, scorer_of

PAIRS_PER_SLICE = 120_000  # between two of which an interrupt loses nothing; each slice tabulates its supports anew
GATHERED_BYTES = 64 * 2**20  # of the arrays of a method that are gathered at a time

CENTRED = "centred "  # before the names of levels whose vectors are centred by the judged videos' own mean

ClassScores = dict[str, NDArray[np.float64]]  # (E, N * M, N) scores of classes, by the name of the score


@dataclass(frozen=True)
class LevelScores:
    """HCL's scores of the distinct pairs of some episodes."""

    levels: NDArray[np.float64]  # (n, 3) global, temporal and spatial score
    scored: NDArray[np.bool_]  # (n,) False for the pairs that an interrupt left out
    pairs: PairTable

    @property
    def finished(self) -> int:
        """How many of the first episodes are scored whole."""
        missing = ~self.scored
        return int(self.pairs.first[missing].min()) if missing.any() else len(self.pairs.lookup)


def score_levels(
    store: EmbeddingStore,
    episodes: Episodes,
    scoring: ScoreConfig,
    score_cache: ScoreCache,
    *,
    spatial: bool,
    cluster: ClusterConfig | None = None,
) -> LevelScores:
    """Score the distinct pairs of episodes by HCL; pairs that are cached are not scored again.

    The pairs of the first episodes come first; an interrupt ends it early.

    Args:
        store: of HCL
        episodes: rows of the store
        scoring: how pairs are scored
        score_cache: gives the scores that it has, and takes the new ones
        spatial: False leaves the spatial level out
        cluster: whose workers score; None: this machine
    """
    pairs = distinct_pairs(episodes)
    levels, scored = score_cache.look_up(pairs.pairs)
    order = np.argsort(pairs.first, kind="stable")
    order = order[~scored[order]]
    try:
        for places, scores in _slices(store, pairs.pairs, order, scoring, spatial=spatial, cluster=cluster):
            score_cache.add(pairs.pairs[places], scores)
            levels[places], scored[places] = scores, True
    except KeyboardInterrupt:
        logger.warning("interrupted: the episodes that are scored whole are reported")
    return LevelScores(levels, scored, pairs)


def _slices(
    store: EmbeddingStore,
    pairs: Rows,
    order: Rows,
    scoring: ScoreConfig,
    *,
    spatial: bool,
    cluster: ClusterConfig | None,
) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
    """Score pairs in an order, some at a time: their places (b,) and scores (b, 3)."""
    if not len(order):
        return
    used, local = np.unique(pairs[order], return_inverse=True)
    local = local.reshape(-1, 2)
    embeddings = store.embeddings(used)
    slices = [slice(start, start + PAIRS_PER_SLICE) for start in range(0, len(order), PAIRS_PER_SLICE)]
    settings, count = scoring.of_pairs, len(order)
    with progress_bar(count, "pair", "score") as bar:
        if cluster is None:
            for some in slices:
                scores = score_pairs(embeddings, local[some], **settings, spatial=spatial, progress=bar.update)
                yield order[some], scores
            return
        blocks = [local[some] for some in slices]
        for some, scores in zip(
            slices, score_blocks(embeddings, blocks, settings, cluster, spatial=spatial), strict=True
        ):
            yield order[some], scores
            bar.update(len(scores))


def level_table(
    store: EmbeddingStore,
    scored: LevelScores,
    support: Rows,
    scoring: ScoreConfig,
    *,
    prototypes: bool,
    centred: Sequence[str] = (),
) -> LevelTable:
    """Put the scores of pairs on all levels of a store together.

    Args:
        store: of HCL
        scored: on the paper's levels
        support: (E, N, K) rows of the episodes that are scored whole, the first ones
        scoring: how pairs are scored
        prototypes: score the supports of a class with each other, too
        centred: levels without gradients that are also given centred by the mean of the judged videos

    Returns:
        the paper's levels, those of the store without gradients, and the centred ones under CENTRED and their names
    """
    known = known_levels(store)
    pairs, judged = scored.pairs.pairs, np.unique(scored.pairs.pairs[scored.scored])

    def further(of: Rows) -> NDArray[np.float64]:
        columns = (known_scores(store, of, known), known_scores(store, of, centred, centred_by=judged))
        return np.concatenate(columns, axis=1)

    names = (*LEVELS, *known, *(CENTRED + name for name in centred))
    scores = np.full((len(pairs), len(names)), np.nan)
    scores[:, : len(LEVELS)] = scored.levels
    scores[scored.scored, len(LEVELS) :] = further(pairs[scored.scored])
    supports = support_pairs(support if prototypes else support[:, :, :1])
    of_supports = np.full((len(supports.pairs), len(names)), np.nan)
    if len(supports.pairs):
        of_supports[:, : len(LEVELS)] = support_scores(store, supports, scoring)
        of_supports[:, len(LEVELS) :] = further(supports.pairs)
    return LevelTable(names, scores, scored.pairs.lookup[: len(support)], of_supports, supports)


def support_scores(store: EmbeddingStore, supports: SupportPairs, scoring: ScoreConfig) -> NDArray[np.float32]:
    """Score the supports of a class with each other on the global and the temporal level; no patches are read.

    Returns:
        (m, 3), NaN on the spatial level
    """
    used, local = np.unique(supports.pairs, return_inverse=True)
    arrays = store.arrays(("global", "clips"), used)
    return scores_without_patches(arrays, store.clip_frames, local.reshape(-1, 2), scoring)


def scores_without_patches(
    arrays: Arrays, clip_frames: Clips, pairs: Rows, scoring: ScoreConfig
) -> NDArray[np.float32]:
    """Score pairs on the two levels on which a video's score with itself is 1.

    It is not on the spatial one, whose patches are weighted (Eq. 4).

    Args:
        arrays: "global" (V, D) and "clips" (V, Nc, D)
        clip_frames: of the Nc clips
        pairs: (m, 2) rows
        scoring: how pairs are scored

    Returns:
        (m, 3), NaN on the spatial level
    """
    clips, frames = arrays["clips"], 1 + max(max(clip) for clip in clip_frames)
    no_patches = clips.new_zeros(1).expand(len(clips), frames, 1, clips.shape[-1])
    embeddings = Embeddings(arrays["global"], clips, no_patches, clip_frames)
    return score_pairs(embeddings, pairs, **scoring.of_pairs, spatial=False)


def combination_scores(
    of_classes: NDArray[np.float64], *, spatial: bool = True, last: Sequence[str] = LEVELS
) -> ClassScores:
    """Score classes by every combination of levels.

    Args:
        of_classes: (E, N * M, N, 3) scores of classes on the paper's levels
        spatial: False leaves the spatial level out
        last: the levels whose sum counts; it comes last
    """
    scores = combine_levels(of_classes, spatial=spatial)
    counted = sum_name([level for level in last if spatial or level != "spatial"])
    return {name: scores[name] for name in scores if name != counted} | {counted: scores[counted]}


def method_scores(
    store: EmbeddingStore, name: str, episodes: Episodes, cases: Sequence[Case]
) -> dict[Case, NDArray[np.float64]]:
    """Score classes (E, N * M, N) by another method than HCL, in each case.

    Args:
        store: of the method, or one that serves it
        name: of the method
        episodes: rows of the store
        cases: numbers of shots and aggregates

    Raises:
        InputError: if there is no such method, or the store lacks its arrays or weights
    """
    method = scorer_of(store, name)
    used, local = episodes.renumbered()
    arrays = arrays_for(store, method, used)
    if not method.pairwise:
        return {case: episode_scores(method, arrays, local, case.k_shot, name=name) for case in cases}
    pairs = distinct_pairs(local)
    are_cosines = getattr(method, "are_cosines", False) and any(case.aggregate == PROTOTYPE for case in cases)
    supports = support_pairs(local.support if are_cosines else local.support[:, :, :1])
    scores, of_supports = (_pair_scores(method, arrays, of.pairs, name)[:, None] for of in (pairs, supports))
    table = LevelTable((name,), scores, pairs.lookup, of_supports, supports)
    return {case: table.of_classes(case)[..., 0] for case in cases}


@torch.inference_mode()
def _pair_scores(method: Method, arrays: Arrays, pairs: Rows, name: str) -> NDArray[np.float64]:
    """(n,), of pairs of rows of the arrays."""
    values = np.empty(len(pairs))
    block = _groups_per_block(arrays, videos=2)
    with progress_bar(len(pairs), "pair", f"score {name}") as bar:
        for start in range(0, len(pairs), block):
            some = torch.from_numpy(pairs[start : start + block])
            scores = method.class_scores(_take(arrays, some[:, :1]), _take(arrays, some[:, 1:, None]))  # (b, 1, 1)
            values[start : start + block] = scores[:, 0, 0].double().numpy()
            bar.update(len(some))
    return values


@torch.inference_mode()
def episode_scores(
    method: Method, arrays: Arrays, episodes: Episodes, k_shot: int, *, name: str = "episodes"
) -> NDArray[np.float64]:
    """Score classes of episodes over rows of the arrays, some episodes at a time.

    Args:
        method: that scores
        arrays: (V, ...) by name
        episodes: rows of the arrays
        k_shot: how many supports of each class count, the first
        name: what the progress bar shows

    Returns:
        (E, N * M, N)
    """
    count, n_way, n_query = episodes.query.shape
    queries = torch.from_numpy(episodes.query.reshape(count, -1))
    supports = torch.from_numpy(np.ascontiguousarray(episodes.support[:, :, :k_shot]))
    values = np.empty((count, n_way * n_query, n_way))
    block = _groups_per_block(arrays, videos=n_way * (n_query + k_shot))
    with progress_bar(count, "episode", f"score {name}, {k_shot}-shot") as bar:
        for start in range(0, count, block):
            some = slice(start, start + block)
            scores = method.class_scores(_take(arrays, queries[some]), _take(arrays, supports[some]))
            values[some] = scores.double().numpy()
            bar.update(len(scores))
    return values


def _take(arrays: Arrays, rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: values[rows].float() for name, values in arrays.items()}


def _groups_per_block(arrays: Arrays, *, videos: int) -> int:
    """How many groups of some videos are gathered at a time."""
    bytes_each = sum(4 * values[0].numel() for values in arrays.values())
    return max(1, GATHERED_BYTES // (videos * bytes_each))
