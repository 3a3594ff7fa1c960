"""Intervals against their definitions and against what they claim to cover."""

import numpy as np
import pytest

from hcl.match.evaluation.statistics import episode_half_width


def test_half_width_is_the_normal_interval_of_the_mean() -> None:
    correct = np.random.default_rng(0).random((50, 5)) < 0.6
    per_episode = [sum(row) / 5 for row in correct]
    mean = sum(per_episode) / 50
    variance = sum((value - mean) ** 2 for value in per_episode) / 49
    assert episode_half_width(correct) == pytest.approx(100 * 1.96 * (variance / 50) ** 0.5)


def test_one_episode_has_no_interval() -> None:
    assert episode_half_width(np.ones((1, 5), dtype=bool)) == 0
