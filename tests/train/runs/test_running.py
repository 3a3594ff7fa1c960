"""A run from a cache to its embedding store, and its resumption."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.match.config import ALL_LEVELS
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.known_levels import known_levels
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE, find_store, latest_run
from hcl.train.embedding import embed
from hcl.train.fitting.checkpoint import load_checkpoint
from hcl.train.runs.file_hashes import write_sums
from hcl.train.runs.run_folder import (
    CHECKPOINT,
    CHOICE,
    CONFIG,
    METRICS,
    WEIGHTS,
    load_encoder,
    read_config,
)
from hcl.train.runs.running import TrainedRun, train, train_once
from hcl.train.runs.tracking.metrics_log import kept_epoch

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]

SHAPE = (4, 4, 12)
both_starts = pytest.mark.parametrize("start", ["maps", "random"])


@contextmanager
def damaged(cache: ZarrCache, split: str) -> Iterator[None]:
    """Let no map of a split be readable for a while."""
    chunks = [cache.path / "maps" / "c" / str(row) / "0" / "0" / "0" for row in cache.rows(split)]
    stored = [chunk.read_bytes() for chunk in chunks]
    for chunk in chunks:
        chunk.write_bytes(b"damaged")
    yield
    for chunk, content in zip(chunks, stored, strict=True):
        chunk.write_bytes(content)


def test_a_run_holds_everything(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "runs" / "one")
    run = here / "runs" / "one"
    assert {CONFIG, WEIGHTS, METRICS, CHECKPOINT, STORE} <= {entry.name for entry in run.iterdir()}
    store = EmbeddingStore.open(run / STORE)
    assert set(store.videos.split) == {"val", "novel"} and len(store.videos) == 16
    found = store.embeddings(np.arange(16))
    assert (
        found.global_.shape == (16, 16) and found.clips.shape == (16, 6, 16) and found.patches.shape == (16, 4, 4, 16)
    )
    assert found.class_keys is not None and store.mean_map.shape == (16, 12)
    rows = [cache.videos.path.index(path) for path in store.videos.path]
    np.testing.assert_allclose(store.mean_map[0], cache.maps(rows[0]).astype(np.float32).mean(axis=(0, 1)), rtol=1e-5)
    epochs = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]  # 0: the encoder as it began
    assert all(0 <= epoch["validation"] <= 100 for epoch in epochs) and epochs[0]["terms"] == {}
    assert known_levels(store) == (
        "appearance",
        "motion",
        "change",
        "untrained",
        "untrained_motion",
        "untrained_change",
    )
    known = store.arrays(known_levels(store), np.arange(16))
    shapes = {name: tuple(array.shape) for name, array in known.items()}
    whitened = dict.fromkeys(("appearance", "motion", "change"), (16, 200))
    assert shapes == whitened | {"untrained": (16, 12), "untrained_motion": (16, 48), "untrained_change": (16, 12)}
    assert store.attributes["level_weights"]["chosen_on"] == "2 val classes"


def test_the_store_is_what_the_encoder_says(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one")
    encoder = load_encoder(here / "one")
    store = EmbeddingStore.open(here / "one" / STORE)
    row = cache.videos.path.index("g/2.mp4")
    assert cache.text_embeddings is not None
    text = torch.from_numpy(cache.text_embeddings[[cache.class_names.index("g")]])
    expected = embed(encoder, torch.from_numpy(cache.maps(row))[None], text)
    found = store.embeddings(np.array([store.videos.path.index("g/2.mp4")]))
    torch.testing.assert_close(found.clips, expected.clips, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.class_keys, expected.class_keys)
    torch.testing.assert_close(found.patches.float(), expected.patches, rtol=1e-3, atol=1e-3)


@both_starts
def test_the_same_seed_gives_the_same_weights(
    small_train: Train, make_cache: MakeCache, here: Path, start: str
) -> None:
    cache = make_cache(here / "cache.zarr")
    for name in ("one", "two"):
        small_train(cache, here / name, start=start)
    small_train(cache, here / "three", seed=1, start=start)
    weights = [(here / name / WEIGHTS).read_bytes() for name in ("one", "two", "three")]
    assert weights[0] == weights[1] != weights[2]


@both_starts
def test_novel_classes_do_not_touch_the_weights(
    small_train: Train, make_cache: MakeCache, here: Path, start: str
) -> None:
    """Those of the encoder and those of the levels."""
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one", start=start)
    rows = cache.rows("novel")
    ZarrCache.open(cache.path, mode="r+").write(
        [MapRecord(int(row), np.zeros(SHAPE, np.float16), source=Source(f"other {row}")) for row in rows]
    )
    small_train(cache, here / "two", start=start)
    assert (here / "one" / WEIGHTS).read_bytes() == (here / "two" / WEIGHTS).read_bytes()
    stores = [EmbeddingStore.open(here / name / STORE) for name in ("one", "two")]
    assert stores[0].identity != stores[1].identity
    assert stores[0].attributes["level_weights"] == stores[1].attributes["level_weights"]


def test_the_latest_run_is_found(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    with pytest.raises(InputError, match="no run in this folder yet; train one with: hcl train CACHE"):
        find_store(None)
    cache = make_cache(here / "cache.zarr")
    small_train(cache, None)
    small_train(cache, None)
    latest = latest_run().resolve()
    for refused in ({"clip_sizes": (9,)}, {"videos_per_class": 9}, {"device": "tpu"}):
        with pytest.raises(InputError):
            small_train(cache, None, **refused)
        with pytest.raises(InputError):
            small_train(cache, here / "elsewhere" / "run", **refused)
    assert latest_run().resolve() == latest and not (here / "elsewhere").exists()
    runs = sorted(path for path in (here / "runs").iterdir() if path.name != "latest")
    assert len(runs) == 2 and latest_run().resolve() == runs[-1].resolve()
    assert find_store(None).resolve() == (runs[-1] / STORE).resolve()
    found = evaluate(find_store(None), way=2, episodes=20)
    assert found.class_names == ("f", "g") and found.scoring.top_clips == 10


def test_a_splits_file_replaces_the_splits(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str], seven_splits: dict[str, str]
) -> None:
    cache = make_cache(here / "cache.zarr")
    file = here / "splits.csv"
    file.write_text(
        "label,split\n" + "".join(f"{name},{'base' if name in 'fg' else 'novel'}\n" for name in seven_splits)
    )
    small_train(cache, here / "one", splits=file)
    assert read_config(here / "one").base_classes == ("f", "g")
    assert set(EmbeddingStore.open(here / "one" / STORE).videos.label) == set("abcde")
    assert any("fewer than 2 val classes" in line and "the last weights are kept" in line for line in said)
    file.write_text("label,split\na,base\n")
    with pytest.raises(InputError, match=r"no split for class 'b'; list every class"):
        small_train(cache, here / "two", splits=file)


def test_all_levels_are_better_than_chance_on_easy_maps(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one", steps_per_epoch=20)
    found = evaluate(here / "one" / STORE, way=2, episodes=200)
    assert found.outcomes[0].accuracies[ALL_LEVELS].accuracy > 70


@both_starts
def test_an_interrupted_run_resumes_to_the_same_end(
    small_train: Train,
    make_cache: MakeCache,
    here: Path,
    start: str,
    interrupted_before_validation: Callable[[], AbstractContextManager[None]],
) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "whole", start=start)
    with interrupted_before_validation():
        small_train(cache, here / "cut", checkpoint_every=3, start=start)
    assert load_checkpoint(here / "cut" / CHECKPOINT)["steps"] == 3
    with pytest.raises(InputError, match="unfinished run with another training.*dim 16 there, 32 now"):
        small_train(cache, here / "cut", dim=32, preset=None, start=start)
    train(cache.path, run=here / "cut", preset=None, splits=None, settings={})
    for name in (WEIGHTS, METRICS):
        assert (here / "cut" / name).read_bytes() == (here / "whole" / name).read_bytes()
    with pytest.raises(InputError, match="this run is finished; name another folder with --run"):
        small_train(cache, here / "cut")


def test_novel_maps_are_not_read_before_training_ends(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    """Damaged maps end whatever reads them."""
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "whole")
    for split in ("base", "val"):
        with damaged(cache, split), pytest.raises(InputError, match="are damaged"):
            small_train(cache, here / split)
        assert not (here / split / WEIGHTS).exists()
    with damaged(cache, "novel"), pytest.raises(InputError, match="are damaged"):
        small_train(cache, here / "novel")
    assert (here / "novel" / WEIGHTS).read_bytes() == (here / "whole" / WEIGHTS).read_bytes()
    assert not (here / "novel" / STORE).exists()


def test_a_run_is_trained_once(
    small_train: Train, make_cache: MakeCache, here: Path, seven_splits: dict[str, str]
) -> None:
    cache, file = make_cache(here / "cache.zarr"), here / "splits.csv"
    file.write_text("label,split\n" + "".join(f"{name},{split}\n" for name, split in seven_splits.items()))
    settings = {"dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 1, "steps_per_epoch": 1, "val_episodes": 5}
    given = {"run": here / "one", "preset": "quick", "splits": file}
    train_once(cache.path, settings=settings, **given)
    weights = (here / "one" / WEIGHTS).stat()
    train_once(cache.path, settings=settings | {"num_workers": 1}, **given)
    assert (here / "one" / WEIGHTS).stat() == weights and not (here / "runs").exists()
    with pytest.raises(InputError, match="a finished run with another training .--dim 16 there, 32 now.*with --out"):
        train_once(cache.path, settings=settings | {"dim": 32}, **given)


def test_the_outcome_is_a_value_that_prints_the_next_step(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    trained = small_train(make_cache(here / "cache.zarr"), here / "one", epochs=1)
    assert trained.to_dict() == {"run": str(here / "one"), "embedded_videos": 16}
    assert "next: hcl evaluate" in str(trained)
    base_alone = make_cache(here / "base.zarr", splits=dict.fromkeys("abc", "base"))
    trained = small_train(base_alone, here / "two", epochs=1)
    assert trained.embedded == 0 and "hcl embed OTHER_CACHE --run" in str(trained)
    assert not (here / "two" / STORE).exists() and (here / "two" / WEIGHTS).exists()


NINE_SPLITS = dict.fromkeys("abcdefghi", "base") | dict.fromkeys("xyz", "novel")


@both_starts
def test_what_is_held_out_chooses_and_is_not_trained_on(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str], start: str
) -> None:
    """Neither the geometry nor a gradient comes from the classes held out, whatever maps they have."""
    cache = make_cache(here / "cache.zarr", splits=NINE_SPLITS)
    given: dict[str, Any] = {"epochs": 1, "start": start}
    small_train(cache, here / "one", **given)
    choice = here / "one" / CHOICE
    config, whole = read_config(choice), read_config(here / "one")
    held_out = sorted(name for name, split in config.splits.items() if split == "val")
    assert len(held_out) == 3 and not set(held_out) & set(config.base_classes) and config.encoder["classes"] == 12
    assert whole.splits == NINE_SPLITS and whole.base_classes == tuple("abcdefghi")  # then all are trained on
    told = [line for line in said if line.startswith("no 2 val classes")]
    assert len(told) == 1 and all(f" {name}" in told[0].replace(",", "") for name in held_out)
    assert "--no-hold-out" in told[0]
    epochs = [json.loads(line) for line in (choice / METRICS).read_text().splitlines()]
    assert all(epoch["validation"] is not None for epoch in epochs)
    metrics = here / "one" / METRICS  # of no epochs none is written
    kept = [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] if metrics.is_file() else []
    assert kept == list(range(1, kept_epoch(choice) + 1))
    assert set(EmbeddingStore.open(choice / STORE).videos.label) == set(held_out)
    store = EmbeddingStore.open(here / "one" / STORE)
    assert set(store.videos.label) == set("xyz")
    weights = store.attributes["level_weights"]
    assert weights["chosen_on"].startswith("3 val classes of ") and not weights["is_own"]
    assert weights["weights"] == EmbeddingStore.open(choice / STORE).attributes["level_weights"]["weights"]
    rows = [row for row, name in enumerate(cache.videos.label) if name in held_out]
    noise = np.random.default_rng(5).normal(size=(len(rows), *SHAPE)).astype(np.float16)
    ZarrCache.open(cache.path, mode="r+").write(
        [MapRecord(row, maps, source=Source(f"other {row}")) for row, maps in zip(rows, noise, strict=True)]
    )
    small_train(cache, here / "two", **given)
    steps = [load_checkpoint(here / name / CHOICE / CHECKPOINT)["encoder"] for name in ("one", "two")]
    torch.testing.assert_close(steps[0], steps[1], rtol=0, atol=0)


def test_a_choice_that_is_made_is_not_made_again(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr", splits=NINE_SPLITS)
    small_train(cache, here / "whole", epochs=2)
    small_train(cache, here / "cut", epochs=2)
    metrics = here / "cut" / CHOICE / METRICS
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    metrics.write_text("".join(json.dumps(record | {"best": record["epoch"] == 1}) + "\n" for record in records))
    write_sums(here / "cut" / CHOICE, (WEIGHTS, METRICS))
    shutil.rmtree(here / "cut" / STORE)
    for name in (CHECKPOINT, METRICS):
        (here / "cut" / name).unlink(missing_ok=True)
    small_train(cache, here / "cut", epochs=2)
    assert [json.loads(line)["epoch"] for line in (here / "cut" / METRICS).read_text().splitlines()] == [1]


def test_few_base_classes_choose_the_weights_and_not_the_epoch(
    small_train: Train, make_cache: MakeCache, here: Path, said: list[str]
) -> None:
    cache = make_cache(here / "cache.zarr", splits={name: NINE_SPLITS[name] for name in "abcdefxyz"})
    small_train(cache, here / "one")
    choice = EmbeddingStore.open(here / "one" / CHOICE / STORE)
    weights = EmbeddingStore.open(here / "one" / STORE).attributes["level_weights"]
    assert weights["weights"] == choice.attributes["level_weights"]["weights"] and len(set(choice.videos.label)) == 3
    told = [line for line in said if line.startswith("no 2 val classes")]
    assert len(told) == 1 and "to choose the weights of the levels; then" in told[0]
    epochs = [json.loads(line)["epoch"] for line in (here / "one" / METRICS).read_text().splitlines()]
    assert epochs == [1, 2] == list(range(1, read_config(here / "one").training.epochs + 1))


def test_nothing_need_be_held_out(small_train: Train, make_cache: MakeCache, here: Path, said: list[str]) -> None:
    cache = make_cache(here / "cache.zarr", splits=NINE_SPLITS)
    small_train(cache, here / "one", hold_out=False)
    config = read_config(here / "one")
    assert config.splits == NINE_SPLITS and config.base_classes == tuple("abcdefghi")
    assert not any("held out" in line for line in said)
    epochs = [json.loads(line) for line in (here / "one" / METRICS).read_text().splitlines()]
    assert [(epoch["epoch"], epoch["validation"]) for epoch in epochs] == [(1, None), (2, None)]  # no epoch 0 either
    assert "level_weights" not in EmbeddingStore.open(here / "one" / STORE).attributes  # no class to choose on


def test_two_trainings_of_one_run_do_not_meet(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    with (
        sole_writer(here / "one", inside=True),
        pytest.raises(InputError, match=r"one: process \d+ is writing to it; wait until"),
    ):
        small_train(cache, here / "one", epochs=1)
    assert not (here / "one").exists()
    small_train(cache, here / "one", epochs=1)


def test_a_link_at_a_temporary_name_of_a_run_is_not_written_through(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    (here / "mine").write_text("mine")
    cache, run = make_cache(here / "cache.zarr"), here / "one"
    small_train(cache, run, epochs=1)
    (run / STORE).rename(run / "old")
    for name in (f"{CHECKPOINT}.new", f"{CHECKPOINT}.{os.getpid()}.new"):
        (run / name).symlink_to(here / "mine")
    with pytest.raises(InputError, match=r"checkpoint\.pt.*new: a link out of .*one to .*mine; put a copy"):
        small_train(cache, run, epochs=1)
    assert (here / "mine").read_text() == "mine"


def test_ctrl_c_says_how_a_run_resumes(
    small_train: Train, make_cache: MakeCache, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(here / "cache.zarr")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hcl.train.runs.running.fit_run", interrupted)
        with pytest.raises(KeyboardInterrupt, match="one: interrupted; it resumes with the same command and --run"):
            small_train(cache, here / "one")
        told = CliRunner().invoke(main, ["train", str(cache.path), "--run", "two", "--epochs", "1"])
        assert told.exit_code == 130 and told.output.splitlines()[-1].endswith("and --run two")
    assert not latest_link(here).exists()  # of a run that is finished alone
    small_train(cache, here / "one")
    assert latest_link(here).resolve() == (here / "one").resolve()


def latest_link(folder: Path) -> Path:
    return folder / "runs" / "latest"


def test_a_run_on_all_classes_says_how_to_go_on(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    done = small_train(cache, here / "all", epochs=0, train_on="all")
    assert done.embedded == 0 and "hcl embed OTHER_CACHE --run" in str(done)
    assert len(read_config(here / "all").base_classes) == 7
    with pytest.raises(InputError, match="a trained run without embeddings.*hcl embed CACHE --run"):
        find_store(here / "all")
