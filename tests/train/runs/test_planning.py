"""What a run follows from is settled, and refused, before anything is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.runs.planning import (
    begin,
    describe_differences,
    describe_run,
    held_out_classes,
    make_run_config,
    open_with_splits,
    plan_run,
)
from hcl.train.runs.run_folder import read_config
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_a_cache_without_base_classes_is_refused_with_the_way_out(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    cache = make_cache(here / "cache.zarr", splits=dict.fromkeys("ab", "novel"))
    with pytest.raises(InputError, match="0 base classes with videos.*hcl embed --untrained"):
        small_train(cache, here / "one")


def test_without_text_there_is_no_attention(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str]
) -> None:
    cache = make_cache(here / "cache.zarr", text=False)
    small_train(cache, here / "one")
    assert EmbeddingStore.open(here / "one" / STORE).embeddings(np.array([0])).class_keys is None
    assert any("no semantic attention (the cache has no text)" in line for line in said)


def test_the_preset_is_chosen_and_the_other_one_named(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str]
) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one", preset=None)
    assert any(
        line.startswith("preset quick") and "12 base videos" in line and "--preset paper" in line for line in said
    )
    assert any(line.startswith("6 classes per batch, not 18") for line in said)  # 3, and 3 mirrored ones


def test_planning_writes_nothing(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    run = plan_run(cache, None, "quick", {"dim": 32, "seed": None})
    assert run.config.training.dim == 32 and run.config.base_classes == ("a", "b", "c") and not run.is_finished
    assert {entry.name for entry in here.iterdir()} == {"cache.zarr"}
    assert run.config.encoder == {
        "channels": 12,
        "frames": 4,
        "patches": 4,
        "inputs": 1,
        "classes": 6,
        "text_width": 5,
    }


def test_an_unfinished_run_gives_its_settings_to_a_plan_without_preset(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    begin(plan_run(cache, here / "one", "paper", {"dim": 64}))
    assert plan_run(cache, here / "one", None, {"dim": None}).config == read_config(here / "one")
    changed = plan_run(cache, here / "one", None, {"dim": 32, "num_workers": 9})
    with pytest.raises(
        InputError, match=r"unfinished run with another training \(--dim 64 there, 32 now\); name another"
    ):
        begin(changed)
    begin(plan_run(cache, here / "one", None, {"num_workers": 9}))  # may change when a run resumes


def test_a_folder_that_is_no_run_is_refused(make_cache: MakeCache, here: Path) -> None:
    (here / "one").mkdir()
    (here / "one" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not a run"):
        begin(plan_run(make_cache(here / "cache.zarr"), here / "one", "quick", {}))


def test_the_same_cache_may_lie_elsewhere_but_not_be_another(
    make_cache: MakeCache, here: Path, seven_splits: dict[str, str]
) -> None:
    config = make_run_config(make_cache(here / "cache.zarr"), TrainConfig())
    shutil.copytree(here / "cache.zarr", here / "copy.zarr")
    assert describe_differences(config, make_run_config(ZarrCache.open(here / "copy.zarr"), TrainConfig())) == ""
    other = make_run_config(make_cache(here / "other.zarr", splits=dict.fromkeys("abc", "base")), TrainConfig())
    assert describe_differences(config, other).startswith("cache (identity ")
    seen = open_with_splits(here / "cache.zarr", None).with_splits(seven_splits | {"c": "novel"})
    assert describe_differences(config, make_run_config(seen, TrainConfig())) == "splits (c base there, novel now)"


def test_a_splits_file_must_name_every_class(make_cache: MakeCache, here: Path, seven_splits: dict[str, str]) -> None:
    cache, file = make_cache(here / "cache.zarr"), here / "splits.csv"
    file.write_text("label,split\n" + "".join(f"{name},base\n" for name in seven_splits))
    assert len(open_with_splits(str(cache.path), str(file)).rows("base")) == 28
    file.write_text("label,split\na,base\n")
    with pytest.raises(InputError, match=r"splits.csv: no split for class 'b'; list every class of .*cache.zarr"):
        open_with_splits(cache.path, file)
    file.write_text("label,split\na,middle\n")
    with pytest.raises(InputError, match="^[^ ]*splits.csv line 2: [^/]*$"):
        open_with_splits(cache.path, file)


def test_more_views_than_the_cache_holds_are_refused(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr", views=3)
    for name in ("views", "test_views"):
        option = "--" + name.replace("_", "-")
        with pytest.raises(InputError, match=f"^{option} 4: .*cache.zarr holds 3 of each video; .*hcl extract --views"):
            make_run_config(cache, TrainConfig(**{name: 4}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "3 base classes and 3 mirrored ones; semantic attention with class texts by small bert"),
        ({"class_augmentation": "both"}, "3 base classes and 9 mirrored or reversed ones; semantic"),
        ({"class_augmentation": "none", "method": "otam"}, "3 base classes; method otam"),
        ({"semantic_attention": False}, "ones; no semantic attention"),
    ],
)
def test_a_plan_is_told_in_a_line(make_cache: MakeCache, here: Path, settings: dict[str, Any], words: str) -> None:
    assert words in describe_run(plan_run(make_cache(here / "cache.zarr"), here / "one", "quick", settings))


def held_out(cache: ZarrCache, **settings: Any) -> list[str]:
    return list(held_out_classes(cache, TrainConfig(**settings)))


@pytest.mark.parametrize(
    ("base", "val", "count"),
    [(5, 0, 0), (6, 0, 3), (8, 0, 3), (9, 0, 3), (12, 0, 3), (14, 0, 4), (9, 1, 3), (9, 2, 0), (3, 1, 0)],
)
def test_a_quarter_of_the_base_classes_is_held_out_where_val_classes_lack(
    make_cache: MakeCache, here: Path, base: int, val: int, count: int
) -> None:
    names = "abcdefghijklmnopqrst"
    splits = dict.fromkeys(names[:base], "base") | dict.fromkeys(names[base : base + val], "val")
    cache = make_cache(here / "cache.zarr", splits=splits | dict.fromkeys("xyz", "novel"))
    chosen = held_out(cache)
    assert len(chosen) == count and set(chosen) <= set(names[:base])
    assert held_out(cache, hold_out=False) == [] == held_out(cache, method="resnet")
    assert held_out(ZarrCache.open(cache.path), seed=7, dim=32) == chosen  # always the same ones
    assert held_out(cache, method="otam") == (chosen if base >= 9 else [])  # which has no level weights to choose


def test_classes_of_one_video_neither_validate_nor_are_held_out(make_cache: MakeCache, here: Path) -> None:
    splits = dict.fromkeys("abcdefghij", "base") | {"v": "val", "w": "val", "x": "novel"}
    cache = make_cache(here / "cache.zarr", splits=splits)
    assert held_out(cache) == []
    cache.write([MapRecord(row, None, reason="damaged") for row, name in enumerate(cache.videos.label) if name == "w"])
    chosen = held_out(cache)  # one val class is left
    assert len(chosen) == 3
    spared = [row for row, name in enumerate(cache.videos.label) if name == chosen[0]][1:]
    cache.write([MapRecord(row, None, reason="damaged") for row in spared])
    assert len(held_out(cache)) == 3 and chosen[0] not in held_out(cache)


@pytest.mark.parametrize("augmentation", ["reverse", "both"])
def test_difference_images_are_not_run_backwards(make_cache: MakeCache, here: Path, augmentation: str) -> None:
    moving, still = make_cache(here / "moving.zarr", motion="rgbdiff"), make_cache(here / "still.zarr")
    training = TrainConfig(class_augmentation=augmentation)
    message = f"--class-augmentation {augmentation}: .*moving.zarr holds maps of difference images.*take hflip or none"
    with pytest.raises(InputError, match=message):
        make_run_config(moving, training)
    assert make_run_config(still, training).encoder["inputs"] == 1
    assert make_run_config(moving, TrainConfig()).encoder["inputs"] == 2


def test_val_or_all_classes_are_learned_from_where_that_is_asked_for(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    for train_on, base in (("base", "abc"), ("val", "abcde"), ("all", "abcdefg")):
        opened = open_with_splits(cache.path, None, train_on=train_on)
        assert make_run_config(opened, TrainConfig()).base_classes == tuple(base)
    assert {opened.class_splits[name] for name in "abcdefg"} == {"base"}
