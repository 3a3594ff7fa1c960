"""Score one query video against some support videos on the temporal and the spatial level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hcl.extract.cache.video_table import Rows
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.int8_patches import PatchTable
from hcl.match.fast_scoring.patch_search import zoom_in_pairs
from hcl.match.scoring.clip_pairs import ClipPairs, ClipTable, top_clip_pairs
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import weighted_mean
from hcl.match.scoring.selection import Compared, among_all, compared
from hcl.match.scoring.ties import exact_products
from hcl.match.scoring.zoom import Zoom


@dataclass(frozen=True)
class PairScorer:
    """What the scoring of all pairs shares; it changes nothing, so threads may share it too."""

    patches: Tensor  # (V, T, P, D) of any float dtype, un-normalised
    clips: Tensor  # (V, Nc, D) float32, unit length
    table: ClipTable
    keys: Tensor | None  # (K, D) float32, the distinct class keys
    key_of: Rows | None  # (V), which of them is a video's
    top_clips: int
    top_patches: int
    attention_scale: str
    patch_selection: str  # of those that are searched by cosines alone
    int8: bool | None  # whether patches are tabulated as int8, too; None: where that is quicker

    @staticmethod
    def of(
        embeddings: Embeddings,
        *,
        top_clips: int,
        top_patches: int,
        attention_scale: str,
        patch_selection: str = "similarity",
        int8: bool | None = None,
    ) -> PairScorer:
        """Prepare the embeddings of V videos, on the CPU."""
        keys = key_of = None
        if embeddings.class_keys is not None:
            distinct, key_of = np.unique(embeddings.class_keys.float().numpy(), axis=0, return_inverse=True)
            keys = torch.from_numpy(distinct)
        clips = l2_normalise(embeddings.clips.float())
        table = ClipTable.of(embeddings.clip_frames, embeddings.clips.device)
        return PairScorer(
            embeddings.patches,
            clips,
            table,
            keys,
            key_of,
            top_clips,
            top_patches,
            attention_scale,
            patch_selection,
            int8,
        )

    @torch.inference_mode()
    def align(self, query: int, supports: Tensor, *, settle: bool) -> ClipPairs:
        """Choose the clip pairs (n, T) of a query with n supports (Eq. 3), ties as `hcl.match.scoring.ties` says."""
        clips, width = self.clips.shape[1:]
        chosen = self.clips.flatten(1).index_select(0, supports).view(-1, width)  # (n * Nc, D)
        cosines = (chosen @ self.clips[query].T).view(len(supports), clips, clips).mT  # support clips lie outermost

        def finer(where: tuple[Tensor, ...]) -> Tensor:
            return exact_products(self.clips[query], self.clips[supports[where]])

        return top_clip_pairs(cosines, self.top_clips, finer if settle else None)

    @torch.inference_mode()
    def tabulate(self, rows: Iterable[int], table: PatchTable, first: int = 0) -> None:
        """Put the patches of some videos that may be paired into a table, from its row `first` on."""
        for place, row in enumerate(rows, start=first):
            table.put(place, self.compared(row).patches)

    @torch.inference_mode()
    def compared(self, row: int) -> Compared:
        """Take the patches (T, K, D) of a video that may be paired."""
        return compared(self.patches[row].float(), self.patch_selection)

    @torch.inference_mode()
    def spatial(self, query: int, supports: Tensor, clips: ClipPairs, block: PatchTable, chosen: Tensor) -> Tensor:
        """Score the spatial level (Eq. 4) of a query with n supports.

        Args:
            query: its row
            supports: (n) int64, their rows
            clips: (n, T)
            block: the patches of some videos, the supports among them
            chosen: (n) int64, where in `block` the supports are

        Returns:
            (n)
        """
        candidates = self.compared(query)
        of_query = PatchTable.empty(1, *candidates.patches.shape, int8=block.coarse.dtype == torch.int8)
        of_query.put(0, candidates.patches)
        weighted = self.keys is not None  # else a patch counts as any other of its cosine
        patches = zoom_in_pairs(
            of_query, block, chosen, clips, self.table, top_patches=self.top_patches, settle=weighted
        )
        patches = replace(patches, query=among_all(candidates.places, patches.query))
        logits = self._logits(query, supports)
        return weighted_mean(Zoom(clips, patches), logits, self.table, self.attention_scale)

    def _logits(self, query: int, supports: Tensor) -> Tensor | None:
        """Compare a query's patches with the class keys of the supports (Eq. 5): (n, T, P)."""
        if self.keys is None or self.key_of is None:
            return None
        used, place = np.unique(self.key_of[supports.numpy()], return_inverse=True)
        patches = self.patches[query].float()  # (T, P, D)
        logits: Tensor = (self.keys[used] @ patches.flatten(0, 1).T) / patches.shape[-1] ** 0.5  # (used, T * P)
        return logits.index_select(0, torch.from_numpy(place)).view(-1, *patches.shape[:2])
