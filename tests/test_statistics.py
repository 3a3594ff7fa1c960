"""Intervals against their definitions and against what they claim to cover."""

import numpy as np
import pytest

from hcl.match.statistics import bootstrap_intervals, episode_half_width


def test_half_width_is_the_normal_interval_of_the_mean() -> None:
    correct = np.random.default_rng(0).random((50, 5)) < 0.6
    per_episode = [sum(row) / 5 for row in correct]
    mean = sum(per_episode) / 50
    variance = sum((value - mean) ** 2 for value in per_episode) / 49
    assert episode_half_width(correct) == pytest.approx(100 * 1.96 * (variance / 50) ** 0.5)


def test_one_episode_has_no_interval() -> None:
    assert episode_half_width(np.ones((1, 5), dtype=bool)) == 0


def interval(rates: list[float], labels: list[str], groups: list[str], asked: float = 10) -> np.ndarray:
    counts = np.full(len(rates), asked)
    return bootstrap_intervals(np.array([rates]) * asked, counts, labels, groups, 0)[0]


def test_equal_rates_give_a_point() -> None:
    np.testing.assert_allclose(interval([0.5] * 12, list("aaabbbcccddd"), [""] * 12), [50, 50])


def test_classes_groups_and_videos_each_widen_it() -> None:
    labels = [name for name in "abcd" for _ in range(6)]
    groups = ["x", "x", "x", "y", "y", "y"] * 4
    by_class = interval([0.2] * 6 + [0.8] * 6 + [0.2] * 6 + [0.8] * 6, labels, groups)
    by_group = interval(
        [0.2] * 3 + [0.8] * 3 + [0.2] * 3 + [0.8] * 3 + [0.2] * 3 + [0.8] * 3 + [0.2] * 3 + [0.8] * 3, labels, groups
    )
    by_video = interval([0.2, 0.8] * 12, labels, groups)
    widths = [high - low for low, high in (by_class, by_group, by_video)]
    assert widths[0] > widths[1] > widths[2] > 0


def test_many_independent_videos_give_the_binomial_interval() -> None:
    rng = np.random.default_rng(1)
    rates = (rng.random(400) < 0.7).astype(float)
    low, high = interval(rates.tolist(), ["a"] * 400, [str(number) for number in range(400)], asked=1)
    expected = 100 * 1.96 * rates.std() / 20
    assert (high - low) / 2 == pytest.approx(expected, rel=0.5)  # one video a group is resampled once more: never less
    assert low < 100 * rates.mean() < high


def test_the_scores_share_their_resampling() -> None:
    rng = np.random.default_rng(2)
    sums = rng.integers(0, 10, size=(1, 20)).astype(float)
    found = bootstrap_intervals(np.vstack([sums, sums]), np.full(20, 10.0), ["a", "b"] * 10, [""] * 20, 0)
    np.testing.assert_array_equal(found[0], found[1])
