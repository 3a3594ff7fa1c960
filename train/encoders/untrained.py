"""Embeddings straight from frame maps, for a few examples of each class and no base set."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from hcl.match.embeddings import Embeddings

SIGN_SEED = 0  # of the fixed signs that keep the order of frames


def untrained_embeddings(maps: Tensor) -> Embeddings:
    """Use maps as patch embeddings and their means as embeddings of the other levels; nothing is learned.

    A clip of the frames f and g is f + s * g, with a fixed random sign s per channel: its product with another clip is
    then about the sum of the products of first with first and second with second frame, so order counts and the width
    stays that of the maps.

    Args:
        maps: (V, T, P, C)

    Returns:
        float32 embeddings of V videos with D = C; every pair of frames is a clip (the one frame, where T is 1); no
        class keys
    """
    patches = maps.float()  # (V, T, P, C)
    frames = patches.mean(dim=2)  # (V, T, C)
    pairs = tuple(combinations(range(frames.shape[1]), 2)) or ((0,),)
    signs = torch.from_numpy(np.random.default_rng(SIGN_SEED).choice([-1.0, 1.0], frames.shape[-1])).float()
    first = frames[:, [pair[0] for pair in pairs]]  # (V, Nc, C)
    second = frames[:, [pair[1] for pair in pairs]] if len(pairs[0]) > 1 else torch.zeros_like(first)
    return Embeddings(frames.mean(dim=1), first + signs * second, patches, pairs)


class Untrained(nn.Module):
    """An encoder without weights: gives `untrained_embeddings`."""

    method, reads_text, layer4 = "hcl", False, None

    def forward(self, maps: Tensor) -> Embeddings:
        """(B, T, P, C) to embeddings of B videos."""
        return untrained_embeddings(maps)


class MeanMaps(nn.Module):
    """An encoder of nothing, for method resnet: the mean maps that it scores from are in every store."""

    method, reads_text, layer4 = "resnet", False, None

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """(B, T, P, C) to no further arrays."""
        return {}
