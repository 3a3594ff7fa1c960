"""A temperature is found where it is known, never makes certainty of little, and errors are what loops count."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hcl.match.confidence.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
)

SHAPES = [(1, 2), (7, 3), (40, 5)]


def drawn(
    queries: int, classes: int, *, scale: float = 2.0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores, and true classes drawn by the softmax of these very scores: calibrated at temperature 1."""
    rng = np.random.default_rng(seed)
    scores = scale * rng.normal(size=(queries, classes))
    cumulated = probabilities(scores).cumsum(axis=1)
    return scores, (rng.random((queries, 1)) > cumulated).sum(axis=1).clip(max=classes - 1)


def loss(scores: NDArray[np.float64], truth: NDArray[np.int64], temperature: float, doubt: float) -> float:
    """The smoothed likelihood by loops."""
    total = 0.0
    for row, true in zip(scores.tolist(), truth.tolist(), strict=True):
        norm = math.log(sum(math.exp((value - max(row)) / temperature) for value in row)) + max(row) / temperature
        for place, value in enumerate(row):
            weight = 1 - doubt if place == true else doubt / (len(row) - 1)
            total -= weight * (value / temperature - norm)
    return total / len(scores)


@pytest.mark.parametrize(("queries", "classes"), SHAPES)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
def test_probabilities_equal_loops(queries: int, classes: int, temperature: float) -> None:
    scores, _ = drawn(queries, classes)
    found = probabilities(scores.reshape(1, queries, classes), temperature)[0]
    for row, values in zip(found, scores.tolist(), strict=True):
        exponents = [math.exp(value / temperature) for value in values]
        np.testing.assert_allclose(row, [each / sum(exponents) for each in exponents])


def test_probabilities_keep_ranks_and_bear_huge_scores() -> None:
    scores = np.array([[1e300, 0.0, -1e300], [3.0, 2.0, 1.0]])
    found = probabilities(scores, 0.5)
    assert np.isfinite(found).all() and (np.diff(found, axis=1) <= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities(scores[1:] + 100, 0.5), found[1:])
    with pytest.raises(ValueError, match="temperature"):
        probabilities(scores, 0)


@pytest.mark.parametrize("factor", [0.02, 1.0, 30.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_of_calibrated_scores_is_what_they_were_multiplied_by(factor: float, classes: int) -> None:
    scores, truth = drawn(20_000, classes)
    assert fit_temperature(factor * scores, truth) == pytest.approx(factor, rel=0.04)


@pytest.mark.parametrize(("queries", "videos"), [(30, None), (30, 4), (5, None)])
def test_the_temperature_is_the_minimum_of_the_loss(queries: int, videos: int | None) -> None:
    scores, truth = drawn(queries, 4, seed=3)
    found, doubt = fit_temperature(scores, truth, videos=videos), 1 / ((videos or queries) + 2)
    for other in np.exp(np.linspace(-3, 3, 41)) * found:
        assert loss(scores, truth, found, doubt) <= loss(scores, truth, float(other), doubt) + 1e-12
    shifted = scores + np.arange(queries)[:, None]  # of a query all alike: nothing changes
    assert fit_temperature(shifted.reshape(1, queries, 4), truth[None], videos=videos) == pytest.approx(found)


def test_a_few_queries_that_are_all_right_make_no_certainty() -> None:
    truth = np.arange(400) % 3
    separable = np.eye(3)[truth]
    few, many = (fit_temperature(separable, truth, videos=videos) for videos in (4, None))
    assert few > many
    for temperature, videos in ((few, 4), (many, 400)):
        assert probabilities(separable, temperature).max() == pytest.approx((videos + 1) / (videos + 2), abs=1e-6)


def test_scores_that_say_nothing_or_the_wrong_thing_give_even_chances() -> None:
    scores, truth = drawn(200, 3)
    wrong = fit_temperature(-np.eye(3)[truth], truth)
    assert np.ptp(probabilities(-np.eye(3)[truth], wrong)) < 0.01
    assert fit_temperature(np.ones((200, 3)), truth) == 1 == fit_temperature(np.empty((0, 3)), truth[:0])


@pytest.mark.parametrize(("queries", "classes"), SHAPES)
@pytest.mark.parametrize("bins", [1, 4, 10])
def test_errors_equal_loops(queries: int, classes: int, bins: int) -> None:
    scores, truth = drawn(queries, classes, seed=1)
    given = probabilities(scores, 0.6)
    found = expected_calibration_error(given, truth, bins=bins)
    error = 0.0
    for number in range(bins):
        here = [
            (max(row), row.index(max(row)) == true)
            for row, true in zip(given.tolist(), truth.tolist(), strict=True)
            if number / bins <= max(row) < (number + 1) / bins or (number == bins - 1 and max(row) == 1)
        ]
        assert found.count[number] == len(here)
        if here:
            said, right = (sum(values) / len(here) for values in zip(*here, strict=True))
            assert (found.confidence[number], found.accuracy[number]) == pytest.approx((said, right))
            error += len(here) / queries * abs(said - right)
    assert found.error == pytest.approx(error)
    assert found.said == pytest.approx(given.max(axis=1).mean())
    assert found.right == pytest.approx((given.argmax(axis=1) == truth).mean())
    squares = [
        sum((value - (place == true)) ** 2 for place, value in enumerate(row))
        for row, true in zip(given.tolist(), truth.tolist(), strict=True)
    ]
    logs = [-math.log(row[true]) for row, true in zip(given.tolist(), truth.tolist(), strict=True)]
    assert brier_score(given, truth) == pytest.approx(sum(squares) / queries)
    assert negative_log_likelihood(given, truth) == pytest.approx(sum(logs) / queries)


def test_calibrated_scores_have_little_error_and_others_more() -> None:
    scores, truth = drawn(20_000, 5)
    errors = [expected_calibration_error(probabilities(scores, of), truth).error for of in (0.4, 1.0, 3.0)]
    assert errors[1] < 0.015 < 0.05 < min(errors[0], errors[2])


def test_certainty_that_is_right_has_no_error_and_that_is_wrong_the_largest() -> None:
    sure = np.eye(3)
    assert expected_calibration_error(sure, np.arange(3)).error == 0 == brier_score(sure, np.arange(3))
    wrong = np.array([1, 2, 0])
    assert expected_calibration_error(sure, wrong).error == 1 and brier_score(sure, wrong) == 2
    assert np.isfinite(negative_log_likelihood(sure, wrong))


@pytest.mark.parametrize("shape", [(4, 2), (3,)])
def test_shapes_that_do_not_belong_together_are_refused(shape: tuple[int, ...]) -> None:
    truth = np.zeros(shape, dtype=np.int64)
    for function in (fit_temperature, expected_calibration_error, brier_score, negative_log_likelihood):
        with pytest.raises(ValueError, match=r"\(\.\.\., N\)"):
            function(np.ones((4, 3)), truth)
    with pytest.raises(ValueError, match="no bins"):
        expected_calibration_error(np.empty((0, 3)), np.empty(0, dtype=np.int64))
