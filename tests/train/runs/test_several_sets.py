"""A run on several caches learns on all of them, and is validated, embedded and evaluated set by set."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hcl.classify.answers.confidence import val_stores
from hcl.cli import main
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.match.config import ScoreConfig
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import SET_STORES, STORE, find_store, latest_run_of
from hcl.train.config import TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import make_encoder
from hcl.train.fitting.checkpoint import load_checkpoint
from hcl.train.fitting.loop import mean_of_sets
from hcl.train.fitting.set_validation import SetValidation, validation_of
from hcl.train.fitting.validation import make_validation
from hcl.train.runs.embed_cache import embed_cache, stores_of_run
from hcl.train.runs.fit_run import base_batches
from hcl.train.runs.inspection import describe
from hcl.train.runs.planning import held_out_classes, make_run_config, open_with_splits, record_cache
from hcl.train.runs.run_folder import CHECKPOINT, CHOICE, METRICS, WEIGHTS, Run, load_encoder, read_config
from hcl.train.runs.running import TrainedRun
from hcl.train.runs.tracking.metrics_log import kept_epoch

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]

OF_B = {"b": "base", "x": "base", "y": "val", "z": "val", "u": "novel", "v": "novel", "w": "novel"}


@pytest.fixture
def two(make_cache: MakeCache, here: Path) -> list[ZarrCache]:
    """Sets A (3 base, 2 val, 2 novel classes) and B (2, 2, 3); both have a base class b."""
    first = make_cache(here / "A.zarr")
    return [first, make_cache(here / "B.zarr", splits=OF_B, seed=1, content="other")]


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


def test_each_set_is_validated_and_embedded_for_itself(
    small_train: Train, two: list[ZarrCache], here: Path, said: list[str]
) -> None:
    trained = small_train(two, here / "runs" / "one")
    run = here / "runs" / "one"
    stores = [run / SET_STORES / f"{name}.zarr" for name in "AB"]
    assert trained.to_dict() == {"run": str(run), "embedded_videos": 16 + 20, "stores": list(map(str, stores))}
    assert str(trained).endswith(f"\n  hcl evaluate {stores[0]}\n  hcl evaluate {stores[1]}")
    assert not (run / STORE).exists()
    for cache, store in zip(two, map(EmbeddingStore.open, stores), strict=True):
        rows = np.setdiff1d(cache.rows(), cache.rows("base"))
        assert store.videos == cache.videos.take(rows)  # called as in the cache
        assert store.attributes["origin"]["cache"] == str(cache.path)
        assert set(evaluate(store, way=2, episodes=20).class_names) == set(cache.videos.take(cache.rows("novel")).label)
    assert load_encoder(run).classifier.out_features == 2 * 5  # type: ignore[union-attr, operator]
    for epoch in metrics(run):
        assert list(epoch["validation_by_set"]) == ["A", "B"]
        assert epoch["validation"] == pytest.approx(np.mean(list(epoch["validation_by_set"].values())))
    of_epoch = next(line for line in said if line.startswith("epoch 1: "))
    for name, accuracy in metrics(run)[0]["validation_by_set"].items():
        assert f"; {name} {accuracy:.1f} % (2-way 1-shot; without training " in of_epoch
    assert "% (mean of 2 sets; without training " in of_epoch


def test_the_accuracies_of_a_set_are_those_of_its_own_episodes(two: list[ZarrCache], here: Path) -> None:
    """As if the set were alone; the mean of all chooses the epoch. The val videos of B are noise."""
    noise = np.random.default_rng(0).normal(size=(8, 4, 4, 12)).astype(np.float16)
    rows = two[1].rows("val").tolist()
    two[1].write([MapRecord(row, maps, source=Source(f"noise {row}")) for row, maps in zip(rows, noise, strict=True)])
    joined = open_with_splits([cache.path for cache in two], None)
    config = TrainConfig(dim=16, heads=2, mlp_dim=16, val_episodes=20)
    encoder = make_encoder(config, make_run_config(joined, config).encoder, None)
    validate = validation_of(MapSource(joined), config, ScoreConfig())
    assert isinstance(validate, SetValidation)
    alone = {
        name: make_validation(MapSource(cache), config, ScoreConfig()) for name, cache in zip("AB", two, strict=True)
    }
    expected = {name: of_set(encoder) for name, of_set in alone.items() if of_set is not None}
    assert validate(encoder) == expected and len(set(expected.values())) == 2
    assert mean_of_sets(expected) == (pytest.approx(np.mean(list(expected.values()))), expected)
    untrained = [of_set.untrained for of_set in alone.values() if of_set is not None]
    assert validate.untrained == pytest.approx(np.mean(untrained))


def test_batches_are_half_of_each_set(two: list[ZarrCache], here: Path) -> None:
    joined = open_with_splits([cache.path for cache in two], None)
    training = TrainConfig(class_augmentation="hflip", classes_per_batch=6, videos_per_class=2)
    names = [name for _ in range(2) for name in make_run_config(joined, training).base_classes]
    assert names[:5] == ["A/a", "A/b", "A/c", "B/b", "B/x"]
    for batch in base_batches(MapSource(joined), training).batches(0, 5):
        of_sets = [names[label][0] for label in batch.labels]
        assert of_sets.count("A") == of_sets.count("B") == 6


def test_the_caches_stand_in_the_run(small_train: Train, two: list[ZarrCache], here: Path) -> None:
    small_train(two, here / "one", epochs=1, start="random")
    config = read_config(here / "one")
    assert config.cache["paths"] == {"A": str(two[0].path), "B": str(two[1].path)}
    assert config.cache["sets"] == {"A": two[0].identity, "B": two[1].identity}
    assert config.base_classes == ("A/a", "A/b", "A/c", "B/b", "B/x") and config.splits["B/u"] == "novel"
    assert set(record_cache(two[0])) == {"path", "identity", "settings", "base_contents", "labels", "base_labels"}
    told = describe(here / "one", verify=True)
    assert told.facts["caches"] == config.cache["paths"] and told.facts["state"] == "finished"
    assert f"caches: A {two[0].path}, B {two[1].path}" in told.lines() and told.damaged == ()
    assert [store.facts["videos"] for store in told.set_stores] == [16, 20]
    by_set = ", ".join(f"{name} {value:.1f} %" for name, value in metrics(here / "one")[0]["validation_by_set"].items())
    assert any(f" % ({by_set}), best" in line for line in told.lines())


def test_a_run_on_several_sets_names_its_stores(small_train: Train, two: list[ZarrCache], here: Path) -> None:
    small_train(two, None, epochs=1)
    run = latest_run_of("hcl")
    message = "a run on several sets; name the store of one: .*/embeddings/A.zarr, .*/embeddings/B.zarr$"
    for path in (run, None):
        with pytest.raises(InputError, match=message):
            find_store(path)
    done = CliRunner().invoke(main, ["evaluate", str(run / SET_STORES / "B.zarr"), "--way", "2", "--episodes", "5"])
    assert done.exit_code == 0 and "novel videos of 3 classes" in done.output
    embedded = embed_cache(two[1].path, here / "all.zarr", run=run)  # the classes of the set that it trained on, too
    assert embedded.videos == 28


def test_an_interrupted_run_resumes_to_the_same_end(
    small_train: Train,
    two: list[ZarrCache],
    here: Path,
    interrupted_before_validation: Callable[[], AbstractContextManager[None]],
) -> None:
    """In whatever order the caches are named. It is interrupted after the first epoch's steps, as it validates."""
    small_train(two, here / "whole", start="random")
    with interrupted_before_validation():
        small_train(two, here / "cut", checkpoint_every=3, start="random")
    assert load_checkpoint(here / "cut" / CHECKPOINT)["steps"] == 3
    with pytest.raises(InputError, match="unfinished run with another cache .*sets .*; name another folder"):
        small_train(two[0], here / "cut", start="random")
    with pytest.raises(InputError, match=r"unfinished run with another cache .*merge_classes False there, True now"):
        small_train(two, here / "cut", merge_classes=True, start="random")
    shutil.move(here / "B.zarr", here / "elsewhere" / "B.zarr")
    moved = [ZarrCache.open(here / "elsewhere" / "B.zarr"), two[0]]
    small_train(moved, here / "cut", preset=None, start="random")
    for name in (WEIGHTS, METRICS):
        assert (here / "cut" / name).read_bytes() == (here / "whole" / name).read_bytes()
    with pytest.raises(InputError, match="this run is finished; name another folder with --run"):
        small_train(moved, here / "cut")


def test_one_cache_in_a_list_is_that_cache(small_train: Train, two: list[ZarrCache], here: Path) -> None:
    small_train(two[0], here / "one", epochs=1)
    small_train(two[:1], here / "two", epochs=1)
    for name in (WEIGHTS, METRICS, "config.json"):
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes()
    assert "validation_by_set" not in metrics(here / "one")[0] and (here / "two" / STORE).is_dir()
    with pytest.raises(InputError, match="--merge-classes merges the classes of several caches; name more than one"):
        small_train(two[0], here / "three", merge_classes=True)


def test_a_set_without_val_classes_is_named(
    small_train: Train, make_cache: MakeCache, two: list[ZarrCache], here: Path, said: list[str]
) -> None:
    base_alone = make_cache(here / "C.zarr", splits=dict.fromkeys("pqr", "base"), seed=2, content="third")
    small_train([two[0], base_alone], here / "one", epochs=1)
    assert "without a say in which epoch is kept, with fewer than 2 val classes with 2 videos: C" in said
    assert list(metrics(here / "one")[0]["validation_by_set"]) == ["A"]
    assert find_store(here / "one") == here / "one" / SET_STORES / "A.zarr"  # the only one


@pytest.mark.parametrize("merge", [False, True])
def test_a_set_without_val_classes_holds_some_out(
    small_train: Train, make_cache: MakeCache, two: list[ZarrCache], here: Path, said: list[str], merge: bool
) -> None:
    """Nothing of theirs is learned by the first training; then all base classes are learned from."""
    splits = dict.fromkeys("abcklmn", "base") | dict.fromkeys("opq", "novel")
    third = make_cache(here / "C.zarr", splits=splits, seed=2, content="third")
    first = two[0].with_splits(two[0].class_splits | dict.fromkeys("de", "base")) if merge else two[0]
    file = here / "splits.csv"
    names = {name if merge else f"A/{name}": split for name, split in first.class_splits.items()}
    names |= {name if merge else f"C/{name}": split for name, split in splits.items()}
    file.write_text("label,split\n" + "".join(f"{name},{split}\n" for name, split in names.items()))
    small_train([two[0], third], here / "one", epochs=1, splits=file, merge_classes=merge)
    config, choice = read_config(here / "one"), read_config(here / "one" / CHOICE)
    held_out = {name for name, split in choice.splits.items() if split == "val"} - {"A/d", "A/e"}
    assert len(held_out) == 3 and set(choice.base_classes) == set(config.base_classes) - held_out
    assert {name.rpartition("/")[2] for name in held_out} <= set("abcklmn" if merge else "klmn")  # not what A has, too
    told = [line for line in said if line.startswith("no 2 val classes in each set, so ")]
    assert len(told) == 1 and all(name in told[0] for name in held_out) and "the epoch and the weights" in told[0]
    assert [epoch["epoch"] for epoch in metrics(here / "one")] == [1][: kept_epoch(here / "one" / CHOICE)]
    stores = [EmbeddingStore.open(here / "one" / SET_STORES / f"{name}.zarr") for name in "AC"]
    of_choice = EmbeddingStore.open(here / "one" / CHOICE / SET_STORES / "C.zarr")
    weights = stores[1].attributes["level_weights"]
    assert weights["weights"] == of_choice.attributes["level_weights"]["weights"] and not weights["is_own"]
    assert weights["chosen_on"].startswith(f"{len(set(of_choice.videos.label))} val classes of ")
    assert stores[0].attributes["level_weights"]["is_own"] is not merge  # A's own val classes, where it has some
    run = Run(here / "one", config)
    made = stores_of_run(run)
    assert made[:2] == [store.path for store in stores] and made[-1] == of_choice.path
    assert stores_of_run(run, "C")[:2] == [stores[1].path, of_choice.path]
    assert list(val_stores(run))[-1].path == of_choice.path  # confidence, too, comes from what is held out


@pytest.mark.parametrize(
    ("of_a", "of_b", "expected"),
    [
        ("abcdef base, xy val", "abcdef base, uv novel", 6),  # three of B, and what reads alike in A
        ("abcdef base, uv novel", "abcdefg base, uv novel", 6),  # the same three of both
        ("abcdef base, uv novel", "ghijkl base, uv novel", 6),  # three of each
        ("abcdef base, xy val", "abcdef base, xy val", 0),
        ("ab base, xy val", "cdefg base, uv novel", 0),  # B has five
        ("abcdef base", "bcdefa base, x val", 6),
    ],
)
def test_what_reads_alike_is_held_out_together(
    make_cache: MakeCache, here: Path, of_a: str, of_b: str, expected: int
) -> None:
    for number, (name, text) in enumerate((("A", of_a), ("B", of_b))):
        parts = (part.split() for part in text.split(", "))
        splits = {label: split for labels, split in parts for label in labels}
        make_cache(here / f"{name}.zarr", splits=splits, seed=number, content=name)
    cache = open_with_splits([here / "A.zarr", here / "B.zarr"], None)
    held_out = held_out_classes(cache, TrainConfig())
    assert len(held_out) == expected and {cache.class_splits[name] for name in held_out} <= {"base"}
    learned = {name[2:] for name, split in cache.class_splits.items() if split == "base" and name not in held_out}
    assert not learned & {name[2:] for name in held_out}
    assert held_out_classes(cache, TrainConfig(hold_out=False)) == ()


def test_classes_are_merged_and_split_by_a_file_from_the_command_line(two: list[ZarrCache], here: Path) -> None:
    rows = {**two[0].class_splits, **OF_B, "c": "novel"}
    file = here / "splits.csv"
    file.write_text("label,split\n" + "".join(f"{name},{split}\n" for name, split in rows.items()))
    quick = "--epochs 1 --steps-per-epoch 1 --val-episodes 5 --dim 16 --heads 2 --mlp-dim 16 --tracker none".split()
    command = ["train", "B.zarr", "A.zarr", "--merge-classes", "--splits", str(file), "--run", "one", *quick]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert read_config(here / "one").base_classes == ("a", "b", "x")
    assert "c" in EmbeddingStore.open(here / "one" / SET_STORES / "A.zarr").videos.label
    file.write_text("label,split\na,base\n")
    done = CliRunner().invoke(main, ["train", "B.zarr", "A.zarr", "--splits", str(file), "--run", "two", *quick])
    assert done.exit_code == 2 and "splits.csv: no split for class 'A/a'; list every class of" in done.output
