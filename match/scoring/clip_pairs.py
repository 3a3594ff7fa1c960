"""Which clips of two videos are paired, and which of the pairs count (Eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hcl.match.embeddings import Clips
from hcl.match.scoring.ties import NEAR, Finer, at_the_cut, exact_products, largest


@dataclass(frozen=True)
class ClipPairs:
    """The aligned clip pairs that count, best first (Eq. 3)."""

    query: Tensor  # (..., T) int64, clips of the query video
    support: Tensor  # (..., T) int64, the clip of the support video most similar to each
    cosines: Tensor  # (..., T)


@dataclass(frozen=True)
class ClipTable:
    """`clip_frames` as tensors; shorter clips are filled up by their first frame."""

    frames: Tensor  # (Nc, F) int64
    sizes: Tensor  # (Nc) int64

    @staticmethod
    def of(clips: Clips, device: torch.device) -> ClipTable:
        longest = max(map(len, clips))
        frames = [(*clip, *clip[:1] * (longest - len(clip))) for clip in clips]
        return ClipTable(torch.tensor(frames, device=device), torch.tensor([*map(len, clips)], device=device))


def align_clips(query: Tensor, support: Tensor, top_clips: int, *, settle: bool = False) -> ClipPairs:
    """Pair each query clip with its most similar support clip and keep the most similar pairs (Eq. 3).

    Args:
        query: (..., Nc, D), unit length
        support: (..., Nc', D), unit length
        top_clips: T, capped at Nc
        settle: whether ties are settled in float64, see `hcl.match.scoring.ties`

    Returns:
        pairs of shape (..., T)
    """

    def finer(where: tuple[Tensor, ...]) -> Tensor:
        batch = np.broadcast_shapes(query.shape[:-2], support.shape[:-2])
        sides = (side.expand(*batch, *side.shape[-2:])[where] for side in (query, support))
        return exact_products(*sides)

    return top_clip_pairs(query @ support.mT, top_clips, finer if settle else None)


def top_clip_pairs(cosines: Tensor, top_clips: int, finer: Finer | None = None) -> ClipPairs:
    """Keep the most similar pairs of each query clip with its best support clip (Eq. 3).

    Args:
        cosines: (..., Nc, Nc'), of query clips with support clips
        top_clips: T, capped at Nc
        finer: gives the cosines (K, Nc, Nc') of some pairs of videos in float64; None: ties are not settled

    Returns:
        pairs of shape (..., T)
    """
    best, partner = cosines.max(dim=-1)  # (..., Nc)
    kept = min(top_clips, best.shape[-1])
    highest, clip = best.topk(min(kept + 1, best.shape[-1]), dim=-1)
    clip = clip[..., :kept]
    pairs = ClipPairs(clip, partner.gather(-1, clip), highest[..., :kept])
    return pairs if finer is None else _settled_pairs(pairs, cosines, at_the_cut(highest, kept), finer)


def _settled_pairs(pairs: ClipPairs, cosines: Tensor, in_doubt: Tensor, finer: Finer) -> ClipPairs:
    """Align those pairs of videos again whose T-th clip pair or whose partners rounding may have chosen.

    The cosines stay: the i-th largest is the same but for rounding, whichever clips it is of.

    Args:
        pairs: (..., T)
        cosines: (..., Nc, Nc')
        in_doubt: (...) bool, whether clips that were left out are as good as the last that was not
        finer: as of `top_clip_pairs`
    """
    of_chosen = cosines.gather(-2, pairs.query[..., None].expand(*pairs.query.shape, cosines.shape[-1]))
    as_good = (of_chosen >= pairs.cosines[..., None] - NEAR).sum(dim=-1)  # (..., T) partners, itself among them
    in_doubt = in_doubt | (as_good > 1).any(dim=-1)
    if not bool(in_doubt.any()):
        return pairs
    exact = finer(in_doubt.nonzero(as_tuple=True))  # (K, Nc, Nc')
    clip = largest(exact.amax(dim=-1), pairs.query.shape[-1])
    partner = exact.argmax(dim=-1).gather(-1, clip)  # of equals the first
    mask = in_doubt[..., None]
    return ClipPairs(pairs.query.masked_scatter(mask, clip), pairs.support.masked_scatter(mask, partner), pairs.cosines)
