"""From frame embeddings to the keys and values of TRX.

Toby Perrett, Alessandro Masullo, Tilo Burghardt, Majid Mirmehdi, Dima Damen: Temporal-Relational CrossTransformers for
Few-Shot Action Recognition, 2021, section 3.2: linear maps of the frames of a tuple, positions added to the frames, and
a LayerNorm of the keys. Queries and supports share the maps, and positions are scaled by 0.1, as in the authors' code.
Deviations: no dropout behind the positions; keys and values are as wide as all embeddings (the paper's have 1152).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hcl.extract.system.errors import InputError
from hcl.match.methods.trx import SIZES

POSITION_SCALE = 0.1


class TupleHead(nn.Module):
    """Keys and values of every increasing tuple of frames.

    Args:
        frames: T
        width: D, of frames, keys and values
    """

    positions: Tensor  # (T, D)

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        if frames < max(SIZES):
            raise InputError(
                f"method trx compares tuples of {max(SIZES)} frames, the cache has {frames} a video;"
                f" extract with --frames {max(SIZES)} or more"
            )
        self.keys = nn.ModuleDict({str(size): nn.Linear(size * width, width) for size in SIZES})
        self.values = nn.ModuleDict({str(size): nn.Linear(size * width, width) for size in SIZES})
        self.norms = nn.ModuleDict({str(size): nn.LayerNorm(width) for size in SIZES})
        self.register_buffer("positions", POSITION_SCALE * sinusoids(frames, width), persistent=False)
        for size in SIZES:
            tuples = torch.combinations(torch.arange(frames), r=size)  # (n, size)
            self.register_buffer(f"tuples_{size}", tuples, persistent=False)

    def forward(self, frame_features: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to keys and values (B, n, D) of the n tuples of each size."""
        placed = frame_features + self.positions
        arrays = {}
        for size in map(str, SIZES):
            chosen = self.get_buffer(f"tuples_{size}")  # (n, size)
            frames = placed.index_select(1, chosen.flatten())  # not [...]: its gradient adds up in a fixed order
            tuples = frames.view(len(frames), len(chosen), -1)  # (B, n, size * D)
            arrays[f"keys_{size}"] = self.norms[size](self.keys[size](tuples))
            arrays[f"values_{size}"] = self.values[size](tuples)
        return arrays


def sinusoids(frames: int, width: int) -> Tensor:
    """Make the positions of the first transformer (Vaswani et al., 2017, section 3.5): (T, D)."""
    rates = 10_000 ** (-torch.arange(0, width, 2) / width)  # (ceil(D / 2),)
    angles = torch.arange(frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]
