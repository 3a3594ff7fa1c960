"""Near-duplicates of an archive: pairs of its videos that are alike on all levels, and the groups that they make.

A pair is scored only where it can still reach the threshold. No level is above 1, so the mean of L levels reaches t
only where the sum of those that are known, plus 1 for each of the others, is L t at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.progress import logger, progress_bar
from hcl.match.config import LEVELS
from hcl.match.store.search.levels import Scores, scores_within, total_of
from hcl.match.store.search.nearest import NOWHERE
from hcl.match.store.search.source import global_blocks
from hcl.match.store.search.two_stages import TwoStages

QUERIES_AT_A_TIME = 4096
SLACK = 0.03  # of an index of i8, whose rounding moves cosines: six standard deviations; what passes is scored exactly
ROUNDING = 1e-5  # of float32 scores: a copy may have 1 - 1e-6


@dataclass(frozen=True)
class Pairs:
    """Pairs of videos that are alike, the most similar first."""

    rows: Rows  # (n, 2), the lower row first
    levels: Scores  # (n, 3), the mean of both directions
    total: NDArray[np.float32]  # (n,) the mean of the levels that count
    groups: Rows  # (n,) the lowest row of all that are joined by pairs


def near_duplicates(stages: TwoStages, *, threshold: float, neighbours: int) -> Pairs:
    """Find the pairs of a source's videos whose score is a threshold at least.

    Args:
        stages: of the source
        threshold: the least mean of the levels that count
        neighbours: the nearest videos of each one, by global embeddings, with which it is compared
    """
    rows = _candidates(stages, threshold, neighbours)
    levels = np.full((len(rows), len(LEVELS)), np.nan, np.float32)
    for spatial in (False, True):  # patches are read for those alone that the other levels leave
        if spatial and "spatial" not in stages.levels:
            break
        with progress_bar(len(rows), "pair", "compare patches" if spatial else "compare clips") as bar:
            levels = scores_within(
                stages.source, rows, stages.settings, spatial=spatial, device=stages.device, progress=bar.update
            )
        kept = _reachable(levels, stages) >= threshold - ROUNDING
        rows, levels = rows[kept], levels[kept]
    total = total_of(levels, stages.levels)
    order = np.lexsort((rows[:, 1], rows[:, 0], -total))
    return Pairs(rows[order], levels[order], total[order], groups_of(rows[order]))


def groups_of(pairs: Rows) -> Rows:
    """The group of each pair (n, 2): the lowest row that is joined to it by pairs, (n,)."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while (above := parent.setdefault(row, row)) != row:
            parent[row] = row = parent.setdefault(above, above)
        return row

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(one) for one in pairs[:, 0].tolist()], dtype=np.int64)


def _reachable(levels: Scores, stages: TwoStages) -> NDArray[np.float32]:
    """The highest total that pairs can have where some levels (n, 3) are not known yet, hence NaN: (n,)."""
    return total_of(np.where(np.isnan(levels), np.float32(1), levels), stages.levels)


def _candidates(stages: TwoStages, threshold: float, neighbours: int) -> Rows:
    """Pairs (n, 2) of each video and its nearest, the lower row first, that can reach the threshold; each once."""
    count, full = len(stages.source), 0
    least = -np.inf
    if "global" in stages.levels:
        others = len(stages.levels) - 1
        least = len(stages.levels) * threshold - others - SLACK
    numbers: Rows = np.empty(0, np.int64)
    with progress_bar(count, "video", "find neighbours") as bar:
        for rows, nearest, cosines in _neighbours(stages, neighbours):
            near = (nearest != NOWHERE) & (nearest != rows[:, None]) & (cosines >= least)
            full += int((near.sum(axis=1) >= min(neighbours, count - 1)).sum()) if neighbours < count - 1 else 0
            one, other = np.broadcast_to(rows[:, None], nearest.shape)[near], nearest[near]
            of_block = np.minimum(one, other) * count + np.maximum(one, other)
            numbers = np.unique(np.concatenate((numbers, of_block)))
            bar.update(len(rows))
    if full:
        logger.info(
            f"{full} of {count} videos have {neighbours} neighbours or more that may be near-duplicates; pairs beyond"
            " those are not looked at: raise --neighbours or --threshold"
        )
    return np.stack((numbers // count, numbers % count), axis=1)


def _neighbours(stages: TwoStages, neighbours: int) -> Iterator[tuple[Rows, Rows, NDArray[np.float32]]]:
    """Rows (n,), their nearest videos (n, k) and the cosines of these, block by block; a video may be its own."""
    for start, block in global_blocks(stages.source, size=QUERIES_AT_A_TIME):
        found = stages.index.nearest(block, min(neighbours + 1, len(stages.source)))
        yield np.arange(start, start + len(block)), found.rows, found.cosines
