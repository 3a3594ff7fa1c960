"""What is exported gives what the modules give, for any number of videos."""

import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hcl.extract.backbones.backbone import load_backbone
from hcl.extract.backbones.weights import read_weights
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.train.config import TrainConfig
from hcl.train.encoders.factory import make_encoder
from hcl.train.encoders.layer4 import make_layer4
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.runs.export import export
from hcl.train.runs.planning import begin, make_run_config
from hcl.train.runs.run_folder import Run, load_encoder, save_encoder

MakeCache = Callable[..., ZarrCache]


def make_run(cache: ZarrCache, folder: Path, *, width: int = 0, **settings: Any) -> Path:
    """A run as a training leaves it, with drawn weights; `width`: the channels of a ResNet's layer 3."""
    config = make_run_config(cache, TrainConfig(dim=16, heads=2, mlp_dim=16, device="cpu", **settings))
    if width:
        shape = config.encoder | {"channels": width if config.training.skip_layer4 else 2 * width}
        record = config.cache | {"settings": cache.settings | {"channels": width}}
        config = replace(config, cache=record, encoder=shape)
    begin(Run(folder, config))
    encoder = make_encoder(config.training, config.encoder, make_layer4(cache.settings))
    generator = torch.Generator().manual_seed(0)
    state = encoder.state_dict()
    for name, weight in state.items():
        if weight.is_floating_point():
            state[name] = 0.05 * torch.randn(weight.shape, generator=generator)
    save_encoder(folder, state)
    return folder


def load(file: Path) -> Any:
    return torch.export.load(file).module()


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def expected(run: Path, maps: Tensor) -> list[Tensor]:
    with torch.no_grad():
        found = load_encoder(run)(maps)
    return list((found.arrays() if not isinstance(found, dict) else found).values())


@pytest.mark.parametrize("settings", [{"start": "maps", "clip_sizes": (2, 3)}, {"method": "trx"}])
def test_an_encoder_gives_the_same_embeddings(make_cache: MakeCache, tmp_path: Path, settings: dict[str, Any]) -> None:
    run = make_run(make_cache(tmp_path / "cache.zarr"), tmp_path / "run", **settings)
    told = export(run, tmp_path / "model.pt2")
    program = load(tmp_path / "model.pt2")
    for videos in (1, 5):
        maps = drawn(videos, 4, 4, 12)
        given = program(maps)
        for found, wanted in zip(given, expected(run, maps), strict=True):
            torch.testing.assert_close(found, wanted)
    with zipfile.ZipFile(tmp_path / "model.pt2") as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("hcl.json"))
        facts = json.loads(archive.read(name))
    assert facts["inputs"]["maps"]["shape"] == ["videos", 4, 4, 12] and facts["part"] == "encoder"
    assert all(name in told for name in facts["outputs"]) and len(facts["outputs"]) == len(given)


def test_class_keys_are_exported_for_themselves(make_cache: MakeCache, tmp_path: Path) -> None:
    run = make_run(make_cache(tmp_path / "cache.zarr"), tmp_path / "run")
    export(run, tmp_path / "keys.pt2", part="text")
    text, encoder = drawn(7, 5), load_encoder(run)
    assert isinstance(encoder, VideoEncoder)
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path / "keys.pt2")(text), encoder.class_keys(text))
    for settings, cache in (({"method": "otam"}, True), ({}, False)):
        other = make_run(make_cache(tmp_path / f"{cache}.zarr", text=cache), tmp_path / f"run {cache}", **settings)
        with pytest.raises(InputError, match="no semantic attention, hence no class keys"):
            export(other, tmp_path / "none.pt2", part="text")
    assert not (tmp_path / "none.pt2").exists()


@pytest.mark.parametrize("settings", [{"skip_layer4": True}, {"finetune": "layer4"}])
def test_a_run_on_layer_3_takes_its_maps(make_cache: MakeCache, tmp_path: Path, settings: dict[str, Any]) -> None:
    """Layer 4, as it was learned or its stand-in, is a part of what is exported."""
    cache = make_cache(tmp_path / "cache.zarr", backbone="resnet18", backbone_layer="layer3")
    run = make_run(cache, tmp_path / "run", width=256, **settings)
    export(run, tmp_path / "model.pt2")
    maps = drawn(3, 4, 4, 256)
    for found, wanted in zip(load(tmp_path / "model.pt2")(maps), expected(run, maps), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("layer", ["layer4", "layer3"])
def test_a_backbone_gives_the_same_maps(make_cache: MakeCache, small_weights: Path, tmp_path: Path, layer: str) -> None:
    """As hcl extract computes them, by its fused operators, to the precision that they are cached in."""
    device = torch.device("cpu")
    known = {"precision": "float32", "backbone_layer": layer, "device": device, "size": 64}
    backbone = load_backbone(None, str(small_weights), **known)
    facts = {"backbone": "resnet18", "weights": str(small_weights), "weights_sha256": backbone.identity.sha256}
    cache = make_cache(tmp_path / "cache.zarr", **facts, **({} if layer == "layer4" else {"backbone_layer": layer}))
    run = make_run(cache, tmp_path / "run", **({} if layer == "layer4" else {"skip_layer4": True}))
    export(run, tmp_path / "backbone.pt2", part="backbone")
    images = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = load(tmp_path / "backbone.pt2")(images)
    torch.testing.assert_close(found, backbone(images).float(), atol=2e-3, rtol=2e-3)


def test_other_weights_than_the_cache_had_are_refused(
    make_cache: MakeCache, small_weights: Path, tmp_path: Path
) -> None:
    assert read_weights(str(small_weights), "resnet18").architecture == "resnet18"
    cache = make_cache(tmp_path / "cache.zarr", backbone="resnet18", weights=str(small_weights))
    run = make_run(cache, tmp_path / "run")
    with pytest.raises(InputError, match="other weights than those of the run's cache"):
        export(run, tmp_path / "backbone.pt2", part="backbone")
    assert not (tmp_path / "backbone.pt2").exists()


def test_onnx_gives_the_same_embeddings(make_cache: MakeCache, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="the onnx extra is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    run = make_run(make_cache(tmp_path / "cache.zarr"), tmp_path / "run")
    export(run, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["global", "clips", "patches"]
    assert json.loads(session.get_modelmeta().custom_metadata_map["hcl"])["part"] == "encoder"
    maps = drawn(5, 4, 4, 12)
    for found, wanted in zip(session.run(None, {"maps": maps.numpy()}), expected(run, maps), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), wanted, atol=1e-5, rtol=1e-4)


def test_without_onnx_the_remedy_is_named(
    make_cache: MakeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(make_cache(tmp_path / "cache.zarr"), tmp_path / "run")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r'pip install onnx onnxscript, or "hcl\[onnx\]"'):
            export(run, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"a file that ends in .pt2"):
        export(run, tmp_path / "model.pth")
