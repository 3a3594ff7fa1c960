"""A list of pairs is scored as the table of all pairs is."""

from itertools import combinations

import numpy as np
import pytest
import torch

from hcl.match.embeddings import Embeddings
from hcl.match.pairs import score_pairs
from hcl.match.scores import match


def drawn(*, keys: bool) -> Embeddings:
    generator = torch.Generator().manual_seed(0)
    videos, frames, patches, width = 6, 4, 5, 16
    clip_frames = tuple(combinations(range(frames), 2))
    return Embeddings(
        torch.randn(videos, width, generator=generator),
        torch.randn(videos, len(clip_frames), width, generator=generator),
        torch.randn(videos, frames, patches, width, generator=generator),
        clip_frames,
        torch.randn(videos, width, generator=generator) if keys else None,
    )


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("scale", ["mean_one", "paper"])
def test_pairs_score_as_the_table_does(keys: bool, scale: str) -> None:
    embeddings = drawn(keys=keys)
    pairs = np.random.default_rng(0).integers(0, len(embeddings), (40, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]  # all clips of a video match themselves equally well: the rank is a toss
    done: list[int] = []
    found = score_pairs(embeddings, pairs, top_clips=3, top_patches=4, attention_scale=scale, progress=done.append)
    table = match(embeddings, embeddings, top_clips=3, top_patches=4, attention_scale=scale)
    rows = torch.from_numpy(pairs)
    expected = torch.stack([t[rows[:, 0], rows[:, 1]] for t in (table.global_, table.temporal, table.spatial)], dim=1)
    assert found.dtype == np.float32 and sum(done) == len(pairs)
    torch.testing.assert_close(torch.from_numpy(found), expected)


def test_the_spatial_level_can_be_left_out() -> None:
    pairs = np.array([[0, 1], [2, 0]])
    found = score_pairs(drawn(keys=True), pairs, spatial=False)
    np.testing.assert_array_equal(found[:, :2], score_pairs(drawn(keys=True), pairs)[:, :2])
    assert np.isnan(found[:, 2]).all()
