"""Charts of points: learning curves and maps of videos, with the marks of their legends.

Pure functions from numbers to drawings. Legends stand beside a chart, never on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from hcl.classify.pages.charts.drawing import BELOW, LEFT, Axis, Drawing, frame, span

COLOURS = 8  # that the style sheet knows, c0 to c7
SHAPES = ("circle", "square", "triangle", "diamond", "star")
WIDTH, RIGHT = 480, 466  # of a chart, and the end of its horizontal axis; pixels


@dataclass(frozen=True)
class Curve:
    """Some points of a line chart, in the order of x."""

    name: str
    points: tuple[tuple[float, float], ...]  # x, y
    marked: float | None = None  # the x of a point that is marked


@dataclass(frozen=True)
class Point:
    """A video on a map."""

    x: float
    y: float
    group: int  # number of its class
    title: str


def swatch(number: int) -> tuple[int, str]:
    """The colour and the shape of a class's points: no two of the first 40 classes share both."""
    return number % COLOURS, SHAPES[number // COLOURS % len(SHAPES)]


def line_chart(curves: Sequence[Curve], x_label: str, y_label: str) -> Drawing | None:
    """Draw curves over a common axis; None where no point is finite."""
    curves = [
        Curve(curve.name, tuple(point for point in curve.points if isfinite(point[1])), curve.marked)
        for curve in curves
    ]
    points = [point for curve in curves for point in curve.points]
    if not points:
        return None
    drawing = Drawing(WIDTH, 260, f"{y_label} by {x_label}: {', '.join(curve.name for curve in curves)}")
    x = Axis(*span([at for at, _ in points], least=1, room=0), LEFT, RIGHT)
    y = Axis(*span([value for _, value in points]), 260 - BELOW, 12)
    frame(drawing, x, y, x_label, y_label)
    for number, curve in enumerate(curves):
        css = curve_style(number)
        places = [(x.at(at), y.at(value)) for at, value in curve.points]
        drawing.add("polyline", css, "", points=" ".join(f"{left:.1f},{top:.1f}" for left, top in places))
        for (at, value), (left, top) in zip(curve.points, places, strict=True):
            is_marked = at == curve.marked
            kept = ", kept" if is_marked else ""
            size = 6 if is_marked else 2.5
            title = f"{curve.name}, {x_label} {at:g}: {value:.4g}{kept}"
            drawing.add("circle", f"dot c{number % COLOURS}" + " kept" * is_marked, title, cx=left, cy=top, r=size)
    return drawing


def scatter_chart(points: Sequence[Point], x_label: str, y_label: str) -> Drawing:
    """Draw a map of videos, each class in a colour and a shape."""
    drawing = Drawing(WIDTH, 400, f"map of {len(points)} videos: {x_label}, {y_label}")
    x = Axis(*span([point.x for point in points]), LEFT, RIGHT)
    y = Axis(*span([point.y for point in points]), 400 - BELOW, 12)
    frame(drawing, x, y, x_label, y_label)
    for point in points:
        colour, shape = swatch(point.group)
        mark(drawing, shape, x.at(point.x), y.at(point.y), f"dot c{colour}", point.title)
    return drawing


def mark(drawing: Drawing, shape: str, x: float, y: float, css: str, title: str = "") -> None:
    """Draw one of SHAPES around a place."""
    if shape == "circle":
        drawing.add("circle", css, title, cx=x, cy=y, r=5)
        return
    corners: Mapping[str, Sequence[tuple[float, float]]] = {
        "square": ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
        "triangle": ((0, -6), (5.5, 4.5), (-5.5, 4.5)),
        "diamond": ((0, -6.5), (5, 0), (0, 6.5), (-5, 0)),
        "star": ((0, -6.5), (2, -2), (6.5, 0), (2, 2), (0, 6.5), (-2, 2), (-6.5, 0), (-2, -2)),
    }
    places = " ".join(f"{x + across:.1f},{y + down:.1f}" for across, down in corners[shape])
    drawing.add("polygon", css, title, points=places)


def curve_style(number: int) -> str:
    """The classes of a curve: no two of the first 32 are drawn alike."""
    return f"line c{number % COLOURS} dash{number // COLOURS % 4}"


def line_mark(number: int) -> Drawing:
    """A piece of a curve, for a legend."""
    drawing = Drawing(28, 14, "")
    drawing.line((1, 7), (27, 7), curve_style(number))
    return drawing


def class_mark(number: int) -> Drawing:
    """A point of a class, for a legend."""
    drawing = Drawing(14, 14, "")
    colour, shape = swatch(number)
    mark(drawing, shape, 7, 7, f"dot c{colour}")
    return drawing
