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


def settled(ranks: Tensor, place: Tensor, finer: Finer) -> Tensor:
    """Choose again where values lie so near the last that was chosen that rounding may have left others out.

    Args:
        ranks: (..., M) cosines
        place: (..., n), where the n largest lie, best first
        finer: called once with the places of all values in doubt

    Returns:
        (..., n), the same but for the rows in doubt
    """
    least = ranks.gather(-1, place[..., -1:])
    # -inf is the rank of what may not count: where fewer than n may, none is in doubt.
    in_doubt = ((ranks >= least - NEAR).sum(dim=-1) > place.shape[-1]) & least.isfinite().squeeze(-1)
    if not bool(in_doubt.any()):
        return place
    near = ((ranks - least).abs_() <= NEAR) & in_doubt[..., None]
    values = ranks[in_doubt].double()
    values[near[in_doubt]] = finer(near.nonzero(as_tuple=True))
    return place.masked_scatter(in_doubt[..., None], largest(values, place.shape[-1]))
