"""Maps that live on the device while training: as they are, or as their non-zero values where room is short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.places.objects import ahead


class MapReader(Protocol):
    """What maps are read from: a cache."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of a view's maps."""

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps (T, P, C) of one view of a video, into `out` if it is given."""


@dataclass(frozen=True)
class NumberedViews:
    """The views that are trained on, in one numbering: view w of video v is number v * per_video + w.

    Reading is safe from several threads.
    """

    reader: MapReader
    rows: NDArray[np.int64]  # (V,), the reader's row of each video
    per_video: int = 1
    waits: bool = False  # whether each reading waits for a network, so that several go side by side

    def __len__(self) -> int:
        return len(self.rows) * self.per_video

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of one of them."""
        return self.reader.shape

    @property
    def bytes_each(self) -> int:
        """Bytes of one of them in memory."""
        return 2 * int(np.prod(self.shape))

    def read(self, number: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps (T, P, C) of one of them, into `out` if it is given."""
        video, view = divmod(number, self.per_video)
        return self.reader.view(int(self.rows[video]), view, out)

    def read_all(self, pool: Executor) -> Iterator[NDArray[np.float16]]:
        """Read all of them in their order, with the threads of a pool, or with as many as wait for a network."""
        numbers = range(len(self))
        return ahead(self.read, numbers) if self.waits else pool.map(self.read, numbers)


BITS = 8  # of a byte of the mask


class DenseStorage:
    """All views side by side on the device.

    Args:
        views: read once, by `load`
        device: where they shall lie
    """

    def __init__(self, views: NumberedViews, device: torch.device) -> None:
        self.views, self._device = views, device
        self._maps: Tensor | None = None  # (views, T, P, C)

    def load(self, pool: Executor) -> None:
        """Read every view, with the threads of a pool, and bring it to the device."""
        if self._maps is not None:
            return
        count = len(self.views)
        maps = torch.empty((count, *self.views.shape), dtype=torch.float16, device=self._device)
        for number, view in enumerate(self.views.read_all(pool)):
            maps[number] = torch.from_numpy(view)
        self._maps = maps

    def gather(self, numbers: NDArray[np.int64]) -> Tensor:
        """Take some views: (B,) to (B, T, P, C), on the device."""
        if self._maps is None:
            raise ValueError("gather before load")
        return self._maps.index_select(0, torch.from_numpy(numbers).to(self._device, non_blocking=True))


class PackedStorage:
    """The non-zero values of all views and a bit for each value: a fifth of the room behind a ReLU, lossless.

    Args:
        views: read once, by `load`
        device: where they shall lie
    """

    def __init__(self, views: NumberedViews, device: torch.device) -> None:
        self.views, self._device = views, device
        self._shape, self._size = views.shape, int(np.prod(views.shape))
        self._starts: Sequence[int] = ()  # of each view's values; empty before `load`
        self._masks, self._values = torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.float16)
        self._shifts = torch.arange(BITS, dtype=torch.uint8, device=device)

    def load(self, pool: Executor) -> None:
        """Read every view, with the threads of a pool, pack it and bring it to the device."""
        if self._starts:
            return
        packed = [pack(maps) for maps in self.views.read_all(pool)]
        self._masks = torch.from_numpy(np.stack([mask for mask, _ in packed])).to(self._device)  # (views, bytes)
        self._values = torch.from_numpy(np.concatenate([values for _, values in packed])).to(self._device)
        self._starts = np.cumsum([0, *(len(values) for _, values in packed)]).tolist()

    @property
    def bytes(self) -> int:
        """What all views take on the device."""
        return self._masks.nbytes + self._values.nbytes

    def gather(self, numbers: NDArray[np.int64]) -> Tensor:
        """Unpack some views on the device: (B,) to (B, T, P, C)."""
        if not self._starts:
            raise ValueError("gather before load")
        rows = torch.from_numpy(numbers).to(self._device, non_blocking=True)
        bits = (self._masks.index_select(0, rows)[..., None] >> self._shifts) & 1  # (B, bytes, 8)
        there = bits.flatten(1)[:, : self._size].bool()
        starts = self._starts
        values = torch.cat([self._values[starts[number] : starts[number + 1]] for number in numbers.tolist()])
        maps = values.new_zeros(there.shape).masked_scatter_(there, values)
        return maps.view(len(numbers), *self._shape)


def pack(maps: NDArray[np.float16]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Part maps into a bit for each value, lowest first, and the values that are not zero."""
    flat = maps.reshape(-1)
    there = flat != 0
    return np.packbits(there, bitorder="little"), flat[there]


def packed_bytes(maps: NDArray[np.float16]) -> int:
    """Count the bytes of maps when they are packed."""
    return maps.size // BITS + 2 * int(np.count_nonzero(maps))
