"""Embeddings straight from frame maps, for a few examples of each class and no base set."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from hcl.match.embeddings import Arrays, Clips, Embeddings
from hcl.train.encoders.geometry import UNTRAINED_OF_INPUTS, change_of, motion_of, power_mean

SIGN_SEED = 0  # of the fixed signs that keep the order of frames
NOT_CENTRED: Mapping[str, Tensor] = MappingProxyType({})


def ordered_frames(frames: Tensor) -> Tensor:
    """Add up the frames of clips so that their order counts: (..., size, D) to (..., D).

    A clip of the frames f and g is f + s * g, with a fixed random sign s per channel: its product with another clip is
    then about the sum of the products of first with first and second with second frame, and the width stays D.
    """
    size, width = frames.shape[-2:]
    signs = np.random.default_rng(SIGN_SEED).choice([-1.0, 1.0], (max(1, size - 1), width))
    signs = np.concatenate((np.ones((1, width)), signs))[:size]
    summed: Tensor = (frames * torch.from_numpy(signs).to(frames)).sum(dim=-2)
    return summed


def untrained_embeddings(maps: Tensor, mean: Tensor | None = None) -> Embeddings:
    """Use maps as patch embeddings and their means as embeddings of the other levels; nothing is learned.

    Args:
        maps: (V, T, P, C)
        mean: (C,), subtracted from every patch: that of some videos of the set; None: nothing is

    Returns:
        float32 embeddings of V videos with D = C; every pair of frames is a clip (the one frame, where T is 1), see
        `ordered_frames`; no class keys
    """
    patches = maps.float() if mean is None else maps.float() - mean  # (V, T, P, C)
    frames = patches.mean(dim=2)  # (V, T, C)
    pairs = tuple(combinations(range(frames.shape[1]), 2)) or ((0,),)
    return Embeddings(frames.mean(dim=1), ordered_frames(frames[:, list(map(list, pairs))]), patches, pairs)


def centred_arrays(
    arrays: Arrays, clip_frames: Clips, mean: Tensor, known_means: Mapping[str, Tensor] = NOT_CENTRED
) -> dict[str, Tensor]:
    """Subtract means from what `Untrained` gave without any.

    Embeddings are linear in patches, so the mean of these is enough; what is `known` is centred by means of its own.

    Args:
        arrays: (V, ...) by name, of embeddings and of `Untrained.known`
        clip_frames: of the clips
        mean: (C,), of patches
        known_means: of those arrays of `Untrained.known` that are centred, by name

    Returns:
        float32; what `Untrained` gives that knows these means
    """
    signed = {size: ordered_frames(mean.expand(size, -1)) for size in {len(clip) for clip in clip_frames}}
    subtracted = {"global": mean, "patches": mean, "clips": torch.stack([signed[len(clip)] for clip in clip_frames])}
    subtracted |= known_means
    return {name: array.float() - subtracted.get(name, 0.0) for name, array in arrays.items()}


class Untrained(nn.Module):
    """An encoder without weights: gives `untrained_embeddings`.

    Args:
        mean: (C,), of the maps of some videos, subtracted from all patches; None: nothing is
        frame_mean: (C,), of the power means of these videos' frames, subtracted from those; None: nothing is
        change_mean: (C,), of how far the channels of these frames spread, subtracted likewise; None: nothing is
        inputs: I, images that were mapped for each frame: their channels stand side by side
    """

    method, reads_text, layer4 = "hcl", False, None
    mean: Tensor | None
    frame_mean: Tensor | None
    change_mean: Tensor | None

    def __init__(
        self,
        mean: Tensor | None = None,
        frame_mean: Tensor | None = None,
        change_mean: Tensor | None = None,
        *,
        inputs: int = 1,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("mean", mean)
        self.register_buffer("frame_mean", frame_mean)
        self.register_buffer("change_mean", change_mean)

    def forward(self, maps: Tensor) -> Embeddings:
        """(B, T, P, C) to embeddings of B videos."""
        return untrained_embeddings(maps, self.mean)

    def known(self, maps: Tensor) -> dict[str, Tensor]:
        """The mean frames, how frames differ from them, and how far their channels spread, of each image.

        A frame is the power mean of its patches; how it differs is of plain means, which say more where nothing is
        whitened.
        """
        pooled = power_mean(maps)  # (B, T, C)
        means, changes = pooled.mean(dim=1), change_of(pooled)  # (B, C)
        means = means if self.frame_mean is None else means - self.frame_mean
        changes = changes if self.change_mean is None else changes - self.change_mean
        parts = (part.chunk(self.inputs, dim=-1) for part in (means, maps.float().mean(dim=2), changes))
        known: dict[str, Tensor] = {}
        for (mean, course, change), seen, frames, spread in zip(UNTRAINED_OF_INPUTS, *parts, strict=False):
            known |= {mean: seen, course: motion_of(frames), change: spread}  # frames (B, T, C / I)
        return known


class MeanMaps(nn.Module):
    """An encoder of nothing, for method resnet: the mean maps that it scores from are in every store."""

    method, reads_text, layer4 = "resnet", False, None

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """(B, T, P, C) to no further arrays."""
        return {}

    def known(self, maps: Tensor) -> dict[str, Tensor]:
        """Nothing more."""
        return {}
