"""Drawing in SVG by the standard library: every text is escaped, and colours are classes that a style sheet knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from xml.etree.ElementTree import Element, SubElement, tostring

from hcl.extract.system.console import plain

LEFT, BELOW = 58, 46  # pixels for the numbers and the name of an axis
NATURAL = "natural"  # style of a drawing that keeps its size, and is scrolled where there is no room
LETTER = 7.2  # pixels that a letter takes at most, on average, in 12 px type
NICE = (1, 2, 2.5, 5, 10)  # steps between ticks


class Drawing:
    """An SVG picture that grows by what is put into it; lengths are pixels, the origin is at the upper left.

    Args:
        width: of the picture
        height: of the picture
        label: says what it shows, for those who do not see it; "" where the text beside it does
        css: its classes
    """

    def __init__(self, width: float, height: float, label: str, css: str = "") -> None:
        self.width, self.height = width, height
        wide, high = _number(width), _number(height)
        size = {"viewBox": f"0 0 {wide} {high}", "width": wide, "height": high}
        told = {"role": "img", "aria-label": plain(label)} if label else {"aria-hidden": "true"}
        self._root = Element("svg", {**size, **told, **({"class": css} if css else {})})

    def add(self, kind: str, /, css: str = "", title: str = "", **attributes: float | str) -> None:
        """Put an element into the picture.

        Args:
            kind: of the element, such as "rect"
            css: its classes
            title: shown where a mouse rests on it
            attributes: an underscore stands for a hyphen
        """
        element = SubElement(self._root, kind, {**({"class": css} if css else {}), **_attributes(attributes)})
        if title:
            SubElement(element, "title").text = plain(title)

    def text(self, x: float, y: float, words: str, /, css: str = "", title: str = "", **given: float | str) -> None:
        """Write one line; `text_anchor` tells what `x` is: its start, middle or end."""
        self.add("text", css, title, x=x, y=y, **given)
        self._root[-1].text = plain(words)

    def line(self, start: tuple[float, float], end: tuple[float, float], css: str, **attributes: float | str) -> None:
        """Draw a straight line."""
        self.add("line", css, "", x1=start[0], y1=start[1], x2=end[0], y2=end[1], **attributes)

    def __str__(self) -> str:
        return tostring(self._root, encoding="unicode")


@dataclass(frozen=True)
class Axis:
    """A scale: values from `low` to `high` stand at pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"an axis from {self.low} to {self.high}")

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values along the axis, at most 7."""
        return round_values(self.low, self.high)


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of a round step from `low` to `high`, at most `most` + 1.

    Args:
        low: below `high`
        high: the other end
        most: steps
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in NICE if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def span(values: Sequence[float], *, least: float = 1e-6, room: float = 0.05) -> tuple[float, float]:
    """The ends of an axis that shows some values with a little room on both sides.

    Args:
        values: one or more, finite
        least: difference of the ends
        room: on each side, as a share of the values' span
    """
    low, high = min(values), max(values)
    more = max(room * (high - low), (least - (high - low)) / 2, 1e-3 * max(abs(low), abs(high)), 0.0)
    return low - more, high + more


def frame(drawing: Drawing, x: Axis, y: Axis, x_label: str, y_label: str) -> None:
    """Draw two axes with ticks, grid lines and what they measure."""
    for value in y.ticks:
        drawing.line((x.start, y.at(value)), (x.stop, y.at(value)), "grid")
        drawing.text(x.start - 6, y.at(value) + 4, f"{value:g}", "tick", text_anchor="end")
    for value in x.ticks:
        drawing.line((x.at(value), y.start), (x.at(value), y.start + 4), "axis")
        drawing.text(x.at(value), y.start + 18, f"{value:g}", "tick", text_anchor="middle")
    drawing.line((x.start, y.start), (x.stop, y.start), "axis")
    drawing.line((x.start, y.start), (x.start, y.stop), "axis")
    drawing.text((x.start + x.stop) / 2, y.start + 36, x_label, "label", text_anchor="middle")
    middle = (y.start + y.stop) / 2
    drawing.text(14, middle, y_label, "label", text_anchor="middle", transform=f"rotate(-90 14 {_number(middle)})")


def shortened(words: str, letters: int) -> str:
    """A text of at most so many letters, its end an ellipsis where more was left out."""
    shown = plain(words)
    return shown if len(shown) <= letters else shown[: max(1, letters - 1)] + "\u2026"


def in_lines(words: str, letters: int, lines: int) -> list[str]:
    """A text in lines of at most so many letters, broken between words where that can be; the last one shortened."""
    found = wrap(plain(words), letters) or [""]
    return found if len(found) <= lines else [*found[: lines - 1], shortened(" ".join(found[lines - 1 :]), letters)]


def _attributes(given: Mapping[str, float | str]) -> dict[str, str]:
    return {name.replace("_", "-"): _number(value) for name, value in given.items()}


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
