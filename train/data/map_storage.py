"""Where the maps of the training videos stay between batches: on disk, in the host's memory or on the device."""

from __future__ import annotations

import os
from concurrent.futures import Executor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.places.objects import side_by_side
from hcl.train.data.device_storage import DenseStorage, NumberedViews, PackedStorage, packed_bytes

MEMORY_SHARE = 0.5  # of the host's or the device's memory that maps may take by default
SIZED_VIEWS = 16  # packed to estimate what all of them take when packed
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class MapStorage(Protocol):
    """A place where maps stay between batches."""

    @property
    def views(self) -> NumberedViews:
        """The views that it gives the maps of."""

    def load(self, pool: Executor) -> None:
        """Bring in whatever is kept from the start; nothing, if it is there already."""

    def gather(self, numbers: NDArray[np.int64]) -> Tensor:
        """Put some views side by side: (B,) to (B, T, P, C) float16; the tensor is the caller's to change."""


class HostStorage:
    """Keeps maps in the host's memory once they were read: as many as `at_most`. With 0 all maps stay on disk.

    Args:
        views: that are kept or read
        at_most: how many are kept
        pinned: gather into page-locked memory, from where copies to a GPU are faster
    """

    def __init__(self, views: NumberedViews, at_most: int, *, pinned: bool) -> None:
        self.views, self._at_most, self._pinned = views, at_most, pinned
        self._kept: dict[int, NDArray[np.float16]] = {}

    def load(self, pool: Executor) -> None:
        """Nothing is read before it is needed."""

    def gather(self, numbers: NDArray[np.int64]) -> Tensor:
        """Put some views into one tensor on the host: (B,) to (B, T, P, C)."""
        maps = torch.empty((len(numbers), *self.views.shape), dtype=torch.float16, pin_memory=self._pinned)
        into = maps.numpy()

        def put(place: int) -> None:
            number = int(numbers[place])
            kept = self._kept.get(number)
            if kept is None and len(self._kept) < self._at_most:
                kept = self._kept[number] = self.views.read(number)
            if kept is None:
                self.views.read(number, into[place])
            else:
                into[place] = kept

        if self.views.waits and any(number not in self._kept for number in numbers.tolist()):
            side_by_side(put, range(len(numbers)))
        else:
            for place in range(len(numbers)):
                put(place)
        return maps


def choose_storage(
    views: NumberedViews,
    map_storage: str,
    device: torch.device,
    *,
    host_bytes: int | None = None,
    device_bytes: int | None = None,
) -> MapStorage:
    """Choose where maps stay between batches.

    Args:
        views: that are trained on
        map_storage: "device", where maps are packed if they do not fit as they are; "host"; "disk", from where each
            batch is read anew; or "auto": the device if it is a GPU with the room, else as many on the host as fit
        device: to train on
        host_bytes: memory that maps may take on the host with "auto"; None: half of what the machine has
        device_bytes: memory that they may take on the device; None: half of what is free on a GPU
    """
    on_gpu = device.type == "cuda"
    room = _free_bytes(device) if device_bytes is None else device_bytes
    if map_storage == "device" or (map_storage == "auto" and on_gpu and _packed_bytes(views) <= room):
        fits = views.bytes_each * len(views) <= room
        return (DenseStorage if fits else PackedStorage)(views, device)
    fitting = (memory_limit() if host_bytes is None else host_bytes) // views.bytes_each
    at_most = {"disk": 0, "host": len(views), "auto": fitting}[map_storage]
    return HostStorage(views, at_most, pinned=on_gpu)


def _packed_bytes(views: NumberedViews) -> float:
    """Estimate the bytes of all views when they are packed, from some that are read for it."""
    count = len(views)
    some = [packed_bytes(views.read(number)) for number in range(0, count, -(-count // SIZED_VIEWS))]
    return sum(some) / len(some) * count


def _free_bytes(device: torch.device) -> int:
    """Count the bytes that maps may take on a device."""
    return int(MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else memory_limit()


def memory_limit() -> int:
    """Count the bytes that maps may take on the host: half of the machine's memory, or of the container's limit."""
    if not hasattr(os, "sysconf"):  # Windows
        return 4 * 2**30
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in map(Path, CONTAINER_LIMITS):
        text = file.read_text().strip() if file.is_file() else ""
        if text.isdecimal():
            limits.append(int(text))
    return int(MEMORY_SHARE * min(limits))
