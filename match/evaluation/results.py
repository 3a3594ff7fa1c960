"""What an evaluation gives: accuracies, predictions and confusions, as values, plain types or a table."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, ZERO_SHOT, EpisodeConfig, EvaluationConfig, ScoreConfig
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.level_table import Case
from hcl.match.episodes.video_pool import LeftOut
from hcl.match.evaluation.confidence import Calibration, OpenSet
from hcl.match.evaluation.statistics import Accuracy
from hcl.match.store.embedding_store import COVERAGE, LEFT_OUT, EmbeddingStore

CONFUSED_SHOWN = 10  # pairs of classes
LENGTHY = ("arrays", "clip_frames", LEFT_OUT, COVERAGE)  # attributes of a store that no report repeats
APART = (BASELINE, ZERO_SHOT)  # scores that are no level of the method


@dataclass(frozen=True)
class Outcome:
    """How well the queries were recognised with some supports a class; K classes were drawn from."""

    case: Case
    accuracies: dict[str, Accuracy]  # by score; the baseline first, the headline last
    predictions: dict[str, NDArray[np.int64]] = field(repr=False)  # (E, N * M) place of the class in its episode
    confusion: NDArray[np.int64]  # (K, K) true class by class that the headline score names
    class_names: tuple[str, ...] = field(repr=False)  # of the K classes
    scores: NDArray[np.float64] = field(repr=False)  # (E, N * M, N) of classes by the headline score
    calibration: Calibration | None = None  # of the headline score, where asked for
    open_set: OpenSet | None = None  # likewise

    @property
    def confidence_figures(self) -> dict[str, float]:
        """What was measured of its confidence, in percent."""
        found = {}
        if self.calibration:
            found["calibration error, temperature 1"] = 100 * self.calibration.before.reliability.error
            if self.calibration.after:
                found["calibration error"] = 100 * self.calibration.after.reliability.error
        if self.open_set:
            found["open set: AUROC"] = self.open_set.auroc.accuracy
            found |= {f"open set: {name}": value.accuracy for name, value in self.open_set.at_rate.items()}
        return found

    @property
    def headline(self) -> str:
        """The score that stands for the method."""
        return list(self.accuracies)[-1]

    @property
    def per_class(self) -> NDArray[np.float64]:
        """(K,) percent of the queries of each class that the headline score recognises; NaN without queries."""
        with np.errstate(invalid="ignore"):
            return np.asarray(100 * np.diag(self.confusion) / self.confusion.sum(axis=1))

    @property
    def most_confused(self) -> list[tuple[str, str, float]]:
        """The pairs of classes that are taken for another most: true, predicted, percent of the true one's queries."""
        counts, names = self.confusion, self.class_names
        pairs = [
            (names[true], names[predicted], float(100 * counts[true, predicted] / counts[true].sum()))
            for true, predicted in np.argwhere(counts)
            if true != predicted
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:CONFUSED_SHOWN]

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types; accuracies in percent, None for a class without queries."""
        values = self.per_class.tolist()
        return {
            "shot": self.case.k_shot,
            "aggregate": self.case.aggregate,
            "levels": {name: value.to_dict() for name, value in self.accuracies.items() if name not in APART},
            "headline": self.headline,
            "baseline": self.accuracies[BASELINE].to_dict(),
            **({ZERO_SHOT: self.accuracies[ZERO_SHOT].to_dict()} if ZERO_SHOT in self.accuracies else {}),
            "per_class": {
                name: value if value == value else None for name, value in zip(self.class_names, values, strict=True)
            },
            "confusion": {"classes": list(self.class_names), "counts": self.confusion.tolist()},
            "most_confused": [
                {"true": true, "predicted": predicted, "percent": share}
                for true, predicted, share in self.most_confused
            ],
            **({"calibration": self.calibration.to_dict()} if self.calibration else {}),
            **({"open_set": self.open_set.to_dict()} if self.open_set else {}),
        }


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation."""

    store: EmbeddingStore = field(repr=False)
    method: str
    episodes: EpisodeConfig  # as requested
    plan: EvaluationConfig
    scoring: ScoreConfig
    scored: Episodes = field(repr=False)  # rows of the store
    class_names: tuple[str, ...]
    class_sizes: tuple[int, ...]
    outcomes: tuple[Outcome, ...]  # of each number of shots and aggregate
    spread: dict[str, tuple[float, float]]  # mean and standard deviation of each level's scores
    left_out: LeftOut = LeftOut()  # what was not drawn from

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The classes that count although the store's run was trained on them."""
        return tuple(name for name in self.class_names if name in self.store.trained_classes)

    @property
    def interrupted(self) -> bool:
        """Whether fewer episodes were scored than requested."""
        return len(self.scored) < self.episodes.episodes

    def to_dict(self) -> dict[str, Any]:
        """The whole result in plain types; accuracies and intervals in percent.

        The first outcome stands at the top, for the many who ask for one; all of them stand under "outcomes".
        """
        outcomes = [outcome.to_dict() for outcome in self.outcomes]
        return {
            "store": str(self.store.path),
            "method": self.method,
            "origin": {key: value for key, value in self.store.attributes.items() if key not in LENGTHY},
            "split": self.plan.split,
            "episodes": asdict(self.episodes),
            "scored_episodes": len(self.scored),
            "scoring": asdict(self.scoring),
            "classes": dict(zip(self.class_names, self.class_sizes, strict=True)),
            **outcomes[0],
            "outcomes": outcomes,
            "spread": {name: {"mean": mean, "std": std} for name, (mean, std) in self.spread.items()},
            "duplicates": [list(paths) for paths in self.left_out.duplicates],
            "left_out": self.left_out.to_dict(),
            "trained_on": list(self.trained_on),
            **({"benchmark": coverage.summary()} if (coverage := self.store.coverage) else {}),
        }

    def to_pandas(self) -> Any:
        """The accuracies as a DataFrame, a row for each number of shots, aggregate and score.

        Returns:
            columns shot, aggregate, score; accuracy, ci95, low95 and high95 in percent

        Raises:
            InputError: if pandas is not installed
        """
        return accuracy_frame(
            ({"shot": outcome.case.k_shot, "aggregate": outcome.case.aggregate, "score": name}, value)
            for outcome in self.outcomes
            for name, value in outcome.accuracies.items()
        )


def accuracy_frame(rows: Iterable[tuple[Mapping[str, object], Accuracy]]) -> Any:
    """A DataFrame of accuracies: what each is of, then its columns accuracy, ci95, low95 and high95.

    Raises:
        InputError: if pandas is not installed
    """
    return data_frame(
        {**of, "accuracy": value.accuracy, "ci95": value.ci95}
        | dict(zip(("low95", "high95"), value.bootstrap95, strict=True))
        for of, value in rows
    )


def data_frame(rows: Iterable[Mapping[str, object]]) -> Any:
    """Make a DataFrame of rows that name their columns.

    Raises:
        InputError: if pandas is not installed
    """
    try:
        import pandas  # an extra
    except ImportError as error:
        raise InputError('to_pandas needs pandas: pip install pandas, or "hcl[table]"') from error
    return pandas.DataFrame(list(rows))
