"""Evaluations of several folds of the classes and several trained seeds, put together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.match.episodes.aggregation import true_places
from hcl.match.evaluation.results import Evaluation, Outcome, data_frame
from hcl.match.evaluation.statistics import BOOTSTRAP_SEED, QueryCounts, count_queries, fold_intervals


@dataclass(frozen=True)
class Mean:
    """A mean over folds and seeds, in percent; of an accuracy or of a paired difference."""

    mean: float
    interval: tuple[float, float]  # 95 %, over folds, seeds, classes, groups and videos
    by_fold: tuple[float, ...]  # means over seeds
    by_seed: tuple[float, ...]  # means over folds

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types."""
        return {
            "mean": self.mean,
            "bootstrap95": list(self.interval),
            "folds": list(self.by_fold),
            "seeds": list(self.by_seed),
        }

    def columns(self, name: str) -> dict[str, float]:
        """The mean and the ends of its interval as columns of a table."""
        return {name: self.mean, f"{name}_low95": self.interval[0], f"{name}_high95": self.interval[1]}


@dataclass(frozen=True)
class CrossValidation:
    """R folds, each evaluated with S trained seeds on the same episodes."""

    evaluations: tuple[tuple[Evaluation, ...], ...]  # by fold, by seed

    def outcomes(self, number: int) -> list[list[Outcome]]:
        """One number of shots and aggregate, by fold and seed."""
        return [[of.outcomes[number] for of in of_seeds] for of_seeds in self.evaluations]

    def right(self, number: int, score: str) -> list[NDArray[np.float64]]:
        """1 where a score recognised a query and 0 elsewhere, of each fold: (S, E, N * M)."""
        of_folds = []
        for of_seeds, outcomes in zip(self.evaluations, self.outcomes(number), strict=True):
            truth = true_places(of_seeds[0].scored)
            of_folds.append(np.stack([outcome.predictions[score] == truth for outcome in outcomes]).astype(np.float64))
        return of_folds

    def accuracy(self, number: int, score: str) -> Mean:
        """The accuracy of a score in one case."""
        return self._mean(self.right(number, score))

    def difference(self, number: int, score: str, other: "CrossValidation", other_score: str) -> Mean:
        """What a score recognises more than another one of the same or other runs over the same episodes."""
        pairs = zip(self.right(number, score), other.right(number, other_score), strict=True)
        if not self.has_episodes_of(other):
            raise InputError("runs over different episodes cannot be compared; rotate the same classes for both")
        return self._mean([more - less for more, less in pairs])

    def has_episodes_of(self, other: "CrossValidation") -> bool:
        """Whether both were evaluated on the same episodes of the same videos."""
        return all(
            len(of_seeds) == len(others)
            and np.array_equal(of_seeds[0].scored.query, others[0].scored.query)
            and np.array_equal(of_seeds[0].scored.support, others[0].scored.support)
            and of_seeds[0].store.videos.path == others[0].store.videos.path
            for of_seeds, others in zip(self.evaluations, other.evaluations, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything that was measured, in plain types; accuracies and intervals in percent."""
        first = self.evaluations[0][0]
        return {
            "episodes": asdict(first.episodes),
            "plan": asdict(first.plan),
            "runs": [[str(of.store.path.parent) for of in of_seeds] for of_seeds in self.evaluations],
            "novel": [list(of_seeds[0].class_names) for of_seeds in self.evaluations],
            "outcomes": [
                {
                    **asdict(outcome.case),
                    "scores": {name: self.accuracy(number, name).to_dict() for name in outcome.accuracies},
                }
                for number, outcome in enumerate(first.outcomes)
            ],
        }

    def to_pandas(self) -> Any:
        """The accuracies in percent as a DataFrame, a row for each number of shots, aggregate, score and fold.

        Raises:
            InputError: if pandas is not installed
        """
        return data_frame(
            {
                "shot": outcome.case.k_shot,
                "aggregate": outcome.case.aggregate,
                "score": name,
                "fold": fold,
                "accuracy": accuracy,
            }
            for number, outcome in enumerate(self.evaluations[0][0].outcomes)
            for name in outcome.accuracies
            for fold, accuracy in enumerate(self.accuracy(number, name).by_fold)
        )

    def _mean(self, values: Sequence[NDArray[np.float64]]) -> Mean:
        """Average values of each fold (S, E, N * M)."""
        query_counts = []
        for of_seeds, of_fold in zip(self.evaluations, values, strict=True):
            first = of_seeds[0]
            named = {str(seed): of_seed for seed, of_seed in enumerate(of_fold)}
            counted = count_queries(named, first.scored.query, first.store.videos.label, first.store.videos.group)
            query_counts.append(QueryCounts(counted.sums[:, None], counted.counts, counted.labels, counted.groups))
        low, high = fold_intervals(query_counts, BOOTSTRAP_SEED)[0]
        table = 100 * np.array([[of_seed.mean() for of_seed in of_fold] for of_fold in values])  # (R, S)
        return Mean(
            float(table.mean()),
            (float(low), float(high)),
            tuple(table.mean(axis=1).tolist()),
            tuple(table.mean(axis=0).tolist()),
        )
