"""How far an evaluation's confidence can be believed: calibration, and telling queries of none of the classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import VideoTable
from hcl.match.confidence.calibration import (
    BINS,
    Reliability,
    bin_numbers,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    probabilities,
)
from hcl.match.confidence.fitting import Temperatures, Threshold, best_score
from hcl.match.confidence.open_set import auroc, wins
from hcl.match.episodes.aggregation import true_places
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.outside import shared_groups
from hcl.match.evaluation.statistics import BOOTSTRAP_SEED, ENDS, Accuracy, accuracy_table, replicate_weights

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What probabilities were worth; the error in percent."""

    reliability: Reliability
    error95: tuple[float, float]  # of the expected calibration error, over classes, groups and videos
    brier: float
    log_loss: float

    def to_dict(self) -> dict[str, Any]:
        """The form of the JSON report; None in bins without queries."""
        of = self.reliability
        bins = zip(of.confidence.tolist(), of.accuracy.tolist(), of.count.tolist(), strict=True)
        return {
            "error": 100 * of.error,
            "bootstrap95": list(self.error95),
            "said": 100 * of.said,
            "right": 100 * of.right,
            "brier": self.brier,
            "log_loss": self.log_loss,
            "bins": [
                {"said": 100 * said, "right": 100 * right, "queries": count}
                if count
                else {"said": None, "right": None, "queries": 0}
                for said, right, count in bins
            ],
        }


@dataclass(frozen=True)
class Calibration:
    """The probabilities of the headline score, before and after a temperature."""

    before: Reading  # at temperature 1
    after: Reading | None  # None where no temperature could be fitted
    temperature: float | None  # the median, where each episode has its own
    fitted_on: str  # what the temperature was fitted on; else why there is none

    def to_dict(self) -> dict[str, Any]:
        """The form of the JSON report; errors in percent."""
        return {
            "temperature": self.temperature,
            "fitted_on": self.fitted_on,
            "before": self.before.to_dict(),
            "after": self.after.to_dict() if self.after else None,
        }


@dataclass(frozen=True)
class OpenSet:
    """How well queries of none of an episode's classes are told, half of all; in percent."""

    auroc: Accuracy
    closed_accuracy: Accuracy  # of the queries of the classes, none rejected
    threshold: Threshold
    at_rate: dict[str, Accuracy]  # "accuracy", "false accepts", "false rejects" at the threshold; none without it
    shared_groups: float  # of outside queries, those of a group that shows among the supports

    def to_dict(self) -> dict[str, Any]:
        """The form of the JSON report; in percent."""
        return {
            "auroc": self.auroc.to_dict(),
            "closed_accuracy": self.closed_accuracy.to_dict(),
            "reject": self.threshold.rate,
            "threshold": self.threshold.value,
            "chosen_on": self.threshold.chosen_on,
            **{name.replace(" ", "_"): value.to_dict() for name, value in self.at_rate.items()},
            "shared_groups": self.shared_groups,
        }


def read_probabilities(of_classes: Floats, episodes: Episodes, videos: VideoTable) -> Reading:
    """Compare probabilities (E, N * M, N) of episodes with what was right."""
    truth = np.broadcast_to(true_places(episodes), of_classes.shape[:2])
    confidence, right = of_classes.max(axis=-1), of_classes.argmax(axis=-1) == truth
    rows, place = np.unique(episodes.query.ravel(), return_inverse=True)
    cells = place.ravel() * BINS + bin_numbers(confidence).ravel()
    gaps = np.bincount(cells, weights=(confidence - right).ravel(), minlength=len(rows) * BINS).reshape(-1, BINS)
    weights = _weights(rows, videos)
    errors = np.abs(weights @ gaps).sum(axis=1) / (weights @ np.bincount(place.ravel()))
    low, high = np.quantile(100 * errors, ENDS)
    return Reading(
        expected_calibration_error(of_classes, truth),
        (float(low), float(high)),
        brier_score(of_classes, truth),
        negative_log_likelihood(of_classes, truth),
    )


def calibration_of(scores: Floats, episodes: Episodes, videos: VideoTable, temperatures: Temperatures) -> Calibration:
    """Read scores (E, N * M, N) as probabilities, at temperature 1 and as fitted: of the episodes that have one."""
    values = temperatures.values
    if values is not None and len(values) > 1:
        episodes, scores = episodes.first(len(values)), scores[: len(values)]
    before = read_probabilities(probabilities(scores), episodes, videos)
    if values is None:
        return Calibration(before, None, None, temperatures.fitted_on)
    after = read_probabilities(probabilities(scores, values.reshape(-1, 1, 1)), episodes, videos)
    return Calibration(before, after, float(np.median(values)), temperatures.fitted_on)


def open_set_of(
    scores: Floats, episodes: Episodes, outside: NDArray[np.int64], videos: VideoTable, threshold: Threshold
) -> OpenSet:
    """Measure how queries of the classes and of none are told apart.

    Args:
        scores: (E, N * 2 M, N): of each class the M queries of the episode, then M outside ones
        episodes: E
        outside: (E, N, M) rows of the outside queries
        videos: of the store
        threshold: above which a query is accepted
    """

    def figure(correct: NDArray[Any], query: NDArray[np.int64]) -> Accuracy:
        return accuracy_table({"": correct}, query, videos.label, videos.group)[""]

    count, n_way, _ = outside.shape
    by_kind = scores.reshape(count, n_way, 2, -1, n_way)
    inside, beside = (by_kind[:, :, kind].reshape(count, -1, n_way) for kind in (0, 1))
    right = inside.argmax(axis=-1) == true_places(episodes)
    sure, unsure, line = best_score(inside), best_score(beside), threshold.value
    at_rate = {}
    if line is not None:
        answered = np.concatenate(((sure > line) & right, unsure <= line), axis=1)
        flat = [rows.reshape(count, -1, 1) for rows in (episodes.query, outside)]
        at_rate = {
            "accuracy": figure(answered, np.concatenate(flat, axis=1)),
            "false accepts": figure(unsure > line, outside),
            "false rejects": figure(sure <= line, episodes.query),
        }
    return OpenSet(
        _auroc_figure(sure, unsure, [episodes.query, outside], videos),
        figure(right, episodes.query),
        threshold,
        at_rate,
        100 * shared_groups(videos, episodes, outside),
    )


def _auroc_figure(sure: Floats, unsure: Floats, queries: Sequence[NDArray[np.int64]], videos: VideoTable) -> Accuracy:
    """AUROC of confidences (E, Q) inside and outside, in percent, with its intervals.

    Over episodes by the components of E. DeLong, D. DeLong, D. Clarke-Pearson (1988), those of an episode together.
    """
    rows, places = np.unique(np.concatenate([each.ravel() for each in queries]), return_inverse=True)
    first, second = np.split(places.ravel(), 2)
    pairs = np.zeros((len(rows), len(rows)))  # wins of inside video over outside video
    for video in np.unique(second):
        against = wins(sure.ravel(), unsure.ravel()[second == video])
        pairs[:, video] = np.bincount(first, weights=against, minlength=len(rows))
    counts = [np.bincount(each, minlength=len(rows)).astype(np.float64) for each in (first, second)]
    weights = _weights(rows, videos)
    totals = (weights @ counts[0]) * (weights @ counts[1])
    areas = np.divide(
        ((weights @ pairs) * weights).sum(axis=1), totals, where=totals > 0, out=np.full(len(totals), np.nan)
    )
    low, high = np.nanquantile(100 * areas, ENDS)
    of_episodes = (
        wins(sure.ravel(), unsure.ravel()).reshape(sure.shape).mean(axis=1)
        - wins(unsure.ravel(), sure.ravel()).reshape(sure.shape).mean(axis=1)
    ) / sure.size
    half = 196 * of_episodes.std(ddof=1) / np.sqrt(len(sure)) if len(sure) > 1 else 0.0
    return Accuracy(100 * auroc(sure.ravel(), unsure.ravel()), float(half), (float(low), float(high)))


def _weights(rows: NDArray[np.int64], videos: VideoTable) -> Floats:
    """(R, V) how often each video is resampled."""
    of = videos.take(rows)
    return replicate_weights(of.label, of.group, BOOTSTRAP_SEED)
