"""A match as a drawing: the frames of a query between those of two supports, and lines between clips that match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hcl.classify.pages.charts.drawing import LETTER, NATURAL, Drawing, in_lines
from hcl.classify.pages.matches import ClipPair
from hcl.classify.pages.pictures import Strip

WORDS = 124  # pixels at the left, for what a strip is
GAP = 4  # between frames
LEVEL = 11  # between the brackets of two clips
MIDDLE = 30  # between the brackets of two videos
LINES = 2  # that a class may take
LEAST = 66  # height of a row: four lines of words


@dataclass(frozen=True)
class Row:
    """A video in the drawing, and its clips that are joined to those of the video above."""

    role: str  # what it is
    label: str  # its class
    chance: str  # the probability of its class; "" of a query
    path: str  # shown where a mouse rests on the words
    strip: Strip
    joined: tuple[ClipPair, ...] = ()  # `query` are frames of the video above, `support` of this one

    @property
    def picture_height(self) -> float:
        """Pixels of its pictures."""
        return self.strip.size[1] if self.strip.pictures else 0

    @property
    def height(self) -> float:
        """Pixels of the row."""
        return max(LEAST, self.picture_height)


def match_figure(rows: Sequence[Row], label: str) -> Drawing:
    """Draw videos below each other, and lines between clips that were matched: a bracket joins the frames of a clip.

    Args:
        rows: from the top; a clip pair with a frame that is not shown is left out
        label: says what is shown, for those who do not see it
    """
    joined: list[tuple[ClipPair, ...]] = [(), *(_shown(*pair) for pair in zip(rows, rows[1:], strict=False))]
    tops, top = [], 0.0
    for number, (row, pairs) in enumerate(zip(rows, joined, strict=True)):
        top += (2 * (LEVEL * len(pairs) + 6) + MIDDLE if pairs else 12) * (number > 0)
        tops.append(top)
        top += row.height
    strips = [len(row.strip.pictures) * (row.strip.size[0] + GAP) for row in rows]
    problems = [LETTER * len(row.strip.problem) for row in rows]
    drawing = Drawing(WORDS + max(*strips, *problems), top, label, NATURAL)
    for row, at in zip(rows, tops, strict=True):
        _draw_row(drawing, row, at)
    for number in range(1, len(rows)):
        above, top = rows[number - 1], tops[number - 1]
        edges = top + above.picture_height, top + above.height, tops[number]
        _draw_pairs(drawing, (above.strip, rows[number].strip), joined[number], edges)
    return drawing


def _shown(above: Row, below: Row) -> tuple[ClipPair, ...]:
    """The clip pairs all of whose frames are shown."""
    frames = set(above.strip.frames), set(below.strip.frames)
    return tuple(pair for pair in below.joined if set(pair.query) <= frames[0] and set(pair.support) <= frames[1])


def _draw_row(drawing: Drawing, row: Row, top: float) -> None:
    strip = row.strip
    lines = [row.role, *in_lines(row.label, int(WORDS / LETTER), LINES), row.chance]
    for number, line in enumerate(filter(None, lines)):
        drawing.text(0, top + 13 + 16 * number, line, "" if number else "label", f"{row.label} ({row.path})")
    if not strip.pictures:
        drawing.text(WORDS, top + 13, strip.problem, "tick")
        return
    width, height = strip.size
    for place, (number, picture) in enumerate(zip(strip.frames, strip.pictures, strict=True)):
        left, words = WORDS + place * (width + GAP), str(number + 1)
        box = {"x": left, "y": top, "width": width, "height": height}
        drawing.add("image", "", f"frame {words}", href=picture, **box)
        drawing.add("rect", "badge", x=left, y=top, width=LETTER * len(words) + 6, height=15)
        drawing.text(left + 3, top + 12, words, "badge")


def _draw_pairs(
    drawing: Drawing, strips: tuple[Strip, Strip], pairs: Sequence[ClipPair], edges: tuple[float, float, float]
) -> None:
    """Join clips of the video above to those of the one below.

    Args:
        drawing: to draw into
        strips: of the two videos
        pairs: of their clips
        edges: the ends of the pictures above, of the row above, and where the row below begins
    """
    for number, pair in enumerate(pairs):
        css, reach = f"line c{number} dash{number}", LEVEL * (number + 1)
        upper, lower = edges[1] + reach, edges[2] - reach
        start = _draw_bracket(drawing, strips[0], pair.query, (edges[0] + 2, upper), number)
        end = _draw_bracket(drawing, strips[1], pair.support, (edges[2] - 2, lower), number)
        title = f"frames {frames_name(pair.query)} and {frames_name(pair.support)}: cosine {pair.cosine:.2f}"
        drawing.add("line", css, title, x1=start, y1=upper, x2=end, y2=lower)


def _draw_bracket(
    drawing: Drawing, strip: Strip, clip: tuple[int, ...], ends: tuple[float, float], number: int
) -> float:
    """Join the frames of a clip, from the edge of the pictures to a level; return the middle of the bracket."""
    shift = WORDS + strip.size[0] / 2 + 6.0 * (number - 1)  # brackets of the same frames stand side by side
    places = [(strip.size[0] + GAP) * strip.frames.index(frame) + shift for frame in clip]
    css = f"line c{number} dash{number}"
    for place in places:
        drawing.line((place, ends[0]), (place, ends[1]), css)
    if len(places) > 1:
        drawing.line((min(places), ends[1]), (max(places), ends[1]), css)
    return (min(places) + max(places)) / 2


def frames_name(clip: tuple[int, ...]) -> str:
    """The frames of a clip, counted from 1, such as "2+5"."""
    return "+".join(str(frame + 1) for frame in clip)
