"""Scores become probabilities by one temperature, and what is said is compared with how often it is right.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, ICML 2017.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10  # of confidences between 0 and 1
BOUNDS = (1e-3, 1e3)  # of a temperature, in units of the scores' spread within a query
HALVINGS = 60  # of the logarithm of these bounds: more than float64 resolves
SMALLEST_SPREAD = 1e-9  # of scores that are not all alike but for rounding
SMALLEST_PROBABILITY = 1e-12  # whose logarithm counts

Floats = NDArray[np.float64]


def probabilities(scores: Floats, temperature: float | Floats = 1.0) -> Floats:
    """Make probabilities of scores of classes: the softmax of the scores over a temperature.

    Args:
        scores: (..., N)
        temperature: above 0; the higher, the nearer the classes are to each other. Several are an array that fits the
            scores, such as (E, 1, 1)

    Returns:
        (..., N), each row of sum 1; the ranks are those of the scores
    """
    if not np.all(np.asarray(temperature) > 0):
        raise ValueError(f"{temperature = } must be above 0")
    logits = (scores - scores.max(axis=-1, keepdims=True)) / temperature
    shares = np.exp(logits)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def fit_temperature(scores: Floats, truth: NDArray[np.int64], *, videos: int | None = None) -> float:
    """Fit the temperature whose probabilities make the true classes likeliest.

    The loss is convex in 1 / temperature; its one minimum is found by halving. As in Platt scaling, the true class
    counts (n + 1) / (n + 2) and the others share the rest, so that a few queries, all of them right, make no
    certainty: n queries cannot tell an error rate below about 1 / n.

    A temperature serves fewer and more classes alike as far as scores behave as logarithms of likelihoods.

    J. Platt, Probabilistic Outputs for Support Vector Machines, 1999, section 2.2.

    Args:
        scores: (..., N) of the classes of each query, N at least 2
        truth: (...) place of the true class
        videos: how many different videos the queries are (n above); None: each query is another

    Returns:
        a temperature within BOUNDS, in units of the scores' spread; 1 where there are no queries, or all scores are
        alike

    Raises:
        ValueError: if the shapes do not belong together
    """
    rows, places = _rows(scores, truth)
    return float(fit_temperatures(rows[None], places[None], videos=videos)[0])


def fit_temperatures(scores: Floats, truth: NDArray[np.int64], *, videos: int | None = None) -> Floats:
    """Fit a temperature to each of E sets of queries as `fit_temperature` does: (E, n, N) and (E, n) to (E,)."""
    centred = scores - scores.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.mean(centred**2, axis=(1, 2))) if scores.size else np.zeros(len(scores))  # (E,)
    says = spread >= SMALLEST_SPREAD
    units = centred / np.where(says, spread, 1)[:, None, None]
    rows, places = _rows(units, truth)
    doubt = 1 / ((scores.shape[1] if videos is None else videos) + 2)
    wanted = (1 - doubt) * _of_true(rows, places) + doubt * _mean_of_others(rows, places)
    wanted = wanted.reshape(truth.shape).mean(axis=1) if scores.size else spread  # (E,)
    low, high = (np.full(len(scores), np.log(1 / end)) for end in reversed(BOUNDS))  # of 1 / temperature
    for _ in range(HALVINGS if scores.size else 0):
        middle = (low + high) / 2
        of_classes = probabilities(units, np.exp(-middle)[:, None, None])
        short = (of_classes * units).sum(axis=-1).mean(axis=1) < wanted  # the loss still falls
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray(np.where(says, spread * np.exp(-(low + high) / 2), 1.0))


@dataclass(frozen=True)
class Reliability:
    """What is said against how often it is right, by bins of what is said."""

    confidence: Floats  # (B,) mean of each bin; NaN in one without queries
    accuracy: Floats  # (B,) share of its queries whose likeliest class is the true one; NaN likewise
    count: NDArray[np.int64]  # (B,) its queries

    def __post_init__(self) -> None:
        """Refuse bins that do not belong together or hold nothing."""
        if not self.confidence.shape == self.accuracy.shape == self.count.shape or not self.count.sum():
            raise ValueError(f"no bins of one length with queries: {self.confidence.shape = }, {self.count = }")

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of both, weighted by queries; in [0, 1]."""
        return float(np.nansum(self.count * np.abs(self.confidence - self.accuracy)) / self.count.sum())

    @property
    def said(self) -> float:
        """The mean confidence over all queries."""
        return float(np.nansum(self.count * self.confidence) / self.count.sum())

    @property
    def right(self) -> float:
        """The share of all queries whose likeliest class is the true one."""
        return float(np.nansum(self.count * self.accuracy) / self.count.sum())


def expected_calibration_error(of_classes: Floats, truth: NDArray[np.int64], *, bins: int = BINS) -> Reliability:
    """Measure how far the probability of the likeliest class is from how often it is right.

    Args:
        of_classes: (..., N) probabilities
        truth: (...) place of the true class
        bins: of equal width between 0 and 1

    Returns:
        the bins, whose `error` is the expected calibration error

    Raises:
        ValueError: if there are no queries, or the shapes do not belong together
    """
    rows, places = _rows(of_classes, truth)
    confidence, right = rows.max(axis=1), rows.argmax(axis=1) == places
    numbers = bin_numbers(confidence, bins)
    count = np.bincount(numbers, minlength=bins)
    sums = [np.bincount(numbers, weights=values, minlength=bins) for values in (confidence, right)]
    means = [np.divide(of, count, out=np.full(bins, np.nan), where=count > 0) for of in sums]
    return Reliability(means[0], means[1], count)


def bin_numbers(confidence: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each confidence: [0, 1/B), [1/B, 2/B), ..., the last one with 1."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def brier_score(of_classes: Floats, truth: NDArray[np.int64]) -> float:
    """The mean squared distance of probabilities (..., N) from the true class (...): 0 is best, 2 is worst."""
    rows, places = _rows(of_classes, truth)
    return float(np.mean((rows**2).sum(axis=1) - 2 * _of_true(rows, places) + 1))


def negative_log_likelihood(of_classes: Floats, truth: NDArray[np.int64]) -> float:
    """The mean of -log of what the true class (...) is given by probabilities (..., N), in nats."""
    rows, places = _rows(of_classes, truth)
    return float(-np.mean(np.log(np.maximum(_of_true(rows, places), SMALLEST_PROBABILITY))))


def _rows(values: Floats, truth: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """One row (n, N) a query, and the place (n,) of its class."""
    if values.ndim < 1 or values.shape[-1] < 2 or truth.shape != values.shape[:-1]:
        raise ValueError(f"{values.shape = } and {truth.shape = } are not (..., N) and (...), N at least 2")
    return values.reshape(-1, values.shape[-1]), truth.reshape(-1)


def _of_true(rows: Floats, places: NDArray[np.int64]) -> Floats:
    return np.asarray(np.take_along_axis(rows, places[:, None], axis=1)[:, 0])


def _mean_of_others(rows: Floats, places: NDArray[np.int64]) -> Floats:
    return np.asarray((rows.sum(axis=1) - _of_true(rows, places)) / (rows.shape[1] - 1))
