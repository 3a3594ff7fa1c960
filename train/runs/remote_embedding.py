"""Embed the videos of a cache on a cluster: a few batches a task, the same batches as here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.formats import open_cache
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.tasks import run_tasks
from hcl.extract.system.device import choose_device
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.data.map_source import MapSource
from hcl.train.embedding import VIDEOS_PER_BATCH, batch_means, embedded_batches
from hcl.train.encoders.factory import Encoder

BATCHES_PER_TASK = 8  # their arrays travel in memory


@dataclass(frozen=True)
class SharedEncoder:
    """What every task embeds by; all nodes must see the cache."""

    cache: Path
    weights: str  # of the backbone, where the cache ends before layer 4
    device: str
    encoder: Encoder | None  # on the CPU; None for means alone
    views: int = 1


def remote_batches(
    encoder: Encoder, source: MapSource, rows: NDArray[np.int64], cluster: ClusterConfig, *, views: int, device: str
) -> Iterator[EmbeddedBatch]:
    """Embed videos on a cluster.

    Args:
        encoder: trained, or what stands where one would
        source: of the maps
        rows: (V,), of the cache
        cluster: whose workers embed
        views: of each video, whose embeddings are averaged
        device: of the workers, "auto", "cpu" or "cuda"

    Yields:
        the batches of `embedded_batches`
    """
    shared = SharedEncoder(source.cache.path.absolute(), source.weights, device, encoder.cpu(), views)
    for batches in run_tasks(embed_rows, _parts(rows), cluster, shared=shared, name=_name, on_cpu=device == "cpu"):
        yield from batches


def remote_means(
    source: MapSource, rows: NDArray[np.int64], cluster: ClusterConfig, *, device: str
) -> Iterator[NDArray[np.float32]]:
    """The means of videos that `batch_means` gives, computed on a cluster; arguments as of `remote_batches`."""
    shared = SharedEncoder(source.cache.path.absolute(), source.weights, device, None)
    for means in run_tasks(means_of_videos, _parts(rows), cluster, shared=shared, name=_name, on_cpu=device == "cpu"):
        yield from means


def embed_rows(shared: SharedEncoder, rows: NDArray[np.int64]) -> list[EmbeddedBatch]:
    """The worker's side: the batches of some videos."""
    source = _source(shared.cache, shared.weights, shared.device)
    if shared.encoder is None:
        raise ValueError("no encoder was given")
    encoder = shared.encoder.to(source.device)
    return list(embedded_batches(encoder, source, rows, views=shared.views))


def means_of_videos(shared: SharedEncoder, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """The worker's side: the means of some videos, batch by batch."""
    return batch_means(_source(shared.cache, shared.weights, shared.device), rows)


@lru_cache(maxsize=1)
def _source(cache: Path, weights: str, device: str) -> MapSource:
    """The opened cache, and layer 4, which a worker's tasks share."""
    return MapSource(open_cache(cache), weights, choose_device(device))


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    size = BATCHES_PER_TASK * VIDEOS_PER_BATCH
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _name(rows: NDArray[np.int64]) -> str:
    return f"videos {rows[0]} to {rows[-1]}"
