"""Score a list of video pairs, as an evaluation needs them: each distinct (query, support) pair once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hcl.match.embeddings import Embeddings
from hcl.match.scores import match

LEVELS = ("global", "temporal", "spatial")  # the columns of the scores


def score_pairs(
    embeddings: Embeddings,
    pairs: np.ndarray,
    *,
    top_clips: int = 10,
    top_patches: int = 10,
    attention_scale: str = "mean_one",
    spatial: bool = True,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Score pairs of videos as `match` does.

    Args:
        embeddings: of all videos; the patches may be stored in half precision, scores are computed in float32
        pairs: (N, 2) int, rows of a query and a support video
        spatial: False leaves the spatial level out, which costs nearly all the time
        progress: called with the number of pairs that were scored since the last call

    Returns:
        (N, 3) float32: global, temporal and spatial score (NaN where it was left out)
    """
    scores = np.full((len(pairs), len(LEVELS)), np.nan, dtype=np.float32)
    for query in np.unique(pairs[:, 0]):
        places = np.flatnonzero(pairs[:, 0] == query)
        supports = _float32(embeddings, torch.from_numpy(pairs[places, 1]))
        found = match(
            _float32(embeddings, torch.tensor([query])),
            supports,
            top_clips=top_clips,
            top_patches=top_patches,
            attention_scale=attention_scale,
        )
        columns = (found.global_, found.temporal, found.spatial)[: 3 if spatial else 2]
        scores[places, : len(columns)] = torch.cat(columns).T.cpu().numpy()
        if progress is not None:
            progress(len(places))
    return scores


@torch.no_grad()
def _float32(embeddings: Embeddings, rows: Tensor) -> Embeddings:
    chosen = embeddings.rows(rows.to(embeddings.patches.device))
    keys = None if chosen.class_keys is None else chosen.class_keys.float()
    return Embeddings(chosen.global_.float(), chosen.clips.float(), chosen.patches.float(), chosen.clip_frames, keys)
