"""Maps that live on the device while training: as they are, or as their non-zero values where room is short."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BITS = 8  # of a byte of the mask


class DenseMaps:
    """All views side by side.

    Args:
        views: maps (T, P, C) of each view, in order
        count: how many there are
        shape: (T, P, C)
        device: where they shall lie
    """

    def __init__(
        self, views: Iterable[NDArray[np.float16]], count: int, shape: tuple[int, ...], device: torch.device
    ) -> None:
        self.maps = torch.empty((count, *shape), dtype=torch.float16, device=device)
        for number, maps in enumerate(views):
            self.maps[number] = torch.from_numpy(maps)

    def pick(self, numbers: NDArray[np.int64]) -> Tensor:
        """Take some views: (B,) to (B, T, P, C)."""
        return self.maps.index_select(0, torch.from_numpy(numbers).to(self.maps.device, non_blocking=True))


class PackedMaps:
    """The non-zero values of all views and a bit for each value: a fifth of the room behind a ReLU, lossless.

    Args: as of `DenseMaps`
    """

    def __init__(
        self, views: Iterable[NDArray[np.float16]], count: int, shape: tuple[int, ...], device: torch.device
    ) -> None:
        self.shape, self.size = shape, int(np.prod(shape))
        packed = [pack(maps) for maps in views]
        self.masks = torch.from_numpy(np.stack([mask for mask, _ in packed])).to(device)  # (views, bytes)
        self.values = torch.from_numpy(np.concatenate([values for _, values in packed])).to(device)
        self.starts = np.cumsum([0, *(len(values) for _, values in packed)]).tolist()
        self.shifts = torch.arange(BITS, dtype=torch.uint8, device=device)

    @property
    def bytes(self) -> int:
        """What they take on the device."""
        return self.masks.nbytes + self.values.nbytes

    def pick(self, numbers: NDArray[np.int64]) -> Tensor:
        """Unpack some views on the device: (B,) to (B, T, P, C)."""
        rows = torch.from_numpy(numbers).to(self.masks.device, non_blocking=True)
        bits = (self.masks.index_select(0, rows)[..., None] >> self.shifts) & 1  # (B, bytes, 8)
        there = bits.flatten(1)[:, : self.size].bool()
        values = torch.cat([self.values[self.starts[number] : self.starts[number + 1]] for number in numbers.tolist()])
        maps = values.new_zeros(there.shape).masked_scatter_(there, values)
        return maps.view(len(numbers), *self.shape)


def pack(maps: NDArray[np.float16]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Part maps into a bit for each value, lowest first, and the values that are not zero."""
    flat = maps.reshape(-1)
    there = flat != 0
    return np.packbits(there, bitorder="little"), flat[there]


def packed_bytes(maps: NDArray[np.float16]) -> int:
    """What maps take when they are packed."""
    return maps.size // BITS + 2 * int(np.count_nonzero(maps))
