"""Score a list of video pairs, as an evaluation needs them: each distinct (query, support) pair once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.system.threads import single_threaded_pool
from hcl.match.config import LEVELS, PairSettings
from hcl.match.embeddings import Embeddings
from hcl.match.pairwise.int8_patches import PatchTable, int8_serves
from hcl.match.pairwise.pair_scorer import PairScorer
from hcl.match.scoring.cosines import chosen_dots, l2_normalise, sorted_dots
from hcl.match.scoring.scores import check_settings, match

TABLE_BYTES = 1280 * 2**20  # of the patches of support videos that are held in float32 and int8 at a time
PAIRS_AT_A_TIME = 64  # of one query: their products stay in the processor's last cache

Rows = NDArray[np.int64]


@torch.inference_mode()
def score_pairs(
    embeddings: Embeddings,
    pairs: NDArray[np.integer],
    *,
    top_clips: int = 10,
    top_patches: int = 10,
    attention_scale: str = "mean_one",
    spatial: bool = True,
    progress: Callable[[int], object] | None = None,
) -> NDArray[np.float32]:
    """Score pairs of videos as `match` does, several times quicker and in bounded memory.

    Args:
        embeddings: of all videos; the patches may be stored in half precision, scores are computed in float32
        pairs: (N, 2) int, rows of a query and a support video
        spatial: False leaves the spatial level out, which costs nearly all the time
        progress: called with the number of pairs that were scored since the last call

    Returns:
        (N, 3) float32: global, temporal and spatial score (NaN where it was left out)
    """
    check_settings(top_clips, top_patches, attention_scale)
    tell = progress or (lambda _: None)
    rows: Rows = pairs.astype(np.int64)
    scores = np.full((len(rows), len(LEVELS)), np.nan, dtype=np.float32)
    settings: PairSettings = {"top_clips": top_clips, "top_patches": top_patches, "attention_scale": attention_scale}
    if embeddings.patches.device.type == "cpu":
        _score_on_host(scores, embeddings, rows, settings, spatial=spatial, progress=tell)
    else:
        score_by_match(scores, embeddings, rows, settings, progress=tell)
    if not spatial:
        scores[:, 2] = np.nan
    return scores


def score_by_match(
    scores: NDArray[np.float32],
    embeddings: Embeddings,
    pairs: Rows,
    settings: PairSettings,
    *,
    progress: Callable[[int], object],
) -> None:
    """Fill in the scores (N, 3) of pairs by `match`, a query at a time, in float32 and on any device."""
    for task in _tasks(pairs, np.arange(len(pairs)), len(pairs)):
        query, supports = (_float32(embeddings, pairs[some, side]) for some, side in ((task[:1], 0), (task, 1)))
        found = match(query, supports, **settings)
        scores[task] = torch.cat((found.global_, found.temporal, found.spatial)).T.cpu().numpy()
        progress(len(task))


def _float32(embeddings: Embeddings, rows: Rows) -> Embeddings:
    chosen = embeddings.rows(torch.from_numpy(rows).to(embeddings.patches.device))
    keys = None if chosen.class_keys is None else chosen.class_keys.float()
    return Embeddings(chosen.global_.float(), chosen.clips.float(), chosen.patches.float(), chosen.clip_frames, keys)


def _score_on_host(
    scores: NDArray[np.float32],
    embeddings: Embeddings,
    pairs: Rows,
    settings: PairSettings,
    *,
    spatial: bool,
    progress: Callable[[int], object],
) -> None:
    """Fill in the scores (N, 3) of pairs, one block of support videos after the other, in as many threads as torch."""
    globals_ = l2_normalise(embeddings.global_.float())
    scores[:, 0] = chosen_dots(globals_, globals_, *torch.from_numpy(pairs).unbind(dim=1)).numpy()
    scorer = PairScorer.of(embeddings, **settings)
    _warm_up()
    with single_threaded_pool(torch.get_num_threads()) as pool:
        for block, places in _blocks(pairs, embeddings.patches[0].numel() if spatial else 0):
            # In a function of its own, so that a block's table is gone before the next one's is made.
            for done in _score_block(scores, scorer, pairs, places, block if spatial else None, pool):
                progress(done)


def _score_block(
    scores: NDArray[np.float32],
    scorer: PairScorer,
    pairs: Rows,
    places: Rows,
    block: Rows | None,
    pool: ThreadPoolExecutor,
) -> Iterator[int]:
    """Fill in temporal scores at some places, and the spatial ones where a block of support videos is given.

    Yields:
        how many pairs were scored since the last time
    """
    table = None if block is None else _tabulate(scorer, block, pool)

    def work(task: Rows) -> int:
        query, supports = int(pairs[task[0], 0]), torch.from_numpy(pairs[task, 1])
        clips = scorer.align(query, supports)
        scores[task, 1] = clips.cosines.mean(dim=-1).numpy()
        if block is not None and table is not None:
            chosen = torch.from_numpy(np.searchsorted(block, pairs[task, 1]))
            scores[task, 2] = scorer.spatial(query, supports, clips, table, chosen).numpy()
        return len(task)

    yield from pool.map(work, _tasks(pairs, places, PAIRS_AT_A_TIME))


def _tabulate(scorer: PairScorer, rows: Rows, pool: ThreadPoolExecutor) -> PatchTable:
    """Put the patches of support videos into a table, each thread some of them."""
    shape = scorer.patches.shape[1:]
    int8 = pool.submit(int8_serves, shape[-1]).result()
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


def _warm_up() -> None:
    """Use a sparse tensor once, for its warning comes once and cannot be caught in a thread."""
    one, first = torch.ones(1, 1), torch.zeros(1, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        sorted_dots(one, one, first, first)
