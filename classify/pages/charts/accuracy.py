"""Charts of what is recognised: accuracies with intervals, classes, confusions and how far confidence can be believed.

Pure functions from numbers to drawings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from hcl.classify.pages.charts.drawing import BELOW, LEFT, LETTER, NATURAL, Axis, Drawing, frame, shortened
from hcl.match.confidence.calibration import Reliability

STRONGEST = 0.62  # opacity of a full cell: text on it can be read in both themes
NUMBERED = 40  # classes up to which a confusion matrix has numbers in its cells
NAME = 28  # letters of a class that a chart shows
ROW, LINE = 36, 56  # pixels of a row, and the letters that a line of it has room for
WIDTH, PERCENT = 400, 54  # of a chart of rows, and the room at its right for the numbers; pixels


@dataclass(frozen=True)
class Interval:
    """A value with its interval."""

    name: str
    value: float
    low: float
    high: float
    is_headline: bool = False


def interval_chart(rows: Sequence[Interval], x_label: str, chance: float) -> Drawing:
    """Draw values as dots with whiskers, one a row, below their names; the numbers stand at the right."""
    return _rows_chart(rows, x_label, chance, _draw_interval)


def class_chart(names: Sequence[str], percents: Sequence[float], chance: float) -> Drawing:
    """Draw the accuracy of each class as a bar, the best one first; classes without queries are left out."""
    found = zip(names, percents, strict=True)
    rows = [Interval(name, value, value, value) for name, value in found if not isnan(value)]
    return _rows_chart(sorted(rows, key=lambda row: (-row.value, row.name)), "accuracy, %", chance, _draw_bar)


def _rows_chart(
    rows: Sequence[Interval], x_label: str, chance: float, draw: Callable[[Drawing, Interval, Axis, float], None]
) -> Drawing:
    """Draw percents below each other, each under its name; a dashed line is chance."""
    height = ROW * len(rows) + BELOW + 24
    drawing = Drawing(WIDTH, height, f"{x_label}: " + ", ".join(f"{row.name} {row.value:.1f}" for row in rows))
    x, bottom = Axis(0, 100, 12, WIDTH - PERCENT), height - BELOW
    for value in x.ticks:
        drawing.line((x.at(value), 20), (x.at(value), bottom), "grid")
        drawing.text(x.at(value), bottom + 18, f"{value:g}", "tick", text_anchor="middle")
    drawing.line((x.at(chance), 20), (x.at(chance), bottom), "chance")
    drawing.text(x.at(chance), 14, f"chance {chance:.3g} %", "tick", text_anchor="middle")
    for number, row in enumerate(rows):
        top, css = 24 + ROW * number, "headline" if row.is_headline else ""
        drawing.text(x.start, top + 12, shortened(row.name, LINE), f"name {css}", row.name)
        drawing.text(WIDTH, top + 26, f"{row.value:.1f} %", f"tick {css}", text_anchor="end")
        draw(drawing, row, x, top + 22)
    drawing.text((x.start + x.stop) / 2, bottom + 36, x_label, "label", text_anchor="middle")
    return drawing


def _draw_interval(drawing: Drawing, row: Interval, x: Axis, middle: float) -> None:
    drawing.line((x.at(row.low), middle), (x.at(row.high), middle), "whisker")
    for end in (row.low, row.high):
        drawing.line((x.at(end), middle - 4), (x.at(end), middle + 4), "whisker")
    title = f"{row.name}: {row.value:.2f} %, 95 %: {row.low:.1f} to {row.high:.1f}"
    size = 6.0 if row.is_headline else 4.5
    drawing.add("circle", "dot c0", title, cx=x.at(row.value), cy=middle, r=size)


def _draw_bar(drawing: Drawing, row: Interval, x: Axis, middle: float) -> None:
    length = max(1.0, x.at(row.value) - x.start)
    box = {"x": x.start, "y": middle - 5, "width": length, "height": 10}
    drawing.add("rect", "bar", f"{row.name}: {row.value:.1f} %", **box)


def confusion_chart(names: Sequence[str], counts: NDArray[np.int64]) -> Drawing:
    """Draw a confusion matrix in percent of each true class, with the numbers in the cells.

    Args:
        names: of the K classes
        counts: (K, K) true class by predicted class
    """
    count = len(names)
    cell = 34 if count <= 24 else 28 if count <= NUMBERED else 14
    shown = [shortened(name, NAME) for name in names]
    room = LETTER * max(map(len, shown)) + 34
    width, height = room + cell * count + 12, room + cell * count + 8
    label = f"confusion of {count} classes: rows are true classes, columns what they are taken for"
    drawing = Drawing(width, height, label, NATURAL)
    drawing.text(room + cell * count / 2, 14, "taken for", "label", text_anchor="middle")
    middle = room + cell * count / 2
    drawing.text(14, middle, "true class", "label", text_anchor="middle", transform=f"rotate(-90 14 {middle:.1f})")
    for true, name in enumerate(names):
        place, total = room + cell * (true + 0.5), counts[true].sum()
        drawing.text(room - 8, place + 4, shown[true], "tick", name, text_anchor="end")
        turned = f"rotate(-90 {place + 4:.1f} {room - 8:.1f})"
        drawing.text(place + 4, room - 8, shown[true], "tick", name, transform=turned)
        for predicted, other in enumerate(names):
            share = counts[true, predicted] / total if total else 0.0
            left, top = room + cell * predicted, room + cell * true
            css = "cell right" if true == predicted else "cell"
            title = f"{name} taken for {other}: {100 * share:.1f} % of {total}"
            box = {"x": left, "y": top, "width": cell - 1, "height": cell - 1}
            drawing.add("rect", css, title, fill_opacity=f"{STRONGEST * share + 0.03:.3f}", **box)
            if count <= NUMBERED and share >= 0.005:
                number = f"{100 * share:.0f}"
                drawing.text(left + cell / 2, top + cell / 2 + 4, number, "number", text_anchor="middle")
    return drawing


def reliability_chart(found: Reliability) -> Drawing:
    """Draw how often guesses are right by the probability that they were given, and how many there are of each."""
    drawing = Drawing(420, 470, "how often guesses are right, by the probability that they were given")
    x, y = Axis(0, 100, LEFT, 400), Axis(0, 100, 340, 14)
    frame(drawing, x, y, "", "right, %")
    drawing.line((x.at(0), y.at(0)), (x.at(100), y.at(100)), "chance")
    below, bins, total = Axis(0, 100, 430, 364), len(found.count), int(found.count.sum())
    wide = (x.stop - x.start) / bins - 2
    for place, (said, right, count) in enumerate(zip(found.confidence, found.accuracy, found.count, strict=True)):
        if not count:
            continue
        share = 100 * count / total
        title = f"said {100 * said:.1f} %, right {100 * right:.1f} %, {count} queries ({share:.1f} %)"
        left, top = x.at(100 * place / bins) + 1, y.at(100 * right)
        drawing.add("rect", "bar", title, x=left, y=top, width=wide, height=max(0.5, y.start - top))
        drawing.add("circle", "dot kept c1", title, cx=x.at(100 * said), cy=top, r=4)
        tall = max(0.5, below.start - below.at(share))
        drawing.add("rect", "bar pale", title, x=left, y=below.at(share), width=wide, height=tall)
    drawing.line((x.start, below.start), (x.stop, below.start), "axis")
    drawing.text(x.start - 6, below.at(100) + 8, "100", "tick", text_anchor="end")
    drawing.text(x.start - 6, below.start, "0", "tick", text_anchor="end")
    drawing.text(14, 397, "queries, %", "label", text_anchor="middle", transform="rotate(-90 14 397)")
    drawing.text((x.start + x.stop) / 2, 460, "probability of the first guess, %", "label", text_anchor="middle")
    return drawing
