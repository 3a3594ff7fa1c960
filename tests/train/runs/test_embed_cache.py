"""Caches are embedded by the encoder of a run, or straight from their maps."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.match.config import LEVELS
from hcl.match.evaluation.comparison import compare
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate
from hcl.match.reports import comparison_report
from hcl.match.reports.report import as_text
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.inspection import describe
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_another_cache_is_embedded_with_its_splits(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", splits=dict.fromkeys("wxyz", "novel") | {"v": "val"}, seed=3, content="o")
    embed_cache(other.path, here / "other store.zarr", run=here / "one", device="cpu")
    store = EmbeddingStore.open(here / "other store.zarr")
    assert len(store.videos) == 20 and store.videos.split == other.videos.split
    assert evaluate(store.path, way=4, episodes=10).class_names == ("w", "x", "y", "z")


def share_content(cache: ZarrCache, row: int, other: int) -> None:
    """Make two videos of a cache byte-identical, as far as the cache knows."""
    cache.write([MapRecord(row, cache.maps(row), source=Source(cache.videos.content[other]))])


def test_what_base_has_is_neither_embedded_nor_scored_and_named(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str]
) -> None:
    cache = make_cache(here / "cache.zarr")
    share_content(cache, 27, 0)  # the last novel one and the first of base
    share_content(cache, 12, 1)
    small_train(cache, here / "one")
    same = ("val d/0.mp4 = base a/1.mp4", "novel g/3.mp4 = base a/0.mp4")
    told = [line for line in said if line.startswith("left out, 2 val or novel videos that are byte-identical")]
    assert len(told) == 1 and told[0].endswith("; ".join(same))
    store = EmbeddingStore.open(here / "one" / STORE)
    assert len(store.videos) == 14 and not {"d/0.mp4", "g/3.mp4"} & {*store.videos.path}
    evaluation = evaluate(store, way=2, episodes=10)
    assert evaluation.left_out.copies == same[1:] and evaluation.class_sizes == (4, 3)
    assert f"earlier split: {same[1]}" in as_text(evaluation)
    line = f"left out, 2 val or novel videos that are byte-identical to a video of an earlier split: {'; '.join(same)}"
    assert [line in str(describe(each)).splitlines() for each in (cache.path, here / "one", here / "one" / STORE)] == [
        True
    ] * 3
    shutil.copytree(here / "one" / STORE, here / "again.zarr")
    both = compare({"one": store, "again": here / "again.zarr"}, EvaluationRequest.of(n_way=2, episodes=10))
    assert both.left_out.copies == same[1:] and both.to_dict()["left_out"]["copies"] == list(same[1:])
    assert comparison_report.as_text(both).count(f"earlier split: {same[1]}") == 1
    embed_cache(cache.path, here / "all.zarr", run=here / "one", device="cpu")
    every = EmbeddingStore.open(here / "all.zarr")
    assert len(every.videos) == 26 and evaluate(every, way=2, episodes=10).left_out.copies == same[1:]
    assert len([line for line in said if line.startswith("left out, 2")]) == 2


def test_what_a_run_was_trained_on_is_no_novel_video_of_another_cache(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str]
) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", splits=dict.fromkeys("wxyz", "novel") | {"v": "base"}, content="other")
    for row, content in ((3, "h0"), (5, "h11"), (6, "h12"), (17, "h1")):  # of base: h0 to h11
        other.write([MapRecord(row, other.maps(row), source=Source(content))])
    embed_cache(other.path, here / "s.zarr", run=here / "one", device="cpu")
    same = (f"novel w/3.mp4 = a base video of {here / 'one'}", f"novel x/1.mp4 = a base video of {here / 'one'}")
    assert any(line.endswith("; ".join(same)) for line in said)
    store = EmbeddingStore.open(here / "s.zarr")
    with pytest.raises(InputError, match="every video is left out.*; embed another cache"):
        all_of_base = make_cache(here / "again.zarr", splits=dict.fromkeys("xyz", "novel"))
        embed_cache(all_of_base.path, here / "t.zarr", run=here / "one", device="cpu")
    assert len(store.videos) == 18 and evaluate(store, way=4, episodes=10).left_out.copies == same


def test_another_text_model_or_backbone_is_refused_by_name(
    small_train: Train, make_cache: MakeCache, here: Path, edit_attributes: Edit
) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", text=False)
    with pytest.raises(InputError, match="class texts by no text model, the run was trained with small bert"):
        embed_cache(other.path, here / "s.zarr", run=here / "one")
    edit_attributes(other.path, lambda attributes: attributes["settings"].update(weights_sha256="v"))
    with pytest.raises(InputError, match="weights_sha256 w in the run, v in the cache"):
        embed_cache(other.path, here / "s.zarr", run=here / "one")


def power_frames(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, P, C) to (T, C): the cube root of the mean of the cubes over patches, above 0 less below."""
    above, below = (np.cbrt((part.clip(min=0) ** 3).mean(axis=1)) for part in (maps, -maps))
    return np.asarray(above - below)


@pytest.mark.parametrize(("splits", "centred_by"), [(None, "abcde"), (dict.fromkeys("abc", "novel"), "abc")])
def test_maps_can_be_embedded_untrained(
    make_cache: MakeCache, here: Path, splits: dict[str, str] | None, centred_by: str
) -> None:
    """Less the mean map of the videos that are not novel, of all where there are no others."""
    cache = make_cache(here / "cache.zarr", **({} if splits is None else {"splits": splits}))
    embed_cache(cache.path, here / "s.zarr")
    store = EmbeddingStore.open(here / "s.zarr")
    found = store.embeddings(np.array([5]))
    used = [cache.maps(int(row)) for row in cache.rows() if cache.videos.label[row] in centred_by]
    maps = torch.from_numpy(cache.maps(5)).float() - torch.from_numpy(np.stack(used)).float().mean(dim=(0, 1, 2))
    torch.testing.assert_close(found.patches[0].float(), maps, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(found.global_[0], maps.mean(dim=(0, 1)), rtol=1e-4, atol=1e-5)
    assert found.class_keys is None
    known = store.arrays(("untrained", "untrained_motion", "untrained_change"), np.array([5]))
    frames = [power_frames(each.astype(np.float64)) for each in (cache.maps(5), *used)]
    for name, statistic in (("untrained", np.mean), ("untrained_change", np.std)):
        of_video, *others = (statistic(each, axis=0) for each in frames)
        expected = torch.from_numpy(of_video - np.mean(others, axis=0)).float()
        torch.testing.assert_close(known[name][0].float(), expected, rtol=1e-3, atol=1e-4)
    motion = (maps.mean(dim=1) - maps.mean(dim=(0, 1))).flatten()
    torch.testing.assert_close(known["untrained_motion"][0].float(), motion, rtol=1e-3, atol=1e-3)


def test_the_outcome_is_a_value_that_prints_the_next_step(make_cache: MakeCache, here: Path) -> None:
    embedded = embed_cache(str(make_cache(here / "cache.zarr").path), str(here / "s.zarr"))
    assert embedded.to_dict() == {"store": str(here / "s.zarr"), "videos": 28}
    assert "hcl evaluate" in str(embedded)


def test_a_cache_without_finished_videos_is_refused(here: Path, make_cache: MakeCache) -> None:
    cache = ZarrCache.create(here / "cache.zarr", make_cache(here / "other.zarr").settings, shape=(4, 4, 12))
    with pytest.raises(InputError, match="no finished videos; run hcl extract first"):
        embed_cache(cache.path, here / "s.zarr")


def test_stores_without_classes_to_choose_on_take_the_weights_of_the_run(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    """Those of the run's own store, said to be foreign; a store with classes of its own chooses on these."""
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one")
    own = EmbeddingStore.open(here / "one" / STORE).attributes["level_weights"]
    assert own["chosen_on"] == "2 val classes" and own["is_own"] is True
    splits = {"novel": dict.fromkeys("wxyz", "novel"), "base": dict.fromkeys("pqr", "base") | {"w": "novel"}}
    found = {}
    for name, of_set in splits.items():
        other = make_cache(here / f"{name}.zarr", splits=of_set, seed=3)
        embed_cache(other.path, here / f"{name} store.zarr", run=here / "one", device="cpu")
        found[name] = EmbeddingStore.open(here / f"{name} store.zarr").attributes["level_weights"]
    assert found["novel"] == {**own, "chosen_on": f"2 val classes of {here / 'one'}", "is_own": False}
    assert (found["base"]["chosen_on"], found["base"]["is_own"]) == ("3 base and val classes", True)


def test_classes_that_a_run_was_trained_on_do_not_choose_weights(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    """Nor those of a run on several sets, which calls them by their set."""
    splits = dict.fromkeys("abc", "base") | dict.fromkeys("xy", "novel")
    for number, of_run in enumerate(([0], [0, 1])):
        caches = [
            make_cache(here / f"{number}{name}.zarr", splits=splits, seed=place, content=name)
            for place, name in enumerate("AB")
        ]
        used = [caches[place] for place in of_run]
        small_train(used[0] if len(used) == 1 else used, here / f"run{number}", epochs=1, hold_out=False)
        embed_cache(caches[0].path, here / f"s{number}.zarr", run=here / f"run{number}", device="cpu")
        assert "level_weights" not in EmbeddingStore.open(here / f"s{number}.zarr").attributes


def test_a_run_without_the_losses_of_a_level_is_scored_without_it(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    """In its own store and in those of other caches; the encoder's temporal level is the random one it began with."""
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one", temporal_contrast=False, temporal_cycle=False, spatial_weight=0.0)
    embed_cache(cache.path, here / "other.zarr", run=here / "one", device="cpu")
    for path in (here / "one" / STORE, here / "other.zarr"):
        store = EmbeddingStore.open(path)
        assert store.trained_levels == ("global",)
        assert not {"temporal", "spatial"} & set(store.attributes["level_weights"]["weights"])
    embed_cache(cache.path, here / "maps.zarr")
    assert EmbeddingStore.open(here / "maps.zarr").trained_levels == LEVELS


def test_a_store_names_the_classes_that_its_run_was_trained_on(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    """Of a cache with other splits, and of another one with names that read alike; they are no novel classes."""
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one", epochs=1)
    assert EmbeddingStore.open(here / "one" / STORE).trained_classes == ()
    others = {
        "splits": (dict.fromkeys("abcde", "novel") | dict.fromkeys("fg", "base"), ("a", "b", "c")),
        "names": (dict.fromkeys(("A", "_b_", "x", "y"), "novel") | {"C": "base"}, ("A", "C", "_b_")),
    }
    for name, (splits, trained) in others.items():
        other = make_cache(here / f"{name}.zarr", splits=splits, content=name)
        embed_cache(other.path, here / f"{name} store", run=here / "one", device="cpu")
        store = EmbeddingStore.open(here / f"{name} store")
        assert store.trained_classes == trained and store.attributes["origin"]["base_classes"] == ["a", "b", "c"]
        found = evaluate(store, way=2, episodes=5)
        assert len(found.class_names) == 2 and not {*found.class_names} & {*trained}
    embed_cache(cache.path, here / "maps.zarr")
    assert EmbeddingStore.open(here / "maps.zarr").trained_classes == ()
    small_train(cache, here / "nothing", method="resnet")
    embed_cache(cache.path, here / "mean maps", run=here / "nothing", device="cpu")
    assert EmbeddingStore.open(here / "mean maps").trained_classes == ()
