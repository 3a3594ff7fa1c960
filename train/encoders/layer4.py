"""Layer 4 of a ResNet behind cached maps of its layer 3: as the backbone has it, or finetuned, as the paper does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hcl.extract.backbones.resnet import blank_layer4, halved, resnet_trunk
from hcl.extract.backbones.weights import TORCHVISION, content_hash, read_weights
from hcl.extract.config import DEFAULTS, MOTIONS, inputs_of
from hcl.extract.system.errors import InputError

Settings = Mapping[str, Any]  # of a cache


class Layer4(nn.Module):
    """Turns maps of layer 3 into those of layer 4; batch norms are folded into the convolutions.

    Args:
        blocks: (N, C / 2, 2 h, 2 w) -> (N, C, h, w)
        grid: rows and columns of the patches that come in
        inputs: I, images that were mapped for each frame: their channels stand side by side
    """

    def __init__(self, blocks: nn.Module, grid: tuple[int, int], inputs: int = 1) -> None:
        super().__init__()
        self.blocks, self.grid, self.inputs = blocks.to(memory_format=torch.channels_last), grid, inputs

    def forward(self, maps: Tensor) -> Tensor:
        """Map the maps of videos: (B, T, 4 P, I * C / 2) to (B, T, P, I * C), an odd grid rounded up."""
        videos, frames, patches, _ = maps.shape
        of_inputs = maps.view(videos, frames, patches, self.inputs, -1).movedim(3, 2)  # (B, T, I, 4 P, C / 2)
        images = _as_images(of_inputs.flatten(1, 2), self.grid)
        mapped = _as_maps(self.blocks(to_matmul_dtype(images, next(self.parameters()))), videos)  # (B, T * I, P, C)
        return mapped.reshape(videos, frames, self.inputs, *mapped.shape[2:]).movedim(2, 3).flatten(3)


class Averaged(nn.Module):
    """Stands in for layer 4 where it is skipped: brings maps of layer 3 to its grid by the mean of each 2 x 2 patches.

    Args:
        grid: rows and columns of the patches that come in
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, maps: Tensor) -> Tensor:
        """Average the maps of videos: (B, T, 4 P, C) to (B, T, P, C), at odd edges over the patches that there are."""
        return _as_maps(halved(_as_images(maps, self.grid)), maps.shape[0])


def _as_images(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Lay (B, T, P, C) out as (B * T, C, rows, columns), channels last, as they lie."""
    if maps.shape[2] != grid[0] * grid[1]:
        raise ValueError(f"{maps.shape = } are not maps of {grid = }")
    return maps.reshape(-1, *grid, maps.shape[3]).permute(0, 3, 1, 2)


def _as_maps(images: Tensor, videos: int) -> Tensor:
    """Lay images (B * T, C, h, w) out as maps (B, T, h * w, C)."""
    patches = images.flatten(2).transpose(1, 2)  # (B * T, h * w, C)
    return patches.reshape(videos, -1, *patches.shape[1:])


def to_matmul_dtype(maps: Tensor, weights: Tensor) -> Tensor:
    """Give maps the type that matrix products with these weights have: once, where autocast would do it for each."""
    kind = maps.device.type
    return maps.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weights.dtype)


def inputs_in(settings: Settings) -> int:
    """I, the number of images that were mapped for each frame of a cache; their channels stand side by side.

    Raises:
        InputError: if the cache has motion of a kind that is not known
    """
    motion = settings.get("motion", DEFAULTS["motion"])
    if motion not in MOTIONS:
        raise InputError(
            f"the cache's maps are of motion {motion!r}, which is none of {', '.join(MOTIONS)}; use the hcl that made"
            " it, or extract it anew with: hcl extract VIDEOS CACHE"
        )
    return inputs_of(motion)


def lacks_layer4(settings: Settings) -> bool:
    """Whether a cache's maps are those that layer 4 takes: of layer 3, not pooled."""
    return bool(settings.get("backbone_layer", DEFAULTS["backbone_layer"]) == "layer3")


def shape_of_layer4(shape: tuple[int, int, int], settings: Settings, *, skipped: bool = False) -> tuple[int, int, int]:
    """The shape that an encoder works on behind layer 4, given that of a cache's maps.

    Args:
        shape: (T, P, C) of a cache's maps
        settings: of the cache
        skipped: layer 4 is left out: the grid is its, the channels are those of layer 3

    Returns:
        (T, P, C); the same for a cache of layer 4
    """
    if not lacks_layer4(settings):
        return shape
    rows, columns = settings["grid"]
    return shape[0], -(-rows // 2) * -(-columns // 2), shape[2] if skipped else 2 * shape[2]


def make_layer4(settings: Settings) -> Layer4 | None:
    """Make layer 4 without weights, which are to be loaded into it; None where a cache's maps are not what it takes."""
    return (
        Layer4(blank_layer4(settings["backbone"]), tuple(settings["grid"]), inputs_in(settings))
        if lacks_layer4(settings)
        else None
    )


def load_layer4(settings: Settings, weights: str = "auto") -> Layer4 | None:
    """Load layer 4 of the backbone that a cache was extracted with; None where its maps are not what it takes.

    Args:
        settings: of the cache
        weights: as for an extraction; "auto": those that the cache names

    Raises:
        InputError: if they cannot be read or are not the cache's
    """
    if not lacks_layer4(settings):
        return None
    named, sha256 = settings["weights"], settings["weights_sha256"]
    chosen = named if weights == "auto" else weights
    remedy = f"give the weights that the cache was extracted with, {named} (SHA-256 {sha256[:12]}...), with --weights"
    if chosen not in ("default", *TORCHVISION) and not Path(chosen).is_file():
        raise InputError(f"layer 4 is still to run, and there is no file {chosen}; {remedy}")
    tensors = read_weights(chosen, settings["backbone"]).tensors
    if (given := content_hash(tensors)) != sha256:
        raise InputError(f"{chosen}: other weights than the cache's (SHA-256 {given[:12]}...); {remedy}")
    return Layer4(
        resnet_trunk(settings["backbone"], tensors, shown=chosen)[-1], tuple(settings["grid"]), inputs_in(settings)
    )
