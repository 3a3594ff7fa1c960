"""Blocks of the table of pairs as tasks of a cluster: the same scores as here, bit for bit on one kind of machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.tasks import run_tasks
from hcl.match.config import PairSettings
from hcl.match.embeddings import Clips, Embeddings
from hcl.match.fast_scoring.pair_scores import Values, score_pairs


@dataclass(frozen=True)
class SharedEmbeddings:
    """What every block is scored from; numpy's arrays, which a node holds once."""

    arrays: dict[str, NDArray[Any]]
    clip_frames: Clips
    settings: PairSettings
    spatial: bool

    def embeddings(self) -> Embeddings:
        """The embeddings, in the memory that all tasks of a node share."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch: the memory is read-only, and nothing is written
            return Embeddings.of_arrays({n: torch.from_numpy(a) for n, a in self.arrays.items()}, self.clip_frames)


def score_block(shared: SharedEmbeddings, pairs: Rows) -> Values:
    """Score one block of pairs (n, 2): (n, 3)."""
    return score_pairs(shared.embeddings(), pairs, **shared.settings, spatial=shared.spatial)


def score_blocks(
    embeddings: Embeddings,
    blocks: Sequence[Rows],
    settings: PairSettings,
    cluster: ClusterConfig,
    *,
    spatial: bool,
) -> Iterator[Values]:
    """Score blocks of pairs on a cluster.

    Args:
        embeddings: of all videos, on the CPU
        blocks: (n, 2) each, rows of a query and a support
        settings: of the scores
        cluster: whose workers score
        spatial: False leaves the spatial level out

    Yields:
        (n, 3) of each block, in their order
    """
    arrays = {name: np.ascontiguousarray(array.numpy()) for name, array in embeddings.arrays().items()}
    shared = SharedEmbeddings(arrays, embeddings.clip_frames, settings, spatial)
    yield from run_tasks(
        score_block, blocks, cluster, shared=shared, name=lambda block: f"score {len(block)} pairs", on_cpu=True
    )
