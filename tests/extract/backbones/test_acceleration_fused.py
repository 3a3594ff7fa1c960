"""Fused operations give the maps of the plain trunk, or the plain trunk runs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hcl.extract.backbones.acceleration import AGREEMENT, fused_trunk
from hcl.extract.backbones.resnet import resnet_trunk
from hcl.extract.backbones.weights import read_weights

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trunk() -> nn.Sequential:
    return resnet_trunk("resnet50-v1", read_weights("default", None).tensors, shown="")


def test_the_fused_trunk_gives_the_maps_of_the_plain_one(trunk: nn.Sequential) -> None:
    fused = fused_trunk(trunk, IMAGES)
    assert fused is not trunk
    with torch.inference_mode():
        torch.testing.assert_close(fused(IMAGES), trunk(IMAGES), rtol=1e-3, atol=1e-3)


def test_a_fused_trunk_of_other_maps_is_not_used(trunk: nn.Sequential) -> None:
    assert fused_trunk(trunk, IMAGES, agreement=1.1) is trunk
    assert AGREEMENT < 1


@pytest.mark.parametrize("operations", [SimpleNamespace(), object()])
def test_without_fused_operations_the_plain_trunk_runs(
    trunk: nn.Sequential, operations: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", operations)
    assert fused_trunk(trunk, IMAGES) is trunk
