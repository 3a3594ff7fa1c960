"""The first stage: the videos whose global embeddings are nearest to some queries, by comparing all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.video_table import Rows
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.store.search.source import SearchSource, global_blocks

KEPT_BYTES = 2**30  # of global embeddings that stay in memory between searches; larger ones are read each time
QUERIES_AT_A_TIME = 512  # whose products with a block are held: 128 MiB at D = 256
NOWHERE = -1  # the row of a neighbour that there is not


@dataclass(frozen=True)
class Nearest:
    """The nearest videos of Q queries, the most similar first."""

    rows: Rows  # (Q, n), NOWHERE where there are fewer
    cosines: NDArray[np.float32]  # (Q, n)


class Index(Protocol):
    """What finds the nearest global embeddings."""

    def nearest(self, queries: Tensor, count: int) -> Nearest:
        """The nearest `count` videos of each of the queries (Q, D)."""


class ExactIndex:
    """Compares queries with every video, block by block; what fits into memory is read once.

    Args:
        source: of V videos
        device: of the products
    """

    def __init__(self, source: SearchSource, device: torch.device | str = "cpu") -> None:
        self.source, self.device = source, torch.device(device)
        self._keeps = 4 * source.width * len(source) <= KEPT_BYTES
        self._kept: list[tuple[int, Tensor]] = []

    @torch.inference_mode()
    def nearest(self, queries: Tensor, count: int) -> Nearest:
        """The nearest `count` videos of each of the queries (Q, D), of equals those of the lower rows."""
        unit = torch.split(l2_normalise(queries.float()).to(self.device), QUERIES_AT_A_TIME)
        best = [_none(len(some), self.device) for some in unit]
        for start, block in self._blocks():
            for number, some in enumerate(unit):
                products = torch.nan_to_num(some @ block.T, nan=-1.0)
                values, places = products.topk(min(count, len(block)), dim=1)
                best[number] = _merged(best[number], (values, places + start), count)
        cosines, rows = (torch.cat(parts).cpu() for parts in zip(*best, strict=True))
        return Nearest(rows.numpy(), cosines.numpy())

    def _blocks(self) -> Iterable[tuple[int, Tensor]]:
        if not self._keeps:
            return self._read()
        self._kept = self._kept or list(self._read())
        return self._kept

    def _read(self) -> Iterator[tuple[int, Tensor]]:
        for start, block in global_blocks(self.source):
            yield start, l2_normalise(block).to(self.device)


def _none(queries: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The cosines and rows of no videos yet: (Q, 0) each."""
    return torch.empty((queries, 0), device=device), torch.empty((queries, 0), dtype=torch.int64, device=device)


def _merged(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The best `count` of two lists (Q, n) of cosines and rows; all rows of the first are lower."""
    cosines, rows = (torch.cat(pair, dim=1) for pair in zip(one, other, strict=True))
    rows, order = rows.sort(dim=1)
    cosines = cosines.gather(1, order)
    cosines, order = cosines.sort(dim=1, descending=True, stable=True)
    return cosines[:, :count], rows.gather(1, order)[:, :count]
