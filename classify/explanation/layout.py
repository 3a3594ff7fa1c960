"""Where all of an explanation lies: scores, the most similar support of each level, clips, patches, attention."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from hcl.classify.explanation.config import ExplainConfig
from hcl.classify.explanation.pairs import ClipPair, PairMatch, PatchPair
from hcl.classify.explanation.scene import (
    COLOURS,
    Line,
    Outline,
    Picture,
    Scene,
    Text,
    fitted,
    patch_box,
    shortened,
)

WIDTH, MARGIN, GAP = 1200.0, 24.0, 6.0
SMALL, LARGE = 13.0, 17.0  # text
ROW_HEIGHT, THUMB_HEIGHT, CLIP_HEIGHT = 190.0, 110.0, 330.0  # the most of a frame
LINES = 130.0  # pixels between query and support, which lines cross
BRACKET = 5.0  # pixels from one clip's bracket to the next
ABOVE, BELOW = "#ff3b30", "#1f5fbf"  # of patches that weigh more, or less, than the mean
FRAME_NUMBER = "#57606a"
VEIL = 0.75  # opacity over the heaviest patch
FAINTEST = 0.25  # difference from the mean up to which a veil is never full: nearly equal weights look so


@dataclass(frozen=True)
class Frames:
    """The frames of one video as they can be drawn."""

    title: str  # what the video is called
    label: str  # its class; "" of a query
    names: tuple[str, ...]  # of its T frames among the pictures
    width: float  # of each, in pixels of the file
    height: float


@dataclass(frozen=True)
class Nearest:
    """The most similar support of one level (Fig. 4)."""

    level: str
    score: float
    frames: Frames


@dataclass(frozen=True)
class Explanation:
    """All that is told of a query and a support."""

    query: Frames
    support: Frames
    levels: tuple[tuple[str, float], ...]  # names and scores of the pair
    match: PairMatch
    notes: tuple[str, ...] = ()  # what cannot be shown, and why
    nearest: tuple[Nearest, ...] = ()  # of a whole support set
    grid: int = 7  # patches along each side of a frame


def lay_out(explained: Explanation, config: ExplainConfig) -> Scene:
    """Draw an explanation from top to bottom."""
    scene = Scene(WIDTH)
    y = _head(scene, explained, MARGIN)
    if explained.nearest:
        y = _nearest(scene, explained.nearest, y)
    y = _clips(scene, explained, config, y)
    for number, clip in enumerate(explained.match.clips[: config.patch_clips], start=1):
        y = _patches(scene, explained, clip, (number, config.patch_pairs), y)
    if explained.match.attention is not None:
        y = _attention(scene, explained, y)
    scene.height = y + MARGIN
    return scene


def _head(scene: Scene, explained: Explanation, y: float) -> float:
    for name, frames in (("Query", explained.query), ("Support", explained.support)):
        of_class = f" of class {frames.label}" if frames.label else ""
        y = _line(scene, f"{name}: {frames.title}{of_class}", y, size=LARGE, is_bold=True)
    scores = [f"{name} {score:.3f}" for name, score in explained.levels]
    for start in range(0, len(scores), 5):
        y = _line(scene, "   ".join(scores[start : start + 5]), y)
    for note in explained.notes:
        y = _line(scene, note, y)
    return y + GAP


def _line(scene: Scene, text: str, y: float, *, size: float = SMALL, is_bold: bool = False) -> float:
    y += size * 1.5
    shown = shortened(text, scene.width - 2 * MARGIN, size * (1.08 if is_bold else 1.0))
    scene.add(Text(MARGIN, y - 0.3 * size, shown, size, is_bold, title=text if shown != text else ""))
    return y


def _nearest(scene: Scene, nearest: tuple[Nearest, ...], y: float) -> float:
    """A row of frames for each level: the support that it takes for the most similar."""
    y = _line(scene, "The most similar support by level", y + GAP, size=LARGE, is_bold=True) + GAP
    for each in nearest:
        y = _line(scene, f"{each.level}: {each.frames.label}, {each.frames.title}, {each.score:.3f}", y)
        y = _row(scene, each.frames, y + GAP / 2, most_height=THUMB_HEIGHT)[0].height + y + GAP
    return y + GAP


def _row(
    scene: Scene, frames: Frames, y: float, *, most_height: float, left: float = MARGIN, right: float = WIDTH - MARGIN
) -> list[Picture]:
    """The frames of a video side by side, in the middle of a span."""
    count = len(frames.names)
    most = (right - left - GAP * (count - 1)) / count
    width, height = fitted(frames.width, frames.height, most_width=most, most_height=most_height)
    start = (left + right - count * width - GAP * (count - 1)) / 2
    boxes = [Picture(start + place * (width + GAP), y, width, height, name) for place, name in enumerate(frames.names)]
    scene.add(*boxes)
    return boxes


def _clips(scene: Scene, explained: Explanation, config: ExplainConfig, y: float) -> float:
    """The frames of both videos, and the best clip pairs as brackets that lines join."""
    pairs = explained.match.clips[: config.clip_pairs]
    title = f"The {len(pairs)} most similar of {len(explained.match.clips)} matched clip pairs"
    y = _line(scene, title, y + GAP, size=LARGE, is_bold=True) + GAP
    above = _numbered(scene, _row(scene, explained.query, y, most_height=ROW_HEIGHT))
    low = y + above[0].height
    high = low + LINES + 2 * BRACKET * len(pairs)
    below = _numbered(scene, _row(scene, explained.support, high, most_height=ROW_HEIGHT))
    for number, pair in enumerate(pairs, start=1):
        colour, step = COLOURS[(number - 1) % len(COLOURS)], BRACKET * number
        told = (
            f"clip pair {number}: frames {_counted(pair.query)} and {_counted(pair.support)}, cosine {pair.cosine:.3f}"
        )
        start = _bracket(scene, [above[frame] for frame in pair.query], low, low + step, colour=colour)
        end = _bracket(scene, [below[frame] for frame in pair.support], high, high - step, colour=colour)
        scene.add(Line(start, low + step, end, high - step, colour, 2.0, told))
        share = number / (len(pairs) + 1)  # numbers at different heights, so that they do not hide each other
        x, at = start + share * (end - start), low + step + share * (high - low - 2 * step)
        scene.add(Text(x, at + 4, f"{number}", SMALL, True, "middle", colour, is_boxed=True, title=told))
    y = high + below[0].height + GAP
    for number, pair in enumerate(pairs, start=1):
        frames = f"query frames {_counted(pair.query)}, support frames {_counted(pair.support)}"
        y = _line(scene, f"{number}: cosine {pair.cosine:.3f}, {frames}", y)
    return y + GAP


def _numbered(scene: Scene, boxes: list[Picture]) -> list[Picture]:
    """Write the number of each frame into its corner."""
    for number, box in enumerate(boxes, start=1):
        x, y = box.x + 0.65 * SMALL, box.y + 1.05 * SMALL
        scene.add(Text(x, y, str(number), SMALL, False, "middle", FRAME_NUMBER, is_boxed=True))
    return boxes


def _counted(frames: tuple[int, ...]) -> str:
    return " and ".join(str(frame + 1) for frame in frames)


def _bracket(scene: Scene, boxes: list[Picture], edge: float, y: float, *, colour: str) -> float:
    """Join the frames of a clip below or above them; the middle of the bracket."""
    middles = [box.x + box.width / 2 for box in boxes]
    scene.add(*(Line(x, edge, x, y, colour) for x in middles), Line(middles[0], y, middles[-1], y, colour))
    return (middles[0] + middles[-1]) / 2


def _patches(scene: Scene, explained: Explanation, clip: ClipPair, shown: tuple[int, int], y: float) -> float:
    """The frames of a clip pair, and its best patch pairs outlined and joined."""
    number, most = shown
    pairs = clip.patches[:most]
    title = f"Clip pair {number}: the {len(pairs)} most similar of {clip.counted} patch pairs that count"
    y = _line(scene, title, y + GAP, size=LARGE, is_bold=True) + GAP
    half = (WIDTH - 2 * MARGIN - LINES) / 2
    spans = (MARGIN, MARGIN + half), (WIDTH - MARGIN - half, WIDTH - MARGIN)
    rows: list[dict[int, Picture]] = []
    for frames, chosen, (left, right) in zip(
        (explained.query, explained.support), (clip.query, clip.support), spans, strict=True
    ):
        part = Frames(frames.title, "", tuple(frames.names[frame] for frame in chosen), frames.width, frames.height)
        boxes = _row(scene, part, y, most_height=CLIP_HEIGHT, left=left, right=right)
        rows.append(dict(zip(chosen, boxes, strict=True)))
    for place, pair in reversed(list(enumerate(pairs))):  # the best one last, on top
        _patch_pair(scene, pair, rows, explained.grid, place=place)
    y += max(box.height for row in rows for box in row.values()) + GAP
    for start in range(0, len(pairs), 4):
        told = (f"{place + 1}: {_told(pair)}" for place, pair in enumerate(pairs[start : start + 4], start=start))
        y = _line(scene, ";   ".join(told), y)
    return y + GAP


def _told(pair: PatchPair) -> str:
    return f"cosine {pair.cosine:.3f}, weight {pair.weight:.2f}"


def _patch_pair(scene: Scene, pair: PatchPair, rows: list[dict[int, Picture]], grid: int, *, place: int) -> None:
    colour = COLOURS[place % len(COLOURS)]
    boxes = [
        patch_box(patch.place, grid, row[patch.frame])
        for patch, row in zip((pair.query, pair.support), rows, strict=True)
    ]
    told = f"patch pair {place + 1}: {_told(pair)}"
    middles = [(x + width / 2, y + height / 2) for x, y, width, height in boxes]
    scene.add(Line(*middles[0], *middles[1], colour, 1.5, told))
    for (x, y, width, height), (mid_x, mid_y) in zip(boxes, middles, strict=True):
        scene.add(Outline(x, y, width, height, colour, border=2.5, title=told))
        scene.add(Text(mid_x, mid_y + 4, str(place + 1), SMALL, True, "middle", colour, is_boxed=True, title=told))


def _attention(scene: Scene, explained: Explanation, y: float) -> float:
    """The weight of each patch of the query as a veil: red above the mean, blue below it."""
    attention = explained.match.attention or ()
    weights = [weight for row in attention for weight in row]
    strength = VEIL / max(FAINTEST, max(abs(weight - 1) for weight in weights))
    title = f"Semantic attention of {explained.support.label} in the query"
    y = _line(scene, title, y + GAP, size=LARGE, is_bold=True)
    y = _line(scene, f"weights {min(weights):.2f} to {max(weights):.2f}, 1 on average; red above, blue below", y) + GAP
    boxes = _row(scene, explained.query, y, most_height=ROW_HEIGHT)
    for box, row in zip(boxes, attention, strict=True):
        for place, weight in enumerate(row):
            colour, opacity = ABOVE if weight > 1 else BELOW, strength * abs(weight - 1)
            scene.add(Outline(*patch_box(place, explained.grid, box), colour, opacity, 0.0, f"weight {weight:.3f}"))
    return y + boxes[0].height + GAP


def grid_of(patches: int) -> int:
    """Patches along each side of a frame, which the network sees as a square."""
    side = isqrt(patches)
    if side * side != patches:
        raise ValueError(f"{patches} patches are no square")
    return side
