"""Layer 4 behind a cache that ends before it: as the backbone has it, unless it is finetuned."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hcl.extract.backbones.backbone import load_backbone
from hcl.extract.backbones.resnet import blank_layer4
from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import BACKBONES, LAYERS, ExtractConfig
from hcl.extract.pipeline.dry_run import forecast
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError
from hcl.match.config import KNOWN_LEVELS
from hcl.match.evaluation.known_levels import known_levels
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.data.batches import Batch
from hcl.train.data.cached_maps import CachedMaps
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import make_encoder
from hcl.train.encoders.layer4 import Averaged, Layer4, inputs_in, load_layer4, make_layer4, shape_of_layer4
from hcl.train.encoders.untrained import Untrained
from hcl.train.fitting.checkpoint import load_checkpoint
from hcl.train.fitting.step import Stepper
from hcl.train.runs import fit_run
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.inspection import describe
from hcl.train.runs.run_folder import CHECKPOINT, METRICS, WEIGHTS, load_encoder, read_config
from hcl.train.runs.running import train

SPLITS = {"a": "base", "b": "base", "c": "val", "d": "val", "e": "novel", "f": "novel"}
QUICK = {
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 2,
    "steps_per_epoch": 2,
    "val_episodes": 10,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def small(small_config: ExtractConfig) -> ExtractConfig:
    return replace(small_config, frames=3, size=80)  # of a grid of 5 x 5, then 3 x 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small: ExtractConfig, write_video: Callable[..., Path]) -> Path:
    """A folder with videos and caches of them: of layer 4, of layer 3 with a second view, in bytes, and pooled."""
    folder = tmp_path_factory.mktemp("made")
    for number, (name, split) in enumerate(SPLITS.items()):
        for copy in range(2):
            write_video(folder / "videos" / split / name / f"{copy}.mp4", seed=10 * number + copy)
    extract(folder / "videos", folder / "layer4.zarr", replace(small, views=1))
    extract(folder / "videos", folder / "layer3.zarr", replace(small, backbone_layer="layer3", views=2))
    extract(
        folder / "videos", folder / "bytes.zarr", replace(small, backbone_layer="layer3", cache_dtype="uint8", views=1)
    )
    extract(folder / "videos", folder / "pooled.zarr", replace(small, backbone_layer="layer3-pooled", views=2))
    extract(folder / "videos", folder / "layer3+layer4.zarr", replace(small, backbone_layer="layer3+layer4", views=1))
    return folder


def closely_known(one: EmbeddingStore, other: EmbeddingStore) -> bool:
    """Whether what two encoders know of the videos without learning has the same cosines between these.

    The signs of principal axes say nothing, so the vectors themselves may differ.
    """
    rows, same_cosines = np.arange(len(one.videos)), []
    assert known_levels(one) == known_levels(other) == KNOWN_LEVELS  # with those of difference images
    for name in known_levels(one):
        unit = [l2_normalise(store.arrays([name], rows)[name].float()) for store in (one, other)]
        same_cosines.append((unit[0] @ unit[0].T - unit[1] @ unit[1].T).abs().max().item() < 0.02)
    return all(same_cosines)


@pytest.fixture
def weights(small_weights: Path) -> str:
    return str(small_weights)


def run_on(cache: Path, run: Path, **given: Any) -> EmbeddingStore:
    train(cache, run=run, preset="quick", splits=None, settings=QUICK | given)
    return EmbeddingStore.open(run / STORE)


def layer4_of(run: Path) -> dict[str, torch.Tensor]:
    return {name: value for name, value in load_file(run / WEIGHTS).items() if name.startswith("layer4.")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def close(found: Any, expected: Any, least: float = 0.9999) -> bool:
    """Whether two sets of vectors have the same directions and lengths up to the rounding of maps."""
    found, expected = (torch.as_tensor(value).float() for value in (found, expected))
    cosines = torch.cosine_similarity(found, expected, dim=-1)
    lengths = found.norm(dim=-1) / expected.norm(dim=-1)
    return bool(cosines.min() > least and (lengths - 1).abs().max() < 0.01)


@pytest.mark.parametrize("kind", ["layer3", "bytes"])
def test_layer4_behind_a_cache_gives_the_maps_of_layer4(made: Path, weights: str, kind: str) -> None:
    cache, whole = ZarrCache.open(made / f"{kind}.zarr"), ZarrCache.open(made / "layer4.zarr")
    assert (cache.shape, whole.shape) == ((3, 25, 512), (3, 9, 1024)) and cache.videos.path == whole.videos.path
    layer4 = load_layer4(cache.settings, weights)
    assert layer4 is not None and load_layer4(whole.settings, weights) is None
    assert shape_of_layer4(cache.shape, cache.settings) == whole.shape == shape_of_layer4(whole.shape, whole.settings)
    maps = torch.from_numpy(np.stack([cache.maps(row) for row in range(4)]))
    assert close(layer4(maps), np.stack([whole.maps(row) for row in range(4)]))
    assert describe(cache.path).facts["settings"]["backbone_layer"] == "layer3"


def test_two_layers_side_by_side_go_through_everything(made: Path, tmp_path: Path) -> None:
    both, whole = ZarrCache.open(made / "layer3+layer4.zarr"), ZarrCache.open(made / "layer4.zarr")
    assert (both.shape, both.grid) == ((3, 9, 1536), (3, 3))
    of_images = torch.from_numpy(both.maps(0)).unflatten(2, (2, 768))  # the frame's, then the difference image's
    pooled = ZarrCache.open(made / "pooled.zarr").maps(0)
    assert close(of_images[:, :, :, :256].flatten(2), pooled) and close(
        of_images[:, :, :, 256:].flatten(2), whole.maps(0)
    )
    store = run_on(made / "layer3+layer4.zarr", tmp_path / "run", views=1, test_views=1)
    assert set(known_levels(store)) == set(KNOWN_LEVELS)
    embed_cache(made / "layer3+layer4.zarr", tmp_path / "again.zarr", run=tmp_path / "run", device="cpu")
    rows = np.arange(len(store.videos))
    again = EmbeddingStore.open(tmp_path / "again.zarr").arrays(["global"], rows)["global"]
    assert again.shape == store.arrays(["global"], rows)["global"].shape
    assert load_layer4(both.settings) is None


def test_motion_of_an_unknown_kind_is_refused_with_the_remedy() -> None:
    assert [inputs_in(settings) for settings in ({}, {"motion": "none"}, {"motion": "rgbdiff"})] == [1, 1, 2]
    with pytest.raises(InputError, match="of motion 'flow', which is none of rgbdiff, none; .*extract it anew"):
        inputs_in({"motion": "flow"})


@pytest.mark.parametrize("name", BACKBONES)
def test_layer4_doubles_channels_and_halves_the_grid_of_every_resnet(name: str) -> None:
    channels = 256 if name in ("resnet18", "resnet34") else 1024
    settings = {"backbone_layer": "layer3", "backbone": name, "grid": [2, 3]}
    layer4 = make_layer4(settings)
    assert layer4 is not None
    assert layer4(torch.zeros(1, 2, 6, channels)).shape == (1, *shape_of_layer4((2, 6, channels), settings))
    for part in (layer4, Averaged(layer4.grid)):
        with pytest.raises(ValueError, match=r"are not maps of grid = \(2, 3\)"):
            part(torch.zeros(1, 2, 4, channels))


def test_a_layer3_cache_goes_through_everything(made: Path, tmp_path: Path, small: ExtractConfig) -> None:
    small = replace(small, backbone_layer="layer3")
    cache = ZarrCache.open(made / "layer3.zarr")
    assert cache.n_views == 2 and not np.array_equal(cache.view(0, 0), cache.view(0, 1))
    with pytest.raises(InputError, match="backbone_layer layer3 there, layer4 now"):
        extract(made / "videos", cache.path, replace(small, backbone_layer="layer4", views=2))
    assert extract(made / "videos", cache.path, replace(small, views=2)).extracted == 0
    raw = 12 * 100 * 3 * 25 * (2 * 256) * 2
    told = forecast(made / "videos", tmp_path / "none", replace(small, views=100))
    assert (told.raw_bytes, told.bytes_on_disk) == (raw, round(0.54 * raw))
    convert(cache.path, tmp_path / "cache.h5")
    converted = open_cache(tmp_path / "cache.h5")
    assert converted.settings == cache.settings
    np.testing.assert_array_equal(converted.view(3, 1), cache.view(3, 1))


@pytest.mark.parametrize("grid", [(4, 6), (5, 3), (1, 2)])
@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_averaged_patches_are_those_of_a_loop(grid: tuple[int, int], kind: torch.dtype) -> None:
    rows, columns = grid
    maps = torch.randn(2, 3, rows * columns, 8, generator=torch.Generator().manual_seed(0)).to(kind)
    expected = [
        torch.stack(
            [
                maps[:, :, row * columns + column]
                for row in range(top, min(top + 2, rows))
                for column in range(left, min(left + 2, columns))
            ]
        )
        .float()
        .mean(dim=0)
        for top in range(0, rows, 2)
        for left in range(0, columns, 2)
    ]
    torch.testing.assert_close(Averaged(grid)(maps), torch.stack(expected, dim=2).to(kind), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["hcl", "otam"])
def test_layer4_can_be_skipped(made: Path, tmp_path: Path, weights: str, method: str) -> None:
    cache = made / "layer3.zarr"
    skipped = run_on(cache, tmp_path / "run", method=method, skip_layer4=True, weights=weights)
    encoder, config = load_encoder(tmp_path / "run"), read_config(tmp_path / "run")
    assert encoder.projection.in_features == 2 * 256 and config.encoder["patches"] == 9  # type: ignore[union-attr]
    assert not any(name.startswith("layer4") for name in load_file(tmp_path / "run" / WEIGHTS))
    assert "layer 4 skipped" in describe(tmp_path / "run").facts["encoder"]
    embed_cache(cache, tmp_path / "again.zarr", run=tmp_path / "run", weights=weights)
    again = EmbeddingStore.open(tmp_path / "again.zarr")
    row = again.videos.path.index(skipped.videos.path[0])
    assert close(torch.from_numpy(skipped.mean_map[0]), again.mean_map[row])  # the baseline's, with layer 4
    assert skipped.mean_map.shape[1] == 1024


@pytest.mark.parametrize("method", ["hcl", "otam"])
def test_a_pooled_cache_does_what_skipping_layer4_does(made: Path, tmp_path: Path, weights: str, method: str) -> None:
    pooled, whole = ZarrCache.open(made / "pooled.zarr"), ZarrCache.open(made / "layer3.zarr")
    assert (
        pooled.shape == (3, 9, 512) and pooled.grid == (3, 3) and pooled.settings["backbone_layer"] == "layer3-pooled"
    )
    for view in range(2):
        maps = torch.from_numpy(np.stack([whole.view(row, view) for row in range(12)]))
        assert close(Averaged(whole.grid)(maps), np.stack([pooled.view(row, view) for row in range(12)]))
    assert load_layer4(pooled.settings) is None
    given: dict[str, Any] = {"method": method, "class_augmentation": "none", "start": "random"}
    found = run_on(pooled.path, tmp_path / "pooled", **given)
    skipped = run_on(whole.path, tmp_path / "skipped", skip_layer4=True, weights=weights, **given)
    for name in set(found.names) - {"mean_map", *KNOWN_LEVELS}:
        rows = np.arange(len(found.videos))
        assert close(found.arrays([name], rows)[name], skipped.arrays([name], rows)[name], 0.99), name
    assert found.mean_map.shape[1] == 512  # the baseline's: no layer 4 ran
    if method == "hcl":
        given["start"] = "maps"
        found = run_on(pooled.path, tmp_path / "pooled from maps", **given)
        skipped = run_on(whole.path, tmp_path / "skipped from maps", skip_layer4=True, weights=weights, **given)
        assert closely_known(found, skipped)


@pytest.mark.parametrize("method", ["hcl", "otam"])
def test_a_frozen_layer4_trains_as_a_cache_of_its_maps_does(
    made: Path, tmp_path: Path, weights: str, method: str
) -> None:
    given: dict[str, Any] = {
        "method": method,
        "class_augmentation": "none",  # mirrored maps of layer 3 give others of layer 4
        "start": "random",
    }
    whole = run_on(made / "layer4.zarr", tmp_path / "four", **given)
    store = run_on(made / "layer3.zarr", tmp_path / "three", weights=weights, views=1, test_views=1, **given)
    assert close(store.mean_map, whole.mean_map)
    for name in set(whole.names) - set(KNOWN_LEVELS):
        rows = np.arange(len(whole.videos))
        assert close(store.arrays([name], rows)[name], whole.arrays([name], rows)[name], 0.99), name
    if method == "hcl":
        given["start"] = "maps"
        whole = run_on(made / "layer4.zarr", tmp_path / "four from maps", **given)
        assert closely_known(
            run_on(made / "layer3.zarr", tmp_path / "from maps", weights=weights, views=1, test_views=1, **given), whole
        )


def test_gradients_reach_layer4_only_when_it_is_tuned(made: Path, weights: str) -> None:
    cache = ZarrCache.open(made / "layer3.zarr")
    frames, patches, channels = shape_of_layer4(cache.shape, cache.settings)
    shape = {"channels": channels, "frames": frames, "patches": patches, "inputs": 2, "classes": 2}
    batch = Batch(torch.from_numpy(np.stack([cache.maps(row) for row in range(4)])), torch.tensor([0, 0, 1, 1]), 0.0)
    frozen = load_layer4(cache.settings, weights)
    assert frozen is not None
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    for finetune, precision in (("none", "float32"), ("layer4", "float32"), ("layer4", "bfloat16")):
        config = TrainConfig(
            dim=16, heads=2, finetune=finetune, precision=precision, patch_keep_rate=0.5, channel_dropout=0.2
        )
        encoder = make_encoder(config, shape, frozen)
        assert encoder.layer4 is not None
        stepper = Stepper(encoder, config, None)  # type: ignore[arg-type]
        assert stepper.step(0, batch).isfinite().all()
        reached = [parameter.grad is not None for parameter in encoder.layer4.parameters()]
        assert set(reached) == {finetune == "layer4"}
        assert same(encoder.layer4.state_dict(), before) == (finetune == "none")
        assert same(frozen.state_dict(), before)  # tuning changes a copy


def test_what_is_tuned_has_its_own_rate_and_does_not_decay(made: Path, weights: str) -> None:
    config = TrainConfig(finetune="layer4", backbone_lr=0.003, learning_rate=0.01, weight_decay=0.5)
    settings = ZarrCache.open(made / "layer3.zarr").settings
    shape = {"channels": 1024, "frames": 3, "patches": 9, "inputs": 2, "classes": 2}
    for optimiser in ("adamw", "sgd"):
        chosen = replace(config, optimiser=optimiser)
        encoder = make_encoder(chosen, shape, load_layer4(settings, weights))
        assert encoder.layer4 is not None
        groups = Stepper(encoder, chosen, None).optimiser.param_groups  # type: ignore[arg-type]
        assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.01, 0.5), (0.01, 0), (0.003, 0)]
        assert {id(value) for value in groups[2]["params"]} == {id(value) for value in encoder.layer4.parameters()}
        assert sum(len(group["params"]) for group in groups) == len(list(encoder.parameters()))


def test_a_tuned_run_changes_layer4_and_keeps_the_baseline(
    made: Path, tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_run, "validation_of", lambda *_: None)  # so that the last weights are kept, not epoch 0
    given = {"weights": weights, "backbone_lr": 0.01, "start": "random"}
    plain = run_on(made / "layer3.zarr", tmp_path / "plain", **given)
    tuned = run_on(made / "layer3.zarr", tmp_path / "tuned", finetune="layer4", **given)
    frozen = load_layer4(ZarrCache.open(made / "layer3.zarr").settings, weights)
    assert frozen is not None
    assert same(layer4_of(tmp_path / "plain"), {f"layer4.{name}": value for name, value in frozen.state_dict().items()})
    changed = layer4_of(tmp_path / "tuned")
    assert not any(torch.equal(value, changed[name]) for name, value in layer4_of(tmp_path / "plain").items())
    np.testing.assert_array_equal(tuned.mean_map, plain.mean_map)
    rows = np.arange(len(plain.videos))
    assert not close(tuned.arrays(["global"], rows)["global"], plain.arrays(["global"], rows)["global"])
    assert "layer 4 finetuned" in describe(tmp_path / "tuned", verify=True).facts["encoder"]
    embed_cache(
        made / "layer3.zarr", tmp_path / "again.zarr", run=tmp_path / "tuned", device="cpu"
    )  # the run's weights
    again = EmbeddingStore.open(tmp_path / "again.zarr")
    places = np.array([again.videos.path.index(path) for path in tuned.videos.path])
    for name in ("global", "patches", "mean_map"):
        torch.testing.assert_close(again.arrays([name], places)[name], tuned.arrays([name], rows)[name])


def test_an_interrupted_finetuned_run_resumes_to_the_same_end(
    made: Path,
    tmp_path: Path,
    weights: str,
    interrupted_before_validation: Callable[[], AbstractContextManager[None]],
) -> None:
    given = {"weights": weights, "finetune": "layer4", "start": "random"}
    cache = made / "layer3.zarr"
    run_on(cache, tmp_path / "whole", **given)
    with interrupted_before_validation():
        run_on(cache, tmp_path / "cut", checkpoint_every=2, **given)
    left = load_checkpoint(tmp_path / "cut" / CHECKPOINT)
    assert (left["steps"], left["epochs"]) == (2, [])
    run_on(cache, tmp_path / "cut", **given)
    for name in (WEIGHTS, METRICS):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_loaded_encoder_takes_the_maps_of_its_cache_and_runs_its_own_layer4(
    made: Path, tmp_path: Path, weights: str
) -> None:
    """What a notebook does: load the encoder, give it cached maps, get the embeddings that the run stored."""
    cache = CachedMaps(made / "layer3.zarr", "novel")
    maps = torch.stack([cache[index][0] for index in range(len(cache))])
    for name, given in (("frozen", {}), ("finetuned", {"finetune": "layer4", "backbone_lr": 0.01})):  # from the maps
        store = run_on(made / "layer3.zarr", tmp_path / name, weights=weights, test_views=1, **given)
        encoder = load_encoder(str(tmp_path / name))
        assert not encoder.training
        with torch.inference_mode():
            embeddings = encoder(maps)
        places = np.flatnonzero(np.array(store.videos.split) == "novel")
        assert store.videos.take(places).label == tuple(cache.class_names[label] for label in cache.labels)
        torch.testing.assert_close(embeddings.global_, store.embeddings(places).global_, rtol=1e-4, atol=1e-5)
        assert embeddings.class_keys is None and encoder.run_config.training.finetune == given.get("finetune", "none")


def test_a_source_runs_layer4_where_the_encoder_has_none(made: Path, weights: str) -> None:
    cache = ZarrCache.open(made / "layer3.zarr")
    source, rows = MapSource(cache, weights), np.array([4, 1])
    assert source.layer4 is not None and source.layer4 is source.layer4
    maps = source.read(rows, 1)
    shape = {"channels": 512, "frames": 3, "patches": 9}
    own = make_encoder(TrainConfig(dim=16, heads=2, method="otam"), shape, source.layer4)
    assert torch.equal(maps.for_encoder(own), maps.stored)
    assert torch.equal(maps.stored, torch.from_numpy(np.stack([cache.view(int(row), 1) for row in rows])))
    whole = ZarrCache.open(made / "layer4.zarr")
    canonical = source.read(rows)
    assert close(canonical.for_encoder(Untrained()), np.stack([whole.maps(int(row)) for row in rows]))
    assert close(canonical.mean_map(), np.stack([whole.maps(int(row)).mean(axis=(0, 1)) for row in rows]))
    with pytest.raises(InputError, match="other weights than the cache's"):
        MapSource(cache, "default").load()


def test_the_untrained_baseline_is_that_of_layer4(made: Path, tmp_path: Path, weights: str) -> None:
    embed_cache(made / "layer4.zarr", tmp_path / "four.zarr", device="cpu")
    embed_cache(made / "layer3.zarr", tmp_path / "three.zarr", weights=weights, test_views=1, device="cpu")
    four, three = (EmbeddingStore.open(tmp_path / f"{name}.zarr") for name in ("four", "three"))
    for name in ("mean_map", "global", "clips", "patches"):
        assert close(three.arrays([name], np.arange(12))[name], four.arrays([name], np.arange(12))[name]), name
    resnet = run_on(made / "layer3.zarr", tmp_path / "resnet", method="resnet", weights=weights)
    assert close(resnet.mean_map, four.mean_map[4:])  # base videos come first


def test_what_does_not_fit_is_refused_with_the_remedy(
    made: Path, tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for backbone_layer in ("layer4", "layer3-pooled", "layer3+layer4"):
        cache = made / f"{backbone_layer.removeprefix('layer3-')}.zarr"
        with pytest.raises(
            InputError,
            match=re.escape(f"{cache.name}: holds maps of {backbone_layer}, --finetune layer4 needs those of"),
        ):
            run_on(cache, tmp_path / "run", finetune="layer4", weights=weights)
        with pytest.raises(
            InputError, match="--skip-layer4 needs .*; leave it out, or .*: hcl extract --backbone-layer layer3"
        ):
            run_on(cache, tmp_path / "run", skip_layer4=True, weights=weights)
    with pytest.raises(InputError, match="--skip-layer4 leaves out what --finetune layer4 would change"):
        TrainConfig(finetune="layer4", skip_layer4=True)
    wanted = ZarrCache.open(made / "layer3.zarr").settings["weights_sha256"][:12]
    with pytest.raises(InputError, match=rf"no file resnet18.safetensors; give .*{wanted}.*with --weights"):
        run_on(made / "layer3.zarr", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="finetune must be one of none, layer4"):
        TrainConfig(finetune="layer3")
    with pytest.raises(InputError, match="method resnet trains nothing; leave out --finetune"):
        TrainConfig(finetune="layer4", method="resnet")
    with pytest.raises(InputError, match="--backbone-lr must be above 0"):
        TrainConfig(backbone_lr=0.0)
    with pytest.raises(InputError, match="--backbone-layer must be one of layer4, layer3, .*, got 'layer2'"):
        ExtractConfig(backbone_layer="layer2")
    for backbone_layer in LAYERS[1:]:
        with pytest.raises(InputError, match=f"{re.escape(backbone_layer)}: .* is no ResNet"):
            load_backbone(
                vision_model(tmp_path / "vit"), size=32, backbone_layer=backbone_layer, device=torch.device("cpu")
            )


def vision_model(folder: Path) -> str:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(folder)
    return str(folder)


def test_other_weights_and_other_maps_are_refused(made: Path, tmp_path: Path, weights: str) -> None:
    tensors = load_file(weights)
    tensors["layer4.0.conv1.weight"] += 1
    save_file(tensors, tmp_path / "other.safetensors", metadata={"architecture": "resnet18"})
    for other in (str(tmp_path / "other.safetensors"), "default"):
        with pytest.raises(InputError, match=f"{other}: other weights than the cache's.*resnet18.safetensors"):
            run_on(made / "layer3.zarr", tmp_path / "run", weights=other)
    run_on(made / "layer4.zarr", tmp_path / "four", epochs=1)
    with pytest.raises(InputError, match="backbone_layer layer4 in the run, layer3 in the cache"):
        embed_cache(made / "layer3.zarr", tmp_path / "s.zarr", run=tmp_path / "four", weights=weights)


def test_a_blank_layer4_draws_no_random_numbers() -> None:
    state = torch.random.get_rng_state()
    blank = Layer4(blank_layer4("resnet18"), (2, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in blank.parameters())
