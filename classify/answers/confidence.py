"""How sure an answer is: a temperature for probabilities, and a threshold below which a query is of no class.

Both are fitted on val classes of the run, in episodes like the support set; without any, on the supports themselves,
each left out in its turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hcl.classify.answers.matcher import Floats, Matcher
from hcl.extract.system.errors import InputError
from hcl.match.confidence.calibration import fit_temperature
from hcl.match.confidence.fitting import best_score, choose_threshold, temperature_on_val
from hcl.match.confidence.open_set import clips_needed, rejection_threshold
from hcl.match.config import HCL, EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.level_weights import LevelWeights
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.runs.embed_cache import stores_of_run
from hcl.train.runs.run_folder import Run

UNCALIBRATED = "nothing, they are uncalibrated: there are no val classes, and no class has two supports"


@dataclass(frozen=True)
class Fitted:
    """A number that was fitted, and on what."""

    value: float
    fitted_on: str


@dataclass(frozen=True)
class Confidence:
    """What turns scores of classes into probabilities and into "none of these"."""

    temperature: float
    calibrated_on: str  # such as "3-way 1-shot episodes of 3 val classes, 57 clips"
    threshold: float | None = None  # of the best score, above which a query is accepted; None: every one is
    rejection_on: str = ""  # what the threshold was chosen on

    def accepts(self, class_scores: Floats) -> bool:
        """Whether a query is of one of the classes, by its scores (N,)."""
        return self.threshold is None or float(best_score(class_scores)) > self.threshold


def fit_confidence(matcher: Matcher, run: Run | None, reject: float | None) -> Confidence:
    """Fit both on what there is.

    Args:
        matcher: with its supports
        run: whose val classes are used where its level weights count as they are
        reject: share of videos of no class that may pass; None: none is rejected

    Raises:
        InputError: if the share cannot be known from so few videos
    """
    stores = list(val_stores(run)) if run is not None and matcher.is_trusted else []
    on_val = (calibrated_on_val(store, matcher) for store in stores)
    temperature = next((fitted for fitted in on_val if fitted is not None), None) or calibrated_on_supports(matcher)
    if reject is None:
        return Confidence(temperature.value, temperature.fitted_on)
    threshold = _threshold(matcher, stores, reject)
    return Confidence(temperature.value, temperature.fitted_on, threshold.value, threshold.fitted_on)


def val_stores(run: Run) -> Iterator[EmbeddingStore]:
    """The stores of a run that may hold val videos and chose its level weights: its own, and those of its choice."""
    for store in map(EmbeddingStore.open, stores_of_run(run)):
        if store.method == HCL and LevelWeights.of(store) is not None:
            yield store


def like_support_set(matcher: Matcher) -> EpisodeConfig:
    """Episodes of as many classes, and of as many supports a class on average."""
    support = matcher.support
    n_way = max(2, len(support.class_names))
    return EpisodeConfig(n_way=n_way, k_shot=max(1, round(len(support) / len(support.class_names))))


def calibrated_on_val(store: EmbeddingStore, matcher: Matcher) -> Fitted | None:
    """The temperature of val episodes, of fewer supports a class where val classes have no more videos."""
    for config, score in _val_scores(store, matcher):
        fitted = temperature_on_val(store.videos, config, score, trained=store.trained_classes)
        if fitted is not None and fitted.values is not None:
            return Fitted(float(fitted.values[0]), fitted.fitted_on)
    return None


def _val_scores(store: EmbeddingStore, matcher: Matcher) -> Iterator[tuple[EpisodeConfig, partial[Floats]]]:
    config = like_support_set(matcher)
    evaluator = Evaluator(store, EvaluationConfig(split="val"))
    for k_shot in sorted({config.k_shot, 1}, reverse=True):
        fitting = EpisodeConfig(n_way=config.n_way, k_shot=k_shot)
        yield fitting, partial(evaluator.headline_scores, aggregate=matcher.matching.scoring.aggregate)


def calibrated_on_supports(matcher: Matcher) -> Fitted:
    """The temperature of the supports, each left out in its turn, where a class has others."""
    scores, truth = left_out_scores(matcher)
    if not len(truth) or scores.shape[1] < 2:
        return Fitted(1.0, UNCALIBRATED)
    return Fitted(fit_temperature(scores, truth), f"{len(truth)} supports, each left out in its turn")


def left_out_scores(matcher: Matcher) -> tuple[Floats, NDArray[np.int64]]:
    """The class scores (n, N) of each support, left out of its class, which has others, and its class (n,)."""
    classes, of_supports = matcher.support.classes, matcher.of_supports
    counts = np.bincount(classes)
    rows = np.flatnonzero(counts[classes] > 1)
    scores = np.empty((len(rows), len(counts)))
    for place, row in enumerate(rows):
        for number in range(len(counts)):
            members = np.flatnonzero(classes == number)
            of_row = of_supports.of_query(int(row))
            scores[place, number] = matcher.pooled(of_row, members[members != row]).total[0]
    return scores, classes[rows]


def left_out_classes(matcher: Matcher) -> Floats:
    """The best score (V,) of each support where its whole class is left out."""
    pooled = matcher.class_scores(matcher.of_supports)  # (V, N)
    own = np.arange(pooled.shape[1]) == matcher.support.classes[:, None]
    return best_score(np.where(own, -np.inf, pooled))


def _threshold(matcher: Matcher, stores: list[EmbeddingStore], reject: float) -> Fitted:
    """The stricter one of val classes' and the supports': of new classes far more than of val classes pass the former.

    The message of the supports, to which the user can add, counts where neither can be known.
    """
    clips_needed(reject)  # refuses a share out of range
    on_val = _threshold_on_val(matcher, stores, reject)
    try:
        on_supports = _threshold_on_supports(matcher, reject)
    except InputError:
        if on_val is None:
            raise
        return on_val
    return on_supports if on_val is None or on_supports.value >= on_val.value else on_val


def _threshold_on_val(matcher: Matcher, stores: list[EmbeddingStore], reject: float) -> Fitted | None:
    for store in stores:
        for config, score in _val_scores(store, matcher):
            chosen = choose_threshold(store.videos, "novel", config, score, reject, trained=store.trained_classes)
            if chosen.value is not None:  # else there are too few val videos for this share
                return Fitted(chosen.value, chosen.chosen_on)
    return None


def _threshold_on_supports(matcher: Matcher, reject: float) -> Fitted:
    support = matcher.support
    if len(support.class_names) < 3:
        raise InputError(
            f"--reject {reject:g}: what is of no class is learned by leaving a class out, which takes 3 classes, and"
            f" the support set has {len(support.class_names)}; add classes, or leave --reject out"
        )
    try:
        value = rejection_threshold(left_out_classes(matcher), reject)
    except InputError as error:
        raise InputError(f"support set: {error}") from error
    return Fitted(value, f"{len(support)} supports, each class left out in its turn")
