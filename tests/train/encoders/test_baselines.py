"""The baselines of HCL: their encoders, their loss, and runs from a cache to a store."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import cos, exp, log, sin
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.drawing import Episodes, draw_episodes
from hcl.match.episodes.level_table import Case
from hcl.match.evaluation import class_scoring
from hcl.match.evaluation.class_scoring import episode_scores, method_scores
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.methods.frames import tarn
from hcl.match.methods.heads import sinusoids
from hcl.match.methods.matcher import has_matcher
from hcl.match.methods.registry import BASELINES
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.encoders.baseline_encoder import BaselineEncoder
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.losses.episodic import episodic_loss
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.inspection import describe
from hcl.train.runs.run_folder import CHECKPOINT, METRICS, WEIGHTS, load_encoder, read_config
from hcl.train.runs.running import train

TRAINED = [name for name in BASELINES if name != "resnet"]
FRAMES, PATCHES, CHANNELS, SIGNAL = 4, 3, 20, 6
SMALL = {"dim": 12, "heads": 2, "mlp_dim": 16, "dropout": 0.1, "precision": "float32", "device": "cpu"}
SCHEDULE = {"epochs": 2, "steps_per_epoch": 20, "learning_rate": 0.005, "val_episodes": 100, "val_way": 4}
SPLITS = dict.fromkeys("abcdefghijkl", "base") | dict.fromkeys("mnop", "val") | dict.fromkeys("qrst", "novel")
SOME = (
    "protonet",
    "maml",
    "trx",
    "hyrsm",
    "strm",
)  # of each kind: outputs drawn, a matcher, a loss or patches of its own
every_trained = pytest.mark.parametrize("method", TRAINED)
both_starts = pytest.mark.parametrize("start", ["maps", "random"])


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def encoder(method: str, *, frames: int = FRAMES, **settings: Any) -> BaselineEncoder:
    config = TrainConfig(**{**SMALL, "method": method, **settings})
    return BaselineEncoder(config, channels=CHANNELS, frames=frames, patches=PATCHES).eval()


def make_cache(splits: dict[str, str] = SPLITS, *, frames: int = FRAMES, videos: int = 4) -> Path:
    """Classes differ in a few channels, and by frame; videos differ far more in all the others."""
    shape = (frames, PATCHES, CHANNELS)
    settings = {"split_origin": "given", "backbone": "resnet50-v1", "grid": [1, shape[1]]}
    cache = ZarrCache.create(Path("cache.zarr"), settings, shape=shape)
    cache.set_text_model(np.zeros((0, 5), np.float32), {"model": "small bert", "sha256": "abc"})
    cache.add_classes(splits, {name: name for name in splits}, np.ones((len(splits), 5), np.float32))
    listed = [Video(f"{name}/{copy}.mp4", Path("x"), name) for name in splits for copy in range(videos)]
    cache.add_videos(listed)
    rng = np.random.default_rng(7)
    signal = {name: rng.normal(size=SIGNAL) + 0.5 * rng.normal(size=(frames, 1, SIGNAL)) for name in splits}
    records = []
    for row, video in enumerate(listed):
        maps = 0.3 * rng.normal(size=shape) + 1.5 * rng.normal(size=CHANNELS) * (np.arange(CHANNELS) >= SIGNAL)
        maps[..., :SIGNAL] += signal[video.label]
        records.append(MapRecord(row, maps.astype(np.float16), source=Source(f"h{row}")))
    cache.write(records)
    return cache.path


def epochs_of(run: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(run, METRICS).read_text().splitlines()]


def quick_train(cache: Path, run: str, method: str, **given: Any) -> str:
    settings = {**SMALL, **SCHEDULE, "method": method, **given}
    return train(cache, run=Path(run), preset="quick", splits=None, settings=settings)


@every_trained
@pytest.mark.parametrize("depth", [0, 2])
def test_encoders_give_the_arrays_that_the_method_scores_from(method: str, depth: int) -> None:
    model = encoder(method, depth=depth)
    found = model(random(0, 5, FRAMES, PATCHES, CHANNELS).half())
    assert tuple(found) == tuple(BASELINES[method].axes) and len(list(model.blocks)) == depth
    expected = {"global": (5, 12), "frames": (5, 4, 12), "keys_2": (5, 6, 12), "values_3": (5, 4, 12)}
    expected |= {"abstract_key": (5, 12), "segments": (5, 4, 12), "frame_keys": (5, 4, 12), "latents_2": (5, 6, 6)}
    for name, array in found.items():
        assert array.dtype == torch.float32 and array.shape == expected.get(name, array.shape)


def test_the_trunk_is_that_of_hcl() -> None:
    """The same first weights, the same patch embeddings; only the heads differ."""
    maps, shape = random(1, 2, FRAMES, PATCHES, CHANNELS), {"channels": CHANNELS, "frames": FRAMES, "patches": PATCHES}
    patches = VideoEncoder(TrainConfig(**SMALL), **shape, classes=3).eval()(maps).patches
    of_frames = patches.mean(dim=2)
    for method in ("otam", "bimhm"):
        torch.testing.assert_close(encoder(method)(maps)["frames"], of_frames, rtol=0, atol=0)
    for method in ("protonet", "matchingnet"):
        torch.testing.assert_close(encoder(method)(maps)["global"], of_frames.mean(dim=1))


def test_keys_and_values_are_linear_maps_of_placed_frames() -> None:
    model, maps = encoder("trx"), random(2, 2, FRAMES, PATCHES, CHANNELS)
    frames, found = model.patch_embeddings(maps).mean(dim=2), model(maps)
    rates = [10_000 ** (-2 * (axis // 2) / 12) for axis in range(12)]
    waves = [[(cos if axis % 2 else sin)(t * rates[axis]) for axis in range(12)] for t in range(FRAMES)]
    placed = frames + 0.1 * torch.tensor(waves)
    triples = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
    for place, triple in enumerate(triples):
        joined = torch.cat([placed[:, frame] for frame in triple], dim=1)
        torch.testing.assert_close(found["values_3"][:, place], model.head.values["3"](joined))
        key = torch.nn.functional.layer_norm(model.head.keys["3"](joined), (12,))
        torch.testing.assert_close(found["keys_3"][:, place], key, rtol=1e-4, atol=1e-5)
    assert sinusoids(3, 5).shape == (3, 5) and sinusoids(1, 1).tolist() == [[0.0]]


def loss_by_loops(embeddings: list[list[Tensor]]) -> float:
    """ProtoNet's, from classes of videos: the first half supports the others, then the other way round."""
    half = len(embeddings[0]) // 2
    roles = []
    for first, others in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
        prototypes = [sum(videos[first]) / len(videos[first]) for videos in embeddings]
        losses = []
        for place, videos in enumerate(embeddings):
            for query in videos[others]:
                gains = [exp(-float(((query - prototype) ** 2).sum())) for prototype in prototypes]
                losses.append(-log(gains[place] / sum(gains)))
        roles.append(sum(losses) / len(losses))
    return sum(roles) / 2


@pytest.mark.parametrize(("n_way", "count"), [(2, 2), (3, 4), (4, 3), (1, 5)])
def test_the_loss_equals_loops(n_way: int, count: int) -> None:
    embeddings = 0.5 * random(3, n_way * count, 6)
    expected = loss_by_loops([list(part) for part in embeddings.split(count)])
    assert episodic_loss(BASELINES["protonet"], {"global": embeddings}, n_way).item() == pytest.approx(
        expected, rel=1e-5
    )


@every_trained
@both_starts
def test_gradients_of_the_loss_reach_every_weight(
    method: str, start: str, perturb: Callable[[BaselineEncoder], BaselineEncoder]
) -> None:
    """Behind a weight of 0 they are 0: in the first step, of what starts at the maps, the last weights learn alone."""
    model = perturb(encoder(method, start=start))
    loss = episodic_loss(model.scorer, model(random(4, 6, FRAMES, PATCHES, CHANNELS)), 2)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_a_class_of_one_video_makes_no_episode() -> None:
    with pytest.raises(ValueError, match="1 videos of each of 3 classes: no query beside a support"):
        episodic_loss(BASELINES["protonet"], {"global": random(5, 3, 4)}, 3)
    with pytest.raises(InputError, match="method otam learns from queries and supports: --videos-per-class must be"):
        TrainConfig(method="otam", videos_per_class=1)
    with pytest.raises(InputError, match="method must be one of hcl, resnet, protonet"):
        TrainConfig(method="tsn")


@pytest.mark.parametrize(
    ("method", "start"),
    [*((method, "random") for method in TRAINED if method != "fomaml"), ("protonet", "maps"), ("hyrsm", "maps")],
)
def test_training_raises_validation_above_chance(method: str, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarn, "COMPARING", 16)  # takes a fifth of the time
    cache = make_cache()
    quick_train(cache, "run", method, steps_per_epoch=40, start=start)
    begin, *epochs = epochs_of("run")
    assert epochs[-1]["terms"]["total"] < epochs[0]["terms"]["total"]
    assert set(epochs[0]["terms"]) == {"total", "gradient_norm"}
    before = begin["validation"]  # chance is 25
    assert before < 50 and max(epoch["validation"] for epoch in epochs) > before + 20


@every_trained
def test_validation_scores_every_episode(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(12)[:9].reshape(3, 3) for _ in range(7)])
    drawn = Episodes(support=rows[:, :, :2], query=rows[:, :, 2:])
    model = encoder(method)
    arrays = model(random(8, 12, FRAMES, PATCHES, CHANNELS))
    monkeypatch.setattr(class_scoring, "GATHERED_BYTES", 1)
    with torch.no_grad():
        found = episode_scores(model.scorer, arrays, drawn, k_shot=2)
        for scores, support, query in zip(found, drawn.support, drawn.query, strict=True):
            for row, expected in zip(query.ravel().tolist(), scores, strict=True):
                asked = {name: array[[row]] for name, array in arrays.items()}
                given = {name: array[torch.from_numpy(support)] for name, array in arrays.items()}
                one = model.scorer.class_scores(asked, given)[0].double()
                np.testing.assert_allclose(expected, one.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", SOME)
def test_a_store_holds_what_the_encoder_says(method: str) -> None:
    cache = make_cache()
    quick_train(cache, "run", method, epochs=1, steps_per_epoch=2)
    store, model = EmbeddingStore.open(Path("run", STORE)), load_encoder(Path("run"))
    assert store.method == method and set(store.names) == {*BASELINES[method].axes, "mean_map"}
    assert set(store.videos.split) == {"val", "novel"} and store.attributes["scoring"] == {}
    maps = torch.from_numpy(ZarrCache.open(cache).maps(ZarrCache.open(cache).videos.path.index("r/2.mp4")))
    with torch.no_grad():
        expected = model(maps[None])
    found = store.arrays(tuple(BASELINES[method].axes), np.array([store.videos.path.index("r/2.mp4")]))
    for name, array in expected.items():
        torch.testing.assert_close(found[name], array, rtol=1e-4, atol=1e-5)
    episodes = EpisodeConfig(n_way=3, k_shot=2, episodes=20)
    drawn = draw_episodes(store.videos, way=3, shot=2, episodes=20)
    of_store = method_scores(store, method, drawn, [Case(2, "mean")])[Case(2, "mean")]
    arrays = store.arrays(tuple(BASELINES[method].axes), np.arange(len(store.videos)))
    of_encoder = episode_scores(model.scorer, arrays, drawn, k_shot=2)
    np.testing.assert_allclose(of_store, of_encoder, rtol=1e-4, atol=1e-5)
    assert evaluate(store, way=3, shot=2, episodes=20).episodes == episodes
    assert (store.matcher_weights is not None) == has_matcher(BASELINES[method])
    embed_cache(cache, Path("all.zarr"), run=Path("run"), device="cpu")
    assert len(EmbeddingStore.open(Path("all.zarr")).videos) == 80
    description = describe(Path("run"), verify=True)
    assert description.facts["method"] == method and description.damaged == description.all_damaged == ()


@pytest.mark.parametrize(("method", "start"), [("trx", "maps"), ("maml", "random"), ("hyrsm", "random")])
def test_an_interrupted_run_resumes_to_the_same_end(
    method: str, start: str, interrupted_after: Callable[[int], AbstractContextManager[None]]
) -> None:
    """The interrupt, as by Ctrl-C, comes in the second epoch, when the bar is moved."""
    cache = make_cache()
    few = {"steps_per_epoch": 3, "val_episodes": 10, "start": start}
    quick_train(cache, "whole", method, **few)
    with interrupted_after(3):
        quick_train(cache, "cut", method, **few)
    assert [epoch["epoch"] for epoch in epochs_of("cut")] == [0, 1]
    with pytest.raises(InputError, match=f"an unfinished run with another training.*method {method} there, hcl now"):
        quick_train(cache, "cut", "hcl", **few)
    train(cache, run=Path("cut"), preset=None, splits=None, settings={})
    for name in (WEIGHTS, METRICS):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes()
    stores = [EmbeddingStore.open(Path(name, STORE)) for name in ("cut", "whole")]
    assert stores[0].identity == stores[1].identity


def test_resnet_is_not_trained(said: list[str]) -> None:
    """Not even base classes are needed."""
    cache = make_cache(dict.fromkeys("ab", "novel"))
    quick_train(cache, "run", "resnet")
    assert "method resnet: nothing to train" in said and not Path("run", CHECKPOINT).exists()
    store = EmbeddingStore.open(Path("run", STORE))
    assert (store.method, store.names, len(store.videos)) == ("resnet", ("mean_map",), 8)
    found = store.arrays(("mean_map",), np.array([3]))["mean_map"][0]
    maps = torch.from_numpy(ZarrCache.open(cache).maps(ZarrCache.open(cache).videos.path.index(store.videos.path[3])))
    torch.testing.assert_close(found, maps.float().mean(dim=(0, 1)))
    embed_cache(cache, Path("all.zarr"), run=Path("run"), device="cpu")
    assert EmbeddingStore.open(Path("all.zarr")).identity == store.identity
    assert describe(Path("run"), verify=True).facts["encoder"] is None


def test_baselines_read_no_text_and_say_who_they_are(said: list[str]) -> None:
    cache = make_cache()
    quick_train(cache, "run", "protonet", epochs=1, steps_per_epoch=1)
    begins, *_ = (line for line in said if line.startswith("run run: "))
    assert "12 base classes and 12 " in begins and "method protonet" in begins
    config = read_config(Path("run"))
    assert config.text_model is None and set(config.encoder) == {"channels", "frames", "patches", "inputs"}


def test_triples_need_three_frames() -> None:
    with pytest.raises(InputError, match="tuples of 3 frames, the cache has 2 a video; extract with --frames 3"):
        quick_train(make_cache(frames=2), "run", "trx")
    assert encoder("trx", frames=3)(random(6, 1, 3, PATCHES, CHANNELS))["keys_3"].shape == (1, 1, 12)
