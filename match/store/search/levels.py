"""The second stage: the score of each level for pairs of videos, of which a few at a time are in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.video_table import Rows
from hcl.match.config import LEVELS, PairSettings
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.store.search.source import SearchSource, videos_per_block

Scores = NDArray[np.float32]  # (n, 3) global, temporal, spatial; NaN where a level is left out


def scores_with(
    query: Embeddings, source: SearchSource, rows: Rows, settings: PairSettings, *, spatial: bool, device: torch.device
) -> Scores:
    """Score one query against some rows, as `hcl.match` does.

    Args:
        query: one video
        source: of the rows
        rows: (n,)
        settings: of the scores
        spatial: False leaves the spatial level out, and its patches unread
        device: where scores are computed

    Returns:
        (n, 3)
    """
    scores = np.empty((len(rows), len(LEVELS)), np.float32)
    size = videos_per_block(source)
    for start in range(0, len(rows), size):
        some = np.sort(rows[start : start + size])
        both = beside(query, source.embeddings(some, patches=spatial))
        pairs = np.stack((np.zeros(len(some), np.int64), np.arange(1, len(some) + 1)), axis=1)
        of_some = score_pairs(on_device(both, device), pairs, **settings, spatial=spatial)
        scores[start : start + size] = of_some[np.searchsorted(some, rows[start : start + size])]
    return scores


def scores_within(
    source: SearchSource,
    pairs: Rows,
    settings: PairSettings,
    *,
    spatial: bool,
    device: torch.device,
    progress: Callable[[int], object] = lambda _: None,
) -> Scores:
    """Score pairs of rows, the mean of both directions: which is the query does not matter.

    Args:
        source: of the rows
        pairs: (n, 2)
        settings, spatial, device: as of `scores_with`
        progress: called with the number of pairs that were scored since the last call

    Returns:
        (n, 3)
    """
    scores = np.empty((len(pairs), len(LEVELS)), np.float32)
    size = max(1, videos_per_block(source) // 2)
    for start in range(0, len(pairs), size):
        rows, places = np.unique(pairs[start : start + size], return_inverse=True)
        both = on_device(source.embeddings(rows, patches=spatial), device)
        forth = places.reshape(-1, 2)
        of_both = score_pairs(both, np.concatenate((forth, forth[:, ::-1])), **settings, spatial=spatial)
        scores[start : start + size] = (of_both[: len(forth)] + of_both[len(forth) :]) / 2
        progress(len(forth))
    return scores


def total_of(scores: Scores, levels: Sequence[str]) -> NDArray[np.float32]:
    """The mean over the levels that count (Eq. 6 divided by their number): (n, 3) to (n,)."""
    mean: NDArray[np.float32] = scores[:, [LEVELS.index(level) for level in levels]].mean(axis=1, dtype=np.float32)
    return mean


def beside(query: Embeddings, rows: Embeddings) -> Embeddings:
    """A query, then other videos; a class key or patches that one side lacks are zero, where the other has them."""

    def joined(one: Tensor, other: Tensor) -> Tensor:
        if one.shape[1:] != other.shape[1:]:  # patches that are left out
            return other[:1].expand(len(other) + 1, *other.shape[1:])
        return torch.cat((one.to(other.dtype), other))

    keys = None
    if rows.class_keys is not None:
        keys = torch.cat((torch.zeros_like(rows.class_keys[:1]), rows.class_keys))
    return Embeddings(
        joined(query.global_, rows.global_),
        joined(query.clips, rows.clips),
        joined(query.patches, rows.patches),
        rows.clip_frames,
        keys,
    )


def on_device(embeddings: Embeddings, device: torch.device) -> Embeddings:
    """Embeddings where they are scored; on the CPU they stay as they are."""
    if device.type == "cpu":
        return embeddings
    moved = (embeddings.global_.to(device), embeddings.clips.to(device), embeddings.patches.to(device))
    keys = None if embeddings.class_keys is None else embeddings.class_keys.to(device)
    return Embeddings(*moved, embeddings.clip_frames, keys)
