"""Caches are embedded by the encoder of a run, or straight from their maps."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_another_cache_is_embedded_with_its_splits(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", splits=dict.fromkeys("wxyz", "novel") | {"v": "val"}, seed=3)
    embed_cache(other.path, here / "other store.zarr", run=here / "one", device="cpu")
    store = EmbeddingStore.open(here / "other store.zarr")
    assert len(store.videos) == 20 and store.videos.split == other.videos.split
    assert evaluate(store.path, way=4, episodes=10).class_names == ("w", "x", "y", "z")


def test_another_text_model_or_backbone_is_refused_by_name(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", text=False)
    with pytest.raises(InputError, match="class texts by no text model, the run was trained with small bert"):
        embed_cache(other.path, here / "s.zarr", run=here / "one")
    attributes = json.loads((other.path / "zarr.json").read_text())
    attributes["attributes"]["settings"]["weights_sha256"] = "v"
    (other.path / "zarr.json").write_text(json.dumps(attributes))
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
