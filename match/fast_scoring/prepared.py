"""Score queries that come one at a time against the same support videos: what these share is prepared once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.match.config import LEVELS, PairSettings
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.int8_patches import PatchTable, int8_serves
from hcl.match.fast_scoring.pair_scorer import PairScorer
from hcl.match.fast_scoring.pair_scores import NOT_SEARCHED, score_pairs
from hcl.match.scoring.cosines import l2_normalise, quiet_sparse_tensors


class PreparedSupports:
    """Gives the scores of a query against V support videos, as `score_pairs` does.

    Args:
        supports: V videos, on the CPU
        settings: of the scores
        spatial: False leaves the spatial level out
    """

    def __init__(self, supports: Embeddings, settings: PairSettings, *, spatial: bool = True) -> None:
        self.supports, self.settings, self.spatial = supports, settings, spatial
        self._is_searched = settings["patch_selection"] not in NOT_SEARCHED
        self._table: PatchTable | None = None
        if spatial and self._is_searched:
            quiet_sparse_tensors()
            scorer = PairScorer.of(supports, **settings)
            shape = scorer.compared(0).patches.shape
            self._table = PatchTable.empty(len(supports), *shape, int8=int8_serves(shape[-1]))
            scorer.tabulate(range(len(supports)), self._table)

    @torch.inference_mode()
    def score(self, query: Embeddings) -> NDArray[np.float32]:
        """Score one query: (V, 3) global, temporal and spatial score, NaN where the spatial level is left out.

        Args:
            query: one video; its class key, where the supports have keys, is not read
        """
        both, count = _joined(query, self.supports), len(self.supports)
        rows = torch.arange(1, count + 1)
        if not self._is_searched:
            pairs = np.stack((np.zeros(count, np.int64), rows.numpy()), axis=1)
            return score_pairs(both, pairs, **self.settings, spatial=self.spatial)
        scores = np.full((count, len(LEVELS)), np.nan, dtype=np.float32)
        globals_ = l2_normalise(both.global_.float())
        scorer = PairScorer.of(both, **self.settings)
        clips = scorer.align(0, rows, settle=self._table is not None)
        scores[:, 0] = (globals_[1:] @ globals_[0]).numpy()
        scores[:, 1] = clips.cosines.mean(dim=-1).numpy()
        if self._table is not None:
            scores[:, 2] = scorer.spatial(0, rows, clips, self._table, torch.arange(count)).numpy()
        return scores


def _joined(query: Embeddings, supports: Embeddings) -> Embeddings:
    """The query, then the supports; a key that the query lacks is zero."""
    keys = supports.class_keys
    if keys is not None:
        given = query.class_keys
        keys = torch.cat((keys.new_zeros(1, keys.shape[1]) if given is None else given, keys))
    return Embeddings(
        torch.cat((query.global_, supports.global_)),
        torch.cat((query.clips, supports.clips)),
        torch.cat((query.patches, supports.patches)),
        supports.clip_frames,
        keys,
    )
