"""Queries against a support set: the score of each level for each pair of videos, and their weighted sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.classify.support.support_set import CLASS_KEYS, SupportSet, concatenated
from hcl.extract.cache.video_table import Rows
from hcl.match.config import KNOWN_LEVELS, LEVELS, UNTRAINED_LEVELS, ScoreConfig
from hcl.match.episodes.aggregation import PROTOTYPE, prototype_lengths
from hcl.match.evaluation.class_scoring import scores_without_patches
from hcl.match.evaluation.level_weights import LevelWeights, Weighing, trusted
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.fast_scoring.prepared import PreparedSupports
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.losses.objective import trained_levels
from hcl.train.runs.embed_cache import weights_of_run
from hcl.train.runs.run_folder import Run

WEIGHTED = "weighted"  # the sum of all levels that ranks classes
REFERENCE_PAIRS = 600  # of supports, on which the spread of the levels is settled

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Matching:
    """How a run scores a pair of videos: Eq. 3 to 5, the levels that it trained, and how much each counts."""

    scoring: ScoreConfig = ScoreConfig()
    trained: tuple[str, ...] = LEVELS
    weights: LevelWeights | None = None

    @classmethod
    def of_run(cls, run: Run | None) -> Matching:
        """Those of a run; untrained, the defaults.

        Raises:
            InputError: if the run's store is damaged
        """
        if run is None:
            return cls()
        return cls(run.config.scoring, tuple(trained_levels(run.config.training)), weights_of_run(run))


@dataclass(frozen=True)
class PairScores:
    """The scores of Q queries against V supports."""

    names: tuple[str, ...]  # of the L levels
    levels: Floats  # (Q, V, L)
    untrained: Floats  # (Q, V, U) the centred untrained levels, where they count
    total: Floats  # (Q, V) the weighted sum

    def paper_sum(self, trained: Sequence[str] = LEVELS) -> Floats:
        """(Q, V) the paper's sum of its levels (Eq. 6)."""
        return sum_of_levels(self.names, self.levels, trained)

    def of_query(self, query: int) -> PairScores:
        """Those of one query."""
        some = slice(query, query + 1)
        return PairScores(self.names, self.levels[some], self.untrained[some], self.total[some])


@dataclass(frozen=True)
class ClassScores:
    """The scores of Q queries against one class."""

    names: tuple[str, ...]  # of the L levels
    levels: Floats  # (Q, L)
    total: Floats  # (Q,) the weighted sum, which ranks

    def paper_sum(self, trained: Sequence[str] = LEVELS) -> Floats:
        """(Q,) the paper's sum of its levels (Eq. 6)."""
        return sum_of_levels(self.names, self.levels, trained)


def sum_of_levels(names: Sequence[str], levels: Floats, trained: Sequence[str]) -> Floats:
    """Add up some of the levels: (..., L) to (...)."""
    return np.asarray(levels[..., [names.index(level) for level in trained]].sum(axis=-1))


class Matcher:
    """Scores queries against one support set; what all queries share is computed once.

    Args:
        support: of N classes
        matching: how a pair is scored
    """

    def __init__(self, support: SupportSet, matching: Matching) -> None:
        self.support, self.matching = support, matching
        self._supports = support.compared(support.batch)
        self._known = tuple(name for name in KNOWN_LEVELS if name in self._supports.arrays)
        self.names = (*LEVELS, *self._known)

    def score(self, queries: EmbeddedBatch) -> PairScores:
        """Score Q queries, embedded as the supports, against all V supports."""
        compared = self.support.compared(queries)
        count = len(queries)
        rows = np.arange(count).repeat(len(self.support)), np.tile(np.arange(len(self.support)), count) + count
        of_paper = self._prepared.score(compared.embeddings()) if count == 1 else None
        together = self._together(compared, self._supports.arrays if of_paper is None else self._known)
        levels, untrained = self._columns(together, np.stack(rows, axis=1), of_paper)
        total = self._weighing.total(self._counted(levels), untrained)
        shape = (count, len(self.support))
        levels, untrained = levels.reshape(*shape, -1), untrained.reshape(*shape, -1)
        return PairScores(self.names, levels, untrained, total.reshape(shape))

    @cached_property
    def of_supports(self) -> PairScores:
        """The supports as queries against each other: (V, V); a video against itself is among them."""
        return self.score(without_keys(self.support.batch))

    def class_scores(self, scores: PairScores) -> Floats:
        """Score the classes by the weighted sum of all levels: (Q, N)."""
        classes = range(len(self.support.class_names))
        of_classes = [self.pooled(scores, np.flatnonzero(self.support.classes == number)).total for number in classes]
        return np.stack(of_classes, axis=-1)

    def pooled(self, scores: PairScores, rows: Rows) -> ClassScores:
        """Put some supports of one class together, as the run does.

        Args:
            scores: of Q queries
            rows: (K,) of the supports
        """
        aggregate = self.matching.scoring.aggregate
        pool = np.max if aggregate == "max" else np.mean
        levels, untrained = pool(scores.levels[:, rows], axis=1), pool(scores.untrained[:, rows], axis=1)
        if aggregate == PROTOTYPE and len(rows) > 1:
            lengths = self._prototype_lengths(rows)
            levels, untrained = levels / lengths[: len(self.names)], untrained / lengths[len(self.names) :]
        return ClassScores(self.names, levels, self._weighing.total(self._counted(levels), untrained))

    def growing(self, scores: PairScores, query: int, rows: Rows) -> Floats:
        """Score one query against a class of the first 1, 2, ... of some supports, as `pooled` does of all: (K,).

        Args:
            scores: of Q queries
            query: its place among them
            rows: (K,) of the supports
        """
        both = np.concatenate((scores.levels[query, rows], scores.untrained[query, rows]), axis=1)  # (K, L + U)
        if self.matching.scoring.aggregate == "max":
            pooled = np.maximum.accumulate(both, axis=0)
        else:
            pooled = both.cumsum(axis=0) / np.arange(1, len(rows) + 1)[:, None]
        if self.matching.scoring.aggregate == PROTOTYPE:
            pooled = pooled / [self._prototype_lengths(rows[:count]) for count in range(1, len(rows) + 1)]
        count = len(self.names)
        return self._weighing.total(self._counted(pooled[:, :count]), pooled[:, count:])

    def _prototype_lengths(self, rows: Rows) -> Floats:
        """The length of the mean of some supports of a class on each level, the centred ones last: (L + U,)."""
        pairs = self._same_class[rows[:, None], rows[None]]  # (K, K, L + U), 1 on the diagonal
        first, second = np.tril_indices(len(rows), -1)
        lookup = np.arange(len(first)).reshape(1, 1, -1)
        return np.asarray(prototype_lengths(pairs[first, second], lookup, len(rows))[0, 0])

    @cached_property
    def _same_class(self) -> Floats:
        """The scores of supports of one class with each other: (V, V, L + U), NaN where they are no cosines."""
        classes = self.support.classes
        pairs = np.argwhere((classes[:, None] == classes[None]) & ~np.eye(len(classes), dtype=bool))
        batch = self._supports
        of_paper = scores_without_patches(batch.arrays, batch.embeddings().clip_frames, pairs, self.matching.scoring)
        table = np.full((len(classes), len(classes), len(self.names) + len(self._centred)), np.nan)
        table[pairs[:, 0], pairs[:, 1]] = np.concatenate(self._columns(batch, pairs, of_paper), axis=1)
        return table

    @cached_property
    def _prepared(self) -> PreparedSupports:
        """For queries that come one at a time."""
        spatial = "spatial" in self.matching.trained
        return PreparedSupports(self._supports.embeddings(), self.matching.scoring.of_pairs, spatial=spatial)

    def _together(self, queries: EmbeddedBatch, names: Iterable[str]) -> EmbeddedBatch:
        """The arrays of some names: of the queries, then of the supports; the class keys of queries are never read."""
        keys = self._supports.arrays.get(CLASS_KEYS)
        if keys is not None:
            filled = keys.new_zeros(len(queries), keys.shape[1])
            queries = replace(queries, arrays={**queries.arrays, CLASS_KEYS: filled})
        chosen = tuple(names)  # patches are large: what is not read is not copied
        return concatenated([_only(queries, chosen), _only(self._supports, chosen)])

    def _columns(
        self, videos: EmbeddedBatch, pairs: NDArray[np.int64], levels: NDArray[np.float32] | None = None
    ) -> tuple[Floats, Floats]:
        """Score pairs of rows (n, 2) of videos: (n, L), and the centred untrained levels (n, U) where they count.

        The paper's levels (n, 3) may be given.
        """
        if levels is None:
            spatial = "spatial" in self.matching.trained
            levels = score_pairs(videos.embeddings(), pairs, **self.matching.scoring.of_pairs, spatial=spatial)
        known = [_cosines(videos.arrays[name].float(), pairs) for name in self._known]
        centred = [_cosines(videos.arrays[name].float() - self._means[name], pairs) for name in self._centred]
        columns = np.concatenate((levels.astype(np.float64), np.stack(known, axis=1)), axis=1)
        return columns, np.stack(centred, axis=1) if centred else np.empty((len(pairs), 0))

    def _counted(self, levels: Floats) -> Floats:
        """The levels that count: those of the paper's that were trained, and all that need no gradients."""
        names = (*self.matching.trained, *self._known)
        return levels[..., [self.names.index(name) for name in names]]

    @cached_property
    def _weighing(self) -> Weighing:
        """Settled on pairs of supports, so that the sum of one query does not depend on the others."""
        count = len(self.support)
        pairs = np.array([(one, other) for one in range(count) for other in range(count) if one != other])
        pairs = pairs.reshape(-1, 2)[: 0 if count < 3 else None]  # of one or two pairs all scores are alike
        needed = self.matching.weights is None or self._trust < 1
        chosen = pairs[:: max(1, -(-len(pairs) // REFERENCE_PAIRS))] if needed else pairs[:2]
        names = (*self.matching.trained, *self._known)
        if not len(chosen):
            columns, untrained = np.empty((0, len(names))), np.empty((0, len(self._means)))
        else:
            levels, untrained = self._columns(self._supports, chosen)
            columns = self._counted(levels)
        return Weighing.settle(names, columns, untrained, self.matching.weights, self._shift)

    @property
    def _centred(self) -> tuple[str, ...]:
        """The untrained levels that take the trust which the run's weights lack here."""
        return tuple(name for name in UNTRAINED_LEVELS if name in self._known) if self._trust < 1 else ()

    @cached_property
    def _means(self) -> dict[str, Tensor]:
        """The mean of the supports' vectors on each untrained level."""
        names = [name for name in UNTRAINED_LEVELS if name in self._known]
        return {name: self._supports.arrays[name].float().mean(dim=0) for name in names}

    @property
    def is_trusted(self) -> bool:
        """Whether the run's level weights count as they are, so that its val classes tell what scores mean here."""
        return self.matching.weights is not None and self._trust == 1

    @property
    def _trust(self) -> float:
        return 1.0 if self._shift is None else trusted(self._shift)

    @cached_property
    def _shift(self) -> float | None:
        """How far the supports are from what the run's weights were chosen beside; None where nothing says so."""
        if self.matching.weights is None or not self.support.is_trained or "untrained" not in self._known:
            return None
        return support_shift(self._supports.arrays["untrained"].double(), self.support.classes)


def support_shift(vectors: Tensor, classes: NDArray[np.int64]) -> float:
    """How far the mean of a domain is from that of the base videos, by a few videos of some of its classes.

    The squared length of the mean of a few vectors is too large by their spread; the mean product of vectors of
    different classes is not.

    Args:
        vectors: (V, A), centred and scaled by the base videos
        classes: (V,)
    """
    of = torch.from_numpy(classes)
    other = of[:, None] != of[None]
    if not bool(other.any()):
        return float(vectors.mean(dim=0).square().sum())
    return float((vectors @ vectors.T)[other].mean().clamp(min=0))


def without_keys(batch: EmbeddedBatch) -> EmbeddedBatch:
    """Videos as queries, whose class nobody knows."""
    return replace(batch, arrays={name: array for name, array in batch.arrays.items() if name != CLASS_KEYS})


def _only(batch: EmbeddedBatch, names: Iterable[str]) -> EmbeddedBatch:
    return replace(batch, arrays={name: batch.arrays[name] for name in names})


def _cosines(vectors: Tensor, pairs: NDArray[np.int64]) -> Floats:
    """The cosines of pairs of rows: (V, n) and (m, 2) to (m,)."""
    unit = l2_normalise(vectors)
    first, second = (torch.unique(side, return_inverse=True) for side in torch.from_numpy(pairs).unbind(dim=1))
    cosines = (unit[first[0]] @ unit[second[0]].T)[first[1], second[1]]
    return cosines.double().numpy()
