"""How much each level counts: weights that are chosen on classes that are not novel, and trusted near their domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.errors import InputError
from hcl.match.config import HCL, KNOWN_LEVELS, LEVELS, UNTRAINED_LEVELS, EpisodeConfig, ScoreConfig
from hcl.match.episodes.aggregation import PROTOTYPE, true_places
from hcl.match.episodes.drawing import Episodes, draw_for_choice
from hcl.match.episodes.level_table import Case, LevelTable
from hcl.match.evaluation.class_scoring import CENTRED, level_table, score_levels
from hcl.match.evaluation.known_levels import domain_shift, known_levels
from hcl.match.evaluation.score_cache import ScoreCache
from hcl.match.store.embedding_store import EmbeddingStore

EPISODES = 400
SHOTS = (5, 1)  # weights suit both where classes have the videos, else the fewer
PRIOR = {  # ratios of the weights of scores of spread 1
    "global": 1.0,
    "temporal": 1.0,
    "spatial": 0.5,
    "appearance": 0.6,
    "motion": 0.4,
    "change": 0.5,
    "difference": 1.2,
    "difference_motion": 0.4,
    "difference_change": 0.5,
    **dict.fromkeys(UNTRAINED_LEVELS, 0.05),
}
UNLEARNED = {  # the same where nothing was trained, of other levels 1; chosen on classes of three real sets
    "spatial": 0.0,  # un-learned patches match walls
    "untrained_motion": 2.0,
    "untrained_difference_motion": 2.0,
    "untrained_change": 2.0,
    "untrained_difference_change": 2.0,
}
PULL = 0.03  # of the logarithms of the weights towards PRIOR (per standard deviation): few classes say little
NEAR = 0.25  # domain shift up to which weights are trusted; three real sets: 0.02 to 0.08 within one, 0.6 to 24 between
SMALLEST_SPREAD = 1e-9  # of scores that are not all alike but for rounding
ATTRIBUTE = "level_weights"  # of a store


@dataclass(frozen=True)
class LevelWeights:
    """The weights of the levels' scores, and where they come from."""

    weights: Mapping[str, float]  # by level; a level that is not named counts nothing
    chosen_on: str  # such as "4 val classes"; the run's own classes where a store has none to choose on
    is_own: bool  # whether they were chosen on videos of the very store

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as a store keeps them."""
        return {"weights": dict(self.weights), "chosen_on": self.chosen_on, "is_own": self.is_own}

    @classmethod
    def of(cls, store: EmbeddingStore) -> LevelWeights | None:
        """Those that a store keeps, if it does.

        Raises:
            InputError: if they are damaged
        """
        stored = store.attributes.get(ATTRIBUTE)
        if stored is None:
            return None
        try:
            weights = {
                name: float(stored["weights"][name]) for name in (*LEVELS, *KNOWN_LEVELS) if name in stored["weights"]
            }
            chosen_on, is_own = str(stored["chosen_on"]), bool(stored["is_own"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{store.path}: its {ATTRIBUTE} are damaged ({error}); write it anew with: hcl embed"
            ) from error
        if not all(np.isfinite(value) and value >= 0 for value in weights.values()):
            raise InputError(
                f"{store.path}: its {ATTRIBUTE} are not all finite and 0 or more; write it anew with: hcl embed"
            )
        return cls(weights, chosen_on, is_own)


def choose_level_weights(store: EmbeddingStore, *, without: Sequence[str] = ()) -> LevelWeights | None:
    """Choose weights on episodes over the val videos of a store, else over all that are not novel.

    Args:
        store: of HCL
        without: classes that are left out: those that the encoder was trained on

    Returns:
        None where fewer than two classes can be drawn from
    """
    if store.method != HCL:
        return None
    for splits in (("val",), ("base", "val")):
        drawn = _draw(store, splits, without)
        if drawn is not None:
            episodes, classes = drawn
            weights = _fit_to(store, episodes)
            return LevelWeights(weights, f"{classes} {' and '.join(splits)} classes", is_own=True)
    return None


def _draw(store: EmbeddingStore, splits: Sequence[str], without: Sequence[str]) -> tuple[Episodes, int] | None:
    """Draw episodes over the classes of some splits, of as many supports as they have videos for; None if too few."""
    videos = store.videos
    rows = np.concatenate([videos.rows(split) for split in splits])
    usable_rows = [row for row in rows if videos.label[row] not in without and row not in videos.in_earlier_split]
    rows = np.array(usable_rows, dtype=np.int64)
    counts = Counter(videos.take(rows).label)
    for shot in SHOTS:
        usable = np.array([row for row in rows if counts[videos.label[row]] > shot], dtype=np.int64)
        of_rows = videos.take(usable)
        names = set(of_rows.label)
        if len(names) < 2 or (shot > 1 and len(names) < len(counts)):
            continue
        drawn = draw_for_choice(of_rows.label, of_rows.group, shot=shot, way=EpisodeConfig.n_way, episodes=EPISODES)
        if drawn is not None:
            return Episodes(usable[drawn.support], usable[drawn.query]), len(names)
    return None


def _fit_to(store: EmbeddingStore, episodes: Episodes) -> dict[str, float]:
    """Fit the weights of the levels that count together, and of the untrained ones alone; keep the more accurate.

    The paper's levels count whose losses were trained. On the episodes that choose, the weighted sum is never behind
    that of the untrained levels.
    """
    scoring = ScoreConfig(**store.attributes.get("scoring", {}))
    trained = store.trained_levels
    scored = score_levels(store, episodes, scoring, ScoreCache(len(store.videos)), spatial="spatial" in trained)
    names = (*trained, *known_levels(store))
    table = level_table(store, scored, episodes.support, scoring, prototypes=scoring.aggregate == PROTOTYPE)
    shots = sorted({1, episodes.support.shape[2]})
    places = table.places(names)
    of_classes = [table.of_classes(Case(shot, scoring.aggregate))[..., places] for shot in shots]
    prior, truth = np.array([PRIOR[name] for name in names]), true_places(episodes)
    spread = table.columns(names).std(axis=0)
    weights = fit_weights(of_classes, truth, np.where(count_together(names), spread, 0), prior)
    alone = fit_weights(of_classes, truth, np.where(are_untrained(names), spread, 0), prior)
    if weighted_accuracy(of_classes, truth, alone) > weighted_accuracy(of_classes, truth, weights):
        weights = alone
    return dict(zip(names, weights.tolist(), strict=True))


def are_untrained(names: Sequence[str]) -> NDArray[np.bool_]:
    """Which levels are the maps as they came: (L,)."""
    return np.array([name in UNTRAINED_LEVELS for name in names])


def count_together(names: Sequence[str]) -> NDArray[np.bool_]:
    """Which levels (L,) add up to the weighted sum: the untrained ones only where no whitened ones stand in for them.

    In the untrained ones the same person filmed twice is so near to himself that the smallest weight is too much.
    """
    return ~are_untrained(names) if "appearance" in names else np.ones(len(names), dtype=bool)


def weighted_accuracy(
    of_classes: Sequence[NDArray[np.float64]], truth: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    """The share of queries that the weighted sum of levels takes for the true class, arguments as of `fit_weights`."""
    if not weights.any():
        return 0.0
    return float(np.mean([((scores @ weights).argmax(axis=-1) == truth).mean() for scores in of_classes]))


def fit_weights(
    of_classes: Sequence[NDArray[np.float64]],
    truth: NDArray[np.int64],
    spread: NDArray[np.float64],
    prior: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Choose positive weights so that the softmax over an episode's classes of the weighted sum fits the truth best.

    A logistic regression: the weighted sums are then the logarithms of probabilities, but for a constant.

    Args:
        of_classes: (E, Q, N, L) each, scores of classes, of several numbers of supports
        truth: (Q,) place of each query's class
        spread: (L,) standard deviation of each level's scores over pairs
        prior: (L,) ratios of the weights of scores of spread 1 where the episodes say nothing, each above 0

    Returns:
        (L,), each above 0; of a level whose spread is 0, or given as 0, 0
    """
    useful = spread > SMALLEST_SPREAD
    if not useful.any():
        return np.zeros(len(spread))
    scores = [
        torch.from_numpy(values[..., useful] / spread[useful]).flatten(0, 1) for values in of_classes
    ]  # (E Q, N, L)
    labels = torch.from_numpy(np.tile(truth, len(of_classes[0])))
    expected = torch.from_numpy(np.log(prior[useful]))
    logs = expected.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([logs], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        fits = [torch.nn.functional.cross_entropy(values @ logs.exp(), labels) for values in scores]
        apart = logs - expected
        value = torch.stack(fits).mean() + PULL * (apart - apart.mean()).square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    weights = np.zeros(len(spread))
    weights[useful] = logs.detach().exp().numpy() / spread[useful]
    return weights


def weigh(
    store: EmbeddingStore, table: LevelTable, rows: Rows, of_classes: Mapping[Case, NDArray[np.float64]]
) -> dict[Case, NDArray[np.float64]]:
    """Score classes by all levels, weighted by the store's weights; without any, in fixed ratios.

    Of the paper's levels those count whose losses were trained.

    Weights that were chosen on other videos than the store's are trusted as far as these are near: the rest of the
    trust goes to the untrained levels, centred by these videos' own mean.

    Args:
        store: of HCL
        table: of its levels, with the centred ones that `levels_to_centre` names
        rows: of the videos that episodes are drawn from
        of_classes: (E, N * M, N, L) scores of classes on the levels of the table, of each number of shots and aggregate

    Returns:
        (E, N * M, N) of each case
    """
    names = (*store.trained_levels, *known_levels(store))
    centred = tuple(name for name in table.names if name.startswith(CENTRED))
    is_scored = ~np.isnan(table.scores[:, 0])  # an interrupt left others out
    columns, untrained = (table.columns(some)[is_scored] for some in (names, centred))
    chosen = LevelWeights.of(store)
    weighing = Weighing.settle(names, columns, untrained, chosen, foreign_shift(store, chosen, rows))
    places, centred_places = table.places(names), table.places(centred)
    return {
        case: weighing.total(scores[..., places], scores[..., centred_places]) for case, scores in of_classes.items()
    }


def levels_to_centre(store: EmbeddingStore, rows: Rows) -> tuple[str, ...]:
    """The untrained levels that take the trust which a store's weights lack in the domain of some videos."""
    shift = foreign_shift(store, LevelWeights.of(store), rows)
    is_trusted = shift is None or trusted(shift) == 1
    return () if is_trusted else tuple(name for name in UNTRAINED_LEVELS if name in store.names)


@dataclass(frozen=True)
class Weighing:
    """A weighted sum of levels that is settled on the scores of some pairs and holds for any."""

    weights: NDArray[np.float64]  # (L,)
    trust: float  # in their sum; the rest goes to the untrained levels
    spread: float  # of the sum
    untrained_spreads: NDArray[np.float64]  # (U,) of the centred untrained levels
    untrained_spread: float  # of their sum, each in its spread

    @classmethod
    def settle(
        cls,
        names: Sequence[str],
        columns: NDArray[np.float64],
        untrained: NDArray[np.float64],
        chosen: LevelWeights | None,
        shift: float | None,
    ) -> Weighing:
        """Settle a sum.

        Args:
            names: of the L levels
            columns: (n, L) scores of some pairs; NaN of a level that was left out
            untrained: (n, U) scores of the untrained levels, centred; none are needed where the weights are trusted
            chosen: the weights of the levels; without any: in the ratios of `fixed_ratios`
            shift: as of `foreign_shift`
        """
        spread = columns.std(axis=0) if len(columns) > 1 else np.ones(len(names))
        if chosen is None:
            weights = np.divide(fixed_ratios(names), spread, out=np.zeros(len(names)), where=spread > SMALLEST_SPREAD)
        else:
            weights = np.array([chosen.weights.get(name, 0.0) for name in names])
        weights = np.where(np.isnan(spread), 0, weights)
        trust = 1.0 if shift is None else trusted(shift)
        total = np.where(np.isnan(columns), 0, columns) @ weights
        spreads = untrained.std(axis=0) if len(untrained) > 1 else np.ones(untrained.shape[1])
        alone = _divided(untrained, spreads).sum(axis=1)
        return cls(weights, trust, _spread(total), spreads, _spread(alone))

    def total(self, columns: NDArray[np.float64], untrained: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up the levels: (..., L) and (..., U), of pairs or classes, to (...)."""
        total = np.where(np.isnan(columns), 0, columns) @ self.weights
        if self.trust == 1:
            return np.asarray(total)
        alone = _divided(untrained, self.untrained_spreads).sum(axis=-1)
        shares = self.trust * _divided(total, self.spread) + (1 - self.trust) * _divided(alone, self.untrained_spread)
        return np.asarray(shares)


def fixed_ratios(names: Sequence[str]) -> NDArray[np.float64]:
    """The ratios in which levels (L,) of spread 1 count where nothing chose weights: of a trained encoder, or of none.

    Levels of maps alone, with no whitened ones beside them, are of no encoder; the paper's levels alone count alike.
    """
    if "appearance" in names:
        return np.array([PRIOR[name] for name in names]) * count_together(names)
    if "untrained" in names:
        return np.array([UNLEARNED.get(name, 1.0) for name in names])
    return np.ones(len(names))


def _spread(scores: NDArray[np.float64]) -> float:
    """The standard deviation of scores (n,); 1 where there are too few to tell."""
    return float(scores.std()) if len(scores) > 1 else 1.0


def _divided(scores: NDArray[np.float64], spread: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Divide scores (n, ...) by a spread; scores that are all alike say nothing and become 0."""
    return np.asarray(np.divide(scores, spread, out=np.zeros_like(scores), where=np.asarray(spread) > SMALLEST_SPREAD))


def foreign_shift(store: EmbeddingStore, chosen: LevelWeights | None, rows: Rows) -> float | None:
    """How far videos are from those that the weights were chosen beside; None for weights of the store's own, or none.

    Args:
        store: of HCL
        chosen: its weights
        rows: of the videos that episodes are drawn from
    """
    if chosen is None or chosen.is_own or "untrained" not in store.names:
        return None
    return domain_shift(store, rows)


def trusted(shift: float) -> float:
    """How far weights are trusted in a domain at some distance from theirs: 1 up to NEAR, then falling with it."""
    return min(1.0, NEAR / shift) if shift > 0 else 1.0
