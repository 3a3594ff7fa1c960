"""Queries that come one at a time get the scores that a list of pairs gets."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hcl.match.config import ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.fast_scoring.prepared import PreparedSupports


@pytest.mark.parametrize(
    "changed",
    [{}, {"patch_selection": "mutual"}, {"patch_selection": "moving", "top_clips": 2}, {"attention_scale": "paper"}],
    ids=str,
)
@pytest.mark.parametrize(("spatial", "keys"), [(True, True), (True, False), (False, True)])
def test_prepared_scores_are_those_of_pairs(
    make_embeddings: Callable[..., Embeddings], changed: dict[str, Any], spatial: bool, keys: bool
) -> None:
    videos = make_embeddings(12)
    if not keys:
        videos = replace(videos, class_keys=None)
    settings = ScoreConfig(**{"top_clips": 3, "top_patches": 4} | changed).of_pairs
    supports, query = videos.rows(slice(2, None)), videos.rows(slice(0, 1))
    pairs = np.array([(0, row) for row in range(2, 12)])
    expected = score_pairs(videos, pairs, **settings, spatial=spatial)
    prepared = PreparedSupports(supports, settings, spatial=spatial)
    np.testing.assert_allclose(prepared.score(query), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        prepared.score(replace(query, class_keys=None)) if keys else expected, expected, rtol=1e-5, atol=1e-6
    )


def test_queries_in_turn_leave_nothing_of_each_other(make_embeddings: Callable[..., Embeddings]) -> None:
    videos = make_embeddings(8)
    settings = ScoreConfig(top_clips=3, top_patches=4).of_pairs
    prepared = PreparedSupports(videos.rows(slice(2, None)), settings)
    for row in (0, 1, 0):
        expected = score_pairs(videos, np.array([(row, other) for other in range(2, 8)]), **settings, spatial=True)
        found = prepared.score(videos.rows(slice(row, row + 1)))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
