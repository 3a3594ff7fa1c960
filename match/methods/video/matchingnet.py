"""Attention over all supports of an episode.

Oriol Vinyals, Charles Blundell, Timothy Lillicrap, Koray Kavukcuoglu, Daan Wierstra: Matching Networks for One Shot
Learning, 2016, Eq. 1 with the attention of section 2.1.1. Deviations: no full-context embeddings (section 2.1.2), so
a video is embedded without regard to the others; cosines are divided by a temperature, which the paper does not have
(a softmax over cosines is too flat to learn from).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import VideoHead
from hcl.match.scoring.cosines import l2_normalise

TEMPERATURE = 0.1  # that of Eq. 7 of the HCL paper in this program


class MatchingNet:
    """A class is all of its supports, weighted by how similar they are to the query."""

    axes = {"global": ("video", "embedding")}
    pairwise = False

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from "global" embeddings."""
        return attention_scores(queries["global"], supports["global"])

    def make_head(self, frames: int, width: int) -> nn.Module:
        """One embedding per video."""
        return VideoHead()


def attention_scores(queries: Tensor, supports: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Score classes by the logarithm of the attention that their supports receive (Eq. 1).

    Args:
        queries: (..., Q, D) global embeddings
        supports: (..., N, K, D)
        temperature: divides the cosines; the paper's is 1

    Returns:
        (..., Q, N), log-probabilities: 0 at most
    """
    cosines = torch.einsum("...qd,...nkd->...qnk", l2_normalise(queries), l2_normalise(supports))
    attention = (cosines / temperature).flatten(-2).log_softmax(dim=-1)  # (..., Q, N * K)
    return attention.view_as(cosines).logsumexp(dim=-1)
