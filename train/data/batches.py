"""Class-balanced batches of cached maps, drawn by a seed and step alone and made ready before they are needed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.train.data.class_augmentation import AS_IS, Turned, turn_each
from hcl.train.data.device_maps import DenseMaps, PackedMaps, packed_bytes

MEMORY_SHARE = 0.5  # of the host's or the device's memory that maps may take by default
LOOKED_AT = 16  # views, to guess what all of them take when packed
ALL_VIDEOS = slice(None)
VIEWS = 1  # tells the random numbers of the views from those of the videos
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class MapReader(Protocol):
    """What batches are read from: a cache."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of a view's maps."""

    @property
    def n_views(self) -> int:
        """How many views there are of each video."""

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps (T, P, C) of one view of a video, into `out` if it is given."""


@dataclass(frozen=True)
class Batch:
    """The maps and classes of B videos; of several processes, each has the maps of its share."""

    maps: Tensor  # (B or share, T, P, C) float16, on the device
    labels: Tensor  # (B,) int64, of all videos, on the host
    waited: float  # seconds that the step had to wait for it


class ClassDraw:
    """Draws the videos of each step: some classes, and some videos of each; no video twice in a batch.

    Classes with fewer videos than are drawn of each cannot be drawn: they are left out and named in `left_out`.

    Args:
        labels: (V,), class of each video, counted from 0
        class_names: of all classes, for messages
        classes_per_batch: all classes, where there are fewer
        videos_per_class: drawn of each class
        seed: step i draws the same whatever was drawn before

    Raises:
        InputError: if fewer than two classes can be drawn
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        class_names: Sequence[str],
        *,
        classes_per_batch: int,
        videos_per_class: int,
        seed: int,
    ) -> None:
        counts = np.bincount(labels, minlength=len(class_names))
        usable = np.flatnonzero(counts >= videos_per_class)
        self.left_out = tuple(name for name, count in zip(class_names, counts, strict=True) if count < videos_per_class)
        if len(usable) < 2:
            found = ", ".join(f"{name} {count}" for name, count in zip(class_names, counts, strict=True))
            raise InputError(
                f"training needs 2 classes with {videos_per_class} videos each, found {len(usable)} ({found});"
                " add videos or lower --videos-per-class"
            )
        self.classes_per_batch = min(classes_per_batch, len(usable))
        self.videos_per_class = videos_per_class
        self.size = self.classes_per_batch * videos_per_class  # B
        self._seed = seed
        self._videos = [np.flatnonzero(labels == index) for index in usable]

    def videos(self, step: int) -> NDArray[np.int64]:
        """Draw the videos of a step: (B,), positions in the labels."""
        rng = np.random.default_rng([self._seed, step])
        classes = rng.choice(len(self._videos), size=self.classes_per_batch, replace=False)
        drawn = [rng.choice(self._videos[index], size=self.videos_per_class, replace=False) for index in classes]
        return np.concatenate(drawn)

    def views(self, step: int, count: int) -> NDArray[np.int64]:
        """Draw one of `count` views for each video of a step: (B,)."""
        rng = np.random.default_rng([self._seed, step, VIEWS])
        return rng.integers(count, size=self.size)


class BatchSource:
    """Makes batches ahead of the steps that use them.

    Args:
        reader: of the maps; called from several threads
        rows: (V,), the reader's row of each video
        labels: (V,), class of each video; of all versions, version by version
        draw: which videos each step takes, of the labels
        device: where the batches go
        map_storage: where maps stay between batches: "device", "host", "disk" (nowhere: each batch is read anew) or
            "auto", the device if it is a GPU with the room, else as much of the host's memory as they may take;
            on the device they are packed where they do not fit as they are
        num_workers: threads that read ahead
        views: the first so many views of a video are drawn from; 0: all there are
        host_bytes: memory that maps may take on the host with "auto"; None: half of what the machine has
        device_bytes: memory that they may take on the device; None: half of what is free on a GPU
        share: of each batch, whose maps are read; all of it by default
        versions: of each video
        grid: rows and columns of the patches, where there are several versions
    """

    def __init__(
        self,
        reader: MapReader,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        draw: ClassDraw,
        *,
        device: torch.device,
        map_storage: str = "auto",
        num_workers: int = 4,
        views: int = 0,
        host_bytes: int | None = None,
        device_bytes: int | None = None,
        share: slice = ALL_VIDEOS,
        versions: tuple[Turned, ...] = (AS_IS,),
        grid: tuple[int, int] = (1, -1),
    ) -> None:
        self._views = count_views(reader, views, "--views", "the cache")
        if len(rows) * len(versions) != len(labels):
            raise ValueError(f"{rows.shape = } and {labels.shape = } differ in videos of {len(versions)} versions")
        self.draw = draw
        self._reader, self._rows, self._labels = reader, rows, torch.from_numpy(labels)
        self._device, self._readers, self._share = device, num_workers, share
        self._versions, self._grid = versions, grid
        self._shape = reader.shape
        self._bytes = 2 * int(np.prod(self._shape))  # of one view
        self._room = self._free() if device_bytes is None else device_bytes
        self.map_storage = self._settle(map_storage)
        fitting = (memory_limit() if host_bytes is None else host_bytes) // self._bytes
        self._keep_at_most = {"host": len(rows) * self._views if map_storage == "host" else fitting}.get(
            self.map_storage, 0
        )
        self._kept: dict[int, NDArray[np.float16]] = {}  # by number: of the video times the views, plus the view
        self._on_device: DenseMaps | PackedMaps | None = None

    def _settle(self, map_storage: str) -> str:
        """Choose between the device and the host."""
        if map_storage != "auto":
            return map_storage
        return "device" if self._device.type == "cuda" and self._fits(packed=True) else "host"

    def _free(self) -> int:
        """Count the bytes that maps may take on the device."""
        if self._device.type != "cuda":
            return memory_limit()
        return int(MEMORY_SHARE * torch.cuda.mem_get_info(self._device)[0])

    def _fits(self, *, packed: bool) -> bool:
        """Whether all views find room on the device; packed, by the look of some of them."""
        count = len(self._rows) * self._views
        if not packed:
            return self._bytes * count <= self._room
        some = [packed_bytes(self._read(number)) for number in range(0, count, -(-count // LOOKED_AT))]
        return sum(some) / len(some) * count <= self._room

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps `start` to `stop`, with a few more in the making."""
        pool = ThreadPoolExecutor(self._readers, thread_name_prefix="maps")
        try:
            if self.map_storage == "device" and self._on_device is None:
                self._on_device = self._load(pool)
            yield from self._ahead(pool, start, stop)
        finally:
            pool.shutdown(cancel_futures=True)

    def _ahead(self, pool: ThreadPoolExecutor, start: int, stop: int) -> Generator[Batch, None, None]:
        making: deque[Future[tuple[Tensor, Tensor]]] = deque()
        for step in range(start, min(start + self._readers + 1, stop)):
            making.append(pool.submit(self._make, step))
        for step in range(start, stop):
            before = perf_counter()
            maps, labels = making.popleft().result()
            waited = perf_counter() - before
            if (later := step + self._readers + 1) < stop:
                making.append(pool.submit(self._make, later))
            yield Batch(maps.to(self._device, non_blocking=True), labels, waited)

    def _make(self, step: int) -> tuple[Tensor, Tensor]:
        """Put a batch together: maps (share, T, P, C) and labels (B,)."""
        drawn = self.draw.videos(step)
        versions, videos = np.divmod(drawn, len(self._rows))
        numbers = videos * self._views + self.draw.views(step, self._views)
        gather = self._gather if self._on_device is None else self._on_device.pick
        maps = turn_each(gather(numbers[self._share]), versions[self._share], self._versions, self._grid)
        return maps, self._labels[torch.from_numpy(drawn)]

    def _gather(self, numbers: NDArray[np.int64]) -> Tensor:
        """Put some views into one tensor on the host: (B,) to (B, T, P, C)."""
        maps = torch.empty((len(numbers), *self._shape), dtype=torch.float16, pin_memory=self._device.type == "cuda")
        into = maps.numpy()
        for place, number in enumerate(numbers.tolist()):
            kept = self._kept.get(number)
            if kept is None and len(self._kept) < self._keep_at_most:
                kept = self._kept[number] = self._read(number)
            if kept is None:
                self._read(number, into[place])
            else:
                into[place] = kept
        return maps

    def _read(self, number: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        video, view = divmod(number, self._views)
        return self._reader.view(int(self._rows[video]), view, out)

    def _load(self, pool: ThreadPoolExecutor) -> DenseMaps | PackedMaps:
        """Bring every view to the device."""
        count = len(self._rows) * self._views
        form = DenseMaps if self._fits(packed=False) else PackedMaps
        return form(pool.map(self._read, range(count)), count, self._shape, self._device)


def count_views(reader: MapReader, asked: int, option: str, holder: str) -> int:
    """How many views of each video are taken; asked for 0, all there are.

    Args:
        reader: of the maps
        asked: how many
        option: that asked, for the message
        holder: what the reader reads, for the message

    Raises:
        InputError: if there are fewer than are asked for
    """
    if asked > reader.n_views:
        raise InputError(
            f"{option} {asked}: {holder} holds {reader.n_views} of each video; extract more with hcl extract --views"
        )
    return asked or reader.n_views


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
