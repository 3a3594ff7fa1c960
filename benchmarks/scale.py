"""Print what an archive of many videos costs: storage, requests, hours and money, from unit costs.

    python benchmarks/scale.py --videos 1000000,100000000
    python benchmarks/scale.py --gpu-hour 2.5 --gb-month 0.02

The unit costs were measured in this project (docs/scale.md names the page of each); the prices are assumptions, to be
replaced by your own. Every figure is a product of these: nothing here was run at that size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from tabulate import tabulate

GB, HOUR = 1e9, 3600.0


@dataclass(frozen=True)
class Costs:
    """What one video, one pair, one request and one hour cost."""

    source_bytes: float = 1e6  # assumed: ten seconds at 340 x 256
    cache_bytes: float = 1.19e6  # jhmdb: 2 views, difference images, float16
    store_bytes: float = 261_000  # embeddings, D = 256, 28 clips, 8 x 49 patches in float16
    global_bytes: float = 1024  # of them the global embedding, float32
    index_bytes: float = 660  # f16
    table_bytes: float = 420  # path, label, split, group and content as Python texts
    shard_videos: float = 64  # maps, and views, of so many are one object
    gpu_videos: float = 40  # extracted a second: one GPU and 16 cores
    core_videos: float = 1.9  # extracted a second on a core, without a GPU
    embed_core_seconds: float = 0.1  # of hcl embed, a video
    step_seconds: float = 0.022  # of training on a GPU
    step_videos: float = 24
    epochs: float = 30  # of a training on all videos that have a class
    labelled: float = 1.0  # share of the videos that is trained on
    pair_seconds: float = 1.93e-4  # all levels, two cores
    clip_pair_seconds: float = 1.1e-5  # global and temporal level, two cores
    listed_seconds: float = 1.3e-3  # the same of a video of the short list: one query at a time, one thread
    short_list: float = 1000
    gpu_hour: float = 3.0  # price, with 16 cores
    core_hour: float = 0.04  # price
    gb_month: float = 0.023  # price of storage
    put_1000: float = 0.005  # price of a thousand objects written
    get_1000: float = 0.0004  # price of a thousand objects read
    gb_out: float = 0.0  # price of a gigabyte that leaves the bucket; 0 within its region

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) < 0:
                raise ValueError(f"{each.name} must be at least 0, got {getattr(self, each.name)}")
        if not all((self.gpu_videos, self.core_videos, self.step_videos, self.shard_videos)):
            raise ValueError("rates and sizes of shards and steps must be above 0")


@dataclass(frozen=True)
class Line:
    """One figure of an archive."""

    name: str
    value: Callable[[float, Costs], float]  # of so many videos
    unit: str


def training_passes(videos: float, costs: Costs) -> float:
    """How many videos all epochs take."""
    return videos * costs.labelled * costs.epochs


def requests(videos: float, costs: Costs) -> float:
    """Objects of a cache: maps and views, in shards."""
    return 2 * videos / costs.shard_videos


STORAGE = (
    Line("sources", lambda n, c: n * c.source_bytes / GB, "GB"),
    Line("cache", lambda n, c: n * c.cache_bytes / GB, "GB"),
    Line("embedding store", lambda n, c: n * c.store_bytes / GB, "GB"),
    Line("global embeddings alone, float32", lambda n, c: n * c.global_bytes / GB, "GB"),
    Line("index f16", lambda n, c: n * c.index_bytes / GB, "GB"),
    Line("paths and labels in memory", lambda n, c: n * c.table_bytes / GB, "GB"),
    Line("cache, a month", lambda n, c: n * c.cache_bytes / GB * c.gb_month, "$"),
    Line("embedding store, a month", lambda n, c: n * c.store_bytes / GB * c.gb_month, "$"),
)
WORK = (
    Line("objects of the cache, a file a chunk", lambda n, c: 2 * n, ""),
    Line("objects of the cache, in shards", requests, ""),
    Line("writing a file a chunk", lambda n, c: 2 * n / 1000 * c.put_1000, "$"),
    Line("writing shards", lambda n, c: requests(n, c) / 1000 * c.put_1000, "$"),
    Line("extraction", lambda n, c: n / c.gpu_videos / HOUR, "GPU hours"),
    Line("extraction", lambda n, c: n / c.gpu_videos / HOUR * c.gpu_hour, "$"),
    Line("the same without GPUs", lambda n, c: n / c.core_videos / HOUR, "core hours"),
    Line("the same without GPUs", lambda n, c: n / c.core_videos / HOUR * c.core_hour, "$"),
    Line("read for it, and written", lambda n, c: n * (c.source_bytes + c.cache_bytes) / GB, "GB"),
    Line("embedding", lambda n, c: n * c.embed_core_seconds / HOUR, "core hours"),
    Line("embedding", lambda n, c: n * c.embed_core_seconds / HOUR * c.core_hour, "$"),
    Line("training", lambda n, c: training_passes(n, c) / c.step_videos * c.step_seconds / HOUR, "GPU hours"),
    Line("training", lambda n, c: training_passes(n, c) / c.step_videos * c.step_seconds / HOUR * c.gpu_hour, "$"),
    Line("read for it", lambda n, c: training_passes(n, c) * c.cache_bytes / GB, "GB"),
    Line("reading it, requests", lambda n, c: 2 * training_passes(n, c) / 1000 * c.get_1000, "$"),
    Line("reading it, leaving the bucket", lambda n, c: training_passes(n, c) * c.cache_bytes / GB * c.gb_out, "$"),
)
MATCHING = (
    Line("a query against all, all levels", lambda n, c: n * c.pair_seconds, "s"),
    Line("its first stage compares, exact", lambda n, c: n * c.global_bytes / GB, "GB"),
    Line("its second stage, whatever the archive", lambda n, c: min(n, c.short_list) * c.listed_seconds, "s"),
    Line("all pairs, all levels", lambda n, c: n * (n - 1) / 2 * c.pair_seconds / HOUR / 24 / 365, "years"),
    Line("near-duplicates, 20 neighbours, clips", lambda n, c: 20 * n * c.clip_pair_seconds / HOUR, "hours"),
)
TABLES = {"Storage": STORAGE, "Extraction and training": WORK, "Matching, on two cores": MATCHING}


def table(lines: Sequence[Line], sizes: Sequence[float], costs: Costs) -> str:
    """A Markdown table: a row a figure, a column an archive."""
    rows = [[each.name, *(shown(each.value(size, costs)) for size in sizes), each.unit] for each in lines]
    head = ["", *(f"{size:,.0f} videos" for size in sizes), "unit"]
    return tabulate(rows, headers=head, tablefmt="github", disable_numparse=True)


def shown(value: float) -> str:
    """Two digits that count, more of large whole numbers."""
    if value == 0:
        return "0"
    return f"{value:.2g}" if abs(value) < 10 else f"{float(f'{value:.2g}'):,.0f}"


def feeding_rate(costs: Costs) -> float:
    """The rate, in GB a second, at which a GPU that trains must be fed."""
    return costs.step_videos / costs.step_seconds * costs.cache_bytes / GB


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", default="1000000,100000000", help="sizes of archives, such as 1000,1000000")
    for each in fields(Costs):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=float, default=each.default)
    given = vars(parser.parse_args())
    sizes = [float(size) for size in given.pop("videos").split(",")]
    costs = Costs(**given)
    for title, lines in TABLES.items():
        print(f"{title}\n\n{table(lines, sizes, costs)}\n")
    print(f"A GPU that trains reads {feeding_rate(costs):.1f} GB/s.")


if __name__ == "__main__":
    main()
