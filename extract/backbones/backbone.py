"""The frozen backbone: frames in, frame maps out."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from hcl.extract.backbones.acceleration import Output, compiled, fused_trunk
from hcl.extract.backbones.resnet import MEAN, STD, BesideItsInput, resnet_trunk
from hcl.extract.backbones.weights import SHIPPED_ARCHITECTURE, TORCHVISION, content_hash, read_weights
from hcl.extract.config import BACKBONES, LAYERS, PRECISIONS, ExtractConfig
from hcl.extract.system.device import cpu_has_bfloat16
from hcl.extract.system.errors import InputError

CPU_FRAMES = 8  # computed together on a CPU: more no longer fit its caches


@dataclass(frozen=True)
class BackboneIdentity:
    """What a cache must know of the network that filled it."""

    name: str
    weights: str  # as the user named them
    sha256: str  # of the tensors' names, types, shapes and bytes
    channels: int
    grid: tuple[int, int]  # rows and columns of patches
    steps: int = 0  # T, time steps of a clip that is mapped as one; 0: each frame is mapped by itself
    embedding: int = 0  # E, width of the embeddings of whole images; 0: there are none
    towers_sha256: str = ""  # of the files of a model that embeds images and texts alike


class BackboneFacts(Protocol):
    """A backbone as a cache records it, wherever it runs."""

    @property
    def identity(self) -> BackboneIdentity:
        """What a cache must know of the network."""

    @property
    def dtype(self) -> torch.dtype:
        """The number type that it computes in."""


@dataclass(frozen=True)
class FrozenNetwork:
    """A frozen network (N, 3, size, size) -> (N, C, h, w) and how its images are normalised.

    One that embeds whole images, too, gives a second tensor (N, E); one of clips is (N, F, 3, size, size) ->
    (N, T, C, h, w).
    """

    network: nn.Module
    name: str
    weights: str
    sha256: str
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    clip_frames: int = 0  # F, of a clip that is mapped as one; 0: each frame by itself
    towers_sha256: str = ""  # see BackboneIdentity


class Backbone(nn.Module):
    """A frozen network that turns frames into maps, patch by patch.

    A frame's map does not depend on the other frames of its batch, as long as the batch's size stays the same.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, frozen: FrozenNetwork, *, size: int, dtype: torch.dtype, device: torch.device, compile_for: int = 0
    ) -> None:
        super().__init__()
        self.size, self.device, self.clip_frames = size, device, frozen.clip_frames
        self.dtype: torch.dtype = dtype
        network = frozen.network.eval().requires_grad_(False).to(device, dtype)
        if not self.clip_frames:
            network = network.to(memory_format=torch.channels_last)
        self.network: Callable[[Tensor], Output] = network
        self.register_buffer("mean", torch.tensor(frozen.mean, device=device).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(frozen.std, device=device).view(1, 3, 1, 1) * 255)
        noise = torch.Generator().manual_seed(0)
        count = self.images_per_call(compile_for or CPU_FRAMES)
        trial = torch.randint(0, 256, (count, *self.image_shape), dtype=torch.uint8, generator=noise)
        if compile_for:
            self.network = compiled(network, self._normalised(trial))
        elif device.type == "cpu" and isinstance(network, nn.Sequential):  # a ResNet's trunk
            self.network = fused_trunk(network, self._normalised(trial))
        maps, embeddings = self._run(trial if compile_for else trial[:1])  # what is compiled knows one N
        if not maps.isfinite().all():
            raise InputError(
                f"{frozen.name}: its maps are not finite in {dtype}; use --precision float32, or other weights"
            )
        self.eval()
        self.identity = BackboneIdentity(
            frozen.name,
            frozen.weights,
            frozen.sha256,
            channels=maps.shape[-3],
            grid=(maps.shape[-2], maps.shape[-1]),
            steps=maps.shape[1] if self.clip_frames else 0,
            embedding=0 if embeddings is None else embeddings.shape[1],
            towers_sha256=frozen.towers_sha256,
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of what is mapped at a time: (size, size, 3) of a frame, (F, size, size, 3) of a clip."""
        frame = (self.size, self.size, 3)
        return (self.clip_frames, *frame) if self.clip_frames else frame

    def images_per_call(self, batch_size: int) -> int:
        """How many frames, or clips of as many frames in all, make a call of some size; on a CPU few."""
        frames = min(batch_size, CPU_FRAMES) if self.device.type == "cpu" else batch_size
        return max(1, frames // (self.clip_frames or 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map frames, or clips.

        Args:
            images: (N, size, size, 3) uint8 RGB, or (N, F, size, size, 3) of clips, on any device

        Returns:
            (N, P, C) float16, or (N, T, P, C) of clips, on the backbone's device, patches row by row
        """
        return self.map_and_embed(images)[0]

    def map_and_embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map frames, and embed each as a whole, (N, E) float16, where the network does so; None where not.

        Args: as of `forward`
        """
        if images.dtype != torch.uint8 or images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("N", *self.image_shape)))
            raise ValueError(f"{images.dtype = } and {images.shape = }, expected uint8 ({expected})")
        on_cpu = self.device.type == "cpu" and len(images)
        parts = torch.split(images, self.images_per_call(CPU_FRAMES)) if on_cpu else (images,)
        outputs = [self._run(part) for part in parts]
        maps = torch.cat([of_part for of_part, _ in outputs])  # (N, C, h, w), or (N, T, C, h, w)
        embedded = [of_part for _, of_part in outputs if of_part is not None]
        embeddings = torch.cat(embedded).to(torch.float16) if embedded else None
        return maps.flatten(-2).transpose(-1, -2).to(torch.float16).contiguous(), embeddings

    @torch.inference_mode()
    def _run(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        # The same frames give the same bits on every run: a cache continued after a break must not show where.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            output = self.network(self._normalised(images))
        return output if isinstance(output, tuple) else (output, None)

    def _normalised(self, images: Tensor) -> Tensor:
        pixels = images.to(self.device, non_blocking=True).movedim(-1, -3).float()  # (..., 3, size, size)
        return ((pixels - self.mean) / self.std).to(self.dtype)  # channels last, as the images lie


def load_backbone(
    name: str | None,
    weights: str = "default",
    *,
    size: int = 224,
    precision: str = "auto",
    frames: int = ExtractConfig.frames,
    backbone_layer: str = "layer4",
    compile_for: int = 0,
    device: torch.device,
) -> Backbone:
    """Load a frozen backbone.

    Args:
        name: one of BACKBONES, a folder or hub name of a vision model of transformers, None for what the weights say
        weights: "default", "IMAGENET1K_V1", "IMAGENET1K_V2" or a file; of transformers' models "default" alone
        size: height and width of the frames in pixels
        precision: one of PRECISIONS; "auto" is the fastest that the device has in hardware
        frames: of a video, which a video model of transformers maps together
        backbone_layer: one of LAYERS, what is given; of transformers' models the default alone
        compile_for: frames of each call, to compile the network for them; 0: it is not compiled
        device: to run on

    Raises:
        InputError: if the weights are not the network's, it cannot be compiled, or its maps are not finite
    """
    if precision not in PRECISIONS:
        raise InputError(f"--precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    frozen = frozen_network(name, weights, size=size, frames=frames, backbone_layer=backbone_layer)
    return Backbone(frozen, size=size, dtype=choose_dtype(precision, device), device=device, compile_for=compile_for)


def frozen_network(
    name: str | None, weights: str, *, size: int, backbone_layer: str, frames: int = ExtractConfig.frames
) -> FrozenNetwork:
    """Build a frozen network of plain modules, in float32 on the CPU.

    Args: as of `load_backbone`

    Raises:
        InputError: if the weights are not the network's, or it has no such layer
    """
    _refuse_unknown_resnet(name)
    frozen = resnet(name, weights) if name is None or name in BACKBONES else _transformer(name, weights, size, frames)
    return frozen if backbone_layer == LAYERS[0] else _ending_at(frozen, backbone_layer)


class PlainBackbone(nn.Module):
    """A frozen network of plain modules in float32, for other programs: none of this machine's fused operators.

    Args:
        frozen: the network
    """

    mean: Tensor
    std: Tensor

    def __init__(self, frozen: FrozenNetwork) -> None:
        super().__init__()
        self.network = frozen.network.eval().requires_grad_(False).float()
        self.register_buffer("mean", torch.tensor(frozen.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(frozen.std).view(1, 3, 1, 1) * 255)

    def forward(self, images: Tensor) -> Tensor:
        """Map frames: (N, size, size, 3) uint8 RGB to (N, P, C) float32, patches row by row."""
        pixels = images.permute(0, 3, 1, 2).float()  # (N, 3, size, size)
        output: Output = self.network((pixels - self.mean) / self.std)
        maps = output[0] if isinstance(output, tuple) else output  # (N, C, h, w)
        return maps.flatten(2).transpose(1, 2)


def _refuse_unknown_resnet(name: str | None) -> None:
    """Refuse what reads like a ResNet and is none that there is, before it is looked for among vision models."""
    if name is not None and name not in BACKBONES and name.lower().startswith("resnet") and not os.path.isdir(name):
        raise InputError(
            f"--backbone {name}: no such ResNet; take one of {', '.join(BACKBONES)}, or a vision model of transformers"
            " by its folder or its name, such as facebook/dinov2-small"
        )


def resnet(name: str | None, weights: str) -> FrozenNetwork:
    """Build a ResNet after making sure that its weights are those of the network asked for."""
    if weights == "default" and name not in (None, SHIPPED_ARCHITECTURE):
        raise InputError(
            f"--backbone {name}: the shipped weights are those of {SHIPPED_ARCHITECTURE}; "
            f"give --weights {TORCHVISION[0]} (downloaded) or a file"
        )
    file = read_weights(weights, name)
    if name is None and file.architecture is None:
        raise InputError(
            f"{weights}: does not say which network it holds; say so with --backbone, for a ResNet-50 either resnet50 "
            "(stride 2 in the 3x3 convolutions, as torchvision) or resnet50-v1 (in the 1x1 before them)"
        )
    if name is not None and file.architecture not in (None, name):
        raise InputError(
            f"{weights}: says that it holds {file.architecture}, but --backbone says {name}; "
            f"use --backbone {file.architecture} or other weights"
        )
    chosen = name or file.architecture or ""
    network = resnet_trunk(chosen, file.tensors, shown=weights)
    return FrozenNetwork(network, chosen, file.shown, content_hash(file.tensors))


def _transformer(name: str, weights: str, size: int, frames: int) -> FrozenNetwork:
    from hcl.extract.hub.vision_model import load_vision_model

    if weights != "default":
        raise InputError(f"--backbone {name} brings its own weights; leave out --weights {weights}")
    found = load_vision_model(name, size, frames)
    mean, std = found.normalisation or (MEAN, STD)
    sha256 = content_hash(found.network.state_dict())
    return FrozenNetwork(found.network, name, "default", sha256, mean, std, found.clip_frames, found.towers_sha256)


def _ending_at(frozen: FrozenNetwork, backbone_layer: str) -> FrozenNetwork:
    if frozen.name not in BACKBONES:
        raise InputError(
            f"--backbone-layer {backbone_layer}: {frozen.name} is no ResNet and has no such layer; leave it out"
        )
    *parts, layer4 = frozen.network.children()
    behind: dict[str, list[nn.Module]] = {
        "layer3": [],
        "layer3-pooled": [nn.AvgPool2d(2, ceil_mode=True)],
        "layer3+layer4": [BesideItsInput(layer4)],
    }
    return replace(frozen, network=nn.Sequential(*parts, *behind[backbone_layer]))


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Choose the number type: the one named, or for "auto" the fastest that the device computes in hardware."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_has_bfloat16() else torch.float32
