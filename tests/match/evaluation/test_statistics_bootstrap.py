"""Bootstrap intervals: what widens them, what they claim to cover."""

import numpy as np
import pytest

from hcl.match.evaluation.statistics import QueryCounts, bootstrap_intervals, fold_intervals


def interval(rates: list[float], labels: list[str], groups: list[str], asked: float = 10) -> np.ndarray:
    counts = np.full(len(rates), asked)
    return bootstrap_intervals(QueryCounts(np.array([rates]) * asked, counts, labels, groups), 0)[0]


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
    found = bootstrap_intervals(QueryCounts(np.vstack([sums, sums]), np.full(20, 10.0), ["a", "b"] * 10, [""] * 20), 0)
    np.testing.assert_array_equal(found[0], found[1])


def over(rates: list[list[list[float]]], videos: int = 6) -> np.ndarray:
    """The interval of rates by fold, seed and class, each class of some videos in one group."""
    folds = []
    for of_fold in rates:
        sums = np.repeat(np.array(of_fold)[:, None], videos, axis=2)  # (S, 1, V)
        labels = [str(number) for number in range(len(of_fold[0])) for _ in range(videos)]
        folds.append(QueryCounts(10 * sums, np.full(len(labels), 10.0), labels, [""] * len(labels)))
    return fold_intervals(folds, 0)[0]


def test_folds_and_seeds_each_widen_the_interval() -> None:
    np.testing.assert_allclose(over([[[0.5, 0.5]]] * 3), [50, 50])
    by_seed = over([[[0.4, 0.4], [0.6, 0.6]]] * 3)
    by_fold = over([[[0.4, 0.4]] * 2, [[0.5, 0.5]] * 2, [[0.6, 0.6]] * 2])
    for low, high in (by_seed, by_fold):
        assert 40 <= low < 50 < high <= 60


RATES = np.random.default_rng(3).random(15).tolist()  # enough classes for smooth quantiles


def test_one_fold_and_one_seed_are_a_plain_bootstrap() -> None:
    labels = [str(number) for number in range(15) for _ in range(6)]
    plain = interval([rate for rate in RATES for _ in range(6)], labels, [""] * len(labels))
    np.testing.assert_allclose(over([[RATES]]), plain, atol=2)


def test_seeds_that_answer_alike_do_not_narrow_the_interval() -> None:
    """They were asked the same videos: ten copies of one seed know no more than one."""
    np.testing.assert_allclose(over([[RATES] * 10]), over([[RATES]]), atol=2)
