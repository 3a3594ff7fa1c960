"""Score a list of video pairs, as an evaluation needs them: each distinct (query, support) pair once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.threads import single_threaded_pool
from hcl.match.config import LEVELS, PairSettings
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.int8_patches import PatchTable, int8_serves
from hcl.match.fast_scoring.pair_scorer import PairScorer
from hcl.match.scoring.cosines import chosen_dots, l2_normalise, quiet_sparse_tensors
from hcl.match.scoring.scores import check_match_settings, match

TABLE_BYTES = 1280 * 2**20  # of the patches of support videos that are held in float32 and int8 at a time
PAIRS_PER_TASK = 64  # of one query: their products stay in the processor's last cache
NOT_SEARCHED = ("weighted", "mutual")  # selections that rank pairs by more than a cosine, which int8 cannot propose

Values = NDArray[np.float32]  # (n, 3) global, temporal and spatial scores; NaN where a level is left out


@torch.inference_mode()
def score_pairs(
    embeddings: Embeddings,
    pairs: NDArray[np.integer],
    *,
    top_clips: int = 10,
    top_patches: int = 10,
    attention_scale: str = "mean_one",
    patch_selection: str = "similarity",
    spatial: bool = True,
    int8: bool | None = None,
    progress: Callable[[int], object] | None = None,
) -> Values:
    """Score pairs of videos as `match` does (Eq. 2 to 5), several times quicker and in bounded memory.

    The patch selections "weighted" and "mutual" are scored by `match` itself, which is slower.

    Args:
        embeddings: of all videos; the patches may be stored in half precision, scores are computed in float32
        pairs: (N, 2) int, rows of a query and a support video
        top_clips: T, the clip pairs that count
        top_patches: S, the patch pairs that count in each clip pair
        attention_scale: of the weights of Eq. 5, "mean_one" or "paper"
        patch_selection: which patch pairs count, see `hcl.match.scoring.selection`
        spatial: False leaves the spatial level out, which takes most of the time
        int8: search the patch pairs by int8 products on a CPU, the scores are the same; None: where those are quicker
        progress: called with the number of pairs that were scored since the last call

    Returns:
        (N, 3) float32: global, temporal and spatial score (NaN where it was left out)

    Raises:
        ValueError: if a setting is out of its range
    """
    check_match_settings(top_clips, top_patches, attention_scale, patch_selection)
    if embeddings.class_keys is None and patch_selection == "weighted":
        patch_selection = "similarity"  # without weights they are one
    rows: Rows = pairs.astype(np.int64)
    scores = np.full((len(rows), len(LEVELS)), np.nan, dtype=np.float32)
    settings: PairSettings = {
        "top_clips": top_clips,
        "top_patches": top_patches,
        "attention_scale": attention_scale,
        "patch_selection": patch_selection,
    }
    if embeddings.patches.device.type != "cpu":
        parts = scores_by_match(embeddings, rows, settings)
    elif spatial and patch_selection in NOT_SEARCHED:
        parts = scores_by_match(embeddings, rows, settings, size=PAIRS_PER_TASK)
    else:
        parts = _scores_on_host(embeddings, rows, settings, spatial=spatial, int8=int8)
    with closing(parts):  # an exception of `progress` ends the threads at once
        for places, values in parts:
            scores[places] = values
            if progress is not None:
                progress(len(places))
    if not spatial:
        scores[:, 2] = np.nan
    return scores


def scores_by_match(
    embeddings: Embeddings, pairs: Rows, settings: PairSettings, *, size: int | None = None
) -> Generator[tuple[Rows, Values], None, None]:
    """Score pairs (N, 2) by `match`, a query at a time, in float32 and on any device.

    Args:
        embeddings: of all videos
        pairs: (N, 2), rows of a query and a support video
        settings: of the scores
        size: how many supports are held in float32 at a time; None: all of a query

    Yields:
        the places (n,) of some pairs and their scores (n, 3)
    """
    for task in _tasks(pairs, np.arange(len(pairs)), size or max(1, len(pairs))):
        query, supports = (_float32(embeddings, pairs[some, side]) for some, side in ((task[:1], 0), (task, 1)))
        scores = match(query, supports, **settings)
        yield task, torch.cat((scores.global_, scores.temporal, scores.spatial)).T.cpu().numpy()


def _float32(embeddings: Embeddings, rows: Rows) -> Embeddings:
    chosen = embeddings.rows(torch.from_numpy(rows).to(embeddings.patches.device))
    keys = None if chosen.class_keys is None else chosen.class_keys.float()
    return Embeddings(chosen.global_.float(), chosen.clips.float(), chosen.patches.float(), chosen.clip_frames, keys)


def _scores_on_host(
    embeddings: Embeddings, pairs: Rows, settings: PairSettings, *, spatial: bool, int8: bool | None
) -> Generator[tuple[Rows, Values], None, None]:
    """Score pairs (N, 2), one block of support videos after the other, in as many threads as torch has.

    Yields:
        the places (n,) of some pairs and their scores (n, 3)
    """
    globals_ = l2_normalise(embeddings.global_.float())
    of_global = chosen_dots(globals_, globals_, *torch.from_numpy(pairs).unbind(dim=1)).numpy()  # (N,)
    scorer = PairScorer.of(embeddings, **settings, int8=int8)
    quiet_sparse_tensors()
    with single_threaded_pool(torch.get_num_threads()) as pool:
        for block, places in _blocks(pairs, embeddings.patches[0].numel() if spatial else 0):
            # In a function of its own, so that a block's table is gone before the next one's is made.
            for task, levels in _block_scores(scorer, pairs, places, block if spatial else None, pool):
                yield task, np.column_stack((of_global[task], levels))


def _block_scores(
    scorer: PairScorer, pairs: Rows, places: Rows, block: Rows | None, pool: ThreadPoolExecutor
) -> Iterator[tuple[Rows, Values]]:
    """Score pairs on the temporal level, and on the spatial one where a block of support videos is given.

    Yields:
        the places (n,) of some pairs and their temporal and spatial scores (n, 2)
    """
    table = None if block is None else _tabulate(scorer, block, pool)

    def score(task: Rows) -> Values:
        query, supports = int(pairs[task[0], 0]), torch.from_numpy(pairs[task, 1])
        clips = scorer.align(query, supports, settle=block is not None)
        levels = np.full((len(task), 2), np.nan, dtype=np.float32)
        levels[:, 0] = clips.cosines.mean(dim=-1).numpy()
        if block is not None and table is not None:
            chosen = torch.from_numpy(np.searchsorted(block, pairs[task, 1]))
            levels[:, 1] = scorer.spatial(query, supports, clips, table, chosen).numpy()
        return levels

    tasks = list(_tasks(pairs, places, PAIRS_PER_TASK))
    yield from zip(tasks, pool.map(score, tasks), strict=True)


def _tabulate(scorer: PairScorer, rows: Rows, pool: ThreadPoolExecutor) -> PatchTable:
    """Put the patches of support videos into a table, each thread some of them."""
    shape = scorer.compared(0).patches.shape
    int8 = pool.submit(int8_serves, shape[-1]).result() if scorer.int8 is None else scorer.int8
    table = PatchTable.empty(len(rows), *shape, int8=int8)
    firsts = range(0, len(rows), 16)
    list(pool.map(lambda first: scorer.tabulate(rows[first : first + 16].tolist(), table, first), firsts))
    return table


def _blocks(pairs: Rows, numbers: int) -> Iterator[tuple[Rows, Rows]]:
    """Part the support videos so that the tables of `numbers` a video fit into memory.

    Yields:
        the rows of some support videos, ascending, and the places of the pairs they belong to
    """
    rows = np.unique(pairs[:, 1])
    bytes_each = 5 * numbers  # float32 and int8
    for block in np.array_split(rows, max(1, -(-len(rows) * bytes_each // TABLE_BYTES))):
        yield block, np.flatnonzero(np.isin(pairs[:, 1], block))


def _tasks(pairs: Rows, places: Rows, size: int) -> Iterator[Rows]:
    """Group the places of pairs by their query, at most `size` in a group."""
    order = places[np.argsort(pairs[places, 0], kind="stable")]
    for group in np.split(order, np.flatnonzero(np.diff(pairs[order, 0])) + 1):
        yield from (group[start : start + size] for start in range(0, len(group), size))
