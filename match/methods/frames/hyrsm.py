"""Set matching of frames that know their video and their episode.

Xiang Wang, Shiwei Zhang, Zhiwu Qing, Mingqian Tang, Zhengrong Zuo, Changxin Gao, Rong Jin, Nong Sang: Hybrid Relation
Guided Set Matching for Few-shot Action Recognition, 2022. Intra-relation: the frames of a video attend to each other.
Inter-relation: for each query, its mean frame and those of the classes attend to each other; what comes out for a video
is put beside each of its frames and both are fused by a linear map. The query's fused frames are then matched with
those of each class by the bidirectional mean Hausdorff metric (`bimhm`).

As in the authors' code: a class is the frame-wise mean of its supports before the inter-relation; the first attention
is normalised first and added, the second added and normalised last, both with 8 heads and a ReLU behind. Deviations: no
classification of the base classes beside the matching loss; positions are scaled by 0.1 instead of frames by
sqrt(D / 10); no dropout. As many heads as divide D where 8 do not.
"""

from __future__ import annotations

from math import gcd, prod

import torch
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.frames.bimhm import mean_hausdorff
from hcl.match.methods.heads import Attention, FramePositions, in_blocks
from hcl.match.methods.matcher import MatcherMethod
from hcl.match.scoring.cosines import l2_normalise

HEADS = 8
FUSED_BYTES = 2**24  # of fused frames at a time; a block has at least one episode


class HyRsm(MatcherMethod):
    """A class is as near as its frames match the query's, all fused with what the episode says."""

    axes = {"frames": ("video", "frame", "embedding")}
    pairwise = False

    def make_head(self, frames: int, width: int) -> nn.Module:
        """The intra-relation."""
        return IntraRelation(frames, width)

    def make_matcher(self, frames: int, width: int) -> nn.Module:
        """The inter-relation."""
        return InterRelation(width)


class IntraRelation(nn.Module):
    """Frames that attended to the other frames of their video.

    Args:
        frames: T
        width: D
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.positions = FramePositions(frames, width)
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, gcd(HEADS, width))

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to "frames" (B, T, D), 0 at least."""
        placed = self.positions(frame_embeddings)
        normed = self.norm(placed)
        return {"frames": (placed + self.attention(normed, normed)).relu()}


class InterRelation(nn.Module):
    """Scores the classes of an episode for each query on its own.

    Args:
        width: D
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = Attention(width, gcd(HEADS, width))
        self.norm = nn.LayerNorm(width)
        self.fusion = nn.Linear(2 * width, width)

    def forward(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score queries (..., Q, T, D) against classes (..., N, K, T, D), of "frames": (..., Q, N), 0 at most."""
        asked, given = queries["frames"], supports["frames"].mean(dim=-3)  # (..., N, T, D)
        fused_bytes = asked.element_size() * given.shape[-3] * prod(asked.shape[-3:])
        episodes = FUSED_BYTES // max(1, fused_bytes)
        return in_blocks(self._of_block, asked, given, leading=asked.ndim - 3, episodes=episodes)

    def _of_block(self, queries: Tensor, classes: Tensor) -> Tensor:
        """(E, Q, T, D) and (E, N, T, D) to (E, Q, N)."""
        tokens = self.relate(queries, classes)  # (E, Q, N + 1, D)
        fused_query = l2_normalise(self.fuse(queries, tokens[:, :, -1]))  # (E, Q, T, D)
        fused_classes = l2_normalise(self.fuse(classes[:, None], tokens[:, :, :-1]))  # (E, Q, N, T, D)
        cosines = torch.einsum("eqtd,eqnud->eqntu", fused_query, fused_classes)
        return -mean_hausdorff(1 - cosines)

    def relate(self, queries: Tensor, classes: Tensor) -> Tensor:
        """Let the mean frames of the N classes and of one query attend to each other: (E, Q, N + 1, D)."""
        of_classes = classes.mean(dim=2)[:, None].expand(-1, queries.shape[1], -1, -1)
        tokens = torch.cat([of_classes, queries.mean(dim=2).unsqueeze(2)], dim=2)
        related: Tensor = self.norm(tokens + self.attention(tokens, tokens)).relu()
        return related

    def fuse(self, frames: Tensor, tokens: Tensor) -> Tensor:
        """Fuse the frames (..., T, D) of videos with a token (..., D) each: (..., T, D)."""
        of_frames, of_tokens = self.fusion.weight.chunk(2, dim=1)  # one linear map of both side by side
        return frames @ of_frames.T + (tokens @ of_tokens.T + self.fusion.bias).unsqueeze(-2)
