"""A cache that was relabelled: its runs and stores say so, and videos without a label are embedded and no more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.cache.edits import Edits
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.store.embedding_store import EmbeddingStore, open_store
from hcl.match.store.locate import STORE
from hcl.train.config import preset_config
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.inspection import describe
from hcl.train.runs.planning import describe_differences, make_run_config
from hcl.train.runs.run_folder import read_config
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_stores_and_runs_notice_other_labels(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str]
) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, Path("one"))
    config = read_config("one")
    open_store("one")
    assert not [line for line in said if "changed since" in line]
    cache.edit(Edits(label={20: "g", 27: ""}, path={20: "g/9.mp4"}, removed=(26,)))  # novel ones
    open_store("one")
    (told,) = [line for line in said if "changed since" in line]
    assert told == (
        "one/embeddings.zarr: its cache was changed since, 3 of its 16 videos, such as f/0.mp4: f there, g now; embed"
        f" anew with: hcl embed {cache.path} --run one --out one/embeddings.zarr"
    )
    assert describe_differences(config, make_run_config(cache, config.training)) != ""
    embed_cache("cache.zarr", "again.zarr", run="one", device="cpu")
    assert not [line for line in said if "base videos have other classes" in line]
    said.clear()
    evaluate("again.zarr", way=2, episodes=5, spatial=False)
    assert not [line for line in said if "changed since" in line]
    store = EmbeddingStore.open("again.zarr")
    assert store.videos.label.count("") == store.videos.split.count("") == 1
    cache.edit(Edits(label={0: "b"}))
    embed_cache("cache.zarr", "once more.zarr", run="one", device="cpu")
    assert "cache.zarr: base videos have other classes, or are gone, since one was trained" in said


def test_a_training_is_not_resumed_on_other_labels(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    begun = make_run_config(cache, preset_config("quick"))
    assert describe_differences(begun, make_run_config(cache, begun.training)) == ""
    former = replace(begun, cache={name: value for name, value in begun.cache.items() if "labels" not in name})
    cache.edit(Edits(label={0: "b"}))
    now = make_run_config(cache, begun.training)
    assert describe_differences(begun, now) == "cache (videos have other classes or groups now)"
    assert describe_differences(former, now) == ""  # begun by a version that did not keep them


def test_videos_without_labels_are_embedded_and_no_more(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr", text=False)
    names = tuple(cache.class_splits)
    cache.edit(Edits(label=dict.fromkeys(range(28), ""), removed_classes=names))
    assert cache.rows().tolist() == list(range(28)) and not len(cache.rows("novel")) and cache.class_splits == {}
    with pytest.raises(InputError, match="none of its 28 videos has a label, and training needs them"):
        make_run_config(cache, preset_config("quick"))
    assert "unlabelled: 28 videos, for hcl embed alone" in str(describe(cache.path))
    embed_cache("cache.zarr", "store.zarr", device="cpu")
    assert len(EmbeddingStore.open("store.zarr").videos) == 28
    with pytest.raises(InputError, match="none of its 28 videos has a label, and an evaluation needs them"):
        evaluate("store.zarr")


def test_a_twin_without_a_label_hides_no_labelled_video(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    videos = replace(cache.videos, content=("same", *cache.videos.content[1:20], "same", *cache.videos.content[21:]))
    assert videos.in_earlier_split == {20: 0}
    assert replace(videos, label=("", *videos.label[1:]), split=("", *videos.split[1:])).in_earlier_split == {}
    assert np.array_equal(videos.rows("novel"), cache.videos.rows("novel"))
    assert not (here / "one" / STORE).exists()
