"""Attention from tuples of a query's frames to all tuples of a class.

Toby Perrett, Alessandro Masullo, Tilo Burghardt, Majid Mirmehdi, Dima Damen: Temporal-Relational CrossTransformers for
Few-Shot Action Recognition, 2021, sections 3.2 and 3.3, for pairs and triples of frames. The learned maps from tuples
to keys and values belong to the encoder, so that a store holds keys and values and no weights are needed to score.
Deviation: distances are squared, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = (2, 3)  # frames of a tuple, the paper's cardinalities
BLOCK_BYTES = 2 * 2**20  # of rebuilt tuples, so that they stay in a core's cache; a block has at least one episode

Tuples = tuple[Tensor, Tensor]  # keys and values


def class_scores(queries: Sequence[Tuples], supports: Sequence[Tuples]) -> Tensor:
    """Average the scores of all sizes of tuples.

    Args:
        queries: for each size, keys and values (..., Q, n, D) of the n tuples of each video
        supports: for each size, keys and values (..., N, K, n, D)

    Returns:
        (..., Q, N), 0 at most
    """
    of_sizes = [tuple_scores(*query, *support) for query, support in zip(queries, supports, strict=True)]
    return torch.stack(of_sizes).mean(dim=0)


def tuple_scores(query_keys: Tensor, query_values: Tensor, support_keys: Tensor, support_values: Tensor) -> Tensor:
    """Score classes by minus the mean squared distance of a query's tuples to what attention rebuilds of them.

    Args:
        query_keys, query_values: (..., Q, n, D)
        support_keys, support_values: (..., N, K, n, D)

    Returns:
        (..., Q, N)
    """
    leading, (queries, tuples, width) = query_keys.shape[:-3], query_keys.shape[-3:]
    rebuilt_bytes = support_keys.shape[-4] * queries * tuples * width * query_keys.element_size()
    episodes = max(1, BLOCK_BYTES // max(1, rebuilt_bytes))
    parts = [
        torch.split(array.reshape(-1, *array.shape[len(leading) :]), episodes)
        for array in (query_keys, query_values, support_keys, support_values)
    ]
    return torch.cat([_block_scores(*block) for block in zip(*parts, strict=True)]).view(*leading, queries, -1)


def _block_scores(query_keys: Tensor, query_values: Tensor, support_keys: Tensor, support_values: Tensor) -> Tensor:
    """Do what `tuple_scores` does for E episodes at once; the shapes have one leading axis."""
    n_way = support_keys.shape[1]
    asking = query_keys.flatten(1, 2)[:, None].expand(-1, n_way, -1, -1)  # (E, N, Q * n, D)
    keys, values = support_keys.flatten(2, 3), support_values.flatten(2, 3)  # (E, N, K * n, D)
    rebuilt = F.scaled_dot_product_attention(asking, keys, values)  # (E, N, Q * n, D)
    distances = (query_values.flatten(1, 2)[:, None] - rebuilt).square().sum(dim=-1)  # (E, N, Q * n)
    return -distances.view(*distances.shape[:2], *query_keys.shape[1:3]).mean(dim=-1).mT  # (E, Q, N)
