"""Products of patches that are quick and nearly right: they propose which patches to compare in float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hcl.match.scoring.cosines import l2_normalise

Multiply = Callable[[Tensor, Tensor, Tensor], Tensor]  # rows, columns, where the products go
Seconds = Callable[[Tensor, Tensor, Tensor], float]  # of the same
LARGEST = 127  # of int8
FLOAT32_VARIANCE = 1e-14  # of the error that float32 makes in a cosine
DEVIATIONS = 6.0  # a rounding error of more standard deviations than this is not expected in 10^9 products


@dataclass(frozen=True)
class PatchTable:
    """The patches of V videos in unit length, in float32 and in a form that multiplies quickly.

    The quick form is int8, one step size for each frame: `coarse * step` is close to `exact`. On processors where
    int8 products are slow or wrong it is `exact` itself.
    """

    exact: Tensor  # (V, T, P, D) float32
    coarse: Tensor  # (V, T, P, D) int8 or float32
    step: Tensor  # (V, T) float32
    error: Tensor  # (V,) float32, variance of the error that a video's rounding makes in a cosine

    @staticmethod
    def empty(videos: int, frames: int, patches: int, embeddings: int, *, int8: bool) -> PatchTable:
        """Make room for a table, to be filled by `put`."""
        exact = torch.empty(videos, frames, patches, embeddings)
        coarse = torch.empty(exact.shape, dtype=torch.int8) if int8 else exact
        return PatchTable(exact, coarse, torch.ones(videos, frames), torch.full((videos,), FLOAT32_VARIANCE))

    def put(self, video: int, patches: Tensor) -> None:
        """Write the patches (T, P, D) of a video, of any float dtype and length."""
        exact = self.exact[video]
        exact.copy_(l2_normalise(patches.float()))
        if self.coarse.dtype == torch.int8:
            of_frames = exact.flatten(1)
            longest = torch.maximum(of_frames.amax(dim=1), -of_frames.amin(dim=1))  # (T)
            self.step[video] = longest.clamp(min=1e-6) / LARGEST
            self.coarse[video] = (exact / self.step[video, :, None, None]).round_()
            # Rounding moves each entry by up to half a step, so a cosine by step / sqrt(12): one standard deviation.
            self.error[video] = self.step[video].amax().square() / 12


def margin(query: Tensor, support: Tensor) -> Tensor:
    """Bound how far a coarse cosine may lie from the exact one, from the error variances of both sides."""
    return DEVIATIONS * (query + support).sqrt()


def coarse_product(queries: Tensor, supports: Tensor, out: Tensor) -> Tensor:
    """Multiply coarse rows (N, D) and (M, D) into `out` (N, M), int32 for int8 rows."""
    if queries.dtype == torch.int8:
        return torch._int_mm(queries, supports.T, out=out)
    return torch.mm(queries, supports.T, out=out)


def int8_serves(embeddings: int, multiply: Multiply = coarse_product, seconds: Seconds | None = None) -> bool:
    """Find out whether this processor multiplies int8 rightly (some saturate) and quicker than float32.

    To be called where torch has one thread: the processor's time is then the thread's.

    Args:
        embeddings: D, width of the rows
        multiply: of rows (N, D) and (M, D) into (N, M)
        seconds: that such a product takes; None: as measured
    """
    time_product = seconds or _seconds
    rows = torch.full((49, embeddings), -LARGEST, dtype=torch.int8)
    columns = torch.full((49 * 16, embeddings), LARGEST, dtype=torch.int8)
    products = torch.empty((49, 49 * 16), dtype=torch.int32)
    try:
        multiply(rows, columns, products)
    except (AttributeError, RuntimeError):  # int8 products are not promised on every platform
        return False
    if not bool((products == -(LARGEST**2) * embeddings).all()):
        return False
    return time_product(rows, columns, products) < time_product(rows.float(), columns.float(), products.float())


def _seconds(queries: Tensor, supports: Tensor, out: Tensor) -> float:
    """Time the quickest of a few products, others' use of the processor left out."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        coarse_product(queries, supports, out)
        times.append(time.thread_time() - start)
    return min(times)
