"""Prototypes of supports that have attended to each other, and a loss that also looks from prototypes to queries.

Xiatian Zhu, Antoine Toisoul, Juan-Manuel Perez-Rua, Li Zhang, Brais Martinez, Tao Xiang: Few-shot Action Recognition
with Prototype-centered Attentive Learning, 2021. Supports attend to all supports of the episode and add what they
gather, queries then attend to these supports by the same weights (hybrid attentive learning); a class is the cosine of
the query with the mean of its supports. The query-centred loss is the cross entropy over classes; the
prototype-centred loss takes each prototype for an anchor whose positives are the queries of its class among all
queries, and is added with weight 1.

Deviations: the embedding is the mean over the frames; cosines are divided by a temperature in both losses, which the
public code does not have (it squashes the cosines of the second loss by a sigmoid, and adds 0.1 to its divisor).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import Attention, VideoHead
from hcl.match.methods.matcher import MatcherMethod
from hcl.match.scoring.cosines import l2_normalise

TEMPERATURE = 0.1  # that of Eq. 7 of the HCL paper in this program
PROTOTYPE_WEIGHT = 1.0  # lambda


class Pal(MatcherMethod):
    """A class is the mean of its supports, after all of them attended to each other."""

    axes = {"global": ("video", "embedding")}
    pairwise = False

    def make_head(self, frames: int, width: int) -> nn.Module:
        """One embedding per video."""
        return VideoHead()

    def make_matcher(self, frames: int, width: int) -> nn.Module:
        """The attention."""
        return AttentivePrototypes(width)


class AttentivePrototypes(nn.Module):
    """Scores classes by their prototypes among attending videos.

    Args:
        width: D
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = Attention(width)

    def forward(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score queries (..., Q, D) against classes (..., N, K, D), of "global": (..., Q, N), cosines / temperature."""
        given = supports["global"].flatten(-3, -2)  # (..., N * K, D)
        given = given + self.attention(given, given)
        asked = queries["global"] + self.attention(queries["global"], given)
        prototypes = given.view(supports["global"].shape).mean(dim=-2)  # (..., N, D)
        return l2_normalise(asked) @ l2_normalise(prototypes).mT / TEMPERATURE

    def episode_loss(self, queries: Arrays, supports: Arrays, truth: Tensor) -> Tensor:
        """Both losses of Q queries, whose classes are `truth` (Q) int64."""
        scores = self(queries, supports)
        return F.cross_entropy(scores, truth) + PROTOTYPE_WEIGHT * prototype_centred_loss(scores, truth)


def prototype_centred_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """Minus the logarithm of what a prototype's own queries have of a softmax over all queries; the mean over classes.

    Args:
        scores: (Q, N) logits
        truth: (Q) int64; every class has a query
    """
    shares = scores.log_softmax(dim=0)  # (Q, N)
    is_own = F.one_hot(truth, scores.shape[1]).bool()
    return -shares.masked_fill(~is_own, -torch.inf).logsumexp(dim=0).mean()
