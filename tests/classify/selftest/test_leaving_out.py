"""Leaving clips out against naive loops, and the laws of how accuracy grows."""

import numpy as np
import pytest

from hcl.classify.selftest.leaving_out import Pool, allowed_supports, growth, leave_out

CLASSES = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
GROUPS = ("a", "a", "b", "a", "b", "b", "", "a", "a")


def drawn(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(CLASSES), len(CLASSES)))


def pool_of(total: np.ndarray, aggregate: str = "mean") -> Pool:
    """By the mean or the largest score of the first 1, 2, ... supports."""
    pool = {"mean": np.mean, "max": np.max}[aggregate]
    return lambda query, rows: np.array([pool(total[query, rows[:count]]) for count in range(1, len(rows) + 1)])


def may_answer(query: int, support: int, groups: tuple[str, ...]) -> bool:
    """From the definition: nobody answers for itself, nor for its group unless the class has no others."""
    if query == support:
        return False
    apart = [
        other
        for other in range(len(CLASSES))
        if CLASSES[other] == CLASSES[support]
        and other != query
        and (not groups[query] or groups[other] != groups[query])
    ]
    return support in apart if apart else True


@pytest.mark.parametrize("groups", [GROUPS, ("",) * 9, ("a",) * 9])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_leave_out_equals_loops(groups: tuple[str, ...], aggregate: str) -> None:
    total, pool = drawn(), {"mean": np.mean, "max": np.max}[aggregate]
    found = leave_out(pool_of(total, aggregate), CLASSES, allowed_supports(CLASSES, groups))
    assert found.rows.tolist() == list(range(9))
    for row in found.rows:
        for number in range(3):
            members = [s for s in range(9) if CLASSES[s] == number and may_answer(row, s, groups)]
            assert found.scores[row, number] == pytest.approx(pool([total[row, s] for s in members]))
    own = found.scores[np.arange(9), CLASSES]
    for place in range(9):
        others = [found.scores[place, number] for number in range(3) if number != CLASSES[place]]
        assert found.margins[place] == pytest.approx(own[place] - max(others))
        assert found.right[place] == (found.margins[place] > 0)


def test_a_class_of_one_clip_answers_but_is_not_asked_for() -> None:
    classes = np.array([0, 0, 1])
    found = leave_out(pool_of(drawn()), classes, allowed_supports(classes, ("",) * 3))
    assert found.rows.tolist() == [0, 1] and found.scores.shape == (2, 2)


def test_nothing_can_be_left_out_of_classes_of_one_clip() -> None:
    classes = np.array([0, 1])
    allowed = allowed_supports(classes, ("", ""))
    assert len(leave_out(pool_of(drawn()), classes, allowed).rows) == 0
    assert growth(pool_of(drawn()), classes, allowed).shape == (0, 0)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_with_all_supports_growth_ends_at_leave_out(aggregate: str) -> None:
    total, allowed = drawn(1), allowed_supports(CLASSES, ("",) * 9)
    found = growth(pool_of(total, aggregate), CLASSES, allowed, draws=7)
    assert found.shape == (4, 9)  # class 1 has four clips, each of the others is asked by all four
    assert found[-1].tolist() == leave_out(pool_of(total, aggregate), CLASSES, allowed).right.astype(float).tolist()


def test_growth_by_one_support_is_the_chance_that_a_drawn_one_of_each_class_is_right() -> None:
    total, allowed = drawn(2), allowed_supports(CLASSES, ("",) * 9)
    found = growth(pool_of(total), CLASSES, allowed, draws=1000)[0]
    for query in range(9):
        sets = [[s for s in range(9) if CLASSES[s] == number and s != query] for number in range(3)]
        chances = [
            np.argmax([total[query, one], total[query, two], total[query, three]]) == CLASSES[query]
            for one in sets[0]
            for two in sets[1]
            for three in sets[2]
        ]
        assert found[query] == pytest.approx(np.mean(chances), abs=0.06)


def test_growth_is_the_same_each_time() -> None:
    allowed = allowed_supports(CLASSES, GROUPS)
    assert np.array_equal(*(growth(pool_of(drawn()), CLASSES, allowed) for _ in range(2)))
