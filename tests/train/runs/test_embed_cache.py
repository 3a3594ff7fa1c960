"""Caches are embedded by the encoder of a run, or straight from their maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_another_cache_is_embedded_with_its_splits(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", splits=dict.fromkeys("wxyz", "novel") | {"v": "val"}, seed=3)
    embed_cache(other.path, here / "other store.zarr", run=here / "one", device="cpu")
    store = EmbeddingStore.open(here / "other store.zarr")
    assert len(store.videos) == 20 and store.videos.split == other.videos.split
    assert evaluate(store.path, way=4, episodes=10).class_names == ("w", "x", "y", "z")


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
    known = store.arrays(("untrained", "untrained_motion"), np.array([5]))
    torch.testing.assert_close(known["untrained"], found.global_)
    motion = (maps.mean(dim=1) - maps.mean(dim=(0, 1))).flatten()
    torch.testing.assert_close(known["untrained_motion"][0].float(), motion, rtol=1e-3, atol=1e-3)
    result = evaluate(here / "s.zarr", way=2, episodes=200)
    found_by = {name: value.accuracy for name, value in result.outcomes[0].accuracies.items()}
    assert found_by["global"] == pytest.approx(found_by["untrained"])


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
