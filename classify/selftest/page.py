"""The self-test as a page for any browser, in the look of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcl.classify.pages.charts.accuracy import class_chart, confusion_chart
from hcl.classify.pages.charts.points import Curve, line_chart
from hcl.classify.pages.content import Figure
from hcl.classify.pages.page import write_page
from hcl.classify.selftest.check import Check

TEMPLATE = "check.html"


@dataclass(frozen=True)
class CheckPage:
    """What the template shows."""

    title: str
    found: Check
    chance: float  # percent
    figures: tuple[Figure, ...]  # of classes and confusions; none where no clip could be asked for
    growth: Figure | None


def write_check_page(out: Path, found: Check, title: str) -> int:
    """Write the page of a self-test.

    Args:
        out: file
        found: the self-test
        title: of the page, such as the folder of the clips

    Raises:
        InputError: if it cannot be written, or jinja2 is missing
    """
    return write_page(out, make_page(found, title), TEMPLATE, option="--html")


def make_page(found: Check, title: str) -> CheckPage:
    """Draw what the page shows."""
    names, chance = [each.name for each in found.classes], 100 / len(found.classes)
    figures = (
        Figure("Percent of the clips of each class that are recognised.", class_chart(names, _recalls(found), chance)),
        Figure(
            "Percent of the clips of each class (rows) by the class that they were taken for (columns).",
            confusion_chart(names, np.array(found.counts, dtype=np.int64)),
        ),
    )
    return CheckPage(title, found, chance, figures if found.asked else (), _growth(found))


def _recalls(found: Check) -> list[float]:
    return [each.recall for each in found.classes]


def _growth(found: Check) -> Figure | None:
    points = tuple((float(number), value) for number, value in enumerate(found.curve, start=1))
    drawing = line_chart([Curve("recognised", points)], "clips of each class", "recognised, %") if points else None
    if drawing is None or len(points) < 2:
        return None
    return Figure("Percent of the clips that are recognised by so many others of each class, drawn 20 times.", drawing)
