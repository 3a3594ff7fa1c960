"""Ties: which of nearly equal cosines count is settled in float64, so that all ways to compute them choose alike.

Products in float32 round differently in blocks of another shape. Where two cosines differ by less than that, rounding
would decide which clips are paired and which patches count, and the spatial score, whose patches have weights, would
jump with it. Cosines of the same unit vectors in float64 are the same whatever block they are computed in; of equals
the first counts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

NEAR = 1e-6  # cosines of float32 that lie closer may be ordered by rounding: it moves each by about 1e-7
STEP = 2.0**-40  # cosines of float64 are rounded to this: it moves equal ones apart by less
DOTS_PER_BLOCK = 4096

Finer = Callable[[tuple[Tensor, ...]], Tensor]  # where some values lie, as `nonzero` says it: the same in float64


def exact_dots(left: Tensor, right: Tensor, left_rows: Tensor, right_rows: Tensor) -> Tensor:
    """Multiply chosen rows of two tables of unit vectors in float64.

    Args:
        left: (N, D)
        right: (M, D)
        left_rows: (L) int64, rows of `left`
        right_rows: (L) int64, rows of `right`

    Returns:
        (L) float64, multiples of STEP
    """
    dots = torch.empty(len(left_rows), dtype=torch.float64, device=left.device)
    for start in range(0, len(dots), DOTS_PER_BLOCK):
        some = slice(start, start + DOTS_PER_BLOCK)
        dots[some] = (left[left_rows[some]].double() * right[right_rows[some]].double()).sum(dim=-1)
    return _stepped(dots)


def exact_products(left: Tensor, right: Tensor) -> Tensor:
    """Multiply all rows of unit vectors (..., N, D) and (..., M, D) in float64: (..., N, M), multiples of STEP."""
    return _stepped(left.double() @ right.double().mT)


def _stepped(values: Tensor) -> Tensor:
    return values.div_(STEP).round_().mul_(STEP)


def largest(values: Tensor, kept: int) -> Tensor:
    """Find the places of the largest values along the last axis, best first, of equals the first one."""
    return values.sort(dim=-1, descending=True, stable=True).indices[..., :kept]


def settled(ranks: Tensor, kept: int, finer: Finer) -> Tensor:
    """Find the places of the largest values, in float64 where rounding may decide which those are.

    Args:
        ranks: (..., M) cosines, -inf where one may not count
        kept: n, how many
        finer: called once with the places of all values in doubt, where there are any

    Returns:
        (..., n), of values that lie nearer than NEAR in any order
    """
    highest, place = ranks.topk(min(kept + 1, ranks.shape[-1]), dim=-1)
    place = place[..., :kept]
    in_doubt = at_the_cut(highest, kept)
    if not bool(in_doubt.any()):
        return place
    near = ((ranks - highest[..., kept - 1 : kept]).abs_() <= NEAR) & in_doubt[..., None]
    values = ranks[in_doubt].double()
    values[near[in_doubt]] = finer(near.nonzero(as_tuple=True))
    return place.masked_scatter(in_doubt[..., None], largest(values, kept))


def at_the_cut(highest: Tensor, kept: int) -> Tensor:
    """Tell whether the first value that is left out is as good as the last that is kept, but for rounding.

    Args:
        highest: (..., n + 1) descending, or fewer where nothing is left out
        kept: n

    Returns:
        (...) bool; False where fewer than n may count: -inf less -inf is no number
    """
    return (highest[..., kept - 1] - highest[..., -1] <= NEAR) & (highest.shape[-1] > kept)
