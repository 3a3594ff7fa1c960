"""Mean average precision of detected segments, as the field measures temporal localisation.

F. Caba Heilbron, V. Escorcia, B. Ghanem, J. C. Niebles, ActivityNet: A Large-Scale Video Benchmark for Human Activity
Understanding, CVPR 2015: a detection is right where its temporal IoU with a true segment of its class in the same video
reaches the threshold and no better detection has taken that segment; average precision is the area under the
interpolated precision-recall curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.classify.spotting.suppression import temporal_iou

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledInterval:
    """A segment of a video, true or detected."""

    video: str
    label: str
    start: float  # seconds
    end: float
    score: float = 1.0


def mean_average_precision(
    detected: Sequence[LabelledInterval], true: Sequence[LabelledInterval], *, iou: float
) -> float:
    """Average the average precision over the classes that have true segments.

    Args:
        detected: in any order
        true: their scores are not read
        iou: temporal IoU from which a detection is right

    Raises:
        ValueError: if there are no true segments
    """
    labels = sorted({each.label for each in true})
    if not labels:
        raise ValueError("no true segments")
    return float(np.mean([average_precision(_of(detected, name), _of(true, name), iou=iou) for name in labels]))


def average_precision(detected: Sequence[LabelledInterval], true: Sequence[LabelledInterval], *, iou: float) -> float:
    """The area under the interpolated precision-recall curve of one class.

    Args:
        detected: of one class, in any order
        true: of that class, one or more
        iou: temporal IoU from which a detection is right
    """
    order = sorted(detected, key=lambda each: -each.score)
    right = np.array(match_detections(order, true, iou=iou), dtype=np.float64)
    if not right.any():
        return 0.0
    found = np.cumsum(right)
    precision, recall = found / np.arange(1, len(right) + 1), found / len(true)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def match_detections(
    detected: Sequence[LabelledInterval], true: Sequence[LabelledInterval], *, iou: float
) -> list[bool]:
    """Say which detections are right, the best first: each takes the free true segment that it overlaps with most."""
    free = set(range(len(true)))
    right = []
    for each in detected:
        own = [row for row in sorted(free) if true[row].video == each.video]
        overlaps = temporal_iou(_interval([each]), _interval([true[row] for row in own]))[0] if own else np.zeros(0)
        best = int(overlaps.argmax()) if len(overlaps) else -1
        hit = best >= 0 and overlaps[best] >= iou
        right.append(bool(hit))
        if hit:
            free.discard(own[best])
    return right


def _interval(segments: Sequence[LabelledInterval]) -> Floats:
    return np.array([(each.start, each.end) for each in segments], dtype=np.float64)


def _of(segments: Sequence[LabelledInterval], label: str) -> list[LabelledInterval]:
    return [each for each in segments if each.label == label]
