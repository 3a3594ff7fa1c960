"""Pictures of an evaluation, for those who have matplotlib."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import plain
from hcl.extract.system.errors import InputError, write_errors
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.reports.confidence_report import reliability_figure
from hcl.match.reports.report import case_name, score_name, settings_name, shots_name
from hcl.match.reports.several_runs import run_labels

INCHES_PER_CLASS, LARGEST_INCHES = 0.35, 24.0
MOST_NUMBERED = 60  # classes; the numbers of more would be too small to read


def write_all_plots(folder: Path, evaluations: Sequence[Evaluation]) -> list[Path]:
    """Write the figures of one evaluation into a folder, those of several into a folder of each below it."""
    if len(evaluations) == 1:
        return write_plots(folder, evaluations[0])
    names = (re.sub(r"\W+", "-", label) for label in run_labels(evaluations))
    return [file for name, of in zip(names, evaluations, strict=True) for file in write_plots(folder / name, of)]


def write_plots(folder: str | Path, evaluation: Evaluation) -> list[Path]:
    """Write the figures of an evaluation as PNG files into a folder.

    Returns:
        the files

    Raises:
        InputError: if matplotlib is not installed or the folder cannot be written
    """
    figures, folder = make_figures(evaluation), Path(folder)
    with write_errors(folder, "name another folder with --plot"):
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{name}.png" for name in figures]
        for file, figure in zip(files, figures.values(), strict=True):
            with atomic_file(file) as fresh:
                figure.savefig(fresh, dpi=150, format=file.suffix[1:])
    return files


def make_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Draw the accuracy of every score, of every class, and the confusion matrix as matplotlib figures, by name.

    Raises:
        InputError: if matplotlib is not installed
    """
    made = figure_maker()
    figures = {"accuracy": _accuracies(made, evaluation)}
    for outcome in evaluation.outcomes:
        case = case_name(outcome.case, evaluation.plan, "-")
        figures[f"classes-{case}"] = _classes(made, evaluation, outcome)
        figures[f"confusion-{case}"] = _confusion(made, evaluation, outcome)
        if outcome.calibration:
            title = _title(evaluation, case_name(outcome.case, evaluation.plan))
            figures[f"reliability-{case}"] = reliability_figure(made, outcome.calibration, title)
    return figures


def figure_maker() -> Any:
    """The class of matplotlib's figures; called before the work, it tells early that matplotlib is missing.

    Raises:
        InputError: if it is not installed
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('--plot needs matplotlib: pip install matplotlib, or "hcl[plot]"') from error
    return Figure


def _title(evaluation: Evaluation, case: str) -> str:
    """What a picture shows: method, shots and what was drawn, in two lines."""
    return f"{_label(evaluation.method)}, {case}\n{settings_name(evaluation)}"


def _accuracies(figure: Any, evaluation: Evaluation) -> Any:
    """One group of bars a score, one bar an outcome, with the interval over classes, groups and videos."""
    outcomes, names = evaluation.outcomes, list(evaluation.outcomes[0].accuracies)
    drawing = figure(figsize=(8, 1.5 + 0.3 * len(names) * len(outcomes)), layout="constrained")
    axes = drawing.add_subplot()
    height = 0.8 / len(outcomes)
    for number, outcome in enumerate(outcomes):
        values = [outcome.accuracies[name] for name in names]
        middle = np.array([value.accuracy for value in values])
        ends = np.array([value.bootstrap95 for value in values]).T
        whiskers = np.maximum(0, np.stack((middle - ends[0], ends[1] - middle)))
        label = f"{outcome.case.k_shot}-shot {outcome.case.aggregate}"
        axes.barh(np.arange(len(names)) + number * height, middle, height, xerr=whiskers, capsize=2, label=label)
    axes.axvline(100 / evaluation.episodes.n_way, color="grey", linestyle=":", label="chance")
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [score_name(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("accuracy, % (95 % over classes, groups and videos)")
    axes.set_title(_title(evaluation, shots_name(evaluation.plan.shots)), fontsize="medium")
    drawing.legend(loc="outside lower center", ncols=4)
    return drawing


def _classes(figure: Any, evaluation: Evaluation, outcome: Outcome) -> Any:
    order = np.argsort(np.nan_to_num(outcome.per_class, nan=-1))
    drawing = figure(figsize=(8, _inches(outcome)), layout="constrained")
    axes = drawing.add_subplot()
    axes.barh([_label(outcome.class_names[place]) for place in order], outcome.per_class[order])
    axes.axvline(100 / evaluation.episodes.n_way, color="grey", linestyle=":", label="chance")
    axes.set_xlabel(f"accuracy, %, {outcome.case.k_shot}-shot")
    axes.set_title(_title(evaluation, case_name(outcome.case, evaluation.plan)), fontsize="medium")
    drawing.legend(loc="outside lower center")
    return drawing


def _confusion(figure: Any, evaluation: Evaluation, outcome: Outcome) -> Any:
    shares = 100 * outcome.confusion / np.maximum(1, outcome.confusion.sum(axis=1, keepdims=True))
    inches = _inches(outcome)
    drawing = figure(figsize=(inches + 1, inches), layout="constrained")
    axes = drawing.add_subplot()
    largest = max(1.0, float(shares.max()))  # the colours end there, not at 100 %
    image = axes.imshow(shares, vmin=0, vmax=largest, cmap="viridis")
    if len(shares) <= MOST_NUMBERED:
        for (true, predicted), share in np.ndenumerate(shares):
            colour = "black" if share > largest / 2 else "white"
            axes.text(predicted, true, f"{share:.0f}", ha="center", va="center", color=colour, fontsize="small")
    names = list(map(_label, outcome.class_names))
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class")
    axes.set_title(_title(evaluation, case_name(outcome.case, evaluation.plan)), fontsize="medium")
    drawing.colorbar(image, label="% of the true class")
    return drawing


def _label(name: str) -> str:
    """A class as it is drawn: matplotlib takes what stands between dollars for a formula."""
    return plain(name).replace("$", r"\$")


def _inches(outcome: Outcome) -> float:
    return min(LARGEST_INCHES, 3 + INCHES_PER_CLASS * len(outcome.class_names))
