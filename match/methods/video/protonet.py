"""Distances to the mean of a class's supports.

Jake Snell, Kevin Swersky, Richard Zemel: Prototypical Networks for Few-shot Learning, 2017, Eq. 1 and 2 with the
squared Euclidean distance. Deviation: the embedding is that of a video, the mean over its frames.
"""

from __future__ import annotations

from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import VideoHead


class ProtoNet:
    """A class is the mean of its supports."""

    axes = {"global": ("video", "embedding")}
    pairwise = False

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from "global" embeddings."""
        return prototype_scores(queries["global"], supports["global"])

    def make_head(self, frames: int, width: int) -> nn.Module:
        """One embedding per video."""
        return VideoHead()


def prototype_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Score classes by minus the squared distance to their prototype; the softmax of Eq. 2 is left to the loss.

    Args:
        queries: (..., Q, D) global embeddings
        supports: (..., N, K, D)

    Returns:
        (..., Q, N), 0 at most
    """
    prototypes = supports.mean(dim=-2)  # (..., N, D)
    return -(queries[..., :, None, :] - prototypes[..., None, :, :]).square().sum(dim=-1)
