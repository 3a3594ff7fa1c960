"""How much segments overlap in time, and which of those that overlap are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def temporal_iou(one: Floats, other: Floats) -> Floats:
    """The intersection over union of intervals: what both share of the time that either takes.

    Args:
        one: (n, 2) starts and ends, in seconds
        other: (m, 2)

    Returns:
        (n, m), in [0, 1]; 0 where both are empty
    """
    starts = np.maximum(one[:, None, 0], other[None, :, 0])
    ends = np.minimum(one[:, None, 1], other[None, :, 1])
    shared = np.maximum(ends - starts, 0.0)
    union = (one[:, 1] - one[:, 0])[:, None] + (other[:, 1] - other[:, 0])[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def suppress(
    intervals: Floats, classes: NDArray[np.int64], scores: Floats, *, within: float, between: float
) -> NDArray[np.int64]:
    """Keep the best of the segments that overlap: greedy non-maximum suppression.

    The best segment is kept, all that overlap with it too much are dropped, and so on with the best of the rest; of
    equal scores the first.

    Args:
        intervals: (n, 2) starts and ends, in seconds
        classes: (n,)
        scores: (n,)
        within: temporal IoU above which a segment is dropped beside a better one of its class
        between: the same beside a better one of another class

    Returns:
        rows of those that are kept, the best first
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        overlap = temporal_iou(intervals[best][None], intervals[left])[0]
        left = left[overlap <= np.where(classes[left] == classes[best], within, between)]
    return np.array(kept, dtype=np.int64)
