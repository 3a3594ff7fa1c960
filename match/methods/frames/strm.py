"""Tuples of frames whose patches, and which themselves, were enriched by their context.

Anirudh Thatipelli, Sanath Narayan, Salman Khan, Rao Muhammad Anwer, Fahad Shahbaz Khan, Bernard Ghanem: Spatio-temporal
Relation Modeling for Few-shot Action Recognition, 2022. The patches of a frame attend to each other, and a residual
network follows (patch-level enrichment); their means, the frames of a video, are mixed over time and then over channels
(frame-level enrichment). Pairs of these frames are compared as in `trx`. A second classifier compares pairs of the
frames before they were mixed, by their latent representations: a class is minus the mean distance of a query's pairs to
the nearest pair of the class (query-class similarity). Both learn by cross entropy, the second with weight 0.1; a class
is scored by their sum, with the same weight.

As in the authors' code: pairs alone; dot products between patches without a scale, behind a gate that begins at 0; the
distance of the second classifier. Its weights learn here; in that code they are in a plain list and stay random.
Deviations: positions of patches are those of the encoder; patches are those of the cache, not a maximum of 4 x 4; keys
and values are as wide as all embeddings; no dropout.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.frames.trx import TupleHead, tuple_scores
from hcl.match.methods.heads import FramePositions

SIZE = 2  # frames of a tuple
SIMILARITY_WEIGHT = 0.1  # lambda


class Strm:
    """A class is all pairs of frames of its supports, compared by attention and by their nearest latent pairs."""

    axes = {name: ("video", "tuple", "embedding") for name in ("keys_2", "values_2", "latents_2")}
    pairwise = False

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from "keys_2", "values_2" and "latents_2"."""
        matching, similarity = self._both(queries, supports)
        return matching + SIMILARITY_WEIGHT * similarity

    def episode_loss(self, queries: Arrays, supports: Arrays, truth: Tensor) -> Tensor:
        """The weighted cross entropies of both classifiers, of Q queries whose classes are `truth` (Q) int64."""
        matching, similarity = self._both(queries, supports)
        return F.cross_entropy(matching, truth) + SIMILARITY_WEIGHT * F.cross_entropy(similarity, truth)

    def _both(self, queries: Arrays, supports: Arrays) -> tuple[Tensor, Tensor]:
        names = ("keys_2", "values_2")
        matching = tuple_scores(*(arrays[name] for arrays in (queries, supports) for name in names))
        return matching, nearest_tuple_scores(queries["latents_2"], supports["latents_2"])

    def make_head(self, frames: int, width: int) -> nn.Module:
        """Both enrichments, and what pairs of frames become.

        Raises:
            InputError: if a video has fewer frames than a pair
        """
        return EnrichedTupleHead(frames, width)


def nearest_tuple_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Score classes by minus the mean distance of a query's tuples to the nearest tuple of the class.

    Args:
        queries: (..., Q, n, L) latent representations
        supports: (..., N, K, n, L)

    Returns:
        (..., Q, N), 0 at most
    """
    classes = supports.flatten(-3, -2)  # (..., N, K * n, L)
    asked = queries.flatten(-3, -2)  # (..., Q * n, L)
    nearest = torch.stack([torch.cdist(asked, one).amin(dim=-1) for one in classes.unbind(dim=-3)], dim=-1)
    return -nearest.view(*queries.shape[:-1], -1).mean(dim=-2)  # of (..., Q, n, N)


class EnrichedTupleHead(nn.Module):
    """Patch-level and frame-level enrichment, and keys, values and latent representations of pairs of frames.

    Args:
        frames: T
        width: D
    """

    takes_patches = True

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.tuples = TupleHead(frames, width, (SIZE,), name="strm")
        self.latent = nn.Linear(SIZE * width, max(1, width // 2))
        self.patches = PatchEnrichment(width)
        self.frames = FrameEnrichment(frames, width)

    def forward(self, patch_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, P, D) to keys and values (B, n, D) and latents (B, n, D / 2) of the n pairs of frames."""
        frames = self.patches(patch_embeddings).mean(dim=2)  # (B, T, D)
        latents = self.latent(self.tuples.tuples_of(frames, SIZE)).relu()
        return {**self.tuples(self.frames(frames)), "latents_2": latents}


class PatchEnrichment(nn.Module):
    """Patches of a frame attend to each other; a residual network follows.

    Args:
        width: D
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # it would drop out of the softmax
        self.gate = nn.Parameter(torch.zeros(1))
        half = max(1, width // 2)
        layers = (nn.Linear(width, half), nn.ReLU(), nn.Linear(half, half), nn.ReLU(), nn.Linear(half, width))
        self.network = nn.Sequential(*layers)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, T, P, D) to (B, T, P, D)."""
        attention = (self.query(patches) @ self.key(patches).mT).softmax(dim=-1)  # (B, T, P, P)
        attended = patches + self.gate * (attention @ self.value(patches))
        enriched: Tensor = attended + self.network(attended)
        return enriched


class FrameEnrichment(nn.Module):
    """Frames of a video are mixed over time, channel by channel, then over channels, frame by frame.

    Args:
        frames: T
        width: D
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.positions = FramePositions(frames, width)
        self.over_time = nn.Sequential(nn.Linear(frames, frames), nn.ReLU(), nn.Linear(frames, frames))
        self.over_channels = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        frames = self.positions(frames)
        frames = frames + self.over_time(frames.mT).mT
        mixed: Tensor = frames + self.over_channels(frames)
        return mixed
