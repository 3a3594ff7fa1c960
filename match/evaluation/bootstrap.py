"""Intervals by resampling: what other folds, seeds, classes, groups and videos would have given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2000
ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class QueryCounts:
    """How often each of V videos was recognised as a query, by each of L scores; or the difference of two such."""

    sums: NDArray[np.float64]  # (L, V); for several trained seeds (S, L, V)
    counts: NDArray[np.float64]  # (V,) how often each was asked
    labels: Sequence[str]  # class of each
    groups: Sequence[str]  # group of each, "" where unknown (the videos of a class then form one group)


def bootstrap_intervals(answers: QueryCounts, seed: int) -> NDArray[np.float64]:
    """95 % intervals of accuracies had other classes, groups and videos been asked, in percent.

    Classes are resampled with replacement, then the groups within each, then the query videos within each group.
    The supports stay those that were drawn.

    Args:
        answers: of L scores
        seed: of the resampling

    Returns:
        (L, 2) lower and upper ends
    """
    return _ends(_accuracies(answers, np.random.default_rng([seed, len(set(answers.labels))])))


def fold_intervals(folds: Sequence[QueryCounts], seed: int) -> NDArray[np.float64]:
    """95 % intervals of mean accuracies over folds of the classes and over trained seeds, in percent.

    Folds are resampled with replacement, then seeds, then classes, groups and videos within each fold: the
    same for all its seeds, which were asked the same.

    Args:
        folds: answers of S seeds in each fold, of the same L scores all
        seed: of the resampling

    Returns:
        (L, 2) lower and upper ends
    """
    rng = np.random.default_rng([seed, len(folds)])
    drawn = [_accuracies(answers, rng) for answers in folds]  # (R, S, L) each
    means = np.zeros((REPLICATES, drawn[0].shape[-1]))
    for chosen in rng.integers(len(drawn), size=(len(drawn), REPLICATES)):
        for fold, accuracies in enumerate(drawn):
            here = np.flatnonzero(chosen == fold)
            inner = rng.permutation(REPLICATES)[: len(here)]  # a fold drawn twice is resampled inside afresh
            seeds = rng.integers(accuracies.shape[1], size=(accuracies.shape[1], len(here)))
            means[here] += accuracies[inner, seeds].mean(axis=0) / len(drawn)
    return _ends(means)


def _ends(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.quantile(accuracies, ENDS, axis=0).T)


def _accuracies(answers: QueryCounts, rng: np.random.Generator) -> NDArray[np.float64]:
    """(R, L) or (R, S, L) accuracies in percent, each from other classes, groups and videos."""
    classes = sorted(set(answers.labels))
    sums = answers.sums.reshape(-1, len(answers.counts))
    drawn = np.empty((len(classes), REPLICATES, len(sums) + 1))
    for place, name in enumerate(classes):
        members = [member for member, label in enumerate(answers.labels) if label == name]
        weights = _video_weights([answers.groups[member] for member in members], rng)  # (R, v)
        drawn[place, :, :-1] = weights @ sums[:, members].T
        drawn[place, :, -1] = weights @ answers.counts[members]
    chosen = rng.integers(len(classes), size=(REPLICATES, len(classes)))
    inner = rng.integers(REPLICATES, size=chosen.shape)  # a class drawn twice is resampled inside afresh
    totals = drawn[chosen, inner].sum(axis=1)
    accuracies = 100 * totals[:, :-1] / totals[:, -1:]
    return np.asarray(accuracies.reshape(REPLICATES, *answers.sums.shape[:-1]))


def _video_weights(groups: Sequence[str], rng: np.random.Generator) -> NDArray[np.float64]:
    """(R, v) how often each video of a class is drawn: groups with replacement, then videos within."""
    names = sorted(set(groups))
    of_groups = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=REPLICATES)
    weights = np.empty((REPLICATES, len(groups)))
    for place, name in enumerate(names):
        members = np.flatnonzero([group == name for group in groups])
        size = len(members)
        weights[:, members] = rng.multinomial(of_groups[:, place] * size, np.full(size, 1 / size))
    return weights
