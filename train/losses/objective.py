"""The training objective of a whole batch: Eq. 11 of the paper, put together from its six terms.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022. It is a function of embeddings, not of an encoder: several devices gather the embeddings of a batch, and each
computes the terms of some rows.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from hcl.match.config import LEVELS
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.blocks import by_blocks
from hcl.match.scoring.clip_pairs import ClipPairs, ClipTable, align_clips
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import Scores, scores_of, semantic_attention
from hcl.match.scoring.zoom import pair_numbers, with_gradients, zoom_in
from hcl.train.config import TrainConfig
from hcl.train.losses.losses import ALL_ROWS, spatial_cycle, supervised_contrastive, temporal_cycle

TERMS_OF_LEVELS = {  # the losses that train each level; the classifier's reads global embeddings
    "global": ("cross_entropy", "global_contrast"),
    "temporal": ("temporal_contrast", "temporal_cycle"),
    "spatial": ("spatial_contrast", "spatial_cycle"),
}


@dataclass(frozen=True)
class Objective:
    """What is minimised, and its terms before they are weighted; None where a term is switched off."""

    total: Tensor
    cross_entropy: Tensor | None = None
    global_contrast: Tensor | None = None
    temporal_contrast: Tensor | None = None
    temporal_cycle: Tensor | None = None
    spatial_contrast: Tensor | None = None
    spatial_cycle: Tensor | None = None

    def values(self) -> dict[str, Tensor]:
        """The total and the terms that are on, detached, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.detach() for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class PositivePairs:
    """The M ordered pairs of two videos of one class whose first video is in some rows of the batch."""

    query: Tensor  # (M,) int64, first video of each pair
    support: Tensor  # (M,) int64, second video of each pair
    total: int  # number of pairs in all rows

    @classmethod
    def of(cls, labels: Tensor, device: torch.device, rows: slice = ALL_ROWS) -> PositivePairs:
        """Find the pairs on the host: where the labels lie there, nothing waits for the device.

        Args:
            labels: (B,), class of each video of the batch
            device: that the pairs are moved to
            rows: of the batch
        """
        labels = labels.cpu()
        same = (labels[:, None] == labels[None, :]).fill_diagonal_(False)
        query, support = same[rows].nonzero().unbind(dim=1)
        query = query + (rows.start or 0)
        return cls(query.to(device, non_blocking=True), support.to(device, non_blocking=True), int(same.sum()))


def objective(
    embeddings: Embeddings,
    logits: Tensor,
    labels: Tensor,
    config: TrainConfig,
    *,
    rows: slice = ALL_ROWS,
    search_dtype: torch.dtype | None = None,
) -> Objective:
    """Weigh and add the terms of Eq. 11; a term that is off, or of weight 0, is not computed.

    Args:
        embeddings: of the B videos of a batch; class keys of each video's own class, or none
        logits: (R, classes), of the global embeddings of the R videos in `rows`
        labels: (B,) int64, best on the host: the pairs of a class are found there
        config: weights, switches and temperatures
        rows: of the batch, whose share of each term is computed; the shares of all rows add up to the term of the batch
        search_dtype: dtype in which patches are compared to choose the pairs that count; None: their own. The cosines
            of the chosen pairs are always computed in the dtype of the patches

    Returns:
        the weighted sum, and the terms before they are weighted
    """
    weights = term_weights(config)
    if not config.semantic_attention:
        embeddings = replace(embeddings, class_keys=None)
    pairs = PositivePairs.of(labels, embeddings.global_.device, rows)
    labels = labels.to(embeddings.global_.device, non_blocking=True)
    terms: dict[str, Tensor] = {}
    if "cross_entropy" in weights:
        mean_of_rows = F.cross_entropy(logits.float(), labels[rows], label_smoothing=config.label_smoothing)
        terms["cross_entropy"] = mean_of_rows * (len(logits) / len(labels))
    search_dtype = search_dtype or embeddings.patches.dtype
    for name, scores in contrast_scores(embeddings, rows, weights, config, search_dtype).items():
        literal = supervised_contrastive(scores, labels, config.temperature, rows)
        per_positive = config.contrast_normalisation == "per_positive"
        terms[name] = literal * (len(labels) ** 2 / max(1, pairs.total)) if per_positive else literal
    if "temporal_cycle" in weights:
        query = embeddings.clips.index_select(0, pairs.query)  # not [...]: its gradient adds up in a fixed order
        support = embeddings.clips.index_select(0, pairs.support)
        losses = temporal_cycle(query, support, config.top_clips, config.cycle_temperature)
        terms["temporal_cycle"] = losses.sum() / max(1, pairs.total)
    if "spatial_cycle" in weights:
        terms["spatial_cycle"] = mean_spatial_cycle(embeddings, pairs, config)
    total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
    return Objective(total=total, **terms)


def term_weights(config: TrainConfig) -> dict[str, float]:
    """The terms of Eq. 11 that are on and of a weight above 0, with their weights."""
    weights = {
        "cross_entropy": 1.0,
        "global_contrast": config.global_weight,
        "temporal_contrast": config.temporal_weight,
        "temporal_cycle": config.temporal_weight,
        "spatial_contrast": config.spatial_weight,
        "spatial_cycle": config.spatial_weight,
    }
    return {name: weight for name, weight in weights.items() if weight > 0 and getattr(config, name)}


def trained_levels(config: TrainConfig) -> tuple[str, ...]:
    """The levels of scores that the losses train; section 4.2 of the paper leaves out the others at inference.

    Returns:
        some of LEVELS, in their order; all of them where nothing is trained, hence none is better than another
    """
    on = term_weights(config) if config.epochs else {}
    trained = tuple(level for level in LEVELS if any(term in on for term in TERMS_OF_LEVELS[level]))
    return trained or LEVELS


def contrast_scores(
    embeddings: Embeddings, rows: slice, terms: Container[str], config: TrainConfig, search_dtype: torch.dtype
) -> dict[str, Tensor]:
    """Score the R videos in some rows of a batch against all B, on the level of each contrastive term that is on.

    The spatial level chooses its patches within the aligned clips, so it brings the scores of the other levels along;
    without it they are computed alone.

    Args:
        embeddings: of the B videos of a batch
        rows: of the batch
        terms: names of the terms that are on
        config: T, S and the scale of semantic attention
        search_dtype: dtype in which patches are compared to choose the pairs that count

    Returns:
        (R, B) scores, by the name of the term
    """
    scores: dict[str, Tensor] = {}
    if "spatial_contrast" in terms:
        levels = scores_of_all_levels(embeddings, rows, config, search_dtype)
        scores = {
            "global_contrast": levels.global_,
            "temporal_contrast": levels.temporal,
            "spatial_contrast": levels.spatial,
        }
        return {name: value for name, value in scores.items() if name in terms}
    if "global_contrast" in terms:
        globals_ = l2_normalise(embeddings.global_)
        scores["global_contrast"] = globals_[rows] @ globals_.T
    if "temporal_contrast" in terms:
        clips = l2_normalise(embeddings.clips)
        scores["temporal_contrast"] = align_clips(clips[rows, None], clips[None], config.top_clips).cosines.mean(dim=-1)
    return scores


def scores_of_all_levels(embeddings: Embeddings, rows: slice, config: TrainConfig, search_dtype: torch.dtype) -> Scores:
    """Score the R videos in some rows of a batch against all B on all levels, Eq. 2 to 4, with gradients.

    The search for the clip and patch pairs that count has no gradient and runs on patches rounded to `search_dtype`:
    bfloat16 takes half the time. The scores are then computed from the unrounded embeddings of these pairs.

    Returns:
        (R, B) on each level
    """
    t, s = config.top_clips, config.top_patches
    # No slice of all rows: gradients would add up in another order than without.
    queries = embeddings if rows == ALL_ROWS else embeddings.rows(rows)
    rounded = replace(embeddings, patches=embeddings.patches.detach().to(search_dtype))
    # Ties stay as rounding leaves them: a step compares no two ways of computing, and either choice is a gradient.
    search = partial(zoom_in, top_clips=t, top_patches=s, partners=True, settle=False)
    zoom = by_blocks(search, rounded.rows(rows), rounded, pair_numbers(rounded, rounded, top_clips=t, top_patches=s))
    return scores_of(queries, embeddings, with_gradients(zoom, queries, embeddings), config.attention_scale)


def mean_spatial_cycle(embeddings: Embeddings, pairs: PositivePairs, config: TrainConfig) -> Tensor:
    """Average Eq. 10 over the T clip pairs that Eq. 3 chooses for each pair of videos of a class.

    Args:
        embeddings: of the B videos of a batch
        pairs: of some rows: the losses of these are added up, and divided by the number of pairs in all rows
        config: T, the temperature and the scale of semantic attention

    Returns:
        scalar
    """
    with torch.no_grad():
        clips = l2_normalise(embeddings.clips)
        chosen = align_clips(clips[pairs.query], clips[pairs.support], config.top_clips)  # (M, T)
    losses = [
        spatial_cycle(queries, supports, attention, config.cycle_temperature).sum()
        for queries, supports, attention in _clip_patches(embeddings, pairs, chosen, config.attention_scale)
    ]
    return torch.stack(losses).sum() / max(1, pairs.total * chosen.query.shape[1])


def _clip_patches(
    embeddings: Embeddings, pairs: PositivePairs, chosen: ClipPairs, scale: str
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Gather the patches of chosen clip pairs, in groups of equal clip sizes.

    Args:
        embeddings: of the B videos of a batch
        pairs: M pairs of videos
        chosen: (M, T) clip pairs of each
        scale: of semantic attention

    Returns:
        query patches (G, Np, D), support patches (G, Np', D) and attention (G, Np) of each group
    """
    table = ClipTable.of(embeddings.clip_frames, embeddings.clips.device)
    clip_sizes = {len(clip) for clip in embeddings.clip_frames}
    groups = []
    for query_size, support_size in product(clip_sizes, clip_sizes):
        at: slice | Tensor = slice(None)
        if len(clip_sizes) > 1:
            at = (table.sizes[chosen.query] == query_size) & (table.sizes[chosen.support] == support_size)
            at = at.flatten().nonzero().squeeze(1)  # waits for the device, which only mixed sizes need
        query_videos = pairs.query[:, None].expand_as(chosen.query).flatten()[at]  # (G,)
        support_videos = pairs.support[:, None].expand_as(chosen.support).flatten()[at]
        query_frames = table.frames[chosen.query.flatten()[at], :query_size]  # (G, F)
        support_frames = table.frames[chosen.support.flatten()[at], :support_size]
        queries = _patches_at(embeddings.patches, query_videos, query_frames)
        supports = _patches_at(embeddings.patches, support_videos, support_frames)
        if embeddings.class_keys is None:
            attention = queries.new_ones(queries.shape[:2])
        else:
            attention = semantic_attention(queries, embeddings.class_keys.index_select(0, support_videos), scale)
        groups.append((queries, supports, attention))
    return groups


def _patches_at(patches: Tensor, videos: Tensor, frames: Tensor) -> Tensor:
    """Gather the patches of clips.

    Args:
        patches: (B, T, P, D)
        videos: (G,), video of each clip
        frames: (G, F), frames of each clip

    Returns:
        (G, F * P, D)
    """
    rows = (videos[:, None] * patches.shape[1] + frames).flatten()  # (G * F,)
    gathered = patches.flatten(0, 1).index_select(0, rows)  # (G * F, P, D)
    return gathered.view(*frames.shape, *patches.shape[2:]).flatten(1, 2)
