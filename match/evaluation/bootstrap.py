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
    counts: NDArray[np.float64]  # (V,) how often each was a query
    labels: Sequence[str]  # class of each
    groups: Sequence[str]  # group of each, "" where unknown (the videos of a class then form one group)


def bootstrap_intervals(query_counts: QueryCounts, seed: int) -> NDArray[np.float64]:
    """95 % intervals of accuracies had other classes, groups and videos been drawn, in percent.

    Classes are resampled with replacement, then the groups within each, then the query videos within each group.
    The supports stay those that were drawn.

    Args:
        query_counts: of L scores
        seed: of the resampling

    Returns:
        (L, 2) lower and upper ends
    """
    return _ends(_accuracies(query_counts, np.random.default_rng([seed, len(set(query_counts.labels))])))


def fold_intervals(folds: Sequence[QueryCounts], seed: int) -> NDArray[np.float64]:
    """95 % intervals of mean accuracies over folds of the classes and over trained seeds, in percent.

    Folds are resampled with replacement, then seeds, then classes, groups and videos within each fold: the
    same for all its seeds, whose queries are the same.

    Args:
        folds: of S seeds in each fold, all of the same L scores
        seed: of the resampling

    Returns:
        (L, 2) lower and upper ends
    """
    rng = np.random.default_rng([seed, len(folds)])
    of_folds = [_accuracies(query_counts, rng) for query_counts in folds]  # (R, S, L) each
    means = np.zeros((REPLICATES, of_folds[0].shape[-1]))
    for chosen in rng.integers(len(of_folds), size=(len(of_folds), REPLICATES)):
        for fold, accuracies in enumerate(of_folds):
            here = np.flatnonzero(chosen == fold)
            inner = rng.permutation(REPLICATES)[: len(here)]  # a fold drawn twice is resampled inside afresh
            seeds = rng.integers(accuracies.shape[1], size=(accuracies.shape[1], len(here)))
            means[here] += accuracies[inner, seeds].mean(axis=0) / len(of_folds)
    return _ends(means)


def _ends(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.quantile(accuracies, ENDS, axis=0).T)


def _accuracies(query_counts: QueryCounts, rng: np.random.Generator) -> NDArray[np.float64]:
    """(R, L) or (R, S, L) accuracies in percent, each from other classes, groups and videos."""
    classes = sorted(set(query_counts.labels))
    sums = query_counts.sums.reshape(-1, len(query_counts.counts))
    of_classes = np.empty((len(classes), REPLICATES, len(sums) + 1))
    for place, name in enumerate(classes):
        members = [member for member, label in enumerate(query_counts.labels) if label == name]
        weights = _video_weights([query_counts.groups[member] for member in members], rng)  # (R, v)
        of_classes[place, :, :-1] = weights @ sums[:, members].T
        of_classes[place, :, -1] = weights @ query_counts.counts[members]
    chosen = rng.integers(len(classes), size=(REPLICATES, len(classes)))
    inner = rng.integers(REPLICATES, size=chosen.shape)  # a class drawn twice is resampled inside afresh
    totals = of_classes[chosen, inner].sum(axis=1)
    accuracies = 100 * totals[:, :-1] / totals[:, -1:]
    return np.asarray(accuracies.reshape(REPLICATES, *query_counts.sums.shape[:-1]))


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
