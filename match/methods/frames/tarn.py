"""A recurrent network reads how a query's segments differ from what attention aligns with them.

Mina Bishay, Georgios Zoumpourlis, Ioannis Patras: TARN: Temporal Attentive Relation Network for Few-Shot and Zero-Shot
Action Recognition, 2019. A bidirectional GRU reads the frames of each video. For a query Q (T, D) and a support S
(U, D): A = softmax((S W + b) Q^T), H = A^T S, so that row t of H is the weighted mean of the support's segments which
answers the query's segment t. The Euclidean distance and the cosine of q_t and h_t, segment by segment, are read by a
GRU; its last state gives the relation score, a sigmoid, which learns by binary cross entropy whether both videos are of
one class. A class is the mean over its supports.

The softmax runs over the support's segments: each column of A sums to 1, as a weighted mean asks for (and as the
word-by-word attention that the paper takes over is normalised). The public, unofficial code runs it over the query's.
The offset b adds the same to a whole column, drops out of its softmax, and is left out. Deviations: a segment is a
frame of the cache, not a chunk of 16 frames; states are as wide as all embeddings (the bidirectional ones) and 256 wide
(the comparing ones).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import in_blocks
from hcl.match.methods.matcher import MatcherMethod
from hcl.match.scoring.cosines import l2_normalise

COMPARING = 256  # width of the GRU that reads the comparison
PAIRS_AT_A_TIME = 4096


class Tarn(MatcherMethod):
    """A support is as near as the comparison of aligned segments reads."""

    axes = {"segments": ("video", "frame", "state")}
    pairwise = True

    def make_head(self, frames: int, width: int) -> nn.Module:
        """States of the bidirectional GRU."""
        return SegmentHead(width)

    def make_matcher(self, frames: int, width: int) -> nn.Module:
        """The attention and the GRU that compares."""
        return SegmentComparison(state_width(width))


def state_width(width: int) -> int:
    """Both directions together: D, or one more where D is odd."""
    return 2 * -(-width // 2)


class SegmentHead(nn.Module):
    """A bidirectional GRU over the frames.

    Args:
        width: D
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, state_width(width) // 2, batch_first=True, bidirectional=True)

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to "segments" (B, T, D or D + 1), in float32 under any autocast."""
        with torch.autocast(frame_embeddings.device.type, enabled=False):
            return {"segments": self.gru(frame_embeddings.float())[0]}


class SegmentComparison(nn.Module):
    """Relation scores of pairs of videos.

    Args:
        width: of a segment's state
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alignment = nn.Linear(width, width, bias=False)
        self.gru = nn.GRU(2, COMPARING, batch_first=True)
        self.relation = nn.Linear(COMPARING, 1)

    def forward(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score queries (..., Q, T, D) against classes (..., N, K, U, D), of "segments": (..., Q, N), in [0, 1]."""
        return self.relations(queries["segments"], supports["segments"]).sigmoid().mean(dim=-1)

    def episode_loss(self, queries: Arrays, supports: Arrays, truth: Tensor) -> Tensor:
        """The mean binary cross entropy of all pairs of Q queries, of the classes `truth` (Q) int64, and supports."""
        logits = self.relations(queries["segments"], supports["segments"])  # (Q, N, K)
        target = F.one_hot(truth, logits.shape[1]).to(logits)[..., None].expand_as(logits)
        return F.binary_cross_entropy_with_logits(logits, target)

    def relations(self, queries: Tensor, supports: Tensor) -> Tensor:
        """Compare every query (..., Q, T, D) with every support (..., N, K, U, D): logits (..., Q, N, K)."""
        pairs = queries.shape[-3] * supports.shape[-4] * supports.shape[-3]
        episodes = PAIRS_AT_A_TIME // max(1, pairs)
        return in_blocks(self._of_block, queries, supports, leading=queries.ndim - 3, episodes=episodes)

    def _of_block(self, queries: Tensor, supports: Tensor) -> Tensor:
        """(E, Q, T, D) and (E, N, K, U, D) to (E, Q, N, K)."""
        pairs = (len(queries), queries.shape[1], *supports.shape[1:3])
        asked = queries[:, :, None, None].expand(*pairs, -1, -1).flatten(0, 3)  # (n, T, D)
        given = supports[:, None].expand(*pairs, -1, -1).flatten(0, 3)  # (n, U, D)
        return self._of_pairs(asked, given).view(pairs)

    def _of_pairs(self, queries: Tensor, supports: Tensor) -> Tensor:
        aligned = align(queries, supports, self.alignment(supports))
        last = self.gru(compare(queries, aligned))[1][0]  # (n, COMPARING)
        relations: Tensor = self.relation(last)[:, 0]
        return relations


def align(queries: Tensor, supports: Tensor, keys: Tensor) -> Tensor:
    """Answer each query segment by a weighted mean of the support's.

    Args:
        queries: (n, T, D)
        supports: (n, U, D)
        keys: (n, U, D), S W

    Returns:
        H (n, T, D)
    """
    attention = (keys @ queries.mT).softmax(dim=-2)  # (n, U, T): over the support's segments
    return attention.mT @ supports


def compare(queries: Tensor, aligned: Tensor) -> Tensor:
    """Euclidean distance and cosine of segments: (n, T, D) twice to (n, T, 2)."""
    squared = (queries - aligned).square().sum(dim=-1)
    distances = squared.clamp(min=torch.finfo(squared.dtype).tiny).sqrt()  # whose gradient at 0 is not infinite
    return torch.stack([distances, (l2_normalise(queries) * l2_normalise(aligned)).sum(dim=-1)], dim=-1)
