"""Scores of pairs to scores of classes, against loops."""

import numpy as np
import pytest

from hcl.match.config import ALL_LEVELS
from hcl.match.episodes.aggregation import (
    SHORTEST,
    combine_levels,
    distinct_pairs,
    pool_supports,
    prototype_lengths,
    support_pairs,
    true_places,
)
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.level_table import Case, LevelTable


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


def test_pairs_of_supports_are_listed_once_and_those_of_few_shots_come_first(drawn: Episodes) -> None:
    supports = support_pairs(drawn.support)
    assert len({tuple(pair) for pair in supports.pairs.tolist()}) == len(supports.pairs)
    assert supports.lookup.shape == (4, 3, 3)
    for episode, way in np.ndindex(4, 3):
        videos = drawn.support[episode, way].tolist()
        found = [sorted(supports.pairs[place].tolist()) for place in supports.lookup[episode, way]]
        assert found == [sorted(videos[:2]), sorted(videos[::2]), sorted(videos[1:])]
    assert support_pairs(drawn.support[:, :, :1]).lookup.shape == (4, 3, 0)


@pytest.mark.parametrize("k_shot", [1, 2, 3])
def test_a_prototype_scores_as_the_cosine_to_the_mean_of_the_supports(drawn: Episodes, k_shot: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(18, 5)) + 0.5
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    table, supports = distinct_pairs(drawn), support_pairs(drawn.support)
    scores, of_supports = (
        (unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(axis=1) for pairs in (table.pairs, supports.pairs)
    )
    no_cosines = np.full(len(of_supports), np.nan)
    levels = LevelTable(
        ("cosines", "others"),
        np.stack([scores, scores], axis=1),
        table.lookup,
        np.stack([of_supports, no_cosines], axis=1),
        supports,
    )
    found = levels.of_classes(Case(k_shot, "prototype"))
    for episode, query, way in np.ndindex(found.shape[:3]):
        of_query = unit[drawn.query[episode].ravel()[query]]
        members = unit[drawn.support[episode, way, :k_shot]]
        mean = sum(members) / k_shot
        assert found[episode, query, way, 0] == pytest.approx(of_query @ mean / np.sqrt(mean @ mean))
        assert found[episode, query, way, 1] == pytest.approx(sum(of_query @ member for member in members) / k_shot)
    np.testing.assert_allclose(
        levels.of_classes(Case(k_shot, "mean"))[..., 0],
        pool_supports(scores[:, None], table.lookup[..., :k_shot], "mean")[..., 0],
    )


def test_supports_that_cancel_out_give_no_infinite_scores(drawn: Episodes) -> None:
    supports = support_pairs(drawn.support[:, :, :2])
    lengths = prototype_lengths(np.full((len(supports.pairs), 1), -1.0), supports.lookup, 2)
    assert (lengths == SHORTEST).all()
    alike = prototype_lengths(np.full((len(supports.pairs), 1), 1 + 1e-6), supports.lookup, 2)
    assert (alike == 1).all()  # rounding makes none longer than its supports


def test_seven_combinations_are_sums() -> None:
    of_classes = np.random.default_rng(2).normal(size=(2, 3, 4, 3))
    named = combine_levels(of_classes)
    assert len(named) == 7
    np.testing.assert_allclose(named["global+spatial"], of_classes[..., 0] + of_classes[..., 2])
    np.testing.assert_allclose(named[ALL_LEVELS], of_classes.sum(axis=-1))
    assert list(combine_levels(of_classes, spatial=False)) == ["global", "temporal", "global+temporal"]


def test_queries_lie_class_by_class(drawn: Episodes) -> None:
    assert true_places(drawn).tolist() == [0, 0, 1, 1, 2, 2]
