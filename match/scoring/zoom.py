"""The zoom-in: clip pairs first, then patches of those clips alone (Zheng, Chen, Jin: Few-shot Action Recognition
with Hierarchical Matching and Contrastive Learning, 2022; Eq. 3 to 5).

Which pairs count is settled without gradients (`zoom_in`); the cosines of those pairs alone are then computed with
gradients where they are needed (`with_gradients`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hcl.match.embeddings import Embeddings
from hcl.match.scoring.clip_pairs import ClipPairs, ClipTable, align_clips
from hcl.match.scoring.cosines import chosen_dots, l2_normalise
from hcl.match.scoring.selection import adjusted, among_all, class_logits, compared, mutual_patches, relative_weights
from hcl.match.scoring.ties import NEAR, Finer, exact_dots, settled

CANDIDATES_PER_BLOCK = 4096  # whose cosines with all patches of a support clip are looked through at a time


@dataclass(frozen=True)
class PatchPairs:
    """The aligned patch pairs that count in each clip pair, best first (Eq. 4)."""

    query: Tensor  # (..., T, n) int64, patches of the query video, frame by frame
    support: Tensor | None  # (..., T, n) int64 likewise; None where they were not needed
    cosines: Tensor  # (..., T, n), 0 where they do not count
    counts: Tensor  # (..., T) int64: so many count, fewer than n in clips with fewer patches


@dataclass(frozen=True)
class Zoom:
    """What the scores are made of; the first axes (...) are Q x S videos or a list of pairs of videos."""

    clips: ClipPairs
    patches: PatchPairs


def pair_numbers(
    query: Embeddings, support: Embeddings, *, top_clips: int, top_patches: int, patch_selection: str = "similarity"
) -> int:
    """Count the numbers that `zoom_in` holds for one pair of videos, to size blocks by."""
    clips, (frames, patches) = query.clips.shape[1], query.patches.shape[1:3]
    support_clips, (support_frames, support_patches) = support.clips.shape[1], support.patches.shape[1:3]
    longest, support_longest = max(map(len, query.clip_frames)), max(map(len, support.clip_frames))
    of_clip = min(top_patches, longest * patches) * support_patches + longest * patches
    if patch_selection == "mutual":
        of_clip += 2 * longest * patches * support_patches  # the cosines of all pairs of its patches, and comparisons
    return (
        frames * patches * support_frames * support_patches
        + clips * support_clips
        + min(top_clips, clips) * support_longest * of_clip
    )


@torch.no_grad()
def zoom_in(
    query: Embeddings,
    support: Embeddings,
    *,
    top_clips: int,
    top_patches: int,
    partners: bool,
    patch_selection: str = "similarity",
    settle: bool = True,
) -> Zoom:
    """Find the clip pairs and patch pairs that count (Eq. 3 and 4).

    Args:
        query: embeddings of Q videos
        support: embeddings of S videos
        top_clips: T, the clip pairs of two videos
        top_patches: the patch pairs of two clips
        partners: also name the support patch of each pair, which only gradients and pictures need
        patch_selection: which patch pairs count, see `hcl.match.scoring.selection`
        settle: whether ties are settled in float64, see `hcl.match.scoring.ties`; training does without

    Returns:
        pairs of all Q x S videos; holds T * P * U * P' products a pair meanwhile
    """
    clips = align_clips(l2_normalise(query.clips)[:, None], l2_normalise(support.clips)[None], top_clips, settle=settle)
    of_query, of_support = (compared(part.patches, patch_selection) for part in (query, support))
    query_patches, support_patches = l2_normalise(of_query.patches), l2_normalise(of_support.patches)
    # Support patches go first: a maximum over an outer axis is far quicker than over the innermost.
    product = support_patches.flatten(0, 2) @ query_patches.flatten(0, 2).T
    product = product.view(*support_patches.shape[:3], *query_patches.shape[:3])  # (S, U, P', Q, T, P)
    query_table = ClipTable.of(query.clip_frames, product.device)
    support_table = ClipTable.of(support.clip_frames, product.device)
    query_frames, support_frames = query_table.frames[clips.query], support_table.frames[clips.support]  # (Q, S, T, F)
    best = best_of_clip(product.amax(dim=2), query_frames, support_frames)  # (Q, S, T, F, P)
    weights = mutual = None
    if patch_selection == "weighted" and (logits := class_logits(query, support)) is not None:
        weights = relative_weights(logits, query_frames)
    elif patch_selection == "mutual":
        mutual = mutual_patches(product, best, query_frames, support_frames)

    def finer(where: tuple[Tensor, ...]) -> Tensor:
        return _exact_best(product, query_patches, support_patches, where, query_frames, support_frames)

    # Without class keys a patch counts as any other of its cosine; by weight, ranks are what is added up.
    in_doubt = settle and support.class_keys is not None and weights is None
    patches = top_patch_pairs(
        best, query_table, clips.query, top_patches, weights=weights, mutual=mutual, finer=finer if in_doubt else None
    )
    if partners:
        chosen = _partners(product, patches.query, support_frames)
        places = None if of_support.places is None else of_support.places[None]
        patches = replace(patches, support=among_all(places, chosen))
    places = None if of_query.places is None else of_query.places[:, None]
    return Zoom(clips, replace(patches, query=among_all(places, patches.query)))


def best_of_clip(best: Tensor, query_frames: Tensor, support_frames: Tensor) -> Tensor:
    """Find how similar each patch of a query clip is to the most similar patch of its support clip.

    Args:
        best: (S, U, Q, T, P), the same for each frame of the support video
        query_frames: (Q, S, T, F), the frames of the query clips that were chosen
        support_frames: (Q, S, T, G), the frames of their partners

    Returns:
        (Q, S, T, F, P)
    """
    queries = torch.arange(len(query_frames), device=best.device)[:, None, None, None, None]
    supports = torch.arange(len(best), device=best.device)[:, None, None, None]
    chosen = best[supports, support_frames[..., None, :], queries, query_frames[..., :, None]]  # (Q, S, T, F, G, P)
    return chosen.amax(dim=-2)


def top_patch_pairs(
    best: Tensor,
    table: ClipTable,
    clips: Tensor,
    top_patches: int,
    *,
    weights: Tensor | None = None,
    mutual: Tensor | None = None,
    finer: Finer | None = None,
) -> PatchPairs:
    """Keep the most similar patches of each query clip (Eq. 4).

    Args:
        best: (..., T, F, P), how similar each patch is to the most similar one of the support clip
        table: the clips of the query
        clips: (..., T) int64, the query clips that were chosen
        top_patches: S, capped at the patches of each clip
        weights: (..., T, F, P), by which cosines are multiplied to rank them; None: all are equal
        mutual: (..., T, F, P) bool, the patches that may count, one or more in each clip; None: all may
        finer: gives some of `best`, by their places in (..., T, F * P), in float64; None: ties are not settled
    """
    patches, sizes = best.shape[-1], table.sizes[clips]  # (..., T)
    allowed = _counted(sizes, best.shape[-2])[..., None]  # (..., T, F, 1)
    counts = sizes * patches
    if mutual is not None:
        allowed = allowed & mutual
        counts = allowed.sum(dim=(-2, -1))
    ranks = best if weights is None else best * weights
    ranks = ranks.masked_fill(~allowed, -torch.inf).flatten(-2)  # (..., T, F * P)
    kept = min(top_patches, ranks.shape[-1])
    place = ranks.topk(kept, dim=-1).indices if finer is None else settled(ranks, kept, finer)
    cosines = (ranks if weights is None else best.flatten(-2)).gather(-1, place)
    counts = counts.clamp(max=top_patches)
    frames = table.frames[clips].gather(-1, place // patches)
    cosines = torch.where(_counted(counts, cosines.shape[-1]), cosines, 0)
    return PatchPairs(frames * patches + place % patches, None, cosines, counts)


def _counted(counts: Tensor, width: int) -> Tensor:
    return torch.arange(width, device=counts.device) < counts[..., None]  # (..., width)


def _exact_best(
    product: Tensor,
    query_patches: Tensor,
    support_patches: Tensor,
    where: tuple[Tensor, ...],
    query_frames: Tensor,
    support_frames: Tensor,
) -> Tensor:
    """Compute in float64 how similar some patches of query clips are to the most similar patch of the support clip.

    Args:
        product: (S, U, P', Q, T, P), cosines in float32, which leave few support patches to compare with
        query_patches: (Q, T, P, D), unit length
        support_patches: (S, U, P', D), unit length
        where: K places each in (Q, S, T, F * P)
        query_frames: (Q, S, T, F)
        support_frames: (Q, S, T, G)

    Returns:
        (K) float64
    """
    (frames, patches), of_support = query_patches.shape[1:3], support_patches.shape[1] * support_patches.shape[2]
    found = []
    for start in range(0, len(where[0]), CANDIDATES_PER_BLOCK):
        queries, supports, clips, places = (part[start : start + CANDIDATES_PER_BLOCK] for part in where)
        frame, patch = query_frames[queries, supports, clips, places // patches], places % patches  # (k)
        partners = support_frames[queries, supports, clips]  # (k, G)
        cosines = product[
            supports[:, None], partners, :, queries[:, None], frame[:, None], patch[:, None]
        ]  # (k, G, P')
        candidate, clip_frame, support_patch = (cosines >= cosines.amax(dim=(1, 2), keepdim=True) - NEAR).nonzero(
            as_tuple=True
        )
        dots = exact_dots(
            query_patches.flatten(0, 2),
            support_patches.flatten(0, 2),
            ((queries * frames + frame) * patches + patch)[candidate],
            supports[candidate] * of_support
            + partners[candidate, clip_frame] * support_patches.shape[2]
            + support_patch,
        )
        found.append(dots.new_full((len(places),), -torch.inf).scatter_reduce_(0, candidate, dots, "amax"))
    return torch.cat(found)


def _partners(product: Tensor, query_patches: Tensor, support_frames: Tensor) -> Tensor:
    """Name the most similar support patch of each query patch.

    Args:
        product: (S, U, P', Q, T, P)
        query_patches: (Q, S, T, n), patches of the query video, frame by frame
        support_frames: (Q, S, T, G)

    Returns:
        (Q, S, T, n), patches of the support video, frame by frame
    """
    supports, patches, queries = product.shape[0], product.shape[2], product.shape[3]
    product = product.view(supports, -1, queries, product.shape[4] * product.shape[5])  # (S, U * P', Q, T * P)
    candidates = support_frames[..., None] * patches + torch.arange(patches, device=product.device)
    candidates = candidates.flatten(-2)[..., None, :]  # (Q, S, T, 1, G * P')
    query = torch.arange(queries, device=product.device)[:, None, None, None, None]
    support = torch.arange(supports, device=product.device)[:, None, None, None]
    cosines = product[support, candidates, query, query_patches[..., None]]  # (Q, S, T, n, G * P')
    return candidates.expand_as(cosines).gather(-1, cosines.argmax(dim=-1, keepdim=True)).squeeze(-1)


def with_gradients(zoom: Zoom, query: Embeddings, support: Embeddings, patch_selection: str = "similarity") -> Zoom:
    """Compute the cosines of the chosen pairs again, so that gradients reach the embeddings through them.

    Args:
        zoom: of all Q x S videos, with the support patches named
        query: embeddings of Q videos
        support: embeddings of S videos
        patch_selection: by which the pairs were chosen

    Raises:
        ValueError: if `zoom` does not name the support patches
    """
    if zoom.patches.support is None:
        raise ValueError("zoom_in(partners=True) must have named the support patches")
    query_patches, support_patches = (adjusted(part.patches, patch_selection) for part in (query, support))
    cosines = _chosen_cosines(query_patches, support_patches, zoom.patches.query, zoom.patches.support)
    cosines = torch.where(_counted(zoom.patches.counts, cosines.shape[-1]), cosines, 0)
    clip_cosines = _chosen_cosines(query.clips, support.clips, zoom.clips.query, zoom.clips.support)
    return Zoom(replace(zoom.clips, cosines=clip_cosines), replace(zoom.patches, cosines=cosines))


def _chosen_cosines(query: Tensor, support: Tensor, query_places: Tensor, support_places: Tensor) -> Tensor:
    """Compute cosines of parts (Q, ..., D) and (S, ..., D) at places (Q, S, ...) within each video."""
    query = l2_normalise(query).flatten(1, -2)  # (Q, parts, D)
    support = l2_normalise(support).flatten(1, -2)  # (S, parts, D)
    later = (1,) * (query_places.dim() - 2)
    queries = torch.arange(len(query), device=query.device).view(-1, 1, *later)
    supports = torch.arange(len(support), device=query.device).view(1, -1, *later)
    return chosen_dots(
        query.flatten(0, 1),
        support.flatten(0, 1),
        query_places + queries * query.shape[1],
        support_places + supports * support.shape[1],
    )


def clip_attention(logits: Tensor, zoom: Zoom, table: ClipTable) -> Tensor:
    """Weigh the chosen patches of each clip by their part in the softmax over all patches of the clip (Eq. 5).

    Args:
        logits: (..., T, P)
        zoom: the chosen clips and patches
        table: the clips of the query

    Returns:
        (..., T, n), sums to 1 over all patches of a clip
    """
    chosen_frames, sizes = table.frames[zoom.clips.query], table.sizes[zoom.clips.query]  # (..., T, F), (..., T)
    of_frames = logits.logsumexp(dim=-1)  # (..., T); a clip's total follows from its frames'
    of_frames = of_frames.gather(-1, chosen_frames.flatten(-2)).view(chosen_frames.shape)
    uncounted = ~_counted(sizes, chosen_frames.shape[-1])
    of_clips = of_frames.masked_fill(uncounted, -torch.inf).logsumexp(dim=-1)  # (..., T)
    chosen = logits.flatten(-2).gather(-1, zoom.patches.query.flatten(-2)).view(zoom.patches.query.shape)
    return (chosen - of_clips[..., None]).exp()
