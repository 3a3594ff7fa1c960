"""A drawing as a list of shapes in pixels, from which a page and a picture are made alike."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f3fbf", "#8c564b")  # told apart by all
LETTER = 0.56  # of the size of a text, the mean width of a letter


@dataclass(frozen=True)
class Picture:
    """A frame of a video."""

    x: float
    y: float
    width: float
    height: float
    name: str  # of the frame among the scene's


@dataclass(frozen=True)
class Outline:
    """A rectangle, its border alone or filled."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    opacity: float = 0.0  # of the filling
    border: float = 2.0
    title: str = ""


@dataclass(frozen=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float = 1.5
    title: str = ""


@dataclass(frozen=True)
class Text:
    """One line of text; it is shortened to fit, and whole in its title."""

    x: float
    y: float  # of the base line
    text: str
    size: float = 13.0
    is_bold: bool = False
    anchor: str = "start"  # or middle, end
    colour: str = ""  # "": that of the page
    is_boxed: bool = False  # on a plate of its own, over a picture
    title: str = ""


Shape = Picture | Outline | Line | Text


@dataclass
class Scene:
    """Shapes in the order in which they are drawn."""

    width: float
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Draw over what is there."""
        self.shapes += shapes


def text_width(text: str, size: float) -> float:
    """About how wide a text is: wide letters of East Asia count twice, joined marks nothing."""
    widths = (
        0.0 if unicodedata.combining(letter) else 2.0 if unicodedata.east_asian_width(letter) in "WF" else 1.0
        for letter in text
    )
    return sum(widths) * LETTER * size


def shortened(text: str, width: float, size: float) -> str:
    """A text that fits into a width: its middle gives way, since paths differ at their ends."""
    if text_width(text, size) <= width:
        return text
    kept = len(text) - 1
    while kept > 2 and text_width(_without_middle(text, kept), size) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    head = kept // 3
    return f"{text[:head]}…{text[len(text) - (kept - head) :]}"


def fitted(width: float, height: float, *, most_width: float, most_height: float) -> tuple[float, float]:
    """The largest size of a picture within bounds, its aspect ratio kept."""
    scale = min(most_width / width, most_height / height)
    return width * scale, height * scale


def patch_box(place: int, grid: int, box: Picture) -> tuple[float, float, float, float]:
    """Where a patch lies in a frame: x, y, width, height.

    The network sees each frame squeezed into a square, so that a patch is the same share of its width and height.

    Args:
        place: of the patch, row by row
        grid: patches along each side
        box: the frame as it is drawn
    """
    row, column = divmod(place, grid)
    width, height = box.width / grid, box.height / grid
    return box.x + column * width, box.y + row * height, width, height
