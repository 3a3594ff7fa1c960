"""Matching of frames as sets, in both directions.

Xiang Wang, Shiwei Zhang, Zhiwu Qing, Mingqian Tang, Zhengrong Zuo, Changxin Gao, Rong Jin, Nong Sang: Hybrid Relation
Guided Set Matching for Few-shot Action Recognition, 2022: its bidirectional mean Hausdorff metric alone, without the
relation module (`hyrsm` has it). The paper averages over the frames of each side, the authors' code adds them up; this
adds them up, which is T times as much, and matters as logits have no temperature. Distances are 1 minus cosines, as in
that code. It has no weights: any embeddings of frames can be scored by it.
"""

from __future__ import annotations

from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import FrameHead, frame_distances


class BiMhm:
    """A support is as near as each frame of both videos has a similar one in the other, in whatever order."""

    axes = {"frames": ("video", "frame", "embedding")}
    pairwise = True

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from the embeddings of "frames"."""
        return set_scores(queries["frames"], supports["frames"])

    def make_head(self, frames: int, width: int) -> nn.Module:
        """One embedding per frame."""
        return FrameHead()


def set_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Score classes by minus the mean distance to their supports.

    Args:
        queries: (..., Q, T, D) frame embeddings
        supports: (..., N, K, U, D)

    Returns:
        (..., Q, N), 0 at most
    """
    return -mean_hausdorff(frame_distances(queries, supports)).mean(dim=-1)


def mean_hausdorff(distances: Tensor) -> Tensor:
    """Add up each frame's distance to its nearest one of the other video, over the frames of both.

    Args:
        distances: (..., T, U)

    Returns:
        (...)
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
