"""Straightforward forms of two baselines' matching, to be timed beside ours on frame features of the same videos."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMOOTHING = 0.1  # of OTAM's soft minimum


def otam_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Align frames in order, both ways (Cao et al.: Few-Shot Video Classification via Temporal Alignment, 2020).

    Args:
        queries: (Q, T, C) frame features
        supports: (S, T, C)

    Returns:
        (Q, S), higher is better
    """
    queries, supports = F.normalize(queries, dim=-1), F.normalize(supports, dim=-1)
    distances = 1 - torch.einsum("qtc,suc->qstu", queries, supports)
    return -(_alignment_cost(distances) + _alignment_cost(distances.mT))


def _alignment_cost(distances: Tensor) -> Tensor:
    """Walk through (..., T, U) by soft-minimum dynamic programming; free columns let a path start and end anywhere."""
    distances = F.pad(distances, (1, 1))  # (..., T, U + 2)
    rows, columns = distances.shape[-2:]
    above = list(distances[..., 0, :].cumsum(dim=-1).unbind(dim=-1))
    for row in range(1, rows):
        here = [above[0] * 0]
        for column in range(1, columns):
            before = [above[column - 1], here[column - 1]]
            if column in (1, columns - 1):
                before.append(above[column])
            least = -SMOOTHING * torch.stack([cost / -SMOOTHING for cost in before]).logsumexp(dim=0)
            here.append(distances[..., row, column] + least)
        above = here
    return above[-1]


class Trx(nn.Module):
    """Rebuild query tuples from a class's tuples by attention (Perrett et al.: Temporal-Relational CrossTransformers
    for Few-Shot Action Recognition, 2021), for tuples of 2 and of 3 frames.
    """

    def __init__(self, frames: int, features: int, width: int = 1152) -> None:
        super().__init__()
        self.tuples = [torch.tensor([*combinations(range(frames), size)]) for size in (2, 3)]
        self.keys = nn.ModuleList(nn.Linear(size * features, width) for size in (2, 3))
        self.values = nn.ModuleList(nn.Linear(size * features, width) for size in (2, 3))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in (2, 3))

    def forward(self, queries: Tensor, supports: Tensor) -> Tensor:
        """Score queries (Q, T, C) against classes (N, K, T, C): (Q, N)."""
        scores = queries.new_zeros(len(queries), len(supports))
        for tuples, key, value, norm in zip(self.tuples, self.keys, self.values, self.norms, strict=True):
            of_queries = queries[:, tuples].flatten(-2)  # (Q, n, size * C)
            of_classes = supports[:, :, tuples].flatten(-2).flatten(1, 2)  # (N, K * n, size * C)
            attention = torch.einsum("qid,njd->qnij", norm(key(of_queries)), norm(key(of_classes)))
            attention = (attention / key.out_features**0.5).softmax(dim=-1)
            rebuilt = torch.einsum("qnij,njd->qnid", attention, value(of_classes))
            scores -= (value(of_queries)[:, None] - rebuilt).square().sum(dim=-1).mean(dim=-1)
        return scores / len(self.tuples)


def baselines(frames: int, features: int) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Name functions from queries (Q, T, C) and one support of each class (N, T, C) to scores (Q, N)."""
    trx = Trx(frames, features).eval()
    return {"OTAM": otam_scores, "TRX {2,3}": lambda queries, supports: trx(queries, supports[:, None])}
