"""A run from a cache to its embedding store, its resumption, and embedding by it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS
from hcl.match.evaluation.evaluation import evaluate
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE, find_store, latest_run
from hcl.train.embedding import embed
from hcl.train.encoders.untrained import untrained_embeddings
from hcl.train.runs.inspection import describe
from hcl.train.runs.run_folder import CHECKPOINT, CONFIG, METRICS, WEIGHTS, load_encoder, read_config
from hcl.train.runs.running import embed_cache, train

SHAPE = (4, 4, 12)
MakeCache = Callable[..., ZarrCache]
QUICK = {
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 2,
    "steps_per_epoch": 3,
    "val_episodes": 20,
    "device": "cpu",
}
SPLITS = {"a": "base", "b": "base", "c": "base", "d": "val", "e": "val", "f": "novel", "g": "novel"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quick_train(cache: ZarrCache, run: Path | None, **given: Any) -> str:
    chosen = {"preset": given.pop("preset", "quick"), "splits": given.pop("splits", None)}
    return train(cache.path, run=run, settings=QUICK | given, **chosen)


def test_a_run_holds_everything(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    quick_train(cache, here / "runs" / "one")
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
    assert len(epochs) == 2 and all(0 <= epoch["validation"] <= 100 for epoch in epochs)


def test_the_store_is_what_the_encoder_says(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    quick_train(cache, here / "one")
    encoder, _ = load_encoder(here / "one")
    store = EmbeddingStore.open(here / "one" / STORE)
    row = cache.videos.path.index("g/2.mp4")
    assert cache.text_embeddings is not None
    text = torch.from_numpy(cache.text_embeddings[[cache.class_names.index("g")]])
    expected = embed(encoder, torch.from_numpy(cache.maps(row))[None], text)
    found = store.embeddings(np.array([store.videos.path.index("g/2.mp4")]))
    torch.testing.assert_close(found.clips, expected.clips, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.class_keys, expected.class_keys)
    torch.testing.assert_close(found.patches.float(), expected.patches, rtol=1e-3, atol=1e-3)


def test_novel_maps_are_not_read_before_training_ends(
    make_cache: MakeCache, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(here / "cache.zarr")
    read: list[str] = []
    reader = ZarrCache.view

    def noted(self: ZarrCache, row: int, *rest: Any) -> np.ndarray:
        read.append(("after " if (here / "one" / WEIGHTS).exists() else "") + self.videos.split[row])
        return reader(self, row, *rest)

    monkeypatch.setattr(ZarrCache, "view", noted)
    quick_train(cache, here / "one")
    assert {"base", "val"} <= set(read) and "novel" not in read and "after novel" in read


def test_the_same_seed_gives_the_same_weights(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    for name in ("one", "two"):
        quick_train(cache, here / name)
    quick_train(cache, here / "three", seed=1)
    weights = [(here / name / WEIGHTS).read_bytes() for name in ("one", "two", "three")]
    assert weights[0] == weights[1] != weights[2]


def test_novel_classes_do_not_touch_the_weights(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    quick_train(cache, here / "one")
    rows = cache.rows("novel")
    ZarrCache.open(cache.path, mode="r+").write(
        [MapRecord(int(row), np.zeros(SHAPE, np.float16), source=Source(f"other {row}")) for row in rows]
    )
    quick_train(cache, here / "two")
    assert (here / "one" / WEIGHTS).read_bytes() == (here / "two" / WEIGHTS).read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_end(
    make_cache: MakeCache, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(here / "cache.zarr")
    quick_train(cache, here / "whole")

    import hcl.train.runs.metrics_log as module

    real = module.write_metrics

    def killed(run: Path, records: list[Any]) -> None:
        real(run, records)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_metrics", killed)
    with pytest.raises(KeyboardInterrupt):
        quick_train(cache, here / "cut")
    monkeypatch.setattr(module, "write_metrics", real)
    with pytest.raises(InputError, match="unfinished run with another training.*dim 16 there, 32 now"):
        quick_train(cache, here / "cut", dim=32, preset=None)
    train(cache.path, run=here / "cut", preset=None, splits=None, settings={})
    for name in (WEIGHTS, METRICS):
        assert (here / "cut" / name).read_bytes() == (here / "whole" / name).read_bytes()
    with pytest.raises(InputError, match="this run is finished; name another folder with --run"):
        quick_train(cache, here / "cut")


def test_the_latest_run_is_found(make_cache: MakeCache, here: Path) -> None:
    with pytest.raises(InputError, match="no run in this folder yet; train one with: hcl train CACHE"):
        find_store(None)
    cache = make_cache(here / "cache.zarr")
    quick_train(cache, None)
    quick_train(cache, None)
    runs = sorted(path for path in (here / "runs").iterdir() if path.name != "latest")
    assert len(runs) == 2 and latest_run().resolve() == runs[-1].resolve()
    assert find_store(None).resolve() == (runs[-1] / STORE).resolve()
    found = evaluate(find_store(None), way=2, episodes=20)
    assert found.class_names == ("f", "g") and found.scoring.top_clips == 10


def test_a_splits_file_replaces_the_splits(make_cache: MakeCache, here: Path, said: list[str]) -> None:
    cache = make_cache(here / "cache.zarr")
    file = here / "splits.csv"
    file.write_text("label,split\n" + "".join(f"{name},{'base' if name in 'fg' else 'novel'}\n" for name in SPLITS))
    quick_train(cache, here / "one", splits=file)
    assert read_config(here / "one").base_classes == ("f", "g")
    assert set(EmbeddingStore.open(here / "one" / STORE).videos.label) == set("abcde")
    assert any("fewer than 2 val classes" in line and "the last weights are kept" in line for line in said)
    file.write_text("label,split\na,base\n")
    with pytest.raises(InputError, match=r"no split for class 'b'; list every class"):
        quick_train(cache, here / "two", splits=file)


def test_a_cache_without_base_classes_is_refused_with_the_way_out(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr", splits=dict.fromkeys("ab", "novel"))
    with pytest.raises(InputError, match="0 base classes with videos.*hcl embed --untrained"):
        quick_train(cache, here / "one")


def test_without_text_there_is_no_attention(make_cache: MakeCache, here: Path, said: list[str]) -> None:
    cache = make_cache(here / "cache.zarr", text=False)
    quick_train(cache, here / "one")
    assert EmbeddingStore.open(here / "one" / STORE).embeddings(np.array([0])).class_keys is None
    assert any("no semantic attention (the cache has no text)" in line for line in said)


def test_the_preset_is_chosen_and_the_other_one_named(make_cache: MakeCache, here: Path, said: list[str]) -> None:
    quick_train(make_cache(here / "cache.zarr"), here / "one", preset=None)
    assert any(line.startswith("preset quick (12 base videos") and "--preset paper" in line for line in said)
    assert any("6 classes a batch instead of 18" in line for line in said)  # 3, and 3 mirrored ones


def test_another_cache_is_embedded_with_its_splits(make_cache: MakeCache, here: Path) -> None:
    quick_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", splits=dict.fromkeys("wxyz", "novel") | {"v": "val"}, seed=3)
    embed_cache(here / "one", other.path, here / "other store.zarr", device="cpu")
    store = EmbeddingStore.open(here / "other store.zarr")
    assert len(store.videos) == 20 and store.videos.split == other.videos.split
    assert evaluate(store.path, way=4, episodes=10).class_names == ("w", "x", "y", "z")


def test_another_text_model_or_backbone_is_refused_by_name(make_cache: MakeCache, here: Path) -> None:
    quick_train(make_cache(here / "cache.zarr"), here / "one")
    other = make_cache(here / "other.zarr", text=False)
    with pytest.raises(InputError, match="class texts by no text model, the run was trained with small bert"):
        embed_cache(here / "one", other.path, here / "s.zarr")
    attributes = json.loads((other.path / "zarr.json").read_text())
    attributes["attributes"]["settings"]["weights_sha256"] = "v"
    (other.path / "zarr.json").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match="weights_sha256 w in the run, v in the cache"):
        embed_cache(here / "one", other.path, here / "s.zarr")


def test_maps_can_be_embedded_untrained(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    embed_cache(None, cache.path, here / "s.zarr")
    found = EmbeddingStore.open(here / "s.zarr").embeddings(np.array([5]))
    maps = torch.from_numpy(cache.maps(5)).float()
    torch.testing.assert_close(found.patches[0].float(), maps)
    torch.testing.assert_close(found.global_[0], maps.mean(dim=(0, 1)))
    assert found.class_keys is None
    result = evaluate(here / "s.zarr", way=2, episodes=200)
    found_by = {name: value.accuracy for name, value in result.outcomes[0].accuracies.items()}
    assert found_by["global"] == pytest.approx(found_by["resnet"])


def test_untrained_clips_know_the_order_of_frames() -> None:
    maps = torch.rand(1, 2, 3, 2048, generator=torch.Generator().manual_seed(0))
    forward, backward = untrained_embeddings(maps).clips[0, 0], untrained_embeddings(maps.flip(1)).clips[0, 0]
    frames = maps.mean(dim=2)[0]
    same = (frames * frames).sum()
    swapped = (frames[0] * frames[1]).sum() * 2
    assert float(forward @ forward / same) == pytest.approx(1, abs=0.1)
    assert float(forward @ backward / swapped) == pytest.approx(1, abs=0.1)


def test_a_video_of_one_frame_can_be_embedded_untrained() -> None:
    found = untrained_embeddings(torch.rand(2, 1, 3, 8))
    assert found.clip_frames == ((0,),) and found.clips.shape == (2, 1, 8)


def test_info_describes_caches_runs_and_stores(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    quick_train(cache, here / "one")
    text, damaged = describe(cache.path, verify=True)
    assert "28 videos: 28 done, 0 failed, 0 pending" in text and "verified" in text and not damaged
    text, damaged = describe(here / "one", verify=True)
    assert "quick preset" in text and "16 videos" in text and not damaged
    (cache.path / "maps" / "c" / "3" / "0" / "0" / "0").write_bytes(b"x")
    (here / "one" / STORE / "patches" / "c" / "1" / "0" / "0" / "0").unlink()
    assert describe(cache.path, verify=True)[1] == ("a/3.mp4",)
    with pytest.raises(InputError, match="neither a cache nor a run nor an embedding store"):
        describe(here)
    with pytest.raises(InputError, match="no such store"):
        describe(here / "nothing")


def test_damaged_runs_are_named(make_cache: MakeCache, here: Path) -> None:
    quick_train(make_cache(here / "cache.zarr"), here / "one")
    shutil.copytree(here / "one", here / "two")
    (here / "one" / WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="weights that do not fit"):
        load_encoder(here / "one")
    (here / "two" / CONFIG).write_text("{}")
    with pytest.raises(InputError, match="not the settings of a run"):
        load_encoder(here / "two")
    with pytest.raises(InputError, match="not a run"):
        load_encoder(here)


def test_all_levels_are_better_than_chance_on_easy_maps(make_cache: MakeCache, here: Path) -> None:
    quick_train(make_cache(here / "cache.zarr"), here / "one", steps_per_epoch=20)
    found = evaluate(here / "one" / STORE, way=2, episodes=200)
    assert found.outcomes[0].accuracies[ALL_LEVELS].accuracy > 70
