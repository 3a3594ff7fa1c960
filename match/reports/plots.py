"""Pictures of an evaluation, for those who have matplotlib."""

from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import plain
from hcl.extract.system.errors import InputError, write_errors
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.reports.confidence_report import reliability_figure
from hcl.match.reports.report import case_name, score_name

INCHES_PER_CLASS, LARGEST_INCHES = 0.35, 24.0


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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('--plot needs matplotlib: pip install matplotlib, or "hcl[plot]"') from error
    figures = {"accuracy": _accuracies(Figure, evaluation)}
    for outcome in evaluation.outcomes:
        case = case_name(outcome.case, evaluation.plan, "-")
        figures[f"classes-{case}"] = _classes(Figure, evaluation, outcome)
        figures[f"confusion-{case}"] = _confusion(Figure, outcome)
        if outcome.calibration:
            title = case_name(outcome.case, evaluation.plan)
            figures[f"reliability-{case}"] = reliability_figure(Figure, outcome.calibration, title)
    return figures


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
    axes.legend()
    return drawing


def _classes(figure: Any, evaluation: Evaluation, outcome: Outcome) -> Any:
    order = np.argsort(np.nan_to_num(outcome.per_class, nan=-1))
    drawing = figure(figsize=(8, _inches(outcome)), layout="constrained")
    axes = drawing.add_subplot()
    axes.barh([_label(outcome.class_names[place]) for place in order], outcome.per_class[order])
    axes.axvline(100 / evaluation.episodes.n_way, color="grey", linestyle=":")
    axes.set_xlabel(f"accuracy, %, {outcome.case.k_shot}-shot")
    return drawing


def _confusion(figure: Any, outcome: Outcome) -> Any:
    shares = 100 * outcome.confusion / np.maximum(1, outcome.confusion.sum(axis=1, keepdims=True))
    inches = _inches(outcome)
    drawing = figure(figsize=(inches + 1, inches), layout="constrained")
    axes = drawing.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=100, cmap="viridis")
    names = list(map(_label, outcome.class_names))
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class")
    drawing.colorbar(image, label="% of the true class")
    return drawing


def _label(name: str) -> str:
    """A class as it is drawn: matplotlib takes what stands between dollars for a formula."""
    return plain(name).replace("$", r"\$")


def _inches(outcome: Outcome) -> float:
    return min(LARGEST_INCHES, 3 + INCHES_PER_CLASS * len(outcome.class_names))
