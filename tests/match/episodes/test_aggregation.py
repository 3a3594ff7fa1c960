"""Scores of pairs to scores of classes, against loops."""

import numpy as np
import pytest

from hcl.match.config import ALL_LEVELS
from hcl.match.episodes.aggregation import combine_levels, distinct_pairs, pool_supports, true_places
from hcl.match.episodes.drawing import Episodes


@pytest.fixture
def drawn() -> Episodes:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(18).reshape(3, 6)[:, :5] for _ in range(4)])
    return Episodes(support=rows[:, :, :3], query=rows[:, :, 3:])


def test_each_pair_is_listed_once_and_found_again(drawn: Episodes) -> None:
    table = distinct_pairs(drawn)
    assert len({tuple(pair) for pair in table.pairs.tolist()}) == len(table.pairs)
    for episode, query, way, shot in np.ndindex(table.lookup.shape):
        found = table.pairs[table.lookup[episode, query, way, shot]]
        assert found.tolist() == [drawn.query[episode].ravel()[query], drawn.support[episode, way, shot]]
    for number, first in enumerate(table.first):
        assert [number in lookup for lookup in table.lookup[: first + 1]] == [False] * first + [True]


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_supports_are_pooled_as_loops_do(drawn: Episodes, aggregate: str) -> None:
    table = distinct_pairs(drawn)
    scores = np.random.default_rng(1).normal(size=(len(table.pairs), 2))
    pooled = pool_supports(scores, table.lookup, aggregate)
    for episode, query, way, level in np.ndindex(pooled.shape):
        values = [scores[table.lookup[episode, query, way, shot], level] for shot in range(3)]
        expected = sum(values) / 3 if aggregate == "mean" else max(values)
        assert pooled[episode, query, way, level] == pytest.approx(expected)


def test_seven_combinations_are_sums() -> None:
    of_classes = np.random.default_rng(2).normal(size=(2, 3, 4, 3))
    named = combine_levels(of_classes)
    assert len(named) == 7
    np.testing.assert_allclose(named["global+spatial"], of_classes[..., 0] + of_classes[..., 2])
    np.testing.assert_allclose(named[ALL_LEVELS], of_classes.sum(axis=-1))
    assert list(combine_levels(of_classes, spatial=False)) == ["global", "temporal", "global+temporal"]


def test_queries_lie_class_by_class(drawn: Episodes) -> None:
    assert true_places(drawn).tolist() == [0, 0, 1, 1, 2, 2]
