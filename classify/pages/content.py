"""What a report says, in plain values and drawings, before it becomes a page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.classify.pages.charts.accuracy import (
    Interval,
    class_chart,
    confusion_chart,
    interval_chart,
    reliability_chart,
)
from hcl.classify.pages.charts.drawing import Drawing
from hcl.classify.pages.charts.points import Curve, line_chart, line_mark
from hcl.extract.system.settings import option_of, setting_of
from hcl.match.confidence.calibration import probabilities
from hcl.match.evaluation.confidence import Calibration
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.reports.report import behind_text, case_name, score_name
from hcl.train.runs.run_folder import CHOICE, RunConfig
from hcl.train.runs.tracking.metrics_log import metrics_so_far

EXTREMES = 3  # best and worst classes that are named


@dataclass(frozen=True)
class Figure:
    """A drawing with what it shows."""

    title: str
    drawing: Drawing
    legend: tuple[tuple[Drawing, str], ...] = ()  # marks and what they stand for


@dataclass(frozen=True)
class SettingRow:
    """A setting as it was."""

    option: str
    value: str
    help: str


@dataclass(frozen=True)
class LevelRow:
    """What one score recognises."""

    name: str
    accuracy: float
    ci95: float
    low: float
    high: float
    mean: float  # over draws of episodes
    std: float
    is_headline: bool


@dataclass(frozen=True)
class ClassRow:
    """How well one class was recognised."""

    name: str
    videos: int
    queries: int
    accuracy: float  # NaN without queries
    taken_for: str  # the class that it is taken for most, where it is
    share: float  # percent of its queries that are


@dataclass(frozen=True)
class Case:
    """An outcome of an evaluation, as it is shown."""

    name: str
    headline: Interval
    levels: tuple[LevelRow, ...]
    draws: int  # of episodes, by seed
    behind: str
    level_figure: Figure
    classes: tuple[ClassRow, ...]
    best: tuple[ClassRow, ...]
    worst: tuple[ClassRow, ...]
    class_figure: Figure
    confusion_figure: Figure
    calibration: Calibration
    reliability_figure: Figure


def setting_rows(config: Any) -> tuple[SettingRow, ...]:
    """All settings of a configuration."""
    known = [(each, setting_of(each)) for each in fields(config)]
    return tuple(
        SettingRow(option_of(each), str(getattr(config, each.name)), setting.help) for each, setting in known if setting
    )


def make_case(evaluations: Sequence[Evaluation], number: int) -> Case:
    """Describe an outcome of an evaluation; of several draws of episodes the first one's, with the spread over them.

    Args:
        evaluations: of one store, by seed
        number: of the outcome
    """
    first, outcome = evaluations[0], evaluations[0].outcomes[number]
    chance = 100 / first.episodes.n_way
    levels = level_rows([evaluation.outcomes[number] for evaluation in evaluations])
    intervals = [Interval(row.name, row.accuracy, row.low, row.high, row.is_headline) for row in levels]
    classes = class_rows(first, outcome)
    asked = sorted((row for row in classes if row.queries), key=lambda row: -row.accuracy)
    count = min(EXTREMES, len(asked) // 2)
    percents = [row.accuracy for row in classes]
    calibration = _calibration(outcome)
    reading = calibration.after or calibration.before
    return Case(
        name=case_name(outcome.case, first.plan),
        headline=intervals[-1],
        levels=levels,
        draws=len(evaluations),
        behind=behind_text({name: value.accuracy for name, value in outcome.accuracies.items()}, outcome.headline),
        level_figure=Figure(
            "Dots are accuracies, lines the 95 % intervals over classes, groups and videos.",
            interval_chart(intervals, "accuracy, %", chance),
        ),
        classes=classes,
        best=tuple(asked[:count]),
        worst=tuple(reversed(asked[len(asked) - count :])),
        class_figure=Figure("Accuracy of each class.", class_chart(outcome.class_names, percents, chance)),
        confusion_figure=Figure(
            "Percent of the queries of each true class (rows) by the class that they were taken for (columns).",
            confusion_chart(outcome.class_names, outcome.confusion),
        ),
        calibration=calibration,
        reliability_figure=Figure(
            "Bars: how often the first guess was right, by the probability that it was given. Dots on the dashed line"
            " would be perfectly calibrated. Below: how many queries were given such a probability.",
            reliability_chart(reading.reliability),
        ),
    )


def _calibration(outcome: Outcome) -> Calibration:
    if outcome.calibration is None:
        raise ValueError("the outcome was evaluated without calibration")
    return outcome.calibration


def class_probabilities(outcome: Outcome) -> NDArray[np.float64]:
    """The probabilities (E, N * M, N) of the classes, at the temperature that was fitted, else at 1."""
    return probabilities(outcome.scores, _calibration(outcome).temperature or 1.0)


def level_rows(outcomes: Sequence[Outcome]) -> tuple[LevelRow, ...]:
    """What each score recognises in the first of several draws, with mean and standard deviation over all of them."""
    rows = []
    for name, value in outcomes[0].accuracies.items():
        reached = [outcome.accuracies[name].accuracy for outcome in outcomes]
        std = statistics.stdev(reached) if len(reached) > 1 else 0.0
        of_first = (value.accuracy, value.ci95, *value.bootstrap95)
        is_headline = name == outcomes[0].headline
        rows.append(LevelRow(score_name(name), *of_first, statistics.fmean(reached), std, is_headline))
    return tuple(rows)


def class_rows(evaluation: Evaluation, outcome: Outcome) -> tuple[ClassRow, ...]:
    """How well each class was recognised, and what it was taken for."""
    rows = []
    facts = zip(outcome.class_names, evaluation.class_sizes, outcome.per_class.tolist(), strict=True)
    for place, (name, videos, accuracy) in enumerate(facts):
        others = outcome.confusion[place].copy()
        queries, others[place] = int(others.sum()), 0
        most = int(others.argmax())
        share = 100 * int(others[most]) / max(1, queries)
        taken_for = outcome.class_names[most] if others[most] else ""
        rows.append(ClassRow(name, videos, queries, accuracy, taken_for, share))
    return tuple(rows)


def training_figures(run: Path, config: RunConfig) -> tuple[list[Figure], str]:
    """The learning curves of a run, and what is to be said of them."""
    records = metrics_so_far(run)
    if not records:
        return [], f"Nothing was trained: method {config.training.method} has no weights to learn."
    figures = curves_of(records)
    chosen = [record["epoch"] for record in records if record["best"]]
    kept = f"The weights of epoch {chosen[-1]} of {records[-1]['epoch']} were kept" if chosen else "No epoch was kept"
    if any(record["validation"] is not None for record in records):
        return figures, f"{kept}: the most accurate one on val classes."
    if (run / CHOICE).is_dir():
        held_out = curves_of(metrics_so_far(run / CHOICE), "with some base classes held out, which choose, ")
        return held_out + figures, (
            "There are no val classes: a first training held out some base classes, which chose the number of epochs."
            f" Then all base classes were trained on. {kept}."
        )
    return figures, f"{kept}: there were no val classes to choose by."


def curves_of(records: Sequence[dict[str, Any]], prefix: str = "") -> list[Figure]:
    """The loss, its parts and the validation of some epochs as charts."""
    epochs = [float(record["epoch"]) for record in records]
    marked = next((float(record["epoch"]) for record in reversed(records) if record["best"]), None)

    def chart(title: str, values: dict[str, list[float]], label: str) -> list[Figure]:
        curves = [Curve(name, tuple(zip(epochs, column, strict=True)), marked) for name, column in values.items()]
        drawing = line_chart(curves, "epoch", label)
        legend = tuple((line_mark(place), name) for place, name in enumerate(values))
        shown = legend if len(values) > 1 else ()
        title = f"{prefix}{title}"
        return [] if drawing is None else [Figure(title[:1].upper() + title[1:], drawing, shown)]

    names = list(dict.fromkeys(name for record in records for name in record["terms"]))
    terms = {name: [float(record["terms"].get(name, "nan")) for record in records] for name in names}
    total = {"total": terms.pop("total")} if "total" in terms else {}
    accuracy = {"all": [_number(record["validation"]) for record in records]}
    for name in dict.fromkeys(name for record in records for name in record.get("validation_by_set", {})):
        accuracy[name] = [_number(record.get("validation_by_set", {}).get(name)) for record in records]
    return [
        *chart("accuracy on val classes; the ring is the epoch that was kept", accuracy, "accuracy, %"),
        *chart("loss; the ring is the epoch that was kept", total, "loss"),
        *chart("parts of the loss, and the norm of its gradient", terms, "mean over the epoch"),
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
