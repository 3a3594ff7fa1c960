"""A frozen backbone made faster: oneDNN's fused convolutions on a CPU, torch.compile on a GPU.

The fused convolutions are 12 to 22 % faster than one operation after the other. They are what torch.compile would
choose, without its half minute at the start and without a compiler at run time. They are no public interface of torch:
where they are missing or disagree, the plain network stays in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hcl.extract.backbones.resnet import BesideItsInput
from hcl.extract.system.errors import InputError, first_line

Output = Tensor | tuple[Tensor, Tensor]  # of a network: maps, or maps and embeddings of whole images
AGREEMENT = 0.99  # least cosine to the plain trunk on the trial images; rounding alone stays far above


class FusedConvolution(nn.Module):
    """A convolution, the addition of a shortcut and a ReLU in one pass over memory."""

    def __init__(self, convolution: nn.Conv2d, input_size: torch.Size, *, relu: bool) -> None:
        super().__init__()
        plain = (convolution.padding, convolution.stride, convolution.dilation)
        self.geometry = (*(list(map(int, pair)) for pair in plain), convolution.groups)
        pack = torch.ops.mkldnn._reorder_convolution_weight
        self.weight: Tensor = pack(convolution.weight, *self.geometry, list(input_size))
        self.bias = convolution.bias
        self.activation = "relu" if relu else "none"

    def forward(self, maps: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """(N, I, h, w) -> (N, O, h', w'); the shortcut's memory takes the result."""
        run: Any = torch.ops.mkldnn._convolution_pointwise
        if shortcut is None:
            result: Tensor = run(maps, self.weight, self.bias, *self.geometry, self.activation, [], "")
            return result
        add: Any = torch.ops.mkldnn._convolution_pointwise_.binary
        arguments = (self.weight, self.bias, *self.geometry, "add", 1.0, self.activation, [], "")
        result = add(shortcut, maps, *arguments)
        return result


class FusedBlock(nn.Module):
    """A residual block, basic or bottleneck, of fused convolutions."""

    def __init__(self, block: Any, sizes: dict[nn.Module, torch.Size]) -> None:
        super().__init__()
        names = [name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
        convolutions = [getattr(block, name) for name in names]
        self.inner = nn.ModuleList(FusedConvolution(part, sizes[part], relu=True) for part in convolutions[:-1])
        self.last = FusedConvolution(convolutions[-1], sizes[convolutions[-1]], relu=True)
        down = block.downsample
        self.shortcut = None if down is None else FusedConvolution(down, sizes[down], relu=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, I, h, w) -> (N, O, h', w'); may overwrite its input."""
        shortcut = maps if self.shortcut is None else self.shortcut(maps)
        for convolution in self.inner:
            maps = convolution(maps)
        result: Tensor = self.last(maps, shortcut)
        return result


@torch.inference_mode()
def fused_trunk(trunk: nn.Sequential, images: Tensor, *, agreement: float = AGREEMENT) -> nn.Module:
    """Fuse a folded trunk of resnet_trunk, or give it back where this torch cannot.

    Args:
        trunk: on the CPU, in the type that it will run in; a pool may stand behind its layers
        images: (N, 3, size, size) as they will come, to try it on
        agreement: the least cosine between the maps of both
    """
    sizes: dict[nn.Module, torch.Size] = {}

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        sizes[module] = inputs[0].shape

    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    hooks = [convolution.register_forward_pre_hook(note) for convolution in convolutions]
    expected = trunk(images)
    for hook in hooks:
        hook.remove()
    first, _, pool, *parts = trunk
    try:
        behind = [_fused_part(part, sizes) for part in parts]
        fused = nn.Sequential(FusedConvolution(first, sizes[first], relu=True), pool, *behind)  # type: ignore[arg-type]
        maps = fused(images)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return trunk
    agree = torch.cosine_similarity(maps.float().flatten(), expected.float().flatten(), dim=0) > agreement
    return fused.eval() if agree else trunk


def _fused_part(part: nn.Module, sizes: dict[nn.Module, torch.Size]) -> nn.Module:
    """Fuse a layer, also one whose input stands beside its maps; what has no blocks stays as it is."""
    if isinstance(part, BesideItsInput):
        return BesideItsInput(_fused_part(part.layer, sizes))
    return nn.Sequential(*(FusedBlock(block, sizes) for block in part)) if isinstance(part, nn.Sequential) else part


@torch.inference_mode()
def _maps_of(output: Output) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def compiled(network: nn.Module, images: Tensor) -> Callable[[Tensor], Output]:
    """Compile a frozen network for calls of one shape, and try it: fewer passes over a GPU's memory.

    Args:
        network: (N, 3, size, size) -> (N, C, h, w), with embeddings beside them or not
        images: (N, 3, size, size), normalised, of the shape of all later calls

    Raises:
        InputError: if torch cannot compile here, or what it compiled computes something else
    """
    run: Callable[[Tensor], Output] = torch.compile(network, dynamic=False)
    try:
        maps = _maps_of(run(images))
    except RuntimeError as error:
        raise InputError(f"the backbone cannot be compiled here ({first_line(error)}); leave out --compile") from error
    cosines = torch.cosine_similarity(maps.flatten(1).float(), _maps_of(network(images)).flatten(1).float(), dim=1)
    if not cosines.min() > AGREEMENT:
        raise InputError(
            f"the compiled backbone gives other maps than the plain one (cosine {cosines.min():.4f},"
            f" expected {AGREEMENT} and more); leave out --compile"
        )
    return run
