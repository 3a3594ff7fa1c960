"""What is made of the numbers: planted faults are found, and nothing is where there is none."""

import math

import numpy as np
import pytest

from hcl.classify.selftest.findings import (
    SAME_COURSE,
    SAME_MAPS,
    ClassFound,
    alike,
    class_table,
    confusions,
    film_more,
    mislabelled,
)
from hcl.classify.selftest.leaving_out import LeftOut, allowed_supports, leave_out

NAMES = ("a", "b", "c")


def clips(seed: int = 0, per_class: int = 5, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around one centre a class, and their classes."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), per_class)
    return np.eye(3, 8)[classes] + spread * rng.normal(size=(len(classes), 8)), classes


def scored(vectors: np.ndarray, classes: np.ndarray) -> LeftOut:
    total = vectors @ vectors.T
    return leave_out(
        lambda query, rows: total[query, rows].mean(keepdims=True),
        classes,
        allowed_supports(classes, ("",) * len(classes)),
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_planted_mislabelled_clip_is_found_and_no_other(seed: int) -> None:
    vectors, classes = clips(seed, spread=0.1)
    wrong = classes.copy()
    wrong[0] = 2  # a clip of a, in the folder of c
    paths = [f"{number}.mp4" for number in range(len(classes))]
    assert [(each.path, each.label, each.looks_like) for each in mislabelled(scored(vectors, wrong), paths, NAMES)] == [
        ("0.mp4", "c", "a")
    ]
    assert mislabelled(scored(vectors, classes), paths, NAMES) == []


def test_a_class_that_is_hard_throughout_has_no_mislabelled_clips() -> None:
    vectors, classes = clips(per_class=6)
    vectors[classes == 1] = vectors[classes == 0] * 0.5 + 0.4 * np.random.default_rng(0).normal(size=(6, 8))
    found = mislabelled(scored(vectors, classes), [str(number) for number in range(18)], NAMES)
    assert found == []


def test_confusions_count_both_directions_and_the_worst_stands_first() -> None:
    scores = np.eye(3)[[0, 1, 1, 0, 1, 2, 0]]
    left_out = LeftOut(np.arange(7), scores, np.array([0, 0, 0, 1, 1, 2, 2]))
    found = confusions(left_out, NAMES)
    assert [(pair.one, pair.other, pair.forth, pair.back) for pair in found] == [("a", "b", 2, 1), ("a", "c", 0, 1)]
    table = class_table(left_out, NAMES, left_out.classes, ("x", "y", "", "x", "x", "", ""))
    assert [(each.clips, each.asked, each.right, each.taken_for, each.groups) for each in table] == [
        (3, 3, 1, 2, 2),
        (2, 2, 1, 2, 1),
        (2, 2, 1, 0, 0),
    ]
    assert table[0].recall == pytest.approx(100 / 3)


def test_alike_are_nearly_equal_mean_maps() -> None:
    vectors = np.abs(np.random.default_rng(0).normal(size=(4, 64))).astype(np.float32)
    vectors[3] = 2 * vectors[1] + 0.001
    (pair,) = alike(vectors, SAME_MAPS, ["p", "q", "r", "s"], ["a", "b", "a", "c"])
    assert (pair.one, pair.other, pair.labels) == ("q", "s", ("b", "c")) and pair.cosine > 0.999
    assert alike(np.zeros((2, 3), np.float32), SAME_COURSE, ["p", "q"], ["a", "a"]) == []  # nothing is said of no maps


def found(name: str, clips: int, right: int, taken_for: int = 0) -> ClassFound:
    return ClassFound(name, clips, clips if clips > 1 else 0, right, taken_for, 0)


@pytest.mark.parametrize(
    ("classes", "curve", "said"),
    [
        ([found("a", 5, 5), found("b", 5, 2, 1)], [40.0, 50, 60, 70], "film more of b: 2 of 5"),
        ([found("a", 5, 5), found("b", 5, 2, 1)], [40.0, 50, 60, 70], "so more will help"),
        ([found("a", 5, 5), found("b", 5, 2)], [69.0, 70, 70, 70], "other people or places"),
        ([found("a", 5, 5), found("b", 4, 4)], [90.0, 100], "every clip is recognised; to be surer, film more of b"),
        ([found("a", 5, 5), found("b", 1, 0)], [90.0, 100], "film more of b: of one clip nobody can tell"),
        ([found("a", 2, 0), found("b", 2, 0, 2)], [0.0], "film more of b"),
    ],
)
def test_the_advice_names_the_class_that_is_recognised_least(
    classes: list[ClassFound], curve: list[float], said: str
) -> None:
    assert said in film_more(classes, np.array(curve))


def test_no_recall_where_nothing_was_asked() -> None:
    assert math.isnan(found("a", 1, 0).recall)
