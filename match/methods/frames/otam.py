"""Alignment of frames in order.

Kaidi Cao, Jingwei Ji, Zhangjie Cao, Chien-Yi Chang, Juan Carlos Niebles: Few-Shot Video Classification via Temporal
Alignment, 2020: the cumulative distance with padded ends, relaxed by a soft minimum. Two things are taken over from
the implementations in use: paths may go down in the first column of the table and in the padded last one, and the
distances from query to support and back are averaged.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import FrameHead, frame_distances

SMOOTHING = 0.1  # the paper's lambda


class Otam:
    """A support is as near as the frames of both videos align in order."""

    axes = {"frames": ("video", "frame", "embedding")}
    pairwise = True

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from the embeddings of "frames"."""
        return alignment_scores(queries["frames"], supports["frames"])

    def make_head(self, frames: int, width: int) -> nn.Module:
        """One embedding per frame."""
        return FrameHead()


def alignment_scores(queries: Tensor, supports: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Score classes by minus the mean alignment distance to their supports.

    Args:
        queries: (..., Q, T, D) frame embeddings
        supports: (..., N, K, U, D)
        smoothing: lambda, of the soft minimum

    Returns:
        (..., Q, N)
    """
    distances = frame_distances(queries, supports)
    both_ways = alignment_distance(distances, smoothing) + alignment_distance(distances.mT, smoothing)
    return -both_ways.mean(dim=-1) / 2


def alignment_distance(distances: Tensor, smoothing: float) -> Tensor:
    """Sum up distances along the paths through a table, by a soft minimum over all of them.

    A path takes one cell of each column and never goes back to an earlier row. A padded column of zeros at each end,
    in which it may go down for free, lets it start and end at any row. Whole columns are filled in at once: a cell
    depends on the column before it alone, except in the first, where a path may go down, and in the padded last.

    Args:
        distances: (..., T, U), U columns
        smoothing: lambda; the minimum itself in the limit of 0

    Returns:
        (...), below the minimum by the logarithm of the number of paths at most
    """
    gains = distances / -smoothing  # all sums are of exp(gains): the soft minimum is a logsumexp
    paths = _first_column(gains[..., 0])  # (..., T), of the paths that end in a cell
    for gain in gains[..., 1:].unbind(dim=-1):
        merged = torch.logaddexp(paths[..., :-1], paths[..., 1:])
        paths = gain + torch.cat([paths[..., :1], merged], dim=-1)
    # Down the padded last column: a path enters from the same row or the row above, then goes down for free.
    ends = torch.cat([paths, paths[..., :-1]], dim=-1)
    return -smoothing * ends.logsumexp(dim=-1)


def _first_column(gains: Tensor) -> Tensor:
    """Enter from the padded column, at the same row or the row above, or come down: (..., T) to (..., T)."""
    rows = [gains[..., 0]]
    for gain in gains[..., 1:].unbind(dim=-1):
        rows.append(gain + torch.logaddexp(rows[-1], torch.full_like(gain, log(2))))
    return torch.stack(rows, dim=-1)
