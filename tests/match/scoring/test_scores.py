"""The scores against loops written from Eq. 2 to 5, and laws that hold whatever the loops say."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from hcl.match.embeddings import Clips, Embeddings
from hcl.match.scoring import blocks
from hcl.match.scoring.scores import Scores, match, semantic_attention

PAIRS_OF_3 = ((0, 1), (0, 2), (1, 2))
MIXED = ((0, 1), (2, 3), (0, 1, 2), (1, 3), (3,))
LEVELS = ("global_", "temporal", "spatial")


@dataclass(frozen=True)
class Sizes:
    videos: int
    frames: int
    patches: int
    embeddings: int
    clip_frames: Clips


def drawn(seed: int, sizes: Sizes, *, keys: bool = True, length: float = 1.0) -> Embeddings:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    v, d = sizes.videos, sizes.embeddings
    return Embeddings(
        normal(v, d),
        normal(v, len(sizes.clip_frames), d),
        length * normal(v, sizes.frames, sizes.patches, d),
        sizes.clip_frames,
        normal(v, d) if keys else None,
    )


def cosine(a: Tensor, b: Tensor) -> Tensor:
    lengths = a.norm() * b.norm()
    return a @ b / lengths if lengths > 0 else (a @ b) * 0


def number(scalar: Tensor) -> float:
    return float(scalar.detach())


def attention_by_loops(patches: list[Tensor], key: Tensor, scale: str) -> list[Tensor]:
    logits = [patch @ key / len(key) ** 0.5 for patch in patches]
    largest = max(number(logit) for logit in logits)
    exponentials = [(logit - largest).exp() for logit in logits]
    total = sum(exponentials, torch.zeros(()))
    return [e / total * (len(patches) if scale == "mean_one" else 1) for e in exponentials]


def spatial_by_loops(
    q: Embeddings, s: Embeddings, i: int, j: int, ranked: list[tuple[int, int]], n: int, scale: str
) -> Tensor:
    of_clips = []
    for clip, partner in ranked:
        of_query = [patch for frame in q.clip_frames[clip] for patch in q.patches[i, frame]]
        of_support = [patch for frame in s.clip_frames[partner] for patch in s.patches[j, frame]]
        best = [max((cosine(p, r) for r in of_support), key=number) for p in of_query]
        alpha = [torch.ones(())] * len(best)
        if s.class_keys is not None:
            alpha = attention_by_loops(of_query, s.class_keys[j], scale)
        order = sorted(range(len(best)), key=lambda k: -number(best[k]))[:n]
        of_clips.append(sum((alpha[k] * best[k] for k in order), torch.zeros(())) / len(order))
    return sum(of_clips, torch.zeros(())) / len(of_clips)


def match_by_loops(
    q: Embeddings, s: Embeddings, *, top_clips: int = 10, top_patches: int = 10, attention_scale: str = "mean_one"
) -> Scores:
    table: list[list[list[Tensor]]] = [[], [], []]
    for i in range(len(q)):
        rows: list[list[Tensor]] = [[], [], []]
        for j in range(len(s)):
            aligned = []
            for clip in range(len(q.clip_frames)):
                cosines = [cosine(q.clips[i, clip], other) for other in s.clips[j]]
                partner = max(range(len(cosines)), key=lambda k: number(cosines[k]))
                aligned.append((cosines[partner], clip, partner))
            ranked = sorted(aligned, key=lambda pair: -number(pair[0]))[:top_clips]
            chosen = [(clip, partner) for _, clip, partner in ranked]
            rows[0].append(cosine(q.global_[i], s.global_[j]))
            rows[1].append(sum((c for c, _, _ in ranked), torch.zeros(())) / len(ranked))
            rows[2].append(spatial_by_loops(q, s, i, j, chosen, top_patches, attention_scale))
        for level, row in zip(table, rows, strict=True):
            level.append(row)
    return Scores(*(torch.stack([torch.stack(row) for row in level]).double() for level in table))


def assert_equal(found: Scores, expected: Scores) -> None:
    for level in LEVELS:
        torch.testing.assert_close(getattr(found, level), getattr(expected, level))


GRID = [
    (Sizes(1, 1, 1, 1, ((0,),)), Sizes(1, 1, 1, 1, ((0,),)), 1, 1),
    (Sizes(3, 3, 4, 8, PAIRS_OF_3), Sizes(2, 3, 4, 8, PAIRS_OF_3), 2, 3),
    (Sizes(2, 3, 4, 8, PAIRS_OF_3), Sizes(3, 3, 4, 8, PAIRS_OF_3), 10, 10),  # T beyond what exists
    (Sizes(2, 3, 2, 5, PAIRS_OF_3), Sizes(1, 4, 3, 5, MIXED), 2, 100),  # S beyond; frames, patches, clips differ
    (Sizes(2, 4, 3, 5, MIXED), Sizes(2, 3, 2, 5, PAIRS_OF_3), 10, 5),  # S beyond the shortest clip alone
    (Sizes(2, 4, 3, 5, MIXED), Sizes(2, 4, 3, 5, MIXED), 3, 1),
    (Sizes(1, 8, 4, 16, tuple(combinations(range(8), 2))), Sizes(2, 8, 4, 16, tuple(combinations(range(8), 2))), 10, 4),
    (Sizes(2, 3, 2, 4, ((0, 1), (0, 1, 2))), Sizes(2, 2, 1, 4, ((1,), (0, 1))), 1, 5),
]


@pytest.mark.parametrize(("q", "s", "top_clips", "top_patches"), GRID)
@pytest.mark.parametrize("attention", [None, "mean_one", "paper"])
def test_scores_equal_loops(q: Sizes, s: Sizes, top_clips: int, top_patches: int, attention: str | None) -> None:
    query, support = drawn(0, q, keys=False), drawn(1, s, keys=attention is not None)
    settings: dict[str, Any] = {"top_clips": top_clips, "top_patches": top_patches}
    settings["attention_scale"] = attention or "mean_one"
    assert_equal(match(query, support, **settings), match_by_loops(query, support, **settings))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1e-30, 1.0, 50.0, 3000.0])
def test_long_patches_do_not_overflow(dtype: torch.dtype, length: float) -> None:
    query, support = (drawn(seed, Sizes(2, 4, 6, 16, MIXED), length=length) for seed in (2, 3))
    found = match(*(in_dtype(e, dtype) for e in (query, support)))
    assert found.total().dtype == dtype and not found.total().requires_grad
    as_rounded = [in_dtype(in_dtype(e, dtype), torch.float64) for e in (query, support)]
    expected = match_by_loops(*as_rounded)
    rtol, atol = (1e-3, 1e-5) if dtype == torch.float32 else (1e-9, 1e-9)
    for level in LEVELS:
        torch.testing.assert_close(getattr(found, level).double(), getattr(expected, level), rtol=rtol, atol=atol)


def in_dtype(e: Embeddings, dtype: torch.dtype) -> Embeddings:
    keys = None if e.class_keys is None else e.class_keys.to(dtype)
    return Embeddings(e.global_.to(dtype), e.clips.to(dtype), e.patches.to(dtype), e.clip_frames, keys)


def test_zero_vectors_score_zero() -> None:
    sizes = Sizes(2, 3, 2, 4, PAIRS_OF_3)
    query, support = drawn(4, sizes), drawn(5, sizes)
    for part in (query.global_, query.clips, query.patches):
        part[0] = 0
    support.patches[1, 1] = 0
    found = match(query, support)
    assert_equal(found, match_by_loops(query, support))
    assert all(torch.equal(getattr(found, level)[0], torch.zeros(2, dtype=torch.float64)) for level in LEVELS)


def test_total_is_the_sum_of_the_levels() -> None:
    scores = Scores(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[4.0]]))
    assert scores.total().tolist() == [[7.0]]


@pytest.mark.parametrize("clip_frames", [PAIRS_OF_3, ((0,), (0, 1, 2))])
def test_a_video_against_itself_scores_one_on_each_level(clip_frames: Clips) -> None:
    videos = drawn(6, Sizes(3, 3, 4, 8, clip_frames), keys=False)
    scores = match(videos, videos)
    for level in LEVELS:
        torch.testing.assert_close(getattr(scores, level).diag(), torch.ones(3, dtype=torch.float64))


def test_the_order_of_clips_does_not_matter() -> None:
    query, support = (drawn(seed, Sizes(2, 4, 3, 5, MIXED)) for seed in (7, 8))
    order = [3, 0, 4, 2, 1]
    shuffled = [
        replace(e, clips=e.clips[:, order], clip_frames=tuple(MIXED[i] for i in order)) for e in (query, support)
    ]
    expected = match(query, support, top_clips=3)
    assert_equal(match(shuffled[0], support, top_clips=3), expected)
    assert_equal(match(query, shuffled[1], top_clips=3), expected)


def test_permuting_videos_permutes_scores() -> None:
    query, support = (drawn(seed, Sizes(4, 3, 2, 5, PAIRS_OF_3)) for seed in (9, 10))
    rows, columns = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 3, 2, 0])
    found, expected = match(query.rows(rows), support.rows(columns)), match(query, support)
    assert_equal(found, Scores(*(getattr(expected, level)[rows][:, columns] for level in LEVELS)))


def test_the_length_of_patches_matters_to_attention_alone() -> None:
    sizes = Sizes(2, 3, 4, 8, PAIRS_OF_3)
    query, support, bare = drawn(11, sizes), drawn(12, sizes), drawn(12, sizes, keys=False)
    longer = replace(query, patches=query.patches * 7)
    assert_equal(match(longer, bare), match(query, bare))
    assert not torch.allclose(match(longer, support).spatial, match(query, support).spatial)


def test_equal_logits_are_no_attention_at_mean_one_and_one_in_np_in_the_paper() -> None:
    sizes = Sizes(2, 3, 4, 8, PAIRS_OF_3)
    query, support, bare = drawn(13, sizes), drawn(14, sizes), drawn(14, sizes, keys=False)
    flat = replace(support, class_keys=torch.zeros(2, 8, dtype=torch.float64))
    assert_equal(match(query, flat), match(query, bare))
    torch.testing.assert_close(match(query, flat, attention_scale="paper").spatial, match(query, bare).spatial / 8)


@pytest.mark.parametrize("scale", ["mean_one", "paper"])
@pytest.mark.parametrize("length", [1.0, 1e3])
def test_semantic_attention_equals_loops(scale: str, length: float) -> None:
    embeddings = drawn(15, Sizes(2, 3, 4, 5, PAIRS_OF_3), length=length)
    assert embeddings.class_keys is not None
    found = semantic_attention(embeddings.patches, embeddings.class_keys[:, None], scale)  # (2, 3, 4)
    for video, key in enumerate(embeddings.class_keys):
        for frame, patches in enumerate(embeddings.patches[video]):
            expected = torch.stack(attention_by_loops(list(patches), key, scale))
            torch.testing.assert_close(found[video, frame], expected)


@pytest.mark.parametrize("block_bytes", [1, 3000, 20_000])
@pytest.mark.parametrize("gradients", [False, True])
def test_blocks_do_not_change_scores(block_bytes: int, gradients: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    query, support = drawn(16, Sizes(5, 4, 3, 5, MIXED)), drawn(17, Sizes(7, 3, 2, 5, PAIRS_OF_3))
    query.patches.requires_grad_(gradients)
    expected = match(query, support)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    assert_equal(match(query, support), expected)


@pytest.mark.parametrize(("queries", "supports"), [(0, 2), (2, 0)])
def test_no_videos_give_an_empty_table(queries: int, supports: int) -> None:
    scores = match(drawn(0, Sizes(queries, 3, 2, 4, PAIRS_OF_3)), drawn(1, Sizes(supports, 3, 2, 4, PAIRS_OF_3)))
    assert scores.total().shape == (queries, supports)


FIELDS = ("global_", "clips", "patches", "class_keys")


def with_gradients(e: Embeddings) -> tuple[Embeddings, list[Tensor]]:
    leaves = [array.clone().requires_grad_() for array in (getattr(e, field) for field in FIELDS) if array is not None]
    return replace(e, **dict(zip(FIELDS, leaves, strict=False))), leaves


@pytest.mark.parametrize("attention", [None, "mean_one", "paper"])
@pytest.mark.parametrize(("q", "s", "top_clips", "top_patches"), GRID[1:])
def test_gradients_equal_those_of_loops(
    q: Sizes, s: Sizes, top_clips: int, top_patches: int, attention: str | None
) -> None:
    query, of_query = with_gradients(drawn(18, q))
    support, of_support = with_gradients(drawn(19, s, keys=attention is not None))
    settings: dict[str, Any] = {"top_clips": top_clips, "top_patches": top_patches}
    settings["attention_scale"] = attention or "mean_one"
    leaves = of_query + of_support
    found, expected = (
        torch.autograd.grad(
            sum(
                (
                    getattr(scores, level) * torch.linspace(1, weight, scores.total().numel()).view_as(scores.total())
                ).sum()
                for weight, level in enumerate(LEVELS, start=2)
            ),
            leaves,
            allow_unused=True,
            materialize_grads=True,
        )
        for scores in (match(query, support, **settings), match_by_loops(query, support, **settings))
    )
    for mine, loops in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, loops)
    assert found[2].abs().sum() > 0


def test_gradients_through_one_side_and_of_a_zero_vector() -> None:
    sizes = Sizes(2, 3, 2, 4, PAIRS_OF_3)
    query, support = drawn(20, sizes), drawn(21, sizes)
    support.patches[0, 0, 0] = 0
    support.patches.requires_grad_()
    (gradient,) = torch.autograd.grad(match(query, support).total().sum(), support.patches)
    assert gradient.isfinite().all() and gradient.any()
    with torch.no_grad():
        assert not match(query, support).total().requires_grad


def test_the_products_of_a_batch_are_not_kept_for_backward() -> None:
    sizes = Sizes(6, 4, 9, 8, tuple(combinations(range(4), 2)))
    query, _ = with_gradients(drawn(22, sizes))
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        match(query, query, top_clips=2, top_patches=3)
    pairs, patches = 6 * 6, 4 * 9
    assert max(kept) <= max(pairs * patches, 6 * patches * 8)  # the logits or the embeddings: no product of patches


def test_bad_settings_are_refused() -> None:
    videos = drawn(0, Sizes(1, 3, 2, 4, PAIRS_OF_3))
    wider = drawn(0, Sizes(1, 3, 2, 5, PAIRS_OF_3))
    with pytest.raises(ValueError, match=r"\(1, 4\).*\(1, 5\)"):
        match(videos, wider)
    with pytest.raises(ValueError, match="at least 1, got 0 and 10"):
        match(videos, videos, top_clips=0)
    with pytest.raises(ValueError, match="at least 1, got 10 and -1"):
        match(videos, videos, top_patches=-1)
    with pytest.raises(ValueError, match=r"one of \('mean_one', 'paper'\), got 'mean'"):
        match(videos, videos, attention_scale="mean")
    with pytest.raises(ValueError, match="got 'none'"):
        semantic_attention(videos.patches, videos.global_, "none")


def test_embeddings_as_a_store_gives_them_are_scored_in_float32() -> None:
    """Their patches are float16, their other arrays float32."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 8), (3, 1, 8), (3, 2, 4, 8))
    global_, clips, patches = (torch.randn(shape, generator=generator) for shape in shapes)
    keys = torch.randn(3, 8, generator=generator)
    stored = Embeddings(global_, clips, patches.half(), ((0, 1),), keys)
    plain = Embeddings(global_, clips, patches.half().float(), ((0, 1),), keys)
    assert stored.is_mixed and not plain.is_mixed
    assert torch.equal(match(stored, stored).total(), match(plain, plain).total())
