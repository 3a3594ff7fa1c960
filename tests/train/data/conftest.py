"""Maps that say which row and view they are of, and videos to draw from."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.train.data.batches import BatchPrefetcher
from hcl.train.data.device_storage import NumberedViews
from hcl.train.data.map_storage import choose_storage
from hcl.train.data.sampler import ClassBalancedSampler

SHAPE = (2, 3, 4)
FIRST_ROW = 100
LABELS = np.array([0, 1, 2, 3] * 5, dtype=np.int64)
NAMES = ("run", "jump", "sit", "wave")


class NumberedMaps:
    """A reader whose maps are filled with row + 1000 * view; it counts what it reads."""

    shape = SHAPE

    def __init__(self, *, broken_after: int | None = None, error: Exception | None = None) -> None:
        self.reads: list[int] = []
        self._lock = threading.Lock()
        self._broken_after, self._error = broken_after, error

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        with self._lock:
            self.reads.append(row)
        if self._error is not None and len(self.reads) > (self._broken_after or 0):
            raise self._error
        maps = np.empty(SHAPE, dtype=np.float16) if out is None else out
        maps[:] = row + 1000 * view  # both are whole numbers that float16 holds
        return maps


@pytest.fixture
def numbered_maps() -> type[NumberedMaps]:
    return NumberedMaps


@pytest.fixture
def labels() -> NDArray[np.int64]:
    """Twenty videos of four classes, in turn."""
    return LABELS


@pytest.fixture
def sampler() -> Callable[..., ClassBalancedSampler]:
    """A function that makes a sampler of these videos, or of other labels."""

    def make(labels: NDArray[np.int64] = LABELS, **settings: Any) -> ClassBalancedSampler:
        chosen = {"classes_per_batch": 3, "videos_per_class": 2, "seed": 0, **settings}
        return ClassBalancedSampler(labels, NAMES, **chosen)

    return make


@pytest.fixture
def prefetcher(sampler: Callable[..., ClassBalancedSampler]) -> Callable[..., BatchPrefetcher]:
    """A function that makes batches of these videos, whose rows begin at 100, on the CPU."""

    def make(
        reader: NumberedMaps,
        *,
        views: int = 1,
        map_storage: str = "auto",
        host_bytes: int | None = None,
        device_bytes: int | None = None,
        num_workers: int = 4,
        share: slice = slice(None),
    ) -> BatchPrefetcher:
        device, rows = torch.device("cpu"), np.arange(len(LABELS)) + FIRST_ROW
        storage = choose_storage(
            *(NumberedViews(reader, rows, views), map_storage, device), host_bytes=host_bytes, device_bytes=device_bytes
        )
        return BatchPrefetcher(sampler(), storage, device=device, num_workers=num_workers, share=share)

    return make
