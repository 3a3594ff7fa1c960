"""The two ResNet-50s differ in where they halve the grid, and that is what is built."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from hcl.extract.backbones.resnet import MEAN, STD, resnet_trunk


def test_version_1_strides_in_the_first_convolution(frames: Callable[..., Tensor], lively: Callable[..., Any]) -> None:
    tensors = {key: value for key, value in lively(models.resnet50()).state_dict().items() if "tracked" not in key}
    tensors = {key: value for key, value in tensors.items() if not key.startswith("fc.")}
    model = lively(models.resnet50())
    for layer in (model.layer2, model.layer3, model.layer4):  # as the paper's residual block is drawn
        layer[0].conv1, old = (
            nn.Conv2d(layer[0].conv1.in_channels, layer[0].conv1.out_channels, 1, 2, bias=False),
            layer[0].conv1,
        )
        layer[0].conv1.weight = old.weight
        planes = layer[0].conv2.in_channels
        layer[0].conv2, old = nn.Conv2d(planes, planes, 3, 1, padding=1, bias=False), layer[0].conv2
        layer[0].conv2.weight = old.weight
    pixels = frames(2, 64)
    images = ((pixels / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        stem = model.maxpool(model.relu(model.bn1(model.conv1(images))))
        expected = model.layer4(model.layer3(model.layer2(model.layer1(stem))))
    first = resnet_trunk("resnet50-v1", dict(tensors), shown="")(images)
    torch.testing.assert_close(first, expected, rtol=1e-3, atol=1e-3)
    second = resnet_trunk("resnet50", dict(tensors), shown="")(images)
    assert functional.cosine_similarity(first, second, dim=1).mean() < 0.99
