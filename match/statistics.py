"""Intervals for accuracies: over episodes, and over the classes, groups and videos they were drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.match.episodes import Episodes

SEED = 0  # of the bootstrap: its replicates are the same for all that is compared
REPLICATES = 2000  # of the bootstrap


@dataclass(frozen=True)
class Accuracy:
    """An accuracy in percent with its intervals."""

    accuracy: float
    ci95: float  # half width over episodes
    bootstrap95: tuple[float, float]  # over classes, groups and videos

    def as_dict(self) -> dict[str, float | list[float]]:
        """The form of the JSON report."""
        return {"accuracy": self.accuracy, "ci95": self.ci95, "bootstrap95": list(self.bootstrap95)}


def accuracy_table(
    correct: Mapping[str, NDArray[np.number]],
    query: NDArray[np.int64],
    labels: Sequence[str],
    groups: Sequence[str],
) -> dict[str, Accuracy]:
    """Average what several scores recognise, with intervals.

    Args:
        correct: of each score, (E, N * M), 1 where a query was recognised and 0 elsewhere; or a difference of two such
        query: (E, N, M) rows of the queries
        labels: class of each row
        groups: group of each row
    """
    videos, place = np.unique(query.ravel(), return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    sums = np.stack([np.bincount(place, weights=found.ravel()) for found in correct.values()]).astype(np.float64)
    of_videos = [labels[video] for video in videos]
    intervals = bootstrap_intervals(sums, counts, of_videos, [groups[video] for video in videos], SEED)
    return {
        name: Accuracy(float(100 * found.mean()), episode_half_width(found), (float(low), float(high)))
        for (name, found), (low, high) in zip(correct.items(), intervals, strict=True)
    }


def count_confusion(
    drawn: Episodes, predicted: NDArray[np.int64], class_of: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count true against predicted classes.

    Args:
        drawn: E episodes
        predicted: (E, N * M), place of the class within its episode
        class_of: number of the class of each row
        classes: K

    Returns:
        (K, K)
    """
    in_episode = class_of[drawn.support[:, :, 0]]  # (E, N)
    true = class_of[drawn.query].reshape(len(drawn), -1)
    named = np.take_along_axis(in_episode, predicted, axis=1)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (true, named), 1)
    return counts


def episode_half_width(correct: NDArray[np.number]) -> float:
    """Half the 95 % interval of the mean accuracy over independent episodes, in percent.

    Args:
        correct: (E, queries) whether each query was recognised, or a difference of two such

    Returns:
        1.96 standard errors; 0 with a single episode, which tells nothing of their spread
    """
    if len(correct) < 2:
        return 0.0
    return float(196 * correct.mean(axis=1).std(ddof=1) / np.sqrt(len(correct)))


def bootstrap_intervals(
    sums: NDArray[np.float64], counts: NDArray[np.float64], labels: Sequence[str], groups: Sequence[str], seed: int
) -> NDArray[np.float64]:
    """95 % intervals of accuracies had other classes, groups and videos been asked, in percent.

    Classes are resampled with replacement, then the groups within each, then the query videos within each group.
    The supports stay those that were drawn.

    Args:
        sums: (L, V) how often each video was recognised as a query, by each of L scores
        counts: (V,) how often it was asked
        labels: class of each video
        groups: group of each video, "" where unknown (the videos of a class then form one group)
        seed: of the resampling

    Returns:
        (L, 2) lower and upper ends
    """
    classes = sorted(set(labels))
    rng = np.random.default_rng([seed, len(classes)])
    drawn = np.empty((len(classes), REPLICATES, len(sums) + 1))
    for place, name in enumerate(classes):
        members = [member for member, label in enumerate(labels) if label == name]
        weights = _video_weights([groups[member] for member in members], rng)  # (R, v)
        drawn[place, :, :-1] = weights @ sums[:, members].T
        drawn[place, :, -1] = weights @ counts[members]
    chosen = rng.integers(len(classes), size=(REPLICATES, len(classes)))
    inner = rng.integers(REPLICATES, size=chosen.shape)  # a class drawn twice is resampled inside afresh
    totals = drawn[chosen, inner].sum(axis=1)  # (R, L + 1)
    asked = totals[:, -1] > 0
    return np.asarray(100 * np.quantile(totals[asked, :-1] / totals[asked, -1:], [0.025, 0.975], axis=0).T)


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
