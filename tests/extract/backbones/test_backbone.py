"""Backbones: frozen, exact, independent of the batch, for every family of networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torchvision import models

from hcl.extract.backbones.backbone import Backbone, choose_dtype, cpu_has_bfloat16, load_backbone
from hcl.extract.backbones.resnet import MEAN, STD

CPU = torch.device("cpu")


def resnet_file(model: Any, name: str, path: Path) -> Path:
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}
    save_file(state, path / "weights.safetensors", {"architecture": name})
    return path / "weights.safetensors"


def plain_maps(model: Any, images: Tensor) -> Tensor:
    """The definition: normalise each pixel, run torchvision's own network up to layer 4, read patches row by row."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    x = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    x = model.layer4(model.layer3(model.layer2(model.layer1(x))))
    rows = [x[:, :, i, j] for i in range(x.shape[2]) for j in range(x.shape[3])]
    return torch.stack(rows, dim=1).detach()


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("resnet34", 97), ("resnet50", 64), ("resnet101", 32)])
def test_maps_are_those_of_torchvision(
    frames: Callable[..., Tensor], lively: Callable[..., Any], name: str, size: int, tmp_path: Path
) -> None:
    path = resnet_file(lively(getattr(models, name)()), name, tmp_path)
    backbone = load_backbone(None, str(path), size=size, precision="float32", device=CPU)
    expected = plain_maps(lively(getattr(models, name)()), frames(3, size))
    found = backbone(frames(3, size))
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), expected, rtol=2e-3, atol=2e-3 * expected.abs().max().item())
    assert backbone.identity.name == name
    assert backbone.identity.channels == expected.shape[2]
    assert backbone.identity.grid == (-(-size // 32), -(-size // 32))


@pytest.mark.parametrize(("name", "size"), [("resnet18", 97), ("resnet50", 64)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_layers_stand_side_by_side_on_the_grid_of_the_last(
    frames: Callable[..., Tensor], lively: Callable[..., Any], name: str, size: int, precision: str, tmp_path: Path
) -> None:
    path = str(resnet_file(lively(getattr(models, name)()), name, tmp_path))
    images = frames(9, size)  # more than are computed together

    def maps(layer: str) -> tuple[Tensor, Any]:
        backbone = load_backbone(None, path, size=size, precision=precision, backbone_layer=layer, device=CPU)
        return backbone(images).float(), backbone.identity

    both, identity = maps("layer3+layer4")
    pooled, layer4 = maps("layer3-pooled")[0], maps("layer4")[0]
    torch.testing.assert_close(both, torch.cat((pooled, layer4), dim=2), rtol=0.02, atol=0.02 * both.abs().max().item())
    assert torch.equal(both[:, :, : pooled.shape[2]], pooled)  # what layer 4 does to its input does not show
    assert (identity.channels, identity.grid) == (both.shape[2], (-(-size // 32), -(-size // 32)))
    by_loops = maps("layer3")[0].unflatten(1, (-(-size // 16), -(-size // 16)))  # (N, 2 h, 2 w, C)
    for row, column in ((0, 0), (identity.grid[0] - 1, identity.grid[1] - 1)):
        cells = by_loops[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]  # fewer at an odd edge
        found = both[:, row * identity.grid[1] + column, : pooled.shape[2]]
        torch.testing.assert_close(found, cells.mean(dim=(1, 2)), rtol=0.02, atol=0.02 * both.abs().max().item())


@pytest.fixture(scope="module")
def shipped() -> Backbone:
    return load_backbone(None, "default", size=64, precision="auto", device=CPU)


def test_the_default_is_the_shipped_resnet(shipped: Backbone) -> None:
    assert (shipped.identity.name, shipped.identity.weights) == ("resnet50-v1", "default")
    assert (shipped.identity.channels, shipped.identity.grid) == (2048, (2, 2))


def test_a_backbone_is_frozen(frames: Callable[..., Tensor], shipped: Backbone) -> None:
    shipped(frames(1, 64))
    assert not shipped.training
    assert not any(parameter.requires_grad for parameter in shipped.parameters())
    found = shipped(frames(1, 64))
    assert not found.requires_grad
    assert not found.is_inference()  # usable in a trainer


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_frame_does_not_depend_on_its_batch(frames: Callable[..., Tensor], precision: str, tmp_path: Path) -> None:
    backbone = load_backbone("resnet50-v1", "default", size=64, precision=precision, device=CPU)
    batch = frames(11, 64)  # more than are computed together, and no multiple of it
    found = backbone(batch)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    assert torch.equal(backbone(batch[order]), found[order])
    padded = torch.cat([batch[:3], batch.new_zeros(8, 64, 64, 3)])
    assert torch.equal(backbone(padded)[:3], found[:3])


def test_half_precision_stays_close(frames: Callable[..., Tensor], shipped: Backbone) -> None:
    images = functional.interpolate(frames(4, 8).permute(0, 3, 1, 2).float(), size=64, mode="bilinear")
    pixels = images.permute(0, 2, 3, 1).to(torch.uint8).contiguous()
    exact = load_backbone(None, "default", size=64, precision="float32", device=CPU)(pixels).float()
    rough = load_backbone(None, "default", size=64, precision="bfloat16", device=CPU)(pixels).float()
    assert functional.cosine_similarity(exact, rough, dim=2).mean() > 0.99


def test_auto_is_half_precision_only_where_the_processor_has_it() -> None:
    expected = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    assert choose_dtype("auto", CPU) == expected
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("float32", torch.device("cuda")) == torch.float32


def test_wrong_frames_are_a_callers_mistake(frames: Callable[..., Tensor], shipped: Backbone) -> None:
    for wrong in (frames(1, 32), frames(1, 64).float(), frames(1, 64).permute(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"expected uint8 \(N, 64, 64, 3\)"):
            shipped(wrong)
    assert shipped(frames(1, 64)[:0]).shape == (0, 4, 2048)
