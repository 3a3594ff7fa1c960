"""Recall and speed of the two-stage search on drawn archives, against exhaustive matching.

    python benchmarks/search.py --videos 10000 --indexes exact,f16,i8
    python benchmarks/search.py --store 2000

An archive is drawn with classes, groups of ten videos (such as of one film) and near-duplicates, so that the levels are
as alike and as different as on real sets. Clips and patches follow from small vectors of each video, so they are made
for those alone that are compared.

Truth is the best TOP videos by all levels. Global and temporal level are scored for every video; the spatial one for
those that lead on these two. A query counts as proved where no other video could come among the best, since no level is
above 1: its truth is then that of exhaustive matching. With --leaders the truth is the best among those that lead on
the global level alone, which is cheap and makes recall too high. Recall is the share of the truth on the short list;
the second stage loses none of these.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.video_table import Rows, VideoTable
from hcl.match.config import ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store
from hcl.match.store.search.index_folder import build_index, open_index
from hcl.match.store.search.levels import scores_with
from hcl.match.store.search.nearest import ExactIndex, Index
from hcl.match.store.search.source import StoreSource
from hcl.match.store.search.two_stages import TwoStages

WIDTH, FRAMES, PATCHES, HIDDEN = 256, 8, 49, 24
CLIPS = tuple(combinations(range(FRAMES), 2))
IN_GROUP = 10  # videos; the last is nearly the one before
TOP = 20
LENGTHS = (20, 30, 50, 100, 200, 500, 1000, 2000)
CPU, SETTINGS = torch.device("cpu"), ScoreConfig().of_pairs
BLOCK = 4096  # videos whose clips are made at a time


class Archive:
    """A drawn archive of V videos: what a search reads of a store, made when it is asked for."""

    def __init__(self, videos: int, seed: int = 0) -> None:
        self.videos, self.width = videos, WIDTH
        self.video_bytes = FRAMES * PATCHES * WIDTH * 2
        self.fingerprint = f"drawn {videos} {seed}"
        rng = torch.Generator().manual_seed(seed)
        group = torch.arange(videos) // IN_GROUP
        classes = max(20, videos // 500)
        self.label = (group * 7919) % classes
        shares = {"global": (0.30, 0.24, 0.20), "motion": (0.3, 0.3, 0.4), "look": (0.2, 0.3, 0.5)}
        drawn = {name: self._drawn(shares[name], group, classes, rng) for name in shares}
        axes = torch.linalg.qr(torch.randn(WIDTH, HIDDEN, generator=rng)).Q.T
        self._global = (drawn["global"] @ axes).add_(0.26**0.5 * _unit(1, WIDTH, rng))
        self._motion, self._look = drawn["motion"], drawn["look"]
        frames = torch.randn(FRAMES, HIDDEN, WIDTH, generator=rng) / WIDTH**0.5
        cells = torch.randn(PATCHES, HIDDEN, WIDTH, generator=rng) / WIDTH**0.5
        self._frames, self._cells = 0.9 * (frames - frames.mean(dim=0)), 0.8 * (cells - cells.mean(dim=0))
        self._signs = torch.where(torch.rand(WIDTH, generator=rng) < 0.5, -1.0, 1.0)
        # What clips and patches of all videos share, as on real sets.
        self._of_clips, self._of_cells = 1.6 * _unit(len(CLIPS), WIDTH, rng), 1.6 * _unit(PATCHES, WIDTH, rng)

    def _drawn(self, shares: tuple[float, float, float], group: Tensor, classes: int, rng: torch.Generator) -> Tensor:
        """(V, HIDDEN) vectors, of whose squared length class, group and video have shares."""
        own = _unit(self.videos, HIDDEN, rng)
        copies = torch.arange(IN_GROUP - 1, self.videos, IN_GROUP)
        own[copies] = 0.98 * own[copies - 1] + 0.2 * own[copies]
        of_class, of_group = _unit(classes, HIDDEN, rng), _unit(int(group[-1]) + 1, HIDDEN, rng)
        own.mul_(shares[2] ** 0.5).add_(shares[0] ** 0.5 * of_class[self.label])
        return own.add_(shares[1] ** 0.5 * of_group[group])

    def __len__(self) -> int:
        return self.videos

    def globals(self, rows: Rows) -> Tensor:
        """(n, D)."""
        return self._global[torch.from_numpy(rows)]

    def embeddings(self, rows: Rows, *, patches: bool = True) -> Embeddings:
        """All levels of some videos."""
        chosen = torch.from_numpy(rows)
        global_ = self._global[chosen]
        frames = global_[:, None] + torch.einsum("vh,thd->vtd", self._motion[chosen], self._frames)
        first, second = torch.tensor(CLIPS).unbind(dim=1)
        clips = frames[:, first] + self._signs * frames[:, second] + self._of_clips
        of_cells = global_.new_zeros(1).expand(len(rows), FRAMES, 1, WIDTH)
        if patches:
            cells = torch.einsum("vh,phd->vpd", self._look[chosen], self._cells) + self._of_cells
            of_cells = (frames[:, :, None] + cells[:, None]).half()
        return Embeddings(global_, clips, of_cells, CLIPS)


def _unit(count: int, width: int, rng: torch.Generator) -> Tensor:
    drawn = torch.randn(count, width, generator=rng)
    return drawn.div_(drawn.norm(dim=1, keepdim=True))


def main() -> None:
    """Print what was measured, and write it as JSON."""
    options = parse()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    if options.store:
        read_speed(options.store)
        return
    start = time.perf_counter()
    archive = Archive(options.videos, options.seed)
    print(f"{options.videos} videos drawn in {time.perf_counter() - start:.1f} s")
    queries = np.random.default_rng(options.seed).choice(options.videos, options.queries, replace=False)
    report_levels(archive, queries)
    if options.leaders:
        truth, proved = truth_of_leaders(archive, queries, options.leaders), 0
    else:
        truth, proved = truth_of(archive, queries, options.candidates)
    print(f"truth proved for {proved} of {len(queries)} queries")
    found = {"videos": options.videos, "proved": proved, "lengths": LENGTHS, "indexes": {}}
    for name, index in indexes(archive, options.indexes.split(",")):
        found["indexes"][name] = measure(name, archive, index, queries, truth)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, default=lambda value: value.item()))


def report_levels(archive: Archive, queries: Rows) -> None:
    """Print how alike the levels are, to be compared with real sets."""
    rng = np.random.default_rng(1)
    rows = np.unique(np.concatenate([rng.integers(0, len(archive), 300), _relatives(archive, queries)]))
    scores, kinds = [], []
    for query in queries[:10]:
        others = rows[rows != query]
        scores.append(
            scores_with(archive.embeddings(np.array([query])), archive, others, SETTINGS, spatial=True, device=CPU)
        )
        same_class = (archive.label[others] == archive.label[int(query)]).numpy()
        kinds.append(np.where(others // IN_GROUP == query // IN_GROUP, 2, np.where(same_class, 1, 0)))
    table, kind = np.concatenate(scores), np.concatenate(kinds)
    for number, name in enumerate(("another class", "same class", "same group")):
        some = table[kind == number]
        told = [
            f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in zip(some.mean(axis=0), some.std(axis=0), strict=True)
        ]
        print(f"{name}: global, temporal, spatial {', '.join(told)}")
    print(f"correlation of global with temporal, spatial: {np.corrcoef(table.T)[0, 1:].round(2).tolist()}")


def _relatives(archive: Archive, queries: Rows) -> Rows:
    """Videos of the queries' groups, and some of their classes."""
    of_groups = (queries[:, None] // IN_GROUP * IN_GROUP + np.arange(IN_GROUP)).ravel()
    of_classes = [np.flatnonzero((archive.label == archive.label[int(query)]).numpy())[:20] for query in queries[:10]]
    every = np.concatenate([of_groups, *of_classes])
    return every[every < len(archive)]


def truth_of(archive: Archive, queries: Rows, candidates: int) -> tuple[NDArray[np.int64], int]:
    """The best TOP videos of each query by all levels (Q, TOP), and for how many that is proved."""
    truth, proved = [], 0
    for query, coarse in zip(queries, coarse_totals(archive, queries), strict=True):
        order = np.argsort(-coarse, kind="stable")  # the query itself comes last
        chosen = order[: min(candidates, len(archive) - 1)]
        embedded = archive.embeddings(np.array([query]))
        total = scores_with(embedded, archive, chosen, SETTINGS, spatial=True, device=CPU).sum(axis=1)
        best = np.argsort(-total, kind="stable")[:TOP]
        truth.append(chosen[best])
        proved += len(chosen) == len(archive) - 1 or coarse[order[len(chosen)]] + 1 <= total[best[-1]]
    return np.array(truth), proved


def truth_of_leaders(archive: Archive, queries: Rows, leaders: int) -> NDArray[np.int64]:
    """The best TOP by all levels among those that lead on the global one alone: recall then comes out too high."""
    truth = []
    nearest = ExactIndex(archive).nearest(archive.globals(queries), leaders + 1).rows
    for query, rows in zip(queries, nearest, strict=True):
        chosen = rows[rows != query][:leaders]
        embedded = archive.embeddings(np.array([query]))
        total = scores_with(embedded, archive, chosen, SETTINGS, spatial=True, device=CPU).sum(axis=1)
        truth.append(chosen[np.argsort(-total, kind="stable")[:TOP]])
    return np.array(truth)


def coarse_totals(archive: Archive, queries: Rows) -> NDArray[np.float32]:
    """The sum of global and temporal score of each query with every video (Q, V); of itself -inf."""
    totals = np.empty((len(queries), len(archive)), np.float32)
    for start in range(0, len(archive), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(archive)))
        both = archive.embeddings(np.concatenate((queries, rows)), patches=False)
        pairs = np.stack(
            np.meshgrid(np.arange(len(queries)), len(queries) + np.arange(len(rows)), indexing="ij"), axis=-1
        )
        scores = score_pairs(both, pairs.reshape(-1, 2), **SETTINGS, spatial=False)
        totals[:, rows] = scores[:, :2].sum(axis=1).reshape(len(queries), -1)
    totals[np.arange(len(queries)), queries] = -np.inf
    return totals


def indexes(archive: Archive, names: list[str]) -> Iterator[tuple[str, Index]]:
    """Make each first stage."""
    for name in names:
        if name == "exact":
            yield name, ExactIndex(archive)
            continue
        with tempfile.TemporaryDirectory() as folder:
            built = timed(lambda name=name: build_index(Path(folder) / "index", archive, name))
            size = sum(file.stat().st_size for file in (Path(folder) / "index").iterdir())
            start = time.process_time()
            index = open_index(Path(folder) / "index", archive, name)
            opened = time.process_time() - start
            print(f"{name}: built in {built:.0f} s, {size / len(archive):.0f} bytes a video, checked in {opened:.2f} s")
            yield name, index


def measure(name: str, archive: Archive, index: Index, queries: Rows, truth: Rows) -> dict[str, object]:
    """Recall by the length of the short list, and milliseconds of the processor a query."""
    globals_ = archive.globals(queries)
    recalls = []
    index.nearest(globals_, 1)  # what is read once
    for length in LENGTHS:
        found = index.nearest(globals_, min(length + 1, len(archive))).rows
        listed = [
            [row for row in rows if row != query][:length] for rows, query in zip(found.tolist(), queries, strict=True)
        ]
        recalls.append(
            float(
                np.mean([len(set(one) & set(other)) / TOP for one, other in zip(listed, truth.tolist(), strict=True)])
            )
        )
    first = timed(lambda: [index.nearest(one[None], 201) for one in globals_]) / len(queries)
    together = timed(lambda: index.nearest(globals_, 201)) / len(queries)
    stages = TwoStages(archive, index, SETTINGS)
    embedded = [archive.embeddings(np.array([query])) for query in queries]
    whole = timed(lambda: [stages.search([one], top=TOP, short_list=200) for one in embedded]) / len(queries)
    print(f"{name}: recall {dict(zip(LENGTHS, np.round(recalls, 3).tolist(), strict=True))}")
    print(
        f"{name}: first stage {1000 * first:.1f} ms a query, {1000 * together:.1f} together;"
        f" both {1000 * whole:.0f} ms at 200"
    )
    return {"recall": recalls, "first_ms": 1000 * first, "together_ms": 1000 * together, "both_ms": 1000 * whole}


def timed(work: Callable[[], object]) -> float:
    """The processor's seconds: what an idle machine with one thread would come near, where others use it, too."""
    start = time.process_time()
    work()
    return time.process_time() - start


def read_speed(videos: int) -> None:
    """Write a store and time the reading of rows that are scattered over it."""
    archive = Archive(videos)
    facts = tuple(str(row) for row in range(videos))
    table = VideoTable(facts, facts, ("novel",) * videos, ("",) * videos, facts)

    def batches() -> Iterator[EmbeddedBatch]:
        for start in range(0, videos, 64):
            some = archive.embeddings(np.arange(start, min(start + 64, videos)))
            yield EmbeddedBatch.of(some.to(torch.float32), some.global_.numpy())

    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder) / "s.zarr", {}, table, batches())
        source = StoreSource(EmbeddingStore.open(Path(folder) / "s.zarr"))
        for name in ("global", "clips", "patches"):
            chunk = json.loads((Path(folder) / "s.zarr" / name / "zarr.json").read_text())
            size = chunk["chunk_grid"]["configuration"]["chunk_shape"][0]
            rows = np.arange(0, videos, size)[:200]  # one a chunk, as the short list of a large store
            seconds = min(timed(lambda name=name, rows=rows: source.store.arrays((name,), rows)) for _ in range(3))
            print(f"{name}: {1000 * seconds / len(rows):.2f} ms a row that is alone in its chunk of {size}")


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument(
        "--candidates", type=int, default=20_000, help="videos whose patches are compared for the truth"
    )
    parser.add_argument("--leaders", type=int, default=0, help="look for the truth among so many by the global level")
    parser.add_argument("--indexes", default="exact,f16,i8", help="first stages, of exact, f16 and i8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=int, default=0, help="time reading from a store of so many videos instead")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
