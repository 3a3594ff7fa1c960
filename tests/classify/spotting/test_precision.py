"""Mean average precision equals a loop written from its definition, and known cases."""

import numpy as np
import pytest

from hcl.classify.spotting.precision import (
    LabelledInterval,
    average_precision,
    match_detections,
    mean_average_precision,
)


def drawn(count: int, seed: int) -> list[LabelledInterval]:
    rng = np.random.default_rng(seed)
    return [
        LabelledInterval(f"v{rng.integers(2)}", "ab"[rng.integers(2)], s, s + rng.uniform(1, 3), float(rng.random()))
        for s in rng.uniform(0, 8, count).tolist()
    ]


def overlap(one: LabelledInterval, other: LabelledInterval) -> float:
    shared = max(0.0, min(one.end, other.end) - max(one.start, other.start))
    return shared / (one.end - one.start + other.end - other.start - shared)


def by_loops(detected: list[LabelledInterval], true: list[LabelledInterval], iou: float) -> float:
    precisions = []
    for label in sorted({each.label for each in true}):
        own, taken, points, hits = [each for each in true if each.label == label], set(), [], 0
        ranked = sorted((each for each in detected if each.label == label), key=lambda each: -each.score)
        for rank, each in enumerate(ranked, start=1):
            free = [(overlap(each, one), -k) for k, one in enumerate(own) if k not in taken and one.video == each.video]
            best, place = max(free, default=(0.0, 0))
            if best >= iou:
                taken.add(-place)
                hits += 1
            points.append((hits / len(own), hits / rank))
        total = 0.0
        for level in range(1, len(own) + 1):  # recall grows by 1 / n with each hit
            total += max((p for r, p in points if r >= level / len(own) - 1e-12), default=0.0) / len(own)
        precisions.append(total)
    return sum(precisions) / len(precisions)


@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5])
@pytest.mark.parametrize(("found", "there"), [(1, 1), (30, 8), (5, 12), (60, 20)])
def test_mean_average_precision_equals_loops(found: int, there: int, iou: float) -> None:
    detected, true = drawn(found, found), drawn(there, 100 + there)
    assert mean_average_precision(detected, true, iou=iou) == pytest.approx(by_loops(detected, true, iou))


def test_known_cases() -> None:
    true = [LabelledInterval("v", "a", 0, 2), LabelledInterval("v", "a", 4, 6)]
    assert mean_average_precision(true, true, iou=1.0) == 1
    assert mean_average_precision([], true, iou=0.5) == 0
    elsewhere = [LabelledInterval("w", "a", 0, 2), LabelledInterval("v", "b", 4, 6)]
    assert mean_average_precision(elsewhere, true, iou=0.5) == 0
    wrong_first = [LabelledInterval("v", "a", 8, 9, 3.0), LabelledInterval("v", "a", 0, 2, 2.0), true[1]]
    assert average_precision(wrong_first, true, iou=0.5) == pytest.approx(2 / 3)
    twice = [LabelledInterval("v", "a", 0, 2, 2.0), LabelledInterval("v", "a", 0, 2, 1.0)]
    assert match_detections(twice, true, iou=0.5) == [True, False]
    with pytest.raises(ValueError, match="no true segments"):
        mean_average_precision(true, [], iou=0.5)
