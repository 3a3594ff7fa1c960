"""Where cosines tie but for rounding, quick scores, the definition, and the definition of one pair choose alike."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.scoring import clip_pairs
from hcl.match.scoring.clip_pairs import align_clips
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import match
from hcl.match.scoring.ties import NEAR, exact_dots, largest, settled

ALL_OF_8 = np.array([(i, j) for i in range(8) for j in range(8) if i != j])
SIZES = {"top_clips": 3, "top_patches": 4}


def alike(seed: int, noise: float, *, width: int = 48, keys: bool = True) -> Embeddings:
    """Eight videos that share clips and patches, as videos of one resting camera do, but for noise or for length."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def shared(*shape: int) -> Tensor:
        return normal(*shape) + noise * normal(8, *shape)

    patches = normal(8, 4, 9, width)
    patches[:, :, :6] = shared(4, 6, width)  # more than the four that count, and each of another weight
    clips = normal(8, 6, width)
    clips[:, :4] = shared(4, width)
    clips[:, 4] = clips[:, 1] + noise * normal(8, width)  # two partners as good
    pairs = tuple(combinations(range(4), 2))
    return Embeddings(normal(8, width), clips, patches, pairs, 3 * normal(8, width) if keys else None)


def spatial_of_single_pairs(embeddings: Embeddings, **settings: Any) -> np.ndarray:
    rows = [embeddings.rows(slice(row, row + 1)) for row in range(len(embeddings))]
    return np.array([float(match(rows[i], rows[j], **settings).spatial) for i, j in ALL_OF_8])


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-7, 1e-4])
@pytest.mark.parametrize("selection", ["similarity", "salient", "moving", "centred"])
@pytest.mark.parametrize("int8", [True, False])
def test_quick_and_exact_scores_agree_at_ties(noise: float, selection: str, int8: bool) -> None:
    for seed in range(3):
        embeddings = alike(seed, noise)
        settings: dict[str, Any] = SIZES | {"patch_selection": selection}
        quick = score_pairs(embeddings, ALL_OF_8, **settings, int8=int8)[:, 2]
        table = match(embeddings, embeddings, **settings).spatial[tuple(torch.from_numpy(ALL_OF_8).T)]
        np.testing.assert_allclose(quick, table, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(spatial_of_single_pairs(embeddings, **settings), table, rtol=1e-5, atol=1e-5)


def test_ties_decide_the_spatial_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would prove nothing: without settling, the two ways differ by far more than rounding."""
    embeddings = alike(0, 1e-8)
    quick = score_pairs(embeddings, ALL_OF_8, **SIZES)[:, 2]
    monkeypatch.setattr(clip_pairs, "_settled_pairs", lambda pairs, *_: pairs)
    monkeypatch.setattr("hcl.match.scoring.zoom.settled", lambda ranks, kept, finer: ranks.topk(kept).indices)
    assert np.abs(quick - spatial_of_single_pairs(embeddings, **SIZES)).max() > 1e-2


def test_of_equal_clips_the_first_counts() -> None:
    clips = l2_normalise(torch.randn(5, 1, 7, generator=torch.Generator().manual_seed(0))).expand(5, 6, 7)
    pairs = align_clips(clips, clips, 4, settle=True)
    assert pairs.query.tolist() == [[0, 1, 2, 3]] * 5 and not pairs.support.any()


def test_settled_places_are_those_of_float64() -> None:
    generator = np.random.default_rng(0)
    exact = torch.from_numpy(generator.integers(0, 8, (200, 12)) * 1e-8 + generator.integers(0, 3, (200, 12)) / 10)
    ranks = (exact + torch.from_numpy(generator.normal(0, 1e-7, exact.shape))).float()
    ranks[::9, 5:] = -torch.inf  # may not count

    def finer(where: tuple[Tensor, ...]) -> Tensor:
        assert ranks[where].isfinite().all()
        return exact[where]

    exact = exact.masked_fill(ranks.isinf(), -torch.inf)
    found = settled(ranks, 6, finer)
    expected = [sorted(range(12), key=lambda place, row=row: (-row[place], place))[:6] for row in exact.tolist()]
    for row, (places, wanted) in enumerate(zip(found.tolist(), expected, strict=True)):
        if row % 9:
            assert set(places) == set(wanted)
        else:
            assert set(places[:5]) == set(range(5))


def test_no_value_is_asked_for_where_none_is_near() -> None:
    def never(where: tuple[Tensor, ...]) -> Tensor:
        raise AssertionError("nothing is in doubt")

    ranks = torch.tensor([[0.5, 0.5 - 3 * NEAR, 0.5 + 3 * NEAR], [-torch.inf, 0.1, -torch.inf]])
    for kept in (1, 2, 3):
        assert torch.equal(settled(ranks, kept, never)[0], ranks[0].topk(kept).indices)


def test_largest_takes_the_first_of_equals() -> None:
    assert largest(torch.tensor([1.0, 3.0, 1.0, 3.0, 1.0]), 4).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_exact_dots_are_dot_products(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(7, 5, generator=generator), torch.randn(9, 5, generator=generator)
    rows = torch.arange(count)
    found = exact_dots(left, right, rows % 7, rows % 9)
    expected: Callable[[int], float] = lambda n: float(left[n % 7].double() @ right[n % 9].double())  # noqa: E731
    np.testing.assert_allclose(found, [expected(n) for n in range(count)], atol=1e-11)
