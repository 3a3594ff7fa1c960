"""What is drawn is what was scored: the scores that follow from the pairs are those of `match`."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hcl.classify.explanation.pairs import Patch, clip_weights, match_pair
from hcl.match.config import ATTENTION_SCALES, PATCH_SELECTIONS, ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import match


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("scale", ATTENTION_SCALES)
@pytest.mark.parametrize("selection", PATCH_SELECTIONS)
def test_scores_follow_from_the_pairs(
    make_embeddings: Callable[..., Embeddings], selection: str, scale: str, keys: bool
) -> None:
    both = make_embeddings(2, seed=3)
    both = both if keys else replace(both, class_keys=None)
    scoring = ScoreConfig(top_clips=2, top_patches=3, attention_scale=scale, patch_selection=selection)
    query, support = both.rows(slice(0, 1)), both.rows(slice(1, 2))
    expected = match(query, support, **scoring.of_pairs)
    found = match_pair(query, support, scoring)
    assert found.temporal == pytest.approx(expected.temporal.item(), rel=1e-5)
    assert found.spatial == pytest.approx(expected.spatial.item(), rel=1e-4)
    assert len(found.clips) == 2 and (found.attention is not None) == keys
    cosines = [clip.cosine for clip in found.clips]
    assert cosines == sorted(cosines, reverse=True)


def test_pairs_name_the_patches_whose_cosine_they_tell(make_embeddings: Callable[..., Embeddings]) -> None:
    both = make_embeddings(2, seed=1)
    found = match_pair(both.rows(slice(0, 1)), both.rows(slice(1, 2)), ScoreConfig(top_clips=3, top_patches=4))
    query, support = l2_normalise(both.patches[0]), l2_normalise(both.patches[1])
    for clip in found.clips:
        assert clip.query in both.clip_frames and clip.support in both.clip_frames
        for pair in clip.patches:
            assert pair.query.frame in clip.query and pair.support.frame in clip.support
            one, other = query[pair.query.frame, pair.query.place], support[pair.support.frame, pair.support.place]
            assert pair.cosine == pytest.approx(float(one @ other), abs=1e-5)


def test_attention_has_mean_1_and_the_ratios_of_a_clip(make_embeddings: Callable[..., Embeddings]) -> None:
    both = make_embeddings(2, seed=2)
    assert both.class_keys is not None
    found = match_pair(both.rows(slice(0, 1)), both.rows(slice(1, 2)), ScoreConfig())
    assert found.attention is not None
    attention = torch.tensor(found.attention)
    assert attention.shape == both.patches.shape[1:3] and attention.mean().item() == pytest.approx(1, rel=1e-5)
    weights = clip_weights(both.patches[0], (0, 2), both.class_keys[1], "mean_one")
    assert sum(weights.values()) / len(weights) == pytest.approx(1, rel=1e-5)
    ratios = [weight / found.attention[patch.frame][patch.place] for patch, weight in weights.items()]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-4)
    assert clip_weights(both.patches[0], (1,), None, "mean_one") == {Patch(1, place): 1.0 for place in range(4)}
