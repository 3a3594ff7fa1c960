"""A memory of the supports, addressed by one key a video that sums up several kinds of saliency.

Linchao Zhu, Yi Yang: Compound Memory Networks for Few-shot Video Classification, 2018. A video's frames p_i are
compared with m learned variables h_j: A = softmax over j of (P H^T / sqrt D); its constituent keys are
q_j = sum_i A_ij (p_i - h_j). Normalised, put side by side and projected they are one vector, its key in the abstract
memory. A query takes the label of the nearest key there; a class is scored by its nearest slot.

Deviations: the memory of an episode holds each support in a slot of its own. The paper, whose memory lives on through a
training, writes a support into its nearest slot where that has its label, and elsewhere into the oldest; what a slot
then holds depends on the order of the supports. The margin loss is that of the memory which the paper builds on (Kaiser
et al.: Learning to Remember Rare Events, 2017, Eq. 3), with the nearest right and the nearest wrong slot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.scoring.cosines import l2_normalise

SALIENCIES = 8  # m
MARGIN = 0.5  # between the cosines of the nearest wrong and the nearest right slot
FIRST_SCALE = 0.1  # of the h_j: were they alike, none could ever become another


class Cmn:
    """A class is the slot of its supports that is nearest to the query."""

    axes = {"abstract_key": ("video", "embedding")}
    pairwise = False

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from "abstract_key"."""
        return nearest_slot_scores(queries["abstract_key"], supports["abstract_key"])

    def episode_loss(self, queries: Arrays, supports: Arrays, truth: Tensor) -> Tensor:
        """The margin loss of Q queries, whose classes are `truth` (Q) int64."""
        return margin_loss(self.class_scores(queries, supports), truth)

    def make_head(self, frames: int, width: int) -> nn.Module:
        """The key of a video in the abstract memory."""
        return AbstractKey(width)


def nearest_slot_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Score classes by the largest cosine of a query with the keys of their supports.

    Args:
        queries: (..., Q, D) abstract keys
        supports: (..., N, K, D)

    Returns:
        (..., Q, N), in [-1, 1]
    """
    return torch.einsum("...qd,...nkd->...qnk", l2_normalise(queries), l2_normalise(supports)).amax(dim=-1)


def margin_loss(scores: Tensor, truth: Tensor, margin: float = MARGIN) -> Tensor:
    """How far the best wrong class is from being `margin` below the right one, at least 0; the mean over queries.

    Args:
        scores: (Q, N)
        truth: (Q) int64
        margin: alpha
    """
    is_right = torch.nn.functional.one_hot(truth, scores.shape[1]).bool()
    right = scores[is_right]  # (Q)
    wrong = scores.masked_fill(is_right, -torch.inf).amax(dim=1)  # -inf where there is no other class
    return (wrong - right + margin).clamp(min=0).mean()


class AbstractKey(nn.Module):
    """Multi-saliency descriptors of a video's frames, compressed to one vector.

    Args:
        width: D
        saliencies: m
    """

    def __init__(self, width: int, saliencies: int = SALIENCIES) -> None:
        super().__init__()
        self.hidden = nn.Parameter(FIRST_SCALE * torch.randn(saliencies, width))
        self.projection = nn.Linear(saliencies * width, width)
        with torch.no_grad():  # begins as the sum of the descriptors
            self.projection.weight.copy_(torch.eye(width).repeat(1, saliencies))
            self.projection.bias.zero_()

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to "abstract_key" (B, D), of length 1."""
        descriptors = l2_normalise(constituent_keys(frame_embeddings, self.hidden))  # (B, m, D)
        return {"abstract_key": l2_normalise(self.projection(descriptors.flatten(1)).to(frame_embeddings.dtype))}


def constituent_keys(frames: Tensor, hidden: Tensor) -> Tensor:
    """Add up how each frame differs from each learned variable, as far as it belongs to it.

    Args:
        frames: (..., T, D)
        hidden: (m, D)

    Returns:
        (..., m, D)
    """
    attention = (frames @ hidden.T / hidden.shape[1] ** 0.5).softmax(dim=-1)  # (..., T, m)
    shares = attention.sum(dim=-2).unsqueeze(-1)  # (..., m, 1)
    residuals: Tensor = attention.mT @ frames - shares * hidden
    return residuals
