"""What of two videos was matched with what, by the functions of `hcl.match.scoring` that score them.

Zheng, Chen, Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning, 2022; Eq. 3 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hcl.match.config import ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.scores import semantic_attention
from hcl.match.scoring.zoom import zoom_in


@dataclass(frozen=True)
class Patch:
    """A patch of a video."""

    frame: int  # among the T
    place: int  # among the P, row by row


@dataclass(frozen=True)
class PatchPair:
    """Two patches that were matched."""

    query: Patch
    support: Patch
    cosine: float
    weight: float  # by which the cosine counts (Eq. 5); 1 without semantic attention


@dataclass(frozen=True)
class ClipPair:
    """Two clips that were matched, and the patches that count in them."""

    query: tuple[int, ...]  # frames
    support: tuple[int, ...]
    cosine: float
    patches: tuple[PatchPair, ...]  # the best first
    counted: int  # by which their weighted cosines are divided


@dataclass(frozen=True)
class PairMatch:
    """All that counts between a query and a support."""

    clips: tuple[ClipPair, ...]  # the best first
    attention: tuple[tuple[float, ...], ...] | None  # (T, P) of the query, mean 1; None: no class text

    @property
    def temporal(self) -> float:
        """The score that follows (Eq. 3)."""
        return sum(clip.cosine for clip in self.clips) / len(self.clips)

    @property
    def spatial(self) -> float:
        """The score that follows (Eq. 4)."""
        of_clips = [sum(pair.cosine * pair.weight for pair in clip.patches) / clip.counted for clip in self.clips]
        return sum(of_clips) / len(of_clips)


@torch.inference_mode()
def match_pair(query: Embeddings, support: Embeddings, scoring: ScoreConfig) -> PairMatch:
    """Find the clip pairs and patch pairs that count between two videos.

    Args:
        query: of one video
        support: of one video; its class key weighs the patches
        scoring: how the two are scored
    """
    query, support = query.to(torch.float32), support.to(torch.float32)
    zoom = zoom_in(
        query,
        support,
        top_clips=scoring.top_clips,
        top_patches=scoring.top_patches,
        partners=True,
        patch_selection=scoring.patch_selection,
    )
    if zoom.patches.support is None:
        raise ValueError("zoom_in(partners=True) names the support patches")
    key = None if support.class_keys is None else support.class_keys[0]
    clips = []
    for number, cosine in enumerate(zoom.clips.cosines[0, 0].tolist()):
        frames = query.clip_frames[int(zoom.clips.query[0, 0, number])]
        count = int(zoom.patches.counts[0, 0, number])
        weights = clip_weights(query.patches[0], frames, key, scoring.attention_scale)
        rows = zip(
            zoom.patches.query[0, 0, number, :count].tolist(),
            zoom.patches.support[0, 0, number, :count].tolist(),
            zoom.patches.cosines[0, 0, number, :count].tolist(),
            strict=True,
        )
        pairs = (_patch_pair(row, query, support, weights) for row in rows)
        clips.append(
            ClipPair(frames, support.clip_frames[int(zoom.clips.support[0, 0, number])], cosine, tuple(pairs), count)
        )
    return PairMatch(tuple(clips), None if key is None else _attention(query.patches[0], key))


def clip_weights(patches: Tensor, frames: tuple[int, ...], key: Tensor | None, scale: str) -> dict[Patch, float]:
    """The weight of each patch of a clip (Eq. 5); 1 without a key.

    Args:
        patches: (T, P, D) of a video
        frames: of the clip
        key: (D,) of the support's class
        scale: as of `semantic_attention`
    """
    places = [Patch(frame, place) for frame in frames for place in range(patches.shape[1])]
    if key is None:
        return dict.fromkeys(places, 1.0)
    return dict(zip(places, semantic_attention(patches[list(frames)].flatten(0, 1), key, scale).tolist(), strict=True))


def _patch_pair(
    row: tuple[int, int, float], query: Embeddings, support: Embeddings, weights: dict[Patch, float]
) -> PatchPair:
    of_query, of_support, cosine = row
    patch = Patch(*divmod(of_query, query.patches.shape[2]))
    return PatchPair(patch, Patch(*divmod(of_support, support.patches.shape[2])), cosine, weights[patch])


def _attention(patches: Tensor, key: Tensor) -> tuple[tuple[float, ...], ...]:
    """Eq. 5 over all patches (T, P, D) of a video, of mean 1: within a clip the ratios are those of its weights."""
    weights = semantic_attention(patches.flatten(0, 1), key, "mean_one").view(patches.shape[:2])
    return tuple(tuple(row) for row in weights.tolist())
