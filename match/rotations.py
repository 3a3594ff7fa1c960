"""Evaluations of several rotations of the classes and several trained seeds, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.errors import InputError
from hcl.match.evaluation import Evaluation, Outcome
from hcl.match.pooling import true_places
from hcl.match.resampling import Answers, rotation_intervals
from hcl.match.statistics import SEED, count_answers


@dataclass(frozen=True)
class Mean:
    """A mean over rotations and seeds, in percent; of an accuracy or of a paired difference."""

    mean: float
    interval: tuple[float, float]  # 95 %, over rotations, seeds, classes, groups and videos
    by_rotation: tuple[float, ...]  # means over seeds
    by_seed: tuple[float, ...]  # means over rotations

    def as_dict(self) -> dict[str, Any]:
        """The form of the JSON report."""
        return {
            "mean": self.mean,
            "bootstrap95": list(self.interval),
            "rotations": list(self.by_rotation),
            "seeds": list(self.by_seed),
        }


@dataclass(frozen=True)
class Rotations:
    """R rotations, each evaluated with S trained seeds on the same episodes."""

    evaluations: tuple[tuple[Evaluation, ...], ...]  # by rotation, by seed

    def outcomes(self, number: int) -> list[list[Outcome]]:
        """One number of shots and aggregate, by rotation and seed."""
        return [[of.outcomes[number] for of in of_seeds] for of_seeds in self.evaluations]

    def right(self, number: int, score: str) -> list[NDArray[np.float64]]:
        """1 where a score recognised a query and 0 elsewhere, of each rotation: (S, E, N * M)."""
        found = []
        for of_seeds, outcomes in zip(self.evaluations, self.outcomes(number), strict=True):
            truth = true_places(of_seeds[0].drawn)
            found.append(np.stack([outcome.predictions[score] == truth for outcome in outcomes]).astype(np.float64))
        return found

    def accuracy(self, number: int, score: str) -> Mean:
        """The accuracy of a score in one case."""
        return self._mean(self.right(number, score))

    def difference(self, number: int, score: str, other: "Rotations", other_score: str) -> Mean:
        """What a score recognises more than another one of the same or other runs over the same episodes."""
        pairs = zip(self.right(number, score), other.right(number, other_score), strict=True)
        if not self.asks_the_same_as(other):
            raise InputError("runs over different episodes cannot be compared; rotate the same classes for both")
        return self._mean([more - less for more, less in pairs])

    def asks_the_same_as(self, other: "Rotations") -> bool:
        """Whether both were asked the same episodes of the same videos."""
        return all(
            len(of_seeds) == len(others)
            and np.array_equal(of_seeds[0].drawn.query, others[0].drawn.query)
            and np.array_equal(of_seeds[0].drawn.support, others[0].drawn.support)
            and of_seeds[0].store.videos.path == others[0].store.videos.path
            for of_seeds, others in zip(self.evaluations, other.evaluations, strict=True)
        )

    def _mean(self, values: Sequence[NDArray[np.float64]]) -> Mean:
        """Average values of each rotation (S, E, N * M)."""
        answers = []
        for of_seeds, of_rotation in zip(self.evaluations, values, strict=True):
            first = of_seeds[0]
            named = {str(seed): found for seed, found in enumerate(of_rotation)}
            counted = count_answers(named, first.drawn.query, first.store.videos.label, first.store.videos.group)
            answers.append(Answers(counted.sums[:, None], counted.counts, counted.labels, counted.groups))
        low, high = rotation_intervals(answers, SEED)[0]
        table = 100 * np.array([[found.mean() for found in of_rotation] for of_rotation in values])  # (R, S)
        return Mean(
            float(table.mean()),
            (float(low), float(high)),
            tuple(table.mean(axis=1).tolist()),
            tuple(table.mean(axis=0).tolist()),
        )
