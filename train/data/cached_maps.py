"""The videos of a cache as a torch Dataset, for training loops of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.config import SPLITS
from hcl.extract.system.errors import InputError


class CachedMaps(Dataset[tuple[Tensor, int]]):
    """The finished videos of one split of a cache: item i is the pair (frame maps, class index).

        videos = CachedMaps("cache.zarr", split="base")
        maps, label = videos[0]  # (T, P, C) float16, int
        loader = DataLoader(videos, batch_size=16, shuffle=True, num_workers=2)

    Maps have T frames, P = rows * columns patches (row by row) and C channels; their values are the backbone's
    activations, which have no unit. Workers of a DataLoader open the cache anew, be it Zarr or HDF5.

    Args:
        cache: path of a cache, or an opened one, whose splits count (see `with_splits`)
        split: "base", "val" or "novel"; None: the videos of all splits
        view: number of the view, 0 is the canonical one; "random": another one each time, by torch's generator

    Attributes:
        class_names: the classes that have videos, in the order in which they entered the cache
        labels: (V,) int64, class of each video: index into `class_names`
        groups: (V,) strings, such as the person filmed; "" where unknown
        rows: (V,) int64, row of each video in the cache; those without a class are left out
        shape: (T, P, C)

    Raises:
        InputError: if there is no such cache, split or view, or the split has no finished videos; by an item, if its
            maps are damaged
    """

    def __init__(
        self,
        cache: str | Path | FrameMapCache,
        split: str | None = "base",
        view: int | Literal["random"] = 0,
    ) -> None:
        opened = cache if isinstance(cache, FrameMapCache) else open_cache(cache)
        self.path, self.split, self.view = opened.path, split, view
        self.shape, self.n_views = opened.shape, opened.n_views
        if split not in (None, *SPLITS):
            raise InputError(f"split must be one of {', '.join(SPLITS)} or None for all of them, got {split!r}")
        if view != "random" and not 0 <= view < self.n_views:
            raise InputError(
                f"view {view}: {self.path} holds views 0 to {self.n_views - 1} of each video;"
                " extract more with hcl extract --views"
            )
        self.rows = np.array([row for row in opened.rows(split) if opened.videos.label[row]], dtype=np.int64)
        if not len(self.rows):
            raise InputError(f"{self.path}: no finished videos of split {split}; run hcl extract or choose another one")
        videos = opened.videos.take(self.rows)
        self.class_names = finished_classes(opened, split)
        numbers = {name: number for number, name in enumerate(self.class_names)}
        self.labels = np.array([numbers[label] for label in videos.label], dtype=np.int64)
        self.groups: NDArray[np.str_] = np.array(videos.group, dtype=np.str_)
        self._reader: FrameMapCache | None = None
        self._reader_process = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Read one video: its maps (T, P, C) float16, on the CPU, and the index of its class."""
        view = int(torch.randint(self.n_views, ())) if self.view == "random" else self.view
        maps = self._open().view(int(self.rows[index]), view)
        return torch.from_numpy(maps), int(self.labels[index])

    def _open(self) -> FrameMapCache:
        """The cache, opened by this very process: HDF5 files and Zarr's threads do not survive a fork."""
        if self._reader is None or self._reader_process != os.getpid():
            self._reader, self._reader_process = open_cache(self.path), os.getpid()
        return self._reader

    def __getstate__(self) -> dict[str, Any]:
        """All but the opened cache."""
        return self.__dict__ | {"_reader": None}


def finished_classes(cache: FrameMapCache, split: str | None = None) -> tuple[str, ...]:
    """The classes of a split, or of all, that have finished videos, in the order in which they entered the cache."""
    labels = {cache.videos.label[row] for row in cache.rows(split)}
    return tuple(name for name in cache.class_names if name in labels)
