"""Intervals for accuracies: over episodes, and over the classes, groups and videos they were drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.bootstrap import QueryCounts, bootstrap_intervals

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
