"""Score queries that come one at a time against the same support videos: what these share is prepared once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.match.config import LEVELS, PairSettings
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.int8_patches import PatchTable, int8_serves
from hcl.match.fast_scoring.pair_scorer import PairScorer
from hcl.match.fast_scoring.pair_scores import NOT_SEARCHED, score_pairs
from hcl.match.scoring.cosines import l2_normalise, quiet_sparse_tensors


class PreparedSupports:
    """Gives the scores of a query against V support videos, as `score_pairs` does; one query at a time, of one thread.

    Args:
        supports: V videos, on the CPU
        settings: of the scores
        spatial: False leaves the spatial level out
    """

    def __init__(self, supports: Embeddings, settings: PairSettings, *, spatial: bool = True) -> None:
        self.supports, self.settings, self.spatial = supports, settings, spatial
        self._is_searched = settings["patch_selection"] not in NOT_SEARCHED
        self._table: PatchTable | None = None
        self._both: Embeddings | None = None  # room for a query, then the supports
        self._scorer: PairScorer | None = None  # of these
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
        both, count = self._beside(query), len(self.supports)
        rows = torch.arange(1, count + 1)
        if not self._is_searched:
            pairs = np.stack((np.zeros(count, np.int64), rows.numpy()), axis=1)
            return score_pairs(both, pairs, **self.settings, spatial=self.spatial)
        scores = np.full((count, len(LEVELS)), np.nan, dtype=np.float32)
        globals_ = l2_normalise(both.global_.float())
        scorer = self._scorer = self._scorer or PairScorer.of(both, **self.settings)
        scorer.clips[0] = l2_normalise(both.clips[0].float())  # its patches are those of `both`
        clips = scorer.align(0, rows, settle=self._table is not None)
        scores[:, 0] = (globals_[1:] @ globals_[0]).numpy()
        scores[:, 1] = clips.cosines.mean(dim=-1).numpy()
        if self._table is not None:
            scores[:, 2] = scorer.spatial(0, rows, clips, self._table, torch.arange(count)).numpy()
        return scores

    def _beside(self, query: Embeddings) -> Embeddings:
        """The query, then the supports, which are not copied again; a key that the query lacks is zero."""
        if self._both is None:
            keys = self.supports.class_keys
            self._both = Embeddings(
                _after_a_place(self.supports.global_, query.global_.dtype),
                _after_a_place(self.supports.clips, query.clips.dtype),
                _after_a_place(self.supports.patches, query.patches.dtype),
                self.supports.clip_frames,
                None if keys is None else _after_a_place(keys, keys.dtype),
            )
        both = self._both
        for name in ("global_", "clips", "patches"):
            getattr(both, name)[0] = getattr(query, name)[0]
        if both.class_keys is not None:
            both.class_keys[0] = 0 if query.class_keys is None else query.class_keys[0]
        return both


def _after_a_place(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Values (V, ...) behind a first row that is free: (1 + V, ...)."""
    joined = values.new_zeros((1 + len(values), *values.shape[1:]), dtype=torch.promote_types(values.dtype, dtype))
    joined[1:] = values
    return joined
