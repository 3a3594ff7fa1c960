"""How far an evaluation's confidence can be believed, as text and as a reliability diagram."""

from collections.abc import Callable
from typing import Any

import numpy as np
from tabulate import tabulate

from hcl.match.confidence.calibration import BINS
from hcl.match.evaluation.confidence import Calibration, OpenSet, Reading
from hcl.match.evaluation.results import Outcome
from hcl.match.evaluation.statistics import Accuracy

Quote = Callable[[object], str]  # makes what a file says safe to show


def confidence_parts(outcome: Outcome, quote: Quote) -> list[str]:
    """The parts of the report on confidence; none where it was not measured."""
    parts = []
    if outcome.calibration:
        parts += _calibration(outcome.calibration, quote)
    if outcome.open_set:
        parts += _open_set(outcome.open_set, quote)
    return parts


def _calibration(calibration: Calibration, quote: Quote) -> list[str]:
    readings = {"as scored (temperature 1)": calibration.before}
    if calibration.after and calibration.temperature:
        readings[f"calibrated (temperature {calibration.temperature:.3g})"] = calibration.after
    rows = [
        (
            name,
            f"{100 * of.reliability.error:.1f}",
            "{:.1f} to {:.1f}".format(*of.error95),
            f"{100 * of.reliability.said:.1f}",
            f"{100 * of.reliability.right:.1f}",
            f"{of.brier:.3f}",
            f"{of.log_loss:.3f}",
        )
        for name, of in readings.items()
    ]
    headers = (
        "probabilities",
        "calibration error %",
        "95 % CI (bootstrap over classes, groups, videos)",
        "said %",
        "right %",
    )
    table = tabulate(rows, headers=(*headers, "Brier score", "log loss"), tablefmt="github", disable_numparse=True)
    return [
        table,
        quote(f"temperature fitted on: {calibration.fitted_on}"),
        _bins(calibration.after or calibration.before),
    ]


def _bins(reading: Reading) -> str:
    """How often the first answer is right by what it is given."""
    of = reading.reliability
    rows = [
        (f"{100 * place // BINS} to {100 * (place + 1) // BINS}", int(of.count[place]), 100 * of.confidence[place])
        + (100 * of.accuracy[place],)
        for place in np.flatnonzero(of.count).tolist()
    ]
    headers = ("probability, %", "queries", "said, mean %", "right, %")
    return tabulate(rows, headers=headers, floatfmt=".1f", tablefmt="github", disable_numparse=[0])


def _open_set(open_set: OpenSet, quote: Quote) -> list[str]:
    wanted = f"at most {100 * open_set.threshold.rate:g} % wanted"
    figures = {"AUROC": open_set.auroc, "accuracy of queries of the classes, none rejected": open_set.closed_accuracy}
    names = {
        "accuracy": "accuracy, none-of-these being an answer",
        "false accepts": f"outside queries taken for a class ({wanted})",
        "false rejects": "queries of the classes that are rejected",
    }
    figures |= {names[name]: value for name, value in open_set.at_rate.items()}
    rows = [(name, *_cells(value)) for name, value in figures.items()]
    headers = (
        "open set, half of the queries from outside",
        "%",
        "95 % CI (episodes)",
        "95 % CI (bootstrap over classes, groups, videos)",
    )
    value, chosen_on = open_set.threshold.value, open_set.threshold.chosen_on
    lines = [f"threshold{'' if value is None else f' {value:.3g}'} chosen on: {chosen_on}"]
    if open_set.shared_groups:
        lines.append(f"{open_set.shared_groups:.0f} % of the outside queries share a group with a support")
    return [tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True), quote("; ".join(lines))]


def _cells(value: Accuracy) -> tuple[str, str, str]:
    low, high = value.bootstrap95
    return f"{value.accuracy:.1f}", f"± {value.ci95:.1f}", f"{low:.1f} to {high:.1f}"


def reliability_figure(figure: Any, calibration: Calibration, title: str) -> Any:
    """Draw how often the first answer is right by what it is given, and how many are given that."""
    drawing = figure(figsize=(6, 6.5), layout="constrained")
    axes, below = drawing.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1)})
    axes.plot((0, 100), (0, 100), color="grey", linestyle=":", label="right as often as said")
    middles = 100 * (np.arange(BINS) + 0.5) / BINS
    readings = {"as scored": calibration.before, "calibrated": calibration.after}
    for name, reading in readings.items():
        if reading is None:
            continue
        of = reading.reliability
        label = f"{name}: error {100 * of.error:.1f} %"
        axes.plot(100 * of.confidence, 100 * of.accuracy, marker="o", label=label)
        below.step(middles, 100 * of.count / of.count.sum(), where="mid", label=name)
    axes.set_ylabel("right, %")
    axes.set_title(title, fontsize="medium")
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1)
    below.set_xlabel("probability of the first answer, %")
    below.set_ylabel("queries, %")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    return drawing
