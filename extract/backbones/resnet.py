"""ResNets up to layer 4: torchvision's, and the original ResNet-50 whose strides stand elsewhere.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2016. "v1" halves the grid in the first 1x1
convolution of layers 2 to 4, as they do; torchvision's resnet50 in the 3x3. Their tensors are alike, their maps not.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import check_torchvision

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in RGB


def torchvision_models() -> ModuleType:
    """Import torchvision; its wheels load only beside the torch that they were built for."""
    check_torchvision()
    from torchvision import models

    return models  # type: ignore[no-any-return]


class BesideItsInput(nn.Module):
    """A layer whose maps stand behind those that it takes, channels side by side, averaged to its grid.

    Args:
        layer: (N, I, 2 h, 2 w) -> (N, O, h, w), an odd grid rounded up
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        """(N, I, 2 h, 2 w) -> (N, I + O, h, w)."""
        averaged = halved(maps)  # first: the layer may overwrite what it takes
        return torch.cat((averaged, self.layer(maps)), dim=1)


def halved(maps: Tensor) -> Tensor:
    """Average each 2 x 2 patches, at odd edges those that there are: (N, C, 2 h, 2 w) to (N, C, h, w)."""
    return functional.avg_pool2d(maps, 2, ceil_mode=True)


def resnet_trunk(name: str, tensors: dict[str, Tensor], *, shown: str) -> nn.Sequential:
    """Build the frozen trunk of a ResNet: (N, 3, size, size) -> (N, C, h, w), batch norms folded into the convolutions.

    Its parts are those before the layers, then layers 1 to 4.

    Args:
        name: one of hcl.extract.config.BACKBONES
        tensors: float32, under torchvision's names
        shown: how messages name the tensors' source
    """
    model = _without_weights(name)
    _check_tensors(model, tensors, name, shown)
    model.load_state_dict(tensors, strict=False, assign=True)
    return _folded(model)


def blank_layer4(name: str) -> nn.Module:
    """Build layer 4 of such a trunk, (N, C / 2, 2 h, 2 w) -> (N, C, h, w), for weights that are loaded into it."""
    return _folded(_without_weights(name))[-1].to_empty(device="cpu")


def _without_weights(name: str) -> Any:
    with torch.device("meta"):  # no random initialisation that would be thrown away
        model = getattr(torchvision_models(), name.removesuffix("-v1"))()
    model.fc = nn.Identity()
    if name.endswith("-v1"):
        for layer in (model.layer2, model.layer3, model.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = layer[0].conv2.stride, layer[0].conv1.stride
    return model.eval().requires_grad_(False)


def _folded(model: Any) -> nn.Sequential:
    model.conv1, model.bn1 = fuse_conv_bn_eval(model.conv1, model.bn1), nn.Identity()
    layers = (model.layer1, model.layer2, model.layer3, model.layer4)
    for block in (block for layer in layers for block in layer):
        _fold(block)
    return nn.Sequential(model.conv1, model.relu, model.maxpool, *layers)


def _fold(block: Any) -> None:
    """Fold each batch norm of a residual block into the convolution before it."""
    for part in ("1", "2", "3"):
        if hasattr(block, "conv" + part):
            folded = fuse_conv_bn_eval(getattr(block, "conv" + part), getattr(block, "bn" + part))
            setattr(block, "conv" + part, folded)
            setattr(block, "bn" + part, nn.Identity())
    if block.downsample is not None:
        block.downsample = fuse_conv_bn_eval(block.downsample[0], block.downsample[1])


def _check_tensors(model: nn.Module, tensors: dict[str, Tensor], name: str, shown: str) -> None:
    expected = {
        key: value.shape for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    shapes = [key for key in expected if key in tensors and tensors[key].shape != expected[key]]
    remedy = f"name the network that it holds with --backbone (now {name}), or give another file with --weights"
    if missing or unexpected:
        raise InputError(f"{shown}: not a {name}: {_some('lacks', missing)}{_some('has', unexpected)}{remedy}")
    if shapes:
        key = shapes[0]
        shape, right = tuple(tensors[key].shape), tuple(expected[key])
        raise InputError(f"{shown}: not a {name}: {key} has shape {shape}, expected {right}; {remedy}")
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"{shown}: {key} holds values that are not finite; give another file with --weights")


def _some(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{verb} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}; "
