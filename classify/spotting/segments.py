"""Scored windows to segments: the likeliest class of each, "none" in between, and of those that overlap the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.classify.spotting.suppression import suppress

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredWindows:
    """What speaks for each of N classes in each of W windows: a few numbers a window, however long the video is."""

    intervals: Floats  # (W, 2) starts and ends, in seconds
    scores: Floats  # (W, N) the weighted sum of all levels
    shares: Floats  # (W, N) probabilities

    def __post_init__(self) -> None:
        if self.intervals.shape != (len(self.scores), 2) or self.scores.shape != self.shares.shape:
            raise ValueError(f"{self.intervals.shape = }, {self.scores.shape = }, {self.shares.shape = }")


@dataclass(frozen=True)
class Segment:
    """A part of a video that shows a class."""

    label: str
    start: float  # seconds
    end: float
    score: float  # the weighted sum of all levels
    probability: float  # of the class, given that it is one of them


@dataclass(frozen=True)
class Spotted:
    """What is found in one video, or why it cannot be searched."""

    video: str
    segments: tuple[Segment, ...] = ()  # in the order of their starts
    seconds: float = 0.0
    rate: float = 0.0  # frames a second, on average
    reason: str = ""  # why it could not be read


def exceeds_margin(shares: Floats, margin: float) -> NDArray[np.bool_]:
    """Whether the likeliest class (W, N) exceeds the next one by a margin: (W,); one class alone exceeds nothing."""
    if shares.shape[1] < 2:
        return np.ones(len(shares), dtype=bool)
    first_two = -np.partition(-shares, 1, axis=1)[:, :2]
    return np.asarray(first_two[:, 0] - first_two[:, 1] >= margin)


def find_segments(
    windows: ScoredWindows,
    accepted: NDArray[np.bool_],
    names: tuple[str, ...],
    *,
    overlap: float,
    class_overlap: float,
) -> tuple[Segment, ...]:
    """Take the accepted windows as segments of their likeliest class, and of those that overlap the best.

    Args:
        windows: of one video
        accepted: (W,), False where a window is of no class
        names: of the N classes
        overlap: temporal IoU above which the worse of two segments of one class is dropped
        class_overlap: the same of two classes

    Returns:
        in the order of their starts
    """
    rows = np.flatnonzero(accepted)
    classes = windows.scores[rows].argmax(axis=1)
    scores = windows.scores[rows, classes]
    kept = suppress(windows.intervals[rows], classes, scores, within=overlap, between=class_overlap)
    chosen = [
        Segment(
            names[classes[each]],
            float(windows.intervals[rows[each], 0]),
            float(windows.intervals[rows[each], 1]),
            float(scores[each]),
            float(windows.shares[rows[each], classes[each]]),
        )
        for each in kept
    ]
    return tuple(sorted(chosen, key=lambda segment: (segment.start, segment.end)))
