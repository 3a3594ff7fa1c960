"""Every way of choosing patch pairs against loops written from its definition, and laws that hold beside them."""

from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor

from hcl.match.config import PATCH_SELECTIONS
from hcl.match.embeddings import Clips, Embeddings
from hcl.match.scoring import blocks
from hcl.match.scoring.clip_pairs import align_clips
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import match
from hcl.match.scoring.selection import adjusted, centred, motion, saliency
from hcl.match.scoring.zoom import zoom_in

PAIRS_OF_3 = ((0, 1), (0, 2), (1, 2))
PAIRS_OF_8 = tuple(combinations(range(8), 2))
MIXED = ((0, 1), (2, 3), (0, 1, 2), (1, 3), (3,))
Place = tuple[int, int]  # a frame and a patch of it
by_selection = pytest.mark.parametrize("selection", PATCH_SELECTIONS)


@dataclass(frozen=True)
class Sizes:
    videos: int
    frames: int
    patches: int
    clip_frames: Clips


def drawn(seed: int, sizes: Sizes, *, width: int = 6, keys: bool = True) -> Embeddings:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    v, clips = sizes.videos, sizes.clip_frames
    patches = normal(v, sizes.frames, sizes.patches, width) + normal(width)  # alike enough for a mean to matter
    return Embeddings(
        normal(v, width), normal(v, len(clips), width), patches, clips, normal(v, width) if keys else None
    )


def number(scalar: Tensor) -> float:
    return float(scalar.detach())


def unit(vector: Tensor) -> Tensor:
    return vector / vector.norm() if number(vector.norm()) > 1e-9 else vector * 0


def mean(vectors: list[Tensor]) -> Tensor:
    return sum(vectors, torch.zeros_like(vectors[0])) / len(vectors)


def compared_by_loops(video: Tensor, selection: str) -> dict[Place, Tensor]:
    """The patches of a video that may be paired, as unit vectors."""
    patches = {(f, p): unit(patch) for f, frame in enumerate(video) for p, patch in enumerate(frame)}
    of_all = mean(list(patches.values()))
    if selection == "centred":
        return {place: unit(patch - of_all) for place, patch in patches.items()}
    if selection == "salient":
        value = {place: number(1 - patch @ unit(of_all)) for place, patch in patches.items()}
    elif selection == "moving" and len(video) > 1:
        means = [mean([patches[f, p] for f in range(len(video))]) for p in range(len(video[0]))]
        value = {place: number((patch - means[place[1]]).norm()) for place, patch in patches.items()}
    else:
        return patches
    kept: set[Place] = set()
    for f, frame in enumerate(video):
        ranked = sorted(((f, p) for p in range(len(frame))), key=lambda place: -value[place])
        kept |= set(ranked[: ceil(len(frame) / 2)])
    return {place: patch for place, patch in patches.items() if place in kept}


def weights_by_loops(video: Tensor, clip: tuple[int, ...], key: Tensor | None, scale: str) -> dict[Place, Tensor]:
    places = [(f, p) for f in clip for p in range(len(video[0]))]
    if key is None:
        return dict.fromkeys(places, torch.ones(()))
    softmax = torch.stack([video[place] @ key / len(key) ** 0.5 for place in places]).softmax(dim=0)
    return dict(zip(places, softmax * (len(places) if scale == "mean_one" else 1), strict=True))


def clip_by_loops(
    of_query: dict[Place, Tensor], of_support: dict[Place, Tensor], weights: dict[Place, Tensor], n: int, selection: str
) -> Tensor:
    """The mean of the pairs that count in a clip pair, given the patches of the two clips that may be paired."""
    cosines = {q: {s: u @ w for s, w in of_support.items()} for q, u in of_query.items()}
    best = {q: max(row.values(), key=number) for q, row in cosines.items()}
    counting = list(best)
    if selection == "mutual":
        best_query = {s: max(of_query, key=lambda q, s=s: number(cosines[q][s])) for s in of_support}
        counting = [q for q in best if any(cosines[q][s] == best[q] and best_query[s] == q for s in of_support)]
    rank = {q: number(best[q] * (weights[q] if selection == "weighted" else 1)) for q in counting}
    chosen = sorted(counting, key=lambda q: -rank[q])[:n]
    return mean([weights[q] * best[q] for q in chosen])


def spatial_by_loops(
    query: Embeddings, support: Embeddings, *, top_clips: int, top_patches: int, attention_scale: str, selection: str
) -> Tensor:
    pairs = align_clips(l2_normalise(query.clips)[:, None], l2_normalise(support.clips)[None], top_clips)
    rows = []
    for i, q in enumerate(query.patches):
        of_query = compared_by_loops(q, selection)
        for j, s in enumerate(support.patches):
            of_support = compared_by_loops(s, selection)
            key = None if support.class_keys is None else support.class_keys[j]
            of_clips = []
            for a, b in zip(pairs.query[i, j].tolist(), pairs.support[i, j].tolist(), strict=True):
                clip, partner = query.clip_frames[a], support.clip_frames[b]
                of_clips.append(
                    clip_by_loops(
                        {place: u for place, u in of_query.items() if place[0] in clip},
                        {place: u for place, u in of_support.items() if place[0] in partner},
                        weights_by_loops(q, clip, key, attention_scale),
                        top_patches,
                        selection,
                    )
                )
            rows.append(mean(of_clips))
    return torch.stack(rows).view(len(query), len(support))


GRID = [
    (Sizes(1, 1, 1, ((0,),)), Sizes(1, 1, 3, ((0,),)), 1, 1),
    (Sizes(2, 1, 5, ((0,),)), Sizes(2, 1, 5, ((0,),)), 1, 3),  # a single frame, where nothing moves
    (Sizes(3, 3, 4, PAIRS_OF_3), Sizes(2, 3, 4, PAIRS_OF_3), 2, 3),
    (Sizes(2, 3, 5, PAIRS_OF_3), Sizes(1, 4, 3, MIXED), 10, 100),  # frames, patches, clips differ; S beyond what exists
    (Sizes(2, 4, 3, MIXED), Sizes(2, 4, 3, MIXED), 3, 4),  # S beyond the shortest clip alone
    (Sizes(1, 8, 4, PAIRS_OF_8), Sizes(1, 8, 4, PAIRS_OF_8), 4, 2),
]


@by_selection
@pytest.mark.parametrize(("q", "s", "top_clips", "top_patches"), GRID)
@pytest.mark.parametrize("attention", [None, "mean_one", "paper"])
def test_a_selection_scores_and_learns_as_its_loops_do(
    q: Sizes, s: Sizes, top_clips: int, top_patches: int, attention: str | None, selection: str
) -> None:
    query, support = drawn(0, q, keys=False), drawn(1, s, keys=attention is not None)
    settings: dict[str, Any] = {"top_clips": top_clips, "top_patches": top_patches}
    settings["attention_scale"] = attention or "mean_one"
    alone = match(query, support, **settings, patch_selection=selection).spatial  # without gradients
    leaves = [embeddings.patches.requires_grad_() for embeddings in (query, support)]
    found = match(query, support, **settings, patch_selection=selection).spatial
    expected = spatial_by_loops(query, support, **settings, selection=selection)
    torch.testing.assert_close(alone, expected.detach())
    torch.testing.assert_close(found, expected)
    weight = torch.linspace(1, 2, expected.numel(), dtype=expected.dtype).view_as(expected)
    for mine, loops in zip(
        *(torch.autograd.grad((of * weight).sum(), leaves) for of in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, loops)


@by_selection
@pytest.mark.parametrize("sizes", [Sizes(3, 3, 4, PAIRS_OF_3), Sizes(2, 4, 5, MIXED), Sizes(2, 1, 3, ((0,),))])
def test_a_video_against_itself_scores_one(selection: str, sizes: Sizes) -> None:
    videos = drawn(2, sizes, keys=False)
    itself = match(videos, videos, patch_selection=selection).spatial.diag()
    torch.testing.assert_close(itself, torch.ones(sizes.videos, dtype=torch.float64))


@by_selection
def test_the_order_of_patches_does_not_matter(selection: str) -> None:
    query, support = (drawn(seed, Sizes(2, 4, 5, MIXED)) for seed in (3, 4))
    expected = match(query, support, top_patches=3, patch_selection=selection).spatial
    orders = [[4, 2, 0, 1, 3]] * 4
    if selection != "moving":  # which knows a place by its number
        orders = [[4, 2, 0, 1, 3], [0, 1, 2, 3, 4], [1, 0, 3, 2, 4], [3, 4, 1, 0, 2]]
    shuffled = [
        replace(e, patches=torch.stack([e.patches[:, f, order] for f, order in enumerate(orders)], dim=1))
        for e in (query, support)
    ]
    for pair in ((shuffled[0], support), (query, shuffled[1])):
        found = match(*pair, top_patches=3, patch_selection=selection).spatial
        torch.testing.assert_close(found, expected)


@by_selection
def test_the_length_of_a_patch_matters_to_attention_alone(selection: str) -> None:
    query, support = (drawn(seed, Sizes(2, 3, 4, PAIRS_OF_3), keys=False) for seed in (5, 6))
    lengths = torch.rand(2, 3, 4, 1, generator=torch.Generator().manual_seed(7), dtype=torch.float64) + 0.1
    longer = replace(query, patches=query.patches * lengths)
    found, expected = (match(e, support, patch_selection=selection).spatial for e in (longer, query))
    torch.testing.assert_close(found, expected)


@by_selection
def test_a_selection_changes_the_spatial_level_alone(selection: str) -> None:
    query, support = (drawn(seed, Sizes(3, 3, 4, PAIRS_OF_3)) for seed in (8, 9))
    found, plain = match(query, support, top_patches=2, patch_selection=selection), match(query, support, top_patches=2)
    assert torch.equal(found.global_, plain.global_) and torch.equal(found.temporal, plain.temporal)
    assert torch.equal(found.spatial, plain.spatial) == (selection == "similarity")


def test_without_weights_the_highest_weighted_cosine_is_the_highest_cosine() -> None:
    query, support = (drawn(seed, Sizes(3, 3, 4, PAIRS_OF_3), keys=False) for seed in (10, 11))
    assert torch.equal(match(query, support, patch_selection="weighted").spatial, match(query, support).spatial)


@pytest.mark.parametrize("selection", ["salient", "moving"])
def test_a_common_background_counts_no_longer(selection: str) -> None:
    """Half of the patches of every frame are one wall; the others move in front of it."""
    query, support = (drawn(seed, Sizes(1, 3, 6, PAIRS_OF_3), width=32, keys=False) for seed in (12, 13))
    wall = torch.zeros(32)
    wall[0] = 9
    for embeddings in (query, support):
        embeddings.patches.sub_(embeddings.patches.mean(dim=(1, 2), keepdim=True))  # what moves has nothing in common
        embeddings.patches[:, :, :3] = wall
    fronts = [replace(e, patches=e.patches[:, :, 3:]) for e in (query, support)]
    assert match(query, support, top_patches=5).spatial.item() == pytest.approx(1)
    found = match(query, support, top_patches=5, patch_selection=selection).spatial.item()
    assert found == match(*fronts, top_patches=5).spatial.item() < 0.95


def test_what_does_not_differ_from_its_video_scores_zero_when_centred() -> None:
    generator = torch.Generator().manual_seed(14)
    for dtype in (torch.float32, torch.float64):
        still = torch.randn(2, 1, 1, 6, generator=generator, dtype=dtype).expand(2, 3, 7, 6)
        assert not centred(still).any()
        videos = Embeddings(still[:, 0, 0], still[:, 0, :1], still, ((0, 1),))
        assert not match(videos, videos, patch_selection="centred").spatial.any()
    assert not motion(still).any() and float(saliency(still).abs().max()) < 1e-12


@by_selection
def test_the_named_pairs_have_the_cosines_that_count(selection: str) -> None:
    query, support = drawn(15, Sizes(2, 4, 5, MIXED)), drawn(16, Sizes(3, 3, 4, PAIRS_OF_3))
    zoom = zoom_in(query, support, top_clips=4, top_patches=3, partners=True, patch_selection=selection)
    of_query, of_support = (l2_normalise(adjusted(e.patches, selection)).flatten(1, 2) for e in (query, support))
    assert zoom.patches.support is not None
    for i, j, t in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4)).tolist():
        count = int(zoom.patches.counts[i, j, t])
        left, right = zoom.patches.query[i, j, t, :count], zoom.patches.support[i, j, t, :count]
        cosines = (of_query[i, left] * of_support[j, right]).sum(dim=-1)
        torch.testing.assert_close(zoom.patches.cosines[i, j, t, :count], cosines)
        assert not zoom.patches.cosines[i, j, t, count:].any()
        assert set((left // 5).tolist()) <= set(MIXED[zoom.clips.query[i, j, t]]) and len(set(left.tolist())) == count
        assert set((right // 4).tolist()) <= set(PAIRS_OF_3[zoom.clips.support[i, j, t]])
        assert selection != "mutual" or len(set(right.tolist())) == count >= 1


@by_selection
@pytest.mark.parametrize("block_bytes", [1, 20_000])
def test_blocks_do_not_change_scores(selection: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query, support = drawn(17, Sizes(5, 4, 3, MIXED)), drawn(18, Sizes(4, 3, 2, PAIRS_OF_3))
    expected = match(query, support, patch_selection=selection).spatial
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    torch.testing.assert_close(match(query, support, patch_selection=selection).spatial, expected)


def test_an_unknown_selection_is_refused() -> None:
    videos = drawn(19, Sizes(1, 3, 2, PAIRS_OF_3))
    with pytest.raises(ValueError, match=r"patch_selection must be one of \('similarity', .*\), got 'best'"):
        match(videos, videos, patch_selection="best")
