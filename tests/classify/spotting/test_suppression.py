"""Temporal IoU and suppression equal loops written from their definitions."""

import numpy as np
import pytest

from hcl.classify.spotting.suppression import suppress, temporal_iou


def drawn(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 10, count)
    return np.stack((starts, starts + rng.uniform(0, 4, count)), axis=1)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    union = (one[1] - one[0]) + (other[1] - other[0]) - shared
    return shared / union if union > 0 else 0.0


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 7), (0, 3), (3, 0)])
def test_temporal_iou_equals_loops(n: int, m: int) -> None:
    one, other = drawn(n, 0), drawn(m, 1)
    expected = np.array([[iou(a, b) for b in other] for a in one]).reshape(n, m)
    np.testing.assert_allclose(temporal_iou(one, other), expected)


def test_temporal_iou_of_known_intervals() -> None:
    same, half, apart, empty = [[0.0, 2.0]], [[1.0, 2.0]], [[2.0, 3.0]], [[1.0, 1.0]]
    values = [temporal_iou(np.array(same), np.array(other)).item() for other in (same, half, apart, empty)]
    assert values == [1.0, 0.5, 0.0, 0.0]
    assert temporal_iou(np.array(empty), np.array(empty)).item() == 0


@pytest.mark.parametrize("count", [0, 1, 12, 40])
@pytest.mark.parametrize(("within", "between"), [(0.3, 0.3), (0.0, 1.0), (0.5, 0.1), (1.0, 0.0)])
def test_suppression_equals_loops(count: int, within: float, between: float) -> None:
    rng = np.random.default_rng(count)
    intervals, classes, scores = drawn(count, count), rng.integers(0, 3, count), rng.integers(0, 9, count).astype(float)
    left, kept = list(range(count)), []
    while left:
        best = max(left, key=lambda row: (scores[row], -row))
        kept.append(best)
        left = [
            row
            for row in left
            if row != best
            and iou(intervals[row], intervals[best]) <= (within if classes[row] == classes[best] else between)
        ]
    found = suppress(intervals, classes, scores, within=within, between=between)
    assert found.tolist() == kept


def test_what_is_kept_is_kept_again() -> None:
    intervals, classes = drawn(30, 3), np.arange(30) % 2
    scores = np.random.default_rng(0).random(30)
    kept = suppress(intervals, classes, scores, within=0.3, between=0.3)
    again = suppress(intervals[kept], classes[kept], scores[kept], within=0.3, between=0.3)
    assert again.tolist() == list(range(len(kept))) and 0 < len(kept) < 30
