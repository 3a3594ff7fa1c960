"""Intervals for accuracies: over episodes, and by a bootstrap over folds, seeds, classes, groups and videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.match.episodes.drawing import Episodes

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


def replicate_weights(labels: Sequence[str], groups: Sequence[str], seed: int) -> NDArray[np.float64]:
    """How often each video is drawn when classes, groups and videos are resampled: for figures that are no mean.

    Args:
        labels: class of each of V videos
        groups: group of each, "" where unknown
        seed: of the resampling

    Returns:
        (R, V)
    """
    classes = sorted(set(labels))
    rng = np.random.default_rng([seed, len(classes)])
    chosen = rng.multinomial(len(classes), np.full(len(classes), 1 / len(classes)), size=REPLICATES)  # (R, C)
    weights = np.zeros((REPLICATES, len(labels)))
    for place, name in enumerate(classes):
        members = [member for member, label in enumerate(labels) if label == name]
        of_groups = [groups[member] for member in members]
        for repeat in range(chosen[:, place].max()):  # a class drawn twice is resampled inside afresh
            here = chosen[:, place] > repeat
            weights[np.ix_(np.flatnonzero(here), np.array(members))] += _video_weights(of_groups, rng)[here]
    return weights


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


BOOTSTRAP_SEED = 0  # its replicates are the same for all that is compared


@dataclass(frozen=True)
class Accuracy:
    """An accuracy in percent with its intervals."""

    accuracy: float
    ci95: float  # half width over episodes
    bootstrap95: tuple[float, float]  # over classes, groups and videos

    def to_dict(self) -> dict[str, float | list[float]]:
        """The form of the JSON report."""
        return {"accuracy": self.accuracy, "ci95": self.ci95, "bootstrap95": list(self.bootstrap95)}


def accuracy_table(
    correct: Mapping[str, NDArray[Any]],
    query: NDArray[np.int64],
    labels: Sequence[str],
    groups: Sequence[str],
) -> dict[str, Accuracy]:
    """Average what several scores recognise, in percent and with intervals.

    Args:
        correct: of each score, (E, N * M), 1 where a query was recognised and 0 elsewhere; or a difference of two such
        query: (E, N, M) rows of the queries
        labels: class of each row
        groups: group of each row
    """
    intervals = bootstrap_intervals(count_queries(correct, query, labels, groups), BOOTSTRAP_SEED)
    return {
        name: Accuracy(float(100 * values.mean()), episode_half_width(values), (float(low), float(high)))
        for (name, values), (low, high) in zip(correct.items(), intervals, strict=True)
    }


def count_queries(
    correct: Mapping[str, NDArray[Any]], query: NDArray[np.int64], labels: Sequence[str], groups: Sequence[str]
) -> QueryCounts:
    """Count by query video what several scores recognise.

    Args:
        correct: of each score, (E, N * M), 1 where a query was recognised and 0 elsewhere; or a difference of two such
        query: (E, N, M) rows of the queries
        labels: class of each row
        groups: group of each row
    """
    videos, place = np.unique(query.ravel(), return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    sums = np.stack([np.bincount(place, weights=values.ravel()) for values in correct.values()]).astype(np.float64)
    return QueryCounts(sums, counts, [labels[video] for video in videos], [groups[video] for video in videos])


def count_confusion(
    episodes: Episodes, predicted: NDArray[np.int64], class_of: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count true against predicted classes.

    Args:
        episodes: E episodes
        predicted: (E, N * M), place of the class within its episode
        class_of: number of the class of each row
        classes: K

    Returns:
        (K, K)
    """
    in_episode = class_of[episodes.support[:, :, 0]]  # (E, N)
    true = class_of[episodes.query].reshape(len(episodes), -1)
    named = np.take_along_axis(in_episode, predicted, axis=1)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (true, named), 1)
    return counts


def episode_half_width(correct: NDArray[Any]) -> float:
    """Half the 95 % interval of the mean accuracy over independent episodes, in percent.

    Args:
        correct: (E, queries) whether each query was recognised, or a difference of two such

    Returns:
        1.96 standard errors; 0 with a single episode, which tells nothing of their spread
    """
    if len(correct) < 2:
        return 0.0
    return float(196 * correct.mean(axis=1).std(ddof=1) / np.sqrt(len(correct)))
