"""Both stages: the global embeddings of all videos propose a short list, and all levels rank it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.match.config import LEVELS, PairSettings
from hcl.match.embeddings import Embeddings
from hcl.match.store.search.levels import Scores, scores_with, total_of
from hcl.match.store.search.nearest import NOWHERE, Index
from hcl.match.store.search.source import SearchSource


@dataclass(frozen=True)
class Found:
    """Videos like a query, the most similar first."""

    rows: Rows  # (n,)
    levels: Scores  # (n, 3) global, temporal, spatial; NaN where a level does not count
    total: NDArray[np.float32]  # (n,) the mean of the levels that count

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.levels) == len(self.total):
            raise ValueError(f"{self.rows.shape = }, {self.levels.shape = } and {self.total.shape = } differ in videos")


@dataclass(frozen=True)
class TwoStages:
    """Finds videos of a source.

    Args:
        source: of V videos
        index: of their global embeddings, the first stage
        settings: of the scores of the second
        levels: those that count in the ranking
        device: where the second stage computes
    """

    source: SearchSource
    index: Index
    settings: PairSettings
    levels: Sequence[str] = LEVELS
    device: torch.device = torch.device("cpu")

    def search(
        self, queries: Sequence[Embeddings], *, top: int, short_list: int, without: Sequence[int] = ()
    ) -> list[Found]:
        """Find the videos that are most similar to each query; the first stage goes over the videos once for all.

        Args:
            queries: one video each
            top: videos that are given
            short_list: videos that the second stage compares, `top` at least; with all of them it is exhaustive
            without: for each query a row that is left out, itself, or NOWHERE

        Raises:
            ValueError: if a query is of other shapes than the source
        """
        if not queries:
            return []
        shown = self.source.embeddings(np.zeros(1, np.int64), patches="spatial" in self.levels)
        for query in queries:
            _refuse_other_shape(query, shown, patches="spatial" in self.levels)
        excluded = without or [NOWHERE] * len(queries)
        count = min(max(short_list, top) + 1, len(self.source))  # one more: a query may be among them
        nearest = self.index.nearest(torch.cat([query.global_ for query in queries]), count)
        kept = max(short_list, top)
        return [
            self._ranked(query, rows[(rows != NOWHERE) & (rows != leave_out)][:kept], top)
            for query, rows, leave_out in zip(queries, nearest.rows, excluded, strict=True)
        ]

    def _ranked(self, query: Embeddings, rows: Rows, top: int) -> Found:
        rows = np.sort(rows)
        spatial = "spatial" in self.levels
        levels = scores_with(query, self.source, rows, self.settings, spatial=spatial, device=self.device)
        total = total_of(levels, self.levels)
        order = np.argsort(-np.nan_to_num(total, nan=-np.inf), kind="stable")[:top]  # of equals the lower row
        return Found(rows[order], levels[order], total[order])


def _refuse_other_shape(query: Embeddings, shown: Embeddings, *, patches: bool) -> None:
    names = ("global_", "clips", "patches") if patches else ("global_", "clips")
    shapes = [[tuple(getattr(each, name).shape[1:]) for name in names] for each in (query, shown)]
    if len(query) != 1 or shapes[0] != shapes[1] or query.clip_frames != shown.clip_frames:
        raise ValueError(f"a query of {len(query)} videos {shapes[0]} for videos {shapes[1]}, or of other clips")
