"""Score how well videos match on three levels (Zheng, Chen, Jin: Few-shot Action Recognition with Hierarchical
Matching and Contrastive Learning, 2022; Eq. 2 to 6).

All similarities are cosines; a zero vector has cosine 0 with everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hcl.match.config import ATTENTION_SCALES, PATCH_SELECTIONS
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.blocks import by_blocks
from hcl.match.scoring.clip_pairs import ClipTable
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.selection import class_logits
from hcl.match.scoring.zoom import Zoom, clip_attention, pair_numbers, with_gradients, zoom_in


@dataclass(frozen=True)
class Scores:
    """Scores of all query videos against all support videos; higher is better."""

    global_: Tensor  # (Q, S), Eq. 2
    temporal: Tensor  # (Q, S), Eq. 3
    spatial: Tensor  # (Q, S), Eq. 4

    def total(self) -> Tensor:
        """Sum the three levels: (Q, S), Eq. 6."""
        return self.global_ + self.temporal + self.spatial


def match(
    query: Embeddings,
    support: Embeddings,
    *,
    top_clips: int = 10,
    top_patches: int = 10,
    attention_scale: str = "mean_one",
    patch_selection: str = "similarity",
) -> Scores:
    """Score each query video against each support video.

    The selections (which clip pairs, which patch pairs) carry no gradient; the chosen cosines and the attention
    weights do. Beyond the scores, temporary products of about 64 MiB are held, however many videos there are.
    Embeddings of mixed types, as a store gives them, are scored in float32.

    Args:
        query: embeddings of Q videos
        support: embeddings of S videos; their class keys weigh the patches (Eq. 5)
        top_clips: T, the clip pairs that count; capped at the query's clips
        top_patches: S, the patch pairs that count in each clip pair; capped at the patches of each query clip
        attention_scale: "mean_one" weighs the patches of a clip by 1 on average, "paper" makes the weights sum to 1
            (Eq. 5 to the letter, which shrinks Eq. 4 about a hundredfold); without class keys all weights are 1
        patch_selection: which patch pairs count, a name that `hcl.match.scoring.selection` explains; "similarity" is
            Eq. 4 to the letter

    Returns:
        (Q, S) of each level; global and temporal are mean cosines, in [-1, 1] (Eq. 2 and 3); spatial is a weighted mean
        of cosines (Eq. 4), which the weights may carry beyond 1

    Raises:
        ValueError: if a setting is out of its range, or the widths of query and support differ
    """
    check_match_settings(top_clips, top_patches, attention_scale, patch_selection)
    if query.global_.shape[-1] != support.global_.shape[-1]:
        widths = f"query {tuple(query.global_.shape)}, support {tuple(support.global_.shape)}"
        raise ValueError(f"embedding widths (last axis) differ: {widths}")

    query, support = (part.to(torch.float32) if part.is_mixed else part for part in (query, support))

    limits = {"top_clips": top_clips, "top_patches": top_patches}

    def zoom(query: Embeddings, support: Embeddings, *, partners: bool) -> Zoom:
        return zoom_in(
            query, support, **limits, partners=partners, patch_selection=patch_selection, settle=not partners
        )

    def score(query: Embeddings, support: Embeddings) -> Scores:
        return scores_of(query, support, zoom(query, support, partners=False), attention_scale)

    needed = pair_numbers(query, support, **limits, patch_selection=patch_selection)
    if not _gradients_wanted(query, support):
        return by_blocks(score, query, support, needed)
    chosen = by_blocks(partial(zoom, partners=True), query, support, needed)
    chosen = with_gradients(chosen, query, support, patch_selection)
    return scores_of(query, support, chosen, attention_scale)


def check_match_settings(
    top_clips: int, top_patches: int, attention_scale: str, patch_selection: str = "similarity"
) -> None:
    """Refuse settings that no score can be made with.

    Raises:
        ValueError: if one is out of its range
    """
    if top_clips < 1 or top_patches < 1:
        raise ValueError(f"top_clips and top_patches must be at least 1, got {top_clips} and {top_patches}")
    if attention_scale not in ATTENTION_SCALES:
        raise ValueError(f"attention_scale must be one of {ATTENTION_SCALES}, got {attention_scale!r}")
    if patch_selection not in PATCH_SELECTIONS:
        raise ValueError(f"patch_selection must be one of {PATCH_SELECTIONS}, got {patch_selection!r}")


def semantic_attention(patches: Tensor, keys: Tensor, scale: str) -> Tensor:
    """Weigh the patches of a clip by how well they fit a class (Eq. 5).

    Args:
        patches: (..., Np, D), all patches of a clip, un-normalised
        keys: (..., D), the class key W e_y of the support video
        scale: "mean_one" or "paper": the weights of a clip have mean 1 or sum 1

    Returns:
        (..., Np)
    """
    check_match_settings(1, 1, scale)
    weights = torch.einsum("...pd,...d->...p", patches, keys).div(patches.shape[-1] ** 0.5).softmax(dim=-1)
    return weights * patches.shape[-2] if scale == "mean_one" else weights


def scores_of(query: Embeddings, support: Embeddings, zoom: Zoom, attention_scale: str) -> Scores:
    """Make the scores (Q, S) of all pairs of videos out of the pairs of clips and patches that count (Eq. 2 to 5)."""
    return Scores(
        global_=l2_normalise(query.global_) @ l2_normalise(support.global_).T,
        temporal=zoom.clips.cosines.mean(dim=-1),
        spatial=spatial_scores(query, support, zoom, attention_scale),
    )


def spatial_scores(query: Embeddings, support: Embeddings, zoom: Zoom, attention_scale: str) -> Tensor:
    """Average the weighted cosines of the chosen patch pairs: (Q, S), Eq. 4."""
    logits = class_logits(query, support)
    return weighted_mean(zoom, logits, ClipTable.of(query.clip_frames, query.patches.device), attention_scale)


def weighted_mean(zoom: Zoom, logits: Tensor | None, table: ClipTable, attention_scale: str) -> Tensor:
    """Average the cosines of the chosen patch pairs, weighted where there are logits (..., T, P): (...), Eq. 4."""
    cosines = zoom.patches.cosines  # (..., T, n)
    if logits is not None:
        cosines = cosines * clip_attention(logits, zoom, table)
    of_clips = cosines.sum(dim=-1) / zoom.patches.counts  # (..., T)
    if logits is not None and attention_scale == "mean_one":
        of_clips = of_clips * (table.sizes * logits.shape[-1])[zoom.clips.query]
    return of_clips.mean(dim=-1)


def _gradients_wanted(*embeddings: Embeddings) -> bool:
    tensors = (t for e in embeddings for t in (e.global_, e.clips, e.patches, e.class_keys) if t is not None)
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
