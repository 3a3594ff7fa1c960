"""A list of pairs is scored as `match` scores the table of all pairs, in float64 and on the same stored values."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.match.config import PATCH_SELECTIONS, PairSettings
from hcl.match.embeddings import Clips, Embeddings
from hcl.match.fast_scoring import int8_patches as coarse
from hcl.match.fast_scoring import pair_scores as pairs
from hcl.match.fast_scoring.pair_scorer import PairScorer
from hcl.match.fast_scoring.pair_scores import score_pairs, scores_by_match
from hcl.match.scoring.clip_pairs import ClipPairs
from hcl.match.scoring.scores import match

PAIRS_OF_4 = tuple(combinations(range(4), 2))
MIXED = ((0, 1), (2, 3), (0, 1, 2), (1, 3), (3,))
ALL_OF_8 = np.array([(i, j) for i in range(8) for j in range(8) if i != j])


def drawn(
    seed: int, clip_frames: Clips = PAIRS_OF_4, *, patches: int = 5, width: int = 16, alike: float = 0.0
) -> Embeddings:
    """Eight videos; `alike` brings all patches close to one vector, so that rounding to int8 would swap ranks."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Embeddings(
        normal(8, width),
        normal(8, len(clip_frames), width),
        (1 - alike) * normal(8, 4, patches, width) + alike * normal(width),
        clip_frames,
        3 * normal(8, width),
    )


def in_float64(e: Embeddings) -> Embeddings:
    keys = None if e.class_keys is None else e.class_keys.double()
    return Embeddings(e.global_.double(), e.clips.double(), e.patches.double(), e.clip_frames, keys)


def by_match(embeddings: Embeddings, rows: np.ndarray, **settings: Any) -> np.ndarray:
    stored = in_float64(embeddings)
    table = match(stored, stored, **settings)
    levels = torch.stack((table.global_, table.temporal, table.spatial), dim=-1)
    return levels[torch.from_numpy(rows[:, 0]), torch.from_numpy(rows[:, 1])].numpy()


@pytest.fixture(params=[True, False], ids=["int8", "float32"])
def int8(request: pytest.FixtureRequest) -> bool:
    """Whether patch pairs are searched by int8 products."""
    return bool(request.param)


@pytest.mark.parametrize("clip_frames", [PAIRS_OF_4, MIXED, ((0,),), ((0, 1, 2, 3),)])
@pytest.mark.parametrize(("top_clips", "top_patches"), [(10, 10), (3, 4), (1, 1), (2, 100)])
@pytest.mark.parametrize("attention", [None, "mean_one", "paper"])
def test_pairs_score_as_the_table_does(
    int8: bool, clip_frames: Clips, top_clips: int, top_patches: int, attention: str | None
) -> None:
    embeddings = drawn(0, clip_frames)
    if attention is None:
        embeddings = replace(embeddings, class_keys=None)
    settings: dict[str, Any] = {"top_clips": top_clips, "top_patches": top_patches}
    settings["attention_scale"] = attention or "mean_one"
    found = score_pairs(embeddings, ALL_OF_8, **settings, int8=int8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_match(embeddings, ALL_OF_8, **settings), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("selection", PATCH_SELECTIONS[1:])
@pytest.mark.parametrize("clip_frames", [PAIRS_OF_4, MIXED])
@pytest.mark.parametrize("attention", [None, "mean_one", "paper"])
def test_pairs_of_every_selection_score_as_the_table_does(
    int8: bool, clip_frames: Clips, attention: str | None, selection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "PAIRS_PER_TASK", 3)
    embeddings = drawn(14, clip_frames, alike=0.3)
    embeddings = replace(embeddings, patches=embeddings.patches.half())
    if attention is None:
        embeddings = replace(embeddings, class_keys=None)
    settings: dict[str, Any] = {"top_clips": 3, "top_patches": 4, "patch_selection": selection}
    settings["attention_scale"] = attention or "mean_one"
    found = score_pairs(embeddings, ALL_OF_8, **settings, int8=int8)
    np.testing.assert_allclose(found, by_match(embeddings, ALL_OF_8, **settings), rtol=1e-4, atol=1e-5)
    coarse_levels = score_pairs(embeddings, ALL_OF_8, **settings, int8=int8, spatial=False)
    np.testing.assert_allclose(coarse_levels[:, :2], found[:, :2], rtol=1e-5, atol=1e-6)
    assert np.isnan(coarse_levels[:, 2]).all()


@pytest.mark.parametrize("selection", PATCH_SELECTIONS)
def test_still_videos_and_zero_vectors_of_every_selection(int8: bool, selection: str) -> None:
    embeddings = replace(drawn(15), class_keys=None)
    embeddings.patches[0] = 0
    embeddings.patches[1] = embeddings.patches[1, :1, :1]  # of equal patches
    found = score_pairs(embeddings, ALL_OF_8, int8=int8, patch_selection=selection)
    assert np.isfinite(found).all() and not found[(ALL_OF_8 == 0).any(axis=1), 2].any()
    table = by_match(embeddings, ALL_OF_8, patch_selection=selection)
    np.testing.assert_allclose(found, table, rtol=1e-4, atol=1e-5)


def test_without_class_keys_the_highest_weighted_cosine_is_the_highest_cosine(int8: bool) -> None:
    embeddings = replace(drawn(16), class_keys=None)
    found = score_pairs(embeddings, ALL_OF_8, int8=int8, patch_selection="weighted")
    np.testing.assert_array_equal(found, score_pairs(embeddings, ALL_OF_8, int8=int8))


@pytest.mark.parametrize(("patches", "width"), [(1, 1), (1, 8), (9, 3), (7, 70)])
def test_any_size(int8: bool, patches: int, width: int) -> None:
    embeddings = drawn(1, patches=patches, width=width)
    if width == 1:  # all cosines are 1 or -1: without keys, ties do not matter
        embeddings = replace(embeddings, class_keys=None)
        embeddings = replace(embeddings, clips=embeddings.clips.expand(8, 6, 1), patches=embeddings.patches.abs())
    np.testing.assert_allclose(
        score_pairs(embeddings, ALL_OF_8, int8=int8), by_match(embeddings, ALL_OF_8), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("alike", [0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_patches_that_int8_cannot_tell_apart_are_ranked_in_float32(
    int8: bool, alike: float, dtype: torch.dtype
) -> None:
    embeddings = drawn(2, patches=20, width=64, alike=alike)
    embeddings = replace(embeddings, patches=embeddings.patches.to(dtype))
    found, expected = score_pairs(embeddings, ALL_OF_8, int8=int8), by_match(embeddings, ALL_OF_8)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_entries_that_outweigh_all_others_cost_no_accuracy(int8: bool) -> None:
    embeddings = drawn(3, patches=12, width=64)
    embeddings.patches[..., 5] += 40  # int8 steps follow the largest entry
    embeddings = replace(embeddings, class_keys=drawn(4, width=64).global_ / 10)
    np.testing.assert_allclose(
        score_pairs(embeddings, ALL_OF_8, int8=int8), by_match(embeddings, ALL_OF_8), rtol=1e-3, atol=1e-4
    )


def test_long_patches_and_zero_vectors(int8: bool) -> None:
    embeddings = drawn(5)
    embeddings = replace(embeddings, patches=embeddings.patches * 50)
    embeddings.patches[0] = 0
    embeddings.patches[1, :, 2] = 0
    embeddings.clips[2, 1] = 0
    np.testing.assert_allclose(
        score_pairs(embeddings, ALL_OF_8, int8=int8), by_match(embeddings, ALL_OF_8), rtol=1e-3, atol=1e-5
    )


def test_int8_is_rounded_as_its_margin_says() -> None:
    table = coarse.PatchTable.empty(8, 4, 30, 256, int8=True)
    for video, patches in enumerate(drawn(6, patches=30, width=256).patches):
        table.put(video, patches)
    rows = table.coarse.flatten(0, 2).float() * table.step.repeat_interleave(30)[:, None]
    errors = rows[:120] @ rows[120:].T - table.exact[0].flatten(0, 1) @ table.exact[1:].flatten(0, 2).T
    worst = coarse.margin(table.error[:1], table.error[1:]).max()
    assert worst / 2 < errors.abs().max() < worst and errors.std() > worst / 10  # neither too wide nor too narrow


def test_int8_serves_where_it_is_right_and_quicker() -> None:
    for of_int8 in (1.0, 3.0):
        seconds = {torch.int8: of_int8, torch.float32: 2.0}
        serves = coarse.int8_serves(64, seconds=lambda queries, *_, known=seconds: known[queries.dtype])
        assert serves == (of_int8 < 2)


def test_a_processor_that_saturates_is_found_out() -> None:
    def saturating(queries: Tensor, supports: Tensor, out: Tensor) -> Tensor:
        return out.copy_((queries.float() @ supports.float().T).clamp(-32768, 32767))

    def seconds(queries: Tensor, *_: Tensor) -> float:
        return 1.0 if queries.dtype == torch.int8 else 2.0

    assert coarse.int8_serves(64, seconds=seconds) and not coarse.int8_serves(64, saturating, seconds)


def test_order_repeats_blocks_and_threads_change_nothing(int8: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = drawn(7)
    rows = np.random.default_rng(0).permutation(np.concatenate((ALL_OF_8, ALL_OF_8[::3])))
    done: list[int] = []
    monkeypatch.setattr(pairs, "TABLE_BYTES", 3 * 5 * embeddings.patches[0].numel())
    monkeypatch.setattr(pairs, "PAIRS_PER_TASK", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    found = score_pairs(embeddings, rows, progress=done.append, int8=int8)
    left = _threads_of_a_new_thread()
    torch.set_num_threads(threads)
    assert left == 3 and max(done) == 2 and sum(done) == len(rows)
    np.testing.assert_allclose(found, by_match(embeddings, rows), rtol=1e-4, atol=1e-5)


def _threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_an_interruption_is_passed_on_and_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    align = PairScorer.align

    def slowly(scorer: PairScorer, query: int, supports: Tensor, **settings: bool) -> ClipPairs:
        started.append(query)
        time.sleep(0.02)
        return align(scorer, query, supports, **settings)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PairScorer, "align", slowly)
    monkeypatch.setattr(pairs, "PAIRS_PER_TASK", 1)
    with pytest.raises(KeyboardInterrupt):
        score_pairs(drawn(8), ALL_OF_8, progress=interrupt)
    assert len(started) < len(ALL_OF_8) / 2


def test_what_runs_on_a_device_scores_the_same() -> None:
    embeddings = drawn(9)
    found = np.full((len(ALL_OF_8), 3), np.nan, dtype=np.float32)
    settings: PairSettings = {
        "top_clips": 3,
        "top_patches": 4,
        "attention_scale": "paper",
        "patch_selection": "moving",
    }
    for places, values in scores_by_match(embeddings, ALL_OF_8, settings):
        assert np.isnan(found[places]).all()  # each pair once
        found[places] = values
    np.testing.assert_allclose(found, by_match(embeddings, ALL_OF_8, **settings), rtol=1e-4, atol=1e-5)


def test_the_spatial_level_can_be_left_out() -> None:
    embeddings = drawn(10)
    found = score_pairs(embeddings, ALL_OF_8, spatial=False)
    np.testing.assert_array_equal(found[:, :2], score_pairs(embeddings, ALL_OF_8)[:, :2])
    assert np.isnan(found[:, 2]).all()


def test_gradients_are_neither_needed_nor_in_the_way() -> None:
    embeddings = drawn(13)
    expected = score_pairs(embeddings, ALL_OF_8)
    for array in (embeddings.global_, embeddings.clips, embeddings.patches, embeddings.class_keys):
        assert array is not None
        array.requires_grad_()
    np.testing.assert_array_equal(score_pairs(embeddings, ALL_OF_8), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(score_pairs(embeddings, ALL_OF_8), expected)


def test_no_pairs_give_no_scores() -> None:
    for selection in PATCH_SELECTIONS:
        none = score_pairs(drawn(11), np.empty((0, 2), dtype=np.int64), patch_selection=selection)
        assert none.shape == (0, 3)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0 and 10"):
        score_pairs(drawn(12), ALL_OF_8, top_clips=0)
    with pytest.raises(ValueError, match=r"patch_selection must be one of \('similarity', .*\), got 'best'"):
        score_pairs(drawn(12), ALL_OF_8, patch_selection="best")
