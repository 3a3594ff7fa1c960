"""Pictures of an evaluation, for those who have matplotlib."""

from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.system.errors import InputError
from hcl.match.evaluation.evaluation import Evaluation, Outcome
from hcl.match.reports.report import score_name

INCHES_PER_CLASS, LARGEST_INCHES = 0.35, 24.0


def write_plots(folder: Path, found: Evaluation) -> list[Path]:
    """Draw the accuracy of every score, of every class, and the confusion matrix: PNG files in a folder.

    Returns:
        the files

    Raises:
        InputError: if matplotlib is not installed or the folder cannot be written
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('--plot needs matplotlib: pip install matplotlib, or "hcl[plot]"') from error
    pictures = {"accuracy": _accuracies(Figure, found)}
    for outcome in found.outcomes:
        case = f"{outcome.case.k_shot}-shot" + (f"-{outcome.case.aggregate}" if len(found.plan.aggregates) > 1 else "")
        pictures[f"classes-{case}"] = _classes(Figure, found, outcome)
        pictures[f"confusion-{case}"] = _confusion(Figure, found, outcome)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{name}.png" for name in pictures]
        for file, picture in zip(files, pictures.values(), strict=True):
            picture.savefig(file, dpi=150)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); name another folder with --plot") from error
    return files


def _accuracies(figure: Any, found: Evaluation) -> Any:
    """One group of bars a score, one bar an outcome, with the interval over classes, groups and videos."""
    names = list(found.outcomes[0].accuracies)
    picture = figure(figsize=(8, 1.5 + 0.3 * len(names) * len(found.outcomes)), layout="constrained")
    axes = picture.add_subplot()
    height = 0.8 / len(found.outcomes)
    for number, outcome in enumerate(found.outcomes):
        values = [outcome.accuracies[name] for name in names]
        middle = np.array([value.accuracy for value in values])
        ends = np.array([value.bootstrap95 for value in values]).T
        whiskers = np.maximum(0, np.stack((middle - ends[0], ends[1] - middle)))
        label = f"{outcome.case.k_shot}-shot {outcome.case.aggregate}"
        axes.barh(np.arange(len(names)) + number * height, middle, height, xerr=whiskers, capsize=2, label=label)
    axes.axvline(100 / found.episodes.n_way, color="grey", linestyle=":", label="chance")
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [score_name(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("accuracy, % (95 % over classes, groups and videos)")
    axes.legend()
    return picture


def _classes(figure: Any, found: Evaluation, outcome: Outcome) -> Any:
    order = np.argsort(np.nan_to_num(outcome.per_class, nan=-1))
    picture = figure(figsize=(8, _inches(found)), layout="constrained")
    axes = picture.add_subplot()
    axes.barh([found.class_names[place] for place in order], outcome.per_class[order])
    axes.axvline(100 / found.episodes.n_way, color="grey", linestyle=":")
    axes.set_xlabel(f"accuracy, %, {outcome.case.k_shot}-shot")
    return picture


def _confusion(figure: Any, found: Evaluation, outcome: Outcome) -> Any:
    shares = 100 * outcome.confusion / np.maximum(1, outcome.confusion.sum(axis=1, keepdims=True))
    inches = _inches(found)
    picture = figure(figsize=(inches + 1, inches), layout="constrained")
    axes = picture.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=100, cmap="viridis")
    axes.set_xticks(range(len(found.class_names)), found.class_names, rotation=90)
    axes.set_yticks(range(len(found.class_names)), found.class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class")
    picture.colorbar(image, label="% of the true class")
    return picture


def _inches(found: Evaluation) -> float:
    return min(LARGEST_INCHES, 3 + INCHES_PER_CLASS * len(found.class_names))
