"""Cosines of chosen pairs of vectors, with gradients that keep no copy of the pairs."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

DOTS_PER_BLOCK = 4096  # both sides of so many dot products stay in the processor's cache


def l2_normalise(vectors: Tensor) -> Tensor:
    """Scale each vector (..., D) to length 1; a zero vector stays zero, so that all its cosines are 0.

    Dividing by the largest entry first keeps the squares of very long and very short vectors finite.
    """
    fixed = vectors.detach()  # amax and amin: the maximum norm is twenty times slower
    largest = torch.maximum(fixed.amax(dim=-1, keepdim=True), -fixed.amin(dim=-1, keepdim=True))
    scaled = vectors / torch.where(largest > 0, largest, 1)
    length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    return scaled / torch.where(length > 0, length, 1)


def chosen_dots(left: Tensor, right: Tensor, left_rows: Tensor, right_rows: Tensor) -> Tensor:
    """Multiply chosen rows of two tables.

    Args:
        left: (N, D)
        right: (M, D)
        left_rows: int64 of any shape, rows of `left`
        right_rows: int64 of the same shape, rows of `right`

    Returns:
        the dot products, in the shape of the rows
    """
    dots: Tensor = _ChosenDots.apply(left, right, left_rows.flatten(), right_rows.flatten())
    return dots.view(left_rows.shape)


class _ChosenDots(torch.autograd.Function):
    """Autograd's own gather would keep two vectors a pair: gigabytes in a batch of 48 videos. This keeps the rows."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, left_rows: Tensor, right_rows: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, left_rows, right_rows)
        dots = left.new_empty(len(left_rows))
        for start in range(0, len(dots), DOTS_PER_BLOCK):
            some = slice(start, start + DOTS_PER_BLOCK)
            dots[some] = (left[left_rows[some]] * right[right_rows[some]]).sum(dim=-1)
        return dots

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        left, right, left_rows, right_rows = ctx.saved_tensors
        of_left = of_right = None
        if ctx.needs_input_grad[0]:
            of_left = _spread(gradient, left_rows, right_rows, right, len(left))
        if ctx.needs_input_grad[1]:
            of_right = _spread(gradient, right_rows, left_rows, left, len(right))
        return of_left, of_right, None, None


def _spread(gradient: Tensor, rows: Tensor, partner_rows: Tensor, partners: Tensor, count: int) -> Tensor:
    """Add `gradient` times each partner to the row it was paired with: (count, D)."""
    places = torch.stack((rows, partner_rows))
    sparse = torch.sparse_coo_tensor(places, gradient, (count, len(partners)), check_invariants=False)
    spread: Tensor = torch.sparse.mm(sparse, partners)
    return spread


def sorted_dots(left: Tensor, right: Tensor, left_rows: Tensor, right_rows: Tensor) -> Tensor:
    """Multiply chosen rows of two tables, quicker than `chosen_dots` but without gradients.

    Args:
        left: (N, D)
        right: (M, D)
        left_rows: (L) int64, ascending rows of `left`
        right_rows: (L) int64, rows of `right`

    Returns:
        (L) dot products
    """
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return chosen_dots(left, right, left_rows, right_rows)
    starts = torch.zeros(len(left) + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(left_rows, minlength=len(left)), 0, out=starts[1:])
    zeros = left.new_zeros(len(left_rows))
    places = torch.sparse_csr_tensor(starts, right_rows, zeros, (len(left), len(right)), check_invariants=False)
    dots: Tensor = torch.sparse.sampled_addmm(places, left, right.T, beta=0.0).values()
    return dots


def quiet_sparse_tensors() -> None:
    """Use sparse tensors once, for torch warns once of their beta and of their checks, in threads beyond our reach."""
    one, first = torch.ones(1, 1), torch.zeros(1, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        sorted_dots(one, one, first, first)
        _spread(one[0], first, first, one, 1)
