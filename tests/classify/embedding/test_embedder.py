"""Embeddings at once are those that extract and embed store; broken videos are results; processes are kept."""

import gc
import multiprocessing
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.origin import Origin
from hcl.classify.embedding.recipe import config_of_cache
from hcl.classify.embedding.videos import BrokenVideo, EmbeddedVideo
from hcl.extract.config import CROPS, EXPOSURES, ExtractConfig
from hcl.extract.decoding.worker import DecodeTask
from hcl.extract.pipeline import inference
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.preparation import choose_backbone, prepare
from hcl.extract.system.errors import InputError
from hcl.extract.video.reading import read_chosen_frames
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.runs.embed_cache import embed_cache


def embedded(embedder: VideoEmbedder, videos: list[Path]) -> list[EmbeddedVideo]:
    results = list(embedder.embed(videos))
    assert [result.number for result in results] == list(range(len(videos)))
    return [result for result in results if isinstance(result, EmbeddedVideo)]


def assert_as_stored(store: EmbeddingStore, results: list[EmbeddedVideo], names: set[str]) -> None:
    """Each array of each video equals what the store has of the same content."""
    assert len(results) == len(store.videos.content)
    for result in results:
        row = store.videos.content.index(result.content)
        arrays = result.batch.stored(store.axes)
        assert set(arrays) == names
        for name, array in arrays.items():
            stored = store.arrays((name,), np.array([row]))[name].numpy()
            np.testing.assert_allclose(
                array, stored, rtol=2e-3, atol=2e-3 * max(1e-6, np.abs(stored).max()), err_msg=name
            )


def test_a_run_embeds_videos_as_extract_and_embed_do(
    small_videos: Path, trained_run: Path, small_config: ExtractConfig
) -> None:
    store = EmbeddingStore.open(trained_run / "embeddings.zarr")
    videos = [small_videos / path for path in store.videos.path]
    with VideoEmbedder.load(
        trained_run, extraction=ExtractConfig(weights=small_config.weights), device="cpu"
    ) as embedder:
        results = embedded(embedder, videos)
        assert [result.name for result in results] == list(map(str, videos))
        assert_as_stored(store, results, {*store.names} - {"class_keys"})
        again = embedder.embed_one(videos[3])
        assert isinstance(again, EmbeddedVideo)
        assert torch.equal(again.batch.arrays["patches"], results[3].batch.arrays["patches"])


@pytest.mark.parametrize(
    "changed",
    [{"views": 3, "flip": True}, {"motion": "none", "cache_dtype": "uint8"}, {"backbone_layer": "layer3", "views": 1}],
    ids=str,
)
def test_untrained_embeddings_are_those_of_a_cache_but_for_its_mean(
    small_videos: Path, small_config: ExtractConfig, tmp_path: Path, changed: dict[str, object]
) -> None:
    config = replace(small_config, frames=4, split_policy="all-novel", **changed)
    folder = small_videos / "novel"
    extract(folder, tmp_path / "cache.zarr", config)
    embed_cache(tmp_path / "cache.zarr", tmp_path / "store.zarr", weights=small_config.weights)
    store = EmbeddingStore.open(tmp_path / "store.zarr")
    with VideoEmbedder.load(extraction=config, device="cpu") as embedder:
        results = embedded(embedder, [folder / path for path in store.videos.path])
    mean = np.stack([result.batch.mean_map[0] for result in results]).mean(axis=0)
    for row, result in enumerate(results):
        patches = result.batch.arrays["patches"][0].numpy() - mean
        stored = store.arrays(("patches",), np.array([row]))["patches"][0]
        np.testing.assert_allclose(patches, stored, rtol=1e-3, atol=2e-3)
        motion = store.arrays(("untrained_motion",), np.array([row]))["untrained_motion"]
        np.testing.assert_allclose(result.batch.arrays["untrained_motion"], motion, rtol=1e-3, atol=2e-3)
        np.testing.assert_allclose(result.batch.mean_map[0], store.mean_map[row], atol=1e-5)


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_dark_clips_are_shown_as_those_of_the_cache(
    small_videos: Path, small_config: ExtractConfig, exposure: str
) -> None:
    config = replace(small_config, exposure=exposure)
    settings = prepare(small_videos, Path("none.zarr"), config, choose_backbone).settings
    assert ("exposure" in settings) == (exposure == "auto")  # caches before this choice name none
    again = config_of_cache(settings, 1, ExtractConfig(), torch.device("cpu"))
    assert again.exposure == exposure and DecodeTask.of(again).views.is_brightened == (exposure == "auto")
    here, other = (Origin("", "", made, 1) for made in (settings, settings | {"exposure": "else"}))
    with pytest.raises(InputError, match=f"clips: embedded otherwise .*: exposure {exposure} there, else here"):
        here.refuse_other(other, "clips")


@pytest.mark.parametrize("crops", CROPS)
def test_views_are_cut_as_those_of_the_cache(small_videos: Path, small_config: ExtractConfig, crops: str) -> None:
    config = replace(small_config, views=2, crops=crops)
    settings = prepare(small_videos, Path("none.zarr"), config, choose_backbone).settings
    assert config_of_cache(settings, 2, ExtractConfig(), torch.device("cpu")).crops == crops
    here, other = (Origin("", "", made, 2) for made in (settings, settings | {"crops": "else"}))
    with pytest.raises(InputError, match=f"clips: embedded otherwise .*: crops {crops} there, else here"):
        here.refuse_other(other, "clips")
    replace(here, views=1).refuse_other(replace(other, views=1), "clips")  # the canonical view alone is no crop


def test_arrays_of_frames_and_broken_videos_stand_among_the_others(
    small_videos: Path, small_config: ExtractConfig, tmp_path: Path
) -> None:
    config = replace(small_config, frames=4, views=1)
    path = small_videos / "novel" / "clap2" / "0.mp4"
    frames = read_chosen_frames(path, lambda count: tuple(range(count))).images
    (tmp_path / "empty.mp4").touch()
    videos = [frames, tmp_path / "empty.mp4", path, frames[0], tmp_path / "missing.mp4", frames.astype(float)]
    with VideoEmbedder.load(extraction=config, device="cpu") as embedder:
        results = list(embedder.embed(iter(videos)))
    array, empty, file, one_frame, missing, floats = results
    assert isinstance(array, EmbeddedVideo) and isinstance(file, EmbeddedVideo)
    assert (array.name, file.name) == ("frames 0", str(path)) and array.content != file.content
    for name, values in file.batch.arrays.items():
        torch.testing.assert_close(array.batch.arrays[name], values)
    assert isinstance(empty, BrokenVideo) and empty.reason == "the file is empty (0 bytes)"
    assert isinstance(missing, BrokenVideo) and missing.reason == "the file does not exist"
    assert isinstance(one_frame, BrokenVideo) and "got an array of uint8 (48, 64, 3)" in one_frame.reason
    assert isinstance(floats, BrokenVideo) and "expected frames (T, H, W, 3) of uint8" in floats.reason


def test_the_process_of_one_video_waits_however_soon_it_is_mapped(
    small_videos: Path, small_config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = inference._collect

    def collect_all(calls: Any, mapped: Any, *, most: int) -> None:
        collect(calls, mapped, most=0)

    monkeypatch.setattr(inference, "_collect", collect_all)
    video = next((small_videos / "novel").rglob("*.mp4"))
    with VideoEmbedder.load(extraction=replace(small_config, frames=8, views=2), device="cpu") as embedder:
        before = set(multiprocessing.active_children())
        embedder.embed_one(video)
        assert len(set(multiprocessing.active_children()) - before) == 1


def test_decoding_processes_wait_for_the_next_video_and_an_abandoned_stream_leaves_nothing(
    small_videos: Path, small_config: ExtractConfig
) -> None:
    paths = sorted((small_videos / "novel").rglob("*.mp4"))
    embedder = VideoEmbedder.load(extraction=replace(small_config, frames=4, views=1), device="cpu")
    before = set(multiprocessing.active_children())
    first = embedder.embed_one(paths[0])
    waiting = set(multiprocessing.active_children()) - before
    assert len(waiting) == 1
    again = embedder.embed_one(paths[1])
    assert set(multiprocessing.active_children()) - before == waiting
    stream = embedder.embed(paths)
    assert same(next(stream), first)
    stream.close()
    assert set(multiprocessing.active_children()) == before
    assert same(embedder.embed_one(paths[1]), again)
    two = [embedder.embed(paths[:2]), embedder.embed(paths[1:3])]  # in turns
    assert same(next(two[0]), first) and same(next(two[1]), again) and same(next(two[0]), again)
    assert [len(list(rest)) for rest in two] == [0, 1]
    del embedder, stream, two
    gc.collect()
    assert set(multiprocessing.active_children()) == before


def same(one: EmbeddedVideo | BrokenVideo, other: EmbeddedVideo | BrokenVideo) -> bool:
    assert isinstance(one, EmbeddedVideo) and isinstance(other, EmbeddedVideo)
    return one.content == other.content and torch.equal(one.batch.arrays["global"], other.batch.arrays["global"])


def test_what_cannot_be_loaded_is_named(trained_run: Path, small_config: ExtractConfig, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    weights = load_file(small_config.weights)
    save_file(weights | {"conv1.weight": weights["conv1.weight"] + 1}, wrong, metadata={"architecture": "resnet18"})
    cases: list[tuple[str, Callable[[], object]]] = [
        ("nowhere: no such file or folder; expected a run", lambda: VideoEmbedder.load("nowhere")),
        ("device 'cuda:7' cannot be used", lambda: VideoEmbedder.load(trained_run, device="cuda:7")),
        ("--test-views 5: the run's cache holds 2", lambda: VideoEmbedder.load(trained_run, test_views=5)),
        (
            "other weights than the run's",
            lambda: VideoEmbedder.load(trained_run, extraction=ExtractConfig(weights=str(wrong))),
        ),
        ("no such file of weights", lambda: VideoEmbedder.load(trained_run, extraction=ExtractConfig(weights="no.pt"))),
    ]
    for message, call in cases:
        with pytest.raises(InputError, match=re.escape(message)):
            call()
