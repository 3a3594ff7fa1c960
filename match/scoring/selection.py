"""Which patches may be paired on the spatial level, and which of the pairs count: Eq. 4 to the letter, and other ways.

Eq. 4 takes the most similar pairs, and the most similar patches of two videos are often bare background: their cosine
is near 1 whatever the classes are. Each other way is a function of the two videos of a pair alone:

- similarity: all patches, the most similar pairs; Eq. 4 to the letter
- weighted: all patches, the pairs of highest cosine times weight of Eq. 5
- salient: of each frame the half of the patches that differ most from their video's mean patch, on both sides
- moving: of each frame the half of the patches that differ most from their place's mean over the frames, on both sides
- mutual: all patches, the most similar of the pairs that are each other's nearest neighbours
- centred: all patches less the mean patch of their own video, the most similar pairs
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from hcl.match.embeddings import Embeddings
from hcl.match.scoring.cosines import l2_normalise

KEPT_SHARE = 0.5  # of a frame's patches: the action may fill half of a frame; 25 of 49 leave S = 10 pairs a choice
LEAST_DIFFERENCE = 1e-5  # of a unit patch from the mean: below it lies the rounding of float32, which has no direction


@dataclass(frozen=True)
class Compared:
    """The patches of some videos that may be paired, K of the P of each frame."""

    patches: Tensor  # (..., T, K, D), un-normalised
    places: Tensor | None  # (..., T, K) int64, where they lie among a video's patches, frame by frame; None: all do


def compared(patches: Tensor, patch_selection: str) -> Compared:
    """Take the patches of each video that may be paired, as they are compared.

    Args:
        patches: (..., T, P, D), un-normalised
        patch_selection: a name of this module's list
    """
    patches = adjusted(patches, patch_selection)
    if patch_selection == "salient":
        return _most(patches, saliency(patches))
    if patch_selection == "moving" and patches.shape[-3] > 1:  # in a single frame nothing moves: all its patches stay
        return _most(patches, motion(patches))
    return Compared(patches, None)


def adjusted(patches: Tensor, patch_selection: str) -> Tensor:
    """Give the vectors (..., T, P, D) whose cosines a selection compares: the patches themselves but for "centred"."""
    return centred(patches) if patch_selection == "centred" else patches


def saliency(patches: Tensor) -> Tensor:
    """Tell how far each patch stands out of its video: 1 - its cosine to the mean of all unit patches, in [0, 2].

    Args:
        patches: (..., T, P, D), un-normalised

    Returns:
        (..., T, P)
    """
    unit = l2_normalise(patches)
    mean = l2_normalise(unit.mean(dim=(-3, -2)))  # (..., D)
    return 1 - torch.einsum("...tpd,...d->...tp", unit, mean)


def motion(patches: Tensor) -> Tensor:
    """Tell how much each patch changes: the distance of unit patches from the mean of their place over the frames.

    Args:
        patches: (..., T, P, D), un-normalised

    Returns:
        (..., T, P), 0 where nothing moves and in a single frame
    """
    unit = l2_normalise(patches)
    distances: Tensor = torch.linalg.vector_norm(unit - unit.mean(dim=-3, keepdim=True), dim=-1)
    return distances


def centred(patches: Tensor) -> Tensor:
    """Subtract the mean of a video's unit patches from each of them, which takes away what all of them share.

    Centred vectors have no hubs, neighbours of nearly everything (Suzuki et al.: Centering Similarity Measures to
    Reduce Hubs, 2013). A patch that does not differ from the mean becomes zero: its cosines are 0.

    Args:
        patches: (..., T, P, D), un-normalised

    Returns:
        (..., T, P, D), not of unit length
    """
    unit = l2_normalise(patches)
    difference = unit - unit.mean(dim=(-3, -2), keepdim=True)
    length = torch.linalg.vector_norm(difference.detach(), dim=-1, keepdim=True)
    return torch.where(length > LEAST_DIFFERENCE, difference, 0)


def _most(patches: Tensor, values: Tensor) -> Compared:
    """Keep the patches (..., T, P, D) of highest value (..., T, P) in each frame; of equals the first, row by row."""
    frames, count = values.shape[-2:]
    order = values.argsort(dim=-1, descending=True, stable=True)
    kept = order[..., : ceil(count * KEPT_SHARE)].sort(dim=-1).values  # (..., T, K)
    chosen = torch.take_along_dim(patches, kept[..., None], dim=-2)
    return Compared(chosen, kept + count * torch.arange(frames, device=kept.device)[:, None])


def among_all(places: Tensor | None, chosen: Tensor) -> Tensor:
    """Tell where chosen patches that were compared lie among all patches of their video.

    Args:
        places: (..., T, K), as in `Compared`, its first axes those of `chosen` or 1
        chosen: (..., C, n) int64, numbers below T * K

    Returns:
        (..., C, n) int64, patches of the video, frame by frame
    """
    if places is None:
        return chosen
    table = places.flatten(-2).expand(*chosen.shape[:-2], -1)
    return table.gather(-1, chosen.flatten(-2)).view_as(chosen)


def class_logits(query: Embeddings, support: Embeddings) -> Tensor | None:
    """Compare the patches of Q videos with the class keys of S videos (Eq. 5): (Q, S, T, P); None without keys."""
    if support.class_keys is None:
        return None
    logits: Tensor = torch.einsum("qtpd,sd->qstp", query.patches, support.class_keys) / query.patches.shape[-1] ** 0.5
    return logits


def relative_weights(logits: Tensor, query_frames: Tensor) -> Tensor:
    """Weigh the patches of query clips by Eq. 5 but for a factor of each clip, which changes no order within it.

    Args:
        logits: (Q, S, T, P)
        query_frames: (Q, S, T, F), the frames of the query clips that were chosen

    Returns:
        (Q, S, T, F, P), 1 for the patch of the highest weight in each clip
    """
    frames = query_frames.flatten(2)[..., None]  # (Q, S, T * F, 1)
    of_clips = torch.take_along_dim(logits, frames, dim=2).view(*query_frames.shape, -1)
    return (of_clips - of_clips.amax(dim=(-2, -1), keepdim=True)).exp()


def mutual_patches(product: Tensor, best: Tensor, query_frames: Tensor, support_frames: Tensor) -> Tensor:
    """Find the query patches that are the nearest neighbour of their own nearest neighbour in the paired clip.

    Each clip pair has at least one, the query patch of its most similar pair.

    Args:
        product: (S, U, P', Q, T, P), cosines
        best: (Q, S, T, F, P), how similar each query patch is to the most similar one of the support clip
        query_frames: (Q, S, T, F), the frames of the query clips that were chosen
        support_frames: (Q, S, T, G), the frames of their partners

    Returns:
        (Q, S, T, F, P) bool
    """
    queries = torch.arange(len(query_frames), device=product.device)[:, None, None, None, None]
    supports = torch.arange(len(product), device=product.device)[:, None, None, None]
    cosines = product[supports, support_frames[..., None, :], :, queries, query_frames[..., :, None]]
    of_support = cosines.amax(dim=(3, 6), keepdim=True)  # (Q, S, T, F, G, P', P) -> (Q, S, T, 1, G, P', 1)
    return ((cosines == best[..., None, None, :]) & (cosines == of_support)).any(dim=(4, 5))
