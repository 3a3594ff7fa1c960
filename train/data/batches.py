"""Batches of maps, put together ahead of the steps that use them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from hcl.train.data.class_augmentation import NO_AUGMENTATION, ClassAugmentation
from hcl.train.data.map_storage import MapStorage
from hcl.train.data.sampler import ClassBalancedSampler

ALL_VIDEOS = slice(None)


@dataclass(frozen=True)
class Batch:
    """The maps and classes of B videos; of several processes, each has the maps of its share."""

    maps: Tensor  # (B or share, T, P, C) float16, on the device
    labels: Tensor  # (B,) int64, of all videos, on the host
    waited: float  # seconds that the step had to wait for it


class BatchPrefetcher:
    """Puts batches together in threads while earlier ones are used; a step's batch follows from its number alone.

    Args:
        sampler: which samples each step takes
        storage: where the maps of the videos stay between batches
        device: where the batches go
        num_workers: threads; as many batches, and one more, are in the making
        augmentation: the versions of each video that samples are of
        share: of each batch, whose maps are read; all of it by default
    """

    def __init__(
        self,
        sampler: ClassBalancedSampler,
        storage: MapStorage,
        *,
        device: torch.device,
        num_workers: int = 4,
        augmentation: ClassAugmentation = NO_AUGMENTATION,
        share: slice = ALL_VIDEOS,
    ) -> None:
        versions = len(augmentation.versions)
        rows = storage.views.rows
        if len(rows) * versions != len(sampler.labels):
            raise ValueError(f"{rows.shape = } and {sampler.labels.shape = } differ in videos of {versions} versions")
        self.sampler = sampler
        self._storage, self._device = storage, device
        self._num_workers, self._augmentation, self._share = num_workers, augmentation, share
        self._labels = torch.from_numpy(sampler.labels)

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps `start` to `stop`; the threads end with the generator."""
        pool = ThreadPoolExecutor(self._num_workers, thread_name_prefix="maps")
        try:
            self._storage.load(pool)
            yield from self._prefetched(pool, start, stop)
        finally:
            pool.shutdown(cancel_futures=True)

    def _prefetched(self, pool: Executor, start: int, stop: int) -> Generator[Batch, None, None]:
        ahead = self._num_workers + 1
        pending: deque[Future[tuple[Tensor, Tensor]]] = deque()
        for step in range(start, min(start + ahead, stop)):
            pending.append(pool.submit(self._make, step))
        for step in range(start, stop):
            before = perf_counter()
            maps, labels = pending.popleft().result()
            waited = perf_counter() - before
            if step + ahead < stop:
                pending.append(pool.submit(self._make, step + ahead))
            yield Batch(maps.to(self._device, non_blocking=True), labels, waited)

    def _make(self, step: int) -> tuple[Tensor, Tensor]:
        """Put a batch together: maps (share, T, P, C) and labels (B,)."""
        samples = self.sampler.samples(step)
        views = self._storage.views
        versions, videos = np.divmod(samples, len(views.rows))
        numbers = videos * views.per_video + self.sampler.views(step, views.per_video)
        maps = self._augmentation.turn(self._storage.gather(numbers[self._share]), versions[self._share])
        return maps, self._labels[torch.from_numpy(samples)]
