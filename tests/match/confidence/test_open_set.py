"""The threshold keeps its rate on clips it has not seen, says where it cannot, and AUROC is what pairs count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.system.errors import InputError
from hcl.match.confidence.open_set import (
    auroc,
    clips_needed,
    false_accepts,
    false_rejects,
    open_set_accuracy,
    rejection_threshold,
)

few_values = st.lists(st.integers(0, 6), min_size=1, max_size=15)


@given(few_values, few_values)
def test_auroc_equals_loops_with_ties(inside: list[int], outside: list[int]) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    first, second = np.array(inside, dtype=np.float64), np.array(outside, dtype=np.float64)
    assert auroc(first, second) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc(first, second) + auroc(second, first) == pytest.approx(1)
    assert auroc(np.exp(first) - 7, np.exp(second) - 7) == auroc(first, second)  # ranks alone count


def test_auroc_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        auroc(np.ones(3), np.ones(0))


@pytest.mark.parametrize(("rate", "clips"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.5, 1), (0.3, 3), (0.2, 4)])
def test_a_rate_needs_so_many_clips(rate: float, clips: int) -> None:
    assert clips_needed(rate) == clips
    values = np.arange(clips, dtype=np.float64)
    assert rejection_threshold(values, rate) == clips - 1  # the most confident of them: none is let through
    with pytest.raises(InputError, match=rf"cannot be known from {clips - 1} clips .*it takes {clips}: .*--reject"):
        rejection_threshold(values[:-1], rate)


def test_eight_clips_do_not_tell_5_percent_but_12() -> None:
    with pytest.raises(InputError, match=r"5 % cannot be known from 8 clips.*takes 19.*lowest .* is 11\.2 %"):
        rejection_threshold(np.arange(8.0), 0.05)
    assert rejection_threshold(np.arange(8.0), 0.112) == 7


@pytest.mark.parametrize("rate", [0, 1, -0.1, 5, float("nan")])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(InputError, match="lies between 0 and 1, such as 0.05"):
        rejection_threshold(np.arange(99.0), rate)


@pytest.mark.parametrize("clips", [19, 20, 38, 57, 150])
def test_the_rate_holds_on_average_and_not_much_below(clips: int) -> None:
    """Over many draws of so many clips and a new one: the false accepts are those asked for, never more."""
    rng = np.random.default_rng(clips)
    draws = rng.normal(size=(2000, clips + 1))
    let_through = np.mean([new > rejection_threshold(seen, 0.05) for *seen, new in map(np.asarray, draws.tolist())])
    assert 0.05 - 1 / (clips + 1) - 0.015 < let_through < 0.05 + 0.015


def test_a_clip_that_was_asked_often_counts_once() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    repeated = np.repeat(values, np.arange(40) % 3 + 1)
    clips = np.repeat(np.arange(40) + 100, np.arange(40) % 3 + 1)
    for rate in (0.05, 0.1, 0.33):
        assert rejection_threshold(repeated, rate, clips=clips) == rejection_threshold(values, rate)
    with pytest.raises(InputError, match="from 8 clips"):
        rejection_threshold(np.arange(80.0), 0.05, clips=np.arange(80) % 8)


@given(few_values, few_values, st.integers(-1, 7), st.data())
def test_rates_and_accuracy_equal_loops(inside: list[int], outside: list[int], level: int, data: st.DataObject) -> None:
    right = data.draw(st.lists(st.booleans(), min_size=len(inside), max_size=len(inside)))
    first, second = np.array(inside, dtype=np.float64), np.array(outside, dtype=np.float64)
    answered = sum(one > level and is_right for one, is_right in zip(inside, right, strict=True))
    rejected = sum(one <= level for one in outside)
    total = open_set_accuracy(first, np.array(right), second, threshold=level)
    assert total == pytest.approx((answered + rejected) / (len(inside) + len(outside)))
    assert false_accepts(second, level) == pytest.approx(1 - rejected / len(outside))
    assert false_rejects(first, level) == pytest.approx(sum(one <= level for one in inside) / len(inside))
