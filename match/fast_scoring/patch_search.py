"""The zoom-in for a list of video pairs: int8 products propose patch pairs, float32 ranks them.

Only the frame pairs that the chosen clip pairs name are multiplied, about 27 of 64 at the paper's settings. A patch is
compared in float32 wherever its coarse cosine, allowing for the rounding, could be among the best, so the pairs that
are kept are those that float32 products of everything would have found.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hcl.match.fast_scoring.int8_patches import PatchTable, coarse_product, margin
from hcl.match.scoring.clip_pairs import ClipPairs, ClipTable
from hcl.match.scoring.cosines import sorted_dots
from hcl.match.scoring.ties import NEAR, exact_dots
from hcl.match.scoring.zoom import PatchPairs, top_patch_pairs


@dataclass(frozen=True)
class Cells:
    """The C pairs of a query frame and a support frame that the chosen clip pairs name, query frame by query frame.

    One query video and n support videos; the T clip pairs of each name F x G frame pairs.
    """

    frame: Tensor  # (C) int64, of the query video
    pair: Tensor  # (C) int64, which of the n support videos
    support_frame: Tensor  # (C) int64, of that video
    starts: tuple[int, ...]  # (frames + 1), where each query frame's cells start
    of_clips: Tensor  # (n, T, F, G) int64, the cells of each clip pair

    @staticmethod
    def of(clips: ClipPairs, table: ClipTable, frames: int) -> Cells:
        query_frames = table.frames[clips.query][..., :, None]  # (n, T, F, 1)
        support_frames = table.frames[clips.support][..., None, :]  # (n, T, 1, G)
        pairs = torch.arange(len(clips.query))[:, None, None, None]
        named = torch.zeros(frames, len(clips.query), frames, dtype=torch.bool)
        named[query_frames, pairs, support_frames] = True
        number = named.flatten().cumsum(0).view(named.shape) - 1
        ends = named.flatten(1).sum(dim=1).cumsum(0).tolist()
        frame, pair, support_frame = named.nonzero().unbind(dim=1)
        return Cells(frame, pair, support_frame, (0, *ends), number[query_frames, pairs, support_frames])


def zoom_in_pairs(
    query: PatchTable,
    supports: PatchTable,
    chosen: Tensor,
    clips: ClipPairs,
    table: ClipTable,
    *,
    top_patches: int,
    settle: bool = True,
) -> PatchPairs:
    """Find the patch pairs that count between one query video and some support videos.

    Args:
        query: of one video
        supports: of any number
        chosen: (n) int64, the support videos to compare with
        clips: (n, T), the chosen clip pairs of each
        table: the clips of all videos
        top_patches: S
        settle: whether ties are settled in float64, see `hcl.match.scoring.ties`

    Returns:
        (n, T, S) pairs
    """
    frames, patches = query.exact.shape[1:3]
    cells = Cells.of(clips, table, frames)
    product, best = _coarse_maxima(query, supports, chosen, cells)
    scale = query.step[0, cells.frame] * supports.step[chosen[cells.pair], cells.support_frame]  # (C)
    slack = 2 * margin(query.error, supports.error[chosen])  # (n)
    least = _least_wanted(best * scale, slack, clips, cells, table, top_patches)
    patch, cell = (best * scale >= least).nonzero().unbind(dim=1)  # (K), patch by patch
    starts = torch.tensor(cells.starts)
    start, width = starts[cells.frame], starts.diff()[cells.frame]  # (C)
    rows = start * patches + torch.arange(len(start)) - start  # (C), where a cell's first patch lies in `product`
    candidates = product.view(-1, patches).index_select(0, rows[cell] + patch * width[cell])  # (K, P)
    lowest = best[patch, cell] - (slack[cells.pair] / scale)[cell]  # (K)
    which, support_patch = (candidates >= lowest[:, None].floor().to(candidates.dtype)).nonzero().unbind(dim=1)  # (L)
    patch, cell = patch[which], cell[which]
    slot = cell * patches + patch  # (L), ascending within a patch
    tables = query.exact[0].transpose(0, 1).reshape(patches * frames, -1), supports.exact.flatten(0, 2)
    sides = (
        patch * frames + cells.frame[cell],
        (chosen[cells.pair[cell]] * frames + cells.support_frame[cell]) * patches + support_patch,
    )
    dots = sorted_dots(*tables, *sides)
    exact = torch.full((len(start) * patches,), -torch.inf).scatter_reduce_(0, slot, dots, "amax")

    def finer(where: tuple[Tensor, ...]) -> Tensor:
        pair, clip, place = where
        wanted = cells.of_clips[pair, clip, place // patches] * patches + (place % patches)[:, None]  # (K, G)
        in_doubt = torch.zeros(len(exact), dtype=torch.bool)
        in_doubt[wanted] = True
        some = (in_doubt[slot] & (dots >= exact[slot] - NEAR)).nonzero().squeeze(1)
        values = torch.full((len(exact),), -torch.inf, dtype=torch.float64)
        values.scatter_reduce_(0, slot[some], exact_dots(*tables, *(side[some] for side in sides)), "amax")
        return values[wanted].amax(dim=-1)

    best = _best_of_clips(exact.view(-1, patches), cells)
    return top_patch_pairs(best, table, clips.query, top_patches, finer=finer if settle else None)


def _coarse_maxima(query: PatchTable, supports: PatchTable, chosen: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """Multiply the patches of each cell and find the best support patch of each query patch.

    Returns:
        the products, for each query frame (P, its cells, P) one after the other, and their maxima (P, C)
    """
    frames, patches, width = query.coarse.shape[1:]
    rows = supports.coarse.view(-1, patches * width)  # a frame each
    frame_rows = chosen[cells.pair] * frames + cells.support_frame  # (C)
    kind = torch.int32 if rows.dtype == torch.int8 else torch.float32
    product = torch.empty(len(frame_rows) * patches**2, dtype=kind)
    maxima = torch.empty(patches, len(frame_rows), dtype=kind)
    longest = max(stop - start for start, stop in pairwise(cells.starts))
    gathered = torch.empty(longest, patches * width, dtype=rows.dtype)
    for frame, (start, stop) in enumerate(pairwise(cells.starts)):
        if start < stop:
            of_frame = gathered[: stop - start]
            torch.index_select(rows, 0, frame_rows[start:stop], out=of_frame)
            out = product[start * patches**2 : stop * patches**2].view(patches, -1)
            coarse_product(query.coarse[0, frame], of_frame.view(-1, width), out)
            torch.amax(out.view(patches, -1, patches), dim=2, out=maxima[:, start:stop])
    return product, maxima


def _least_wanted(
    best: Tensor, slack: Tensor, clips: ClipPairs, cells: Cells, table: ClipTable, top_patches: int
) -> Tensor:
    """Find for each cell the least coarse cosine that could be among the best S of a clip pair: (C)."""
    of_clips = top_patch_pairs(_best_of_clips(best.T.contiguous(), cells), table, clips.query, top_patches)
    worst = of_clips.cosines.gather(-1, of_clips.counts[..., None] - 1) - slack[:, None, None]  # (n, T, 1)
    of_cells = worst[..., None].expand(cells.of_clips.shape).flatten()
    return torch.full((len(cells.pair),), torch.inf).scatter_reduce_(0, cells.of_clips.flatten(), of_cells, "amin")


def _best_of_clips(best: Tensor, cells: Cells) -> Tensor:
    """Combine the maxima (C, P) of cells into those of clip pairs: (n, T, F, P)."""
    gathered = best.index_select(0, cells.of_clips.flatten())
    return gathered.view(*cells.of_clips.shape, -1).amax(dim=-2)
