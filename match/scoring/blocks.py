"""Work on all pairs of videos block by block, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from math import isqrt
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from hcl.match.embeddings import Embeddings

Part = TypeVar("Part")
BLOCK_BYTES = 64 * 2**20  # of temporary products; a block has at least one pair


def by_blocks(
    work: Callable[[Embeddings, Embeddings], Part],
    query: Embeddings,
    support: Embeddings,
    pair_numbers: int,
) -> Part:
    """Call `work` on blocks of query and support videos and join what it returns.

    Args:
        work: returns a dataclass of tensors whose first two axes are the block's queries and supports
        query: embeddings of Q videos
        support: embeddings of S videos
        pair_numbers: how many numbers `work` holds for each pair of videos

    Returns:
        what `work` returns, with Q and S for first axes
    """
    pairs = max(1, BLOCK_BYTES // (pair_numbers * query.patches.element_size()))
    queries = max(1, min(len(query), isqrt(pairs)))
    supports = pairs // queries
    rows = [
        join([work(query_block, support_block) for support_block in _blocks(support, supports)], dim=1)
        for query_block in _blocks(query, queries)
    ]
    return join(rows, dim=0)


def join(parts: list[Part], *, dim: int) -> Part:
    """Concatenate tensors, or dataclasses of tensors field by field."""
    first: Any = parts[0]
    joined: Any = first
    if isinstance(first, Tensor):
        joined = torch.cat(cast(list[Tensor], parts), dim=dim)
    elif first is not None:
        joined = type(first)(*(join([getattr(part, f.name) for part in parts], dim=dim) for f in fields(first)))
    return cast(Part, joined)


def _blocks(embeddings: Embeddings, size: int) -> list[Embeddings]:
    return [embeddings.rows(slice(start, start + size)) for start in range(0, max(1, len(embeddings)), size)]
