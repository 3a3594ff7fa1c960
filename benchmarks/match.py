"""Time the scoring of drawn episodes on structured random embeddings, beside its floors and its baselines.

    python benchmarks/match.py --episodes 10000 --queries 1

Floors: the patch products alone in bfloat16, of whole videos or of the frame pairs that the zoom-in names. All that is
compared is measured in the same run, and floors before and after. Where other programs use the machine, wall times
grow; the processor's time per thread is what an idle machine would come near.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import torch
from match_baselines import baselines  # beside this file
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hcl.match.embeddings import Embeddings
from hcl.match.episodes.aggregation import distinct_pairs
from hcl.match.episodes.drawing import draw_episodes
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.scoring.cosines import chosen_dots, l2_normalise
from hcl.match.scoring.scores import match

FRAMES, PATCHES = 8, 49
NAMED = 27  # frame pairs that ten clip pairs name


def main() -> None:
    """Print one table."""
    options = parse()
    rng = torch.Generator().manual_seed(options.seed)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; {options.videos} videos, {options.width} wide"
    )
    labels = np.arange(options.videos) % options.classes
    names = [str(label) for label in labels]
    drawn = draw_episodes(names, queries=options.queries, episodes=options.episodes, seed=options.seed)
    pairs = distinct_pairs(drawn).pairs
    embeddings = drawn_embeddings(torch.from_numpy(labels), options.width, rng)
    before = floors(options.width)
    time_global_level(options.episodes, embeddings, pairs)
    coarse = timed("global + temporal", options.episodes, embeddings, pairs, spatial=False)
    fine = timed("all three levels", options.episodes, embeddings, pairs, spatial=True)
    after = floors(options.width)
    for name, milliseconds in before.items():
        wall, processor = np.minimum(milliseconds, after[name])
        print(
            f"floor: {name:36s} {wall:8.3f} ms/pair (processor {processor:.3f}); "
            f"all levels take {fine[0] / wall:.2f} of it (processor {fine[1] / processor:.2f})"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    print(f"largest difference from match in float64: {difference(embeddings, pairs, rng):.1e}")
    for name, (wall, processor) in baseline_times(options.queries, rng).items():
        ours = np.array([coarse, fine]) * len(pairs) / options.episodes  # (2 kinds, wall and processor)
        print(
            f"{name:43s} {wall:8.2f} ms/episode (processor {processor:.2f}); global + temporal takes "
            f"{ours[0, 0] / wall:.2f} of it ({ours[0, 1] / processor:.2f}), "
            f"all levels {ours[1, 0] / wall:.2f} ({ours[1, 1] / processor:.2f})"
        )


def time_global_level(episodes: int, embeddings: Embeddings, pairs: NDArray[np.int64]) -> None:
    """Print what the global level alone takes: the difference to the next line is the temporal level."""
    rows = torch.from_numpy(pairs).unbind(dim=1)
    start, processor = time.perf_counter(), time.process_time()
    globals_ = l2_normalise(embeddings.global_)
    chosen_dots(globals_, globals_, *rows)
    wall, processor = time.perf_counter() - start, time.process_time() - processor
    print(f"{'global':20s} {wall:8.2f} s, {1000 * wall / episodes:.3f} ms/episode (processor {processor:.2f} s)")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=2400)
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--width", type=int, default=512, help="of the embeddings (D)")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=1, help="of each of 5 classes")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def drawn_embeddings(labels: Tensor, width: int, rng: torch.Generator) -> Embeddings:
    """Draw videos that share patterns with their class, frames with their video and patches with their place."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    classes = int(labels.max()) + 1
    patterns, places = 0.5 * normal(classes, FRAMES, PATCHES, width), 0.5 * normal(FRAMES, PATCHES, width)
    mix, order = normal(2 * width, width) / (2 * width) ** 0.5, tuple(combinations(range(FRAMES), 2))
    videos = len(labels)
    patches = torch.empty(videos, FRAMES, PATCHES, width, dtype=torch.float16)
    frames = torch.empty(videos, FRAMES, width)
    for video, label in enumerate(labels):
        drawn = normal(FRAMES, PATCHES, width) + 0.4 * normal(FRAMES, 1, width) + 0.5 * normal(width)
        drawn += patterns[label] + places
        patches[video], frames[video] = drawn, drawn.mean(dim=1)
    clips = torch.stack([frames[:, clip].flatten(1) @ mix for clip in order], dim=1)
    return Embeddings(frames.mean(dim=1), clips, patches, order, normal(classes, width)[labels])


def timed(
    name: str, episodes: int, embeddings: Embeddings, pairs: NDArray[np.int64], *, spatial: bool
) -> tuple[float, float]:
    """Score all pairs once.

    Returns:
        milliseconds a pair, by the wall and by the processor's time per thread
    """
    wall, processor = time.perf_counter(), time.process_time()
    with tqdm(total=len(pairs), unit="pair", desc=name, mininterval=2) as bar:
        score_pairs(embeddings, pairs, spatial=spatial, progress=bar.update)
    wall, processor = time.perf_counter() - wall, (time.process_time() - processor) / torch.get_num_threads()
    print(
        f"{name:43s} {1e3 * wall / len(pairs):8.3f} ms/pair, {len(pairs) / wall:.0f} pairs/s; {episodes} episodes, "
        f"{len(pairs)} pairs: {wall:.1f} s (processor {processor:.1f} s)"
    )
    return 1e3 * wall / len(pairs), 1e3 * processor / len(pairs)


def quickest(work: Callable[[], object], repeats: int = 20) -> tuple[float, float]:
    """Time the quickest of some runs, in milliseconds: by the wall, and by one thread's processor time per thread."""
    threads, walls, processor = torch.get_num_threads(), [], []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        walls.append(time.perf_counter() - start)
    torch.set_num_threads(1)
    for _ in range(repeats):
        start = time.thread_time()
        work()
        processor.append(time.thread_time() - start)
    torch.set_num_threads(threads)
    return 1e3 * min(walls), 1e3 * min(processor) / threads


@torch.inference_mode()
def floors(width: int, videos: int = 32) -> dict[str, NDArray[np.float64]]:
    """Time the patch products of a query with some supports, and nothing else: milliseconds a pair."""
    query = torch.randn(FRAMES, PATCHES, width)
    supports = torch.randn(videos * FRAMES, PATCHES * width)
    named = torch.randint(0, len(supports), (FRAMES, videos * NAMED // FRAMES))

    def full(dtype: torch.dtype) -> NDArray[np.float64]:
        left, right = query.to(dtype).flatten(0, 1), supports.to(dtype).view(-1, width)
        return np.array(quickest(lambda: left @ right.T)) / videos

    def gathered(dtype: torch.dtype) -> NDArray[np.float64]:
        left, right = query.to(dtype), supports.to(dtype)
        room = right.new_empty(named.shape[1], PATCHES * width)

        def work() -> None:
            for frame, rows in zip(left, named, strict=True):
                frame @ torch.index_select(right, 0, rows, out=room).view(-1, width).T

        return np.array(quickest(work)) / (named.numel() / NAMED)

    return {
        "full product, float32": full(torch.float32),
        "full product, bfloat16": full(torch.bfloat16),
        "gathered products, bfloat16": gathered(torch.bfloat16),
    }


@torch.inference_mode()
def difference(embeddings: Embeddings, pairs: NDArray[np.int64], rng: torch.Generator, count: int = 40) -> float:
    """Hold some scores against `match` in float64 on the same stored values."""
    some = pairs[torch.randperm(len(pairs), generator=rng)[:count].numpy()]
    found, worst = score_pairs(embeddings, some), 0.0
    for (query, support), scores in zip(some, found, strict=True):
        sides = (embeddings.rows(slice(int(row), int(row) + 1)) for row in (query, support))
        expected = match(*(in_float64(side) for side in sides))
        levels = torch.stack((expected.global_, expected.temporal, expected.spatial)).flatten()
        worst = max(worst, float((levels - torch.from_numpy(scores)).abs().max()))
    return worst


def in_float64(e: Embeddings) -> Embeddings:
    keys = None if e.class_keys is None else e.class_keys.double()
    return Embeddings(e.global_.double(), e.clips.double(), e.patches.double(), e.clip_frames, keys)


@torch.inference_mode()
def baseline_times(queries: int, rng: torch.Generator, features: int = 2048) -> dict[str, tuple[float, float]]:
    """Time baselines on an episode of 5 classes, one support each, of frame features as wide as ResNet-50's."""
    query, support = (torch.randn(count, FRAMES, features, generator=rng) for count in (5 * queries, 5))
    return {name: quickest(partial(score, query, support)) for name, score in baselines(FRAMES, features).items()}


if __name__ == "__main__":
    main()
