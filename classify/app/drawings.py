"""What the page draws: a clip between the examples that it was matched with, and the segments of a long video."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hcl.classify.answers.answer import Answer, ClassAnswer
from hcl.classify.answers.answering import Answerer
from hcl.classify.app.clips import Seen
from hcl.classify.embedding.videos import EmbeddedVideo
from hcl.classify.pages.charts.drawing import Drawing
from hcl.classify.pages.charts.match_figure import Row, match_figure
from hcl.classify.pages.matches import CLIP_PAIRS, ClipPair, clip_pairs
from hcl.classify.spotting.segments import Spotted

WIDTH, LEFT, HIGH, TICKS = 640.0, 110.0, 26.0, 6  # of a timeline, in pixels; its names, its rows; steps
COLOURS = 8  # of the style sheet
NAME = 15  # letters of a class beside a timeline


def match_drawing(
    answerer: Answerer, query: EmbeddedVideo, answer: Answer, seen: Callable[[str], Seen]
) -> Drawing | None:
    """Draw a clip between the nearest example of the first class and that of the second.

    Args:
        answerer: that gave the answer
        query: the clip
        answer: to it
        seen: gives the frames of a clip by its content
    """
    if not answer.ranked:
        return None
    first, *others = (_nearest(answerer, query, each, seen) for each in answer.ranked[:2])
    of_query = Row(
        "the clip", query.name, "", query.name, seen(query.content).strip(query.content), _turned(first.joined)
    )
    above = Row(first.role, first.label, first.chance, first.path, first.strip)
    best = answer.ranked[0].label
    return match_figure([above, of_query, *others], f"The clip and the examples that are nearest, first of {best}")


def _nearest(answerer: Answerer, query: EmbeddedVideo, named: ClassAnswer, seen: Callable[[str], Seen]) -> Row:
    """The example of a class that decided, and the clips that it shares with the query."""
    support = answerer.support
    path = named.supports[0][0]
    videos = zip(support.videos.path, support.videos.label, strict=True)
    row = next(row for row, video in enumerate(videos) if video == (path, named.label))
    content = support.videos.content[row]
    of_query = support.compared(query.batch).embeddings()
    of_support = support.compared(support.take([row]).batch).embeddings()
    pairs = clip_pairs(of_query, of_support, CLIP_PAIRS)
    return Row("nearest of", named.label, f"{100 * named.probability:.1f} %", path, seen(content).strip(content), pairs)


def _turned(pairs: Sequence[ClipPair]) -> tuple[ClipPair, ...]:
    """The same pairs where the example stands above the clip."""
    return tuple(ClipPair(pair.support, pair.query, pair.cosine) for pair in pairs)


def timeline(found: Spotted, names: Sequence[str]) -> Drawing | None:
    """Draw the segments of a long video, a row for each class that is in it; None where there are none."""
    shown = [name for name in names if any(segment.label == name for segment in found.segments)]
    if not shown or found.seconds <= 0:
        return None
    label = f"{len(found.segments)} segments of {len(shown)} classes in {found.seconds:.1f} seconds"
    drawing = Drawing(WIDTH, HIGH * (len(shown) + 1), label)
    scale = (WIDTH - LEFT - 20) / found.seconds
    bottom = HIGH * len(shown)
    for step in range(TICKS + 1):
        x = LEFT + scale * found.seconds * step / TICKS
        drawing.line((x, 0), (x, bottom + 4), "grid")
        drawing.text(x, bottom + 18, f"{found.seconds * step / TICKS:.1f} s", "tick", text_anchor="middle")
    for place, name in enumerate(shown):
        short = name if len(name) <= NAME else f"{name[: NAME - 1]}…"
        drawing.text(LEFT - 8, HIGH * place + 17, short, "", name, text_anchor="end")
    for segment in found.segments:
        top, colour = HIGH * shown.index(segment.label) + 3, f"c{names.index(segment.label) % COLOURS}"
        title = f"{segment.label}, {segment.start:.2f} to {segment.end:.2f} s, {100 * segment.probability:.0f} %"
        box = {"x": LEFT + scale * segment.start, "width": max(2.0, scale * (segment.end - segment.start))}
        drawing.add("rect", f"segment {colour}", title, y=top, height=HIGH - 6, **box)
    return drawing
