"""The speed of each part of the extraction, and of the whole: see extract.py."""

import argparse
import logging
import os
import resource
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from tabulate import tabulate

from hcl.extract.backbones.backbone import Backbone
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import VIDEO_SUFFIXES, Video
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.source import read_source
from hcl.extract.decoding.worker import Decoded, DecodeTask, decode_video
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.preparation import choose_backbone
from hcl.extract.system.threads import cores

ALONE = 24  # videos that each part is timed on


def link_videos(sources: list[Path], folder: Path, count: int) -> Path:
    """Make a class folder of so many links to some videos."""
    (folder / "videos" / "all").mkdir(parents=True)
    for number, source in enumerate(islice(cycle(sources), count)):
        (folder / "videos" / "all" / f"{number:05}{source.suffix}").symlink_to(source.absolute())
    return folder / "videos"


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def decode_alone(paths: list[Path], config: ExtractConfig) -> tuple[float, list[Decoded]]:
    """CPU seconds a video that can be read, and these."""
    task = DecodeTask.of(config)
    found: list[Decoded] = []

    def decode() -> None:
        results = [decode_video(0, path, task, read_source(path)).result for path in paths]
        found.extend(result for result in results if isinstance(result, Decoded))

    seconds = cpu_seconds(decode)
    return seconds / len(found), found


def map_alone(videos: list[Decoded], backbone: Backbone, config: ExtractConfig) -> tuple[float, list[MapRecord]]:
    """CPU seconds a video, and the maps."""
    records: list[MapRecord] = []
    seconds = cpu_seconds(lambda: records.extend(map_videos(videos, backbone, config.batch_size)))
    return seconds / len(videos), records


def write_alone(records: list[MapRecord], folder: Path) -> tuple[float, float]:
    """CPU seconds a video, and bytes of a video's maps relative to raw float16."""
    shape = next(record.maps.shape for record in records if record.maps is not None)
    cache = ZarrCache.create(folder / "alone.zarr", {}, shape=shape)  # type: ignore[arg-type]
    cache.add_classes({"all": "novel"}, {"all": "all"}, None)
    cache.add_videos([Video(f"{row}", Path(), "all") for row in range(len(records))])
    numbered = [MapRecord(row, record.maps) for row, record in enumerate(records)]
    seconds = cpu_seconds(lambda: cache.write(numbered))
    stored = sum(file.stat().st_size for file in (cache.path / "maps" / "c").rglob("*") if file.is_file())
    return seconds / len(records), stored / (2 * int(np.prod(shape)) * len(records))


def show(options: argparse.Namespace, folder: Path) -> None:
    """Print the parts, the whole and the ratio."""
    config = ExtractConfig(
        workers=options.workers, split_policy="all-novel", text_model="none", cache_dtype=options.cache_dtype
    )
    sources = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    backbone = choose_backbone(config)
    sample = sources[:: max(1, len(sources) // ALONE)][:ALONE]
    decode_alone(sample[:2], config)  # loads libraries
    decoding, decoded = decode_alone(sample, config)
    map_alone(decoded[:4], backbone, config)
    mapping, records = map_alone(decoded, backbone, config)
    writing, stored = write_alone(records, folder)
    videos = link_videos(sources, folder, options.videos)
    began = Clock()  # starts with the line that is logged before the first video is decoded
    logging.getLogger("hcl").addHandler(began)
    logging.getLogger("hcl").setLevel(logging.INFO)
    done = extract(videos, folder / "cache.zarr", config)
    wall, own, workers, idle = began.read()
    decoding = (decoding + decode_alone(sample, config)[0]) / 2  # before and after: a machine's pace changes
    mapping = (mapping + map_alone(decoded, backbone, config)[0]) / 2
    count, machine = done.extracted, cores()
    rows = [
        ("decoding alone", decoding, 1 / decoding),
        (f"backbone alone ({str(backbone.dtype).removeprefix('torch.')})", mapping, 1 / mapping),
        ("writing alone", writing, 1 / writing),
        ("the run: decoding processes", workers / count, None),
        ("the run: this process", own / count, None),
    ]
    print(tabulate(rows, ("", "CPU s a video", "videos/s a core"), floatfmt=".4f", tablefmt="github"))
    allowed, rate = machine / (decoding + mapping), count / wall
    got = (own + workers) / (wall * machine)
    print(f"{count} videos in {wall:.1f} s: {rate:.2f} videos/s; {machine} cores allow {allowed:.2f}")
    print(
        f"ratio: {rate / allowed:.3f} = {got:.3f} of the cores' time x {rate / allowed / got:.3f} of it to the purpose"
    )
    ours = got + idle / (wall * machine)
    print(f"{1 - ours:.3f} of the cores' time went to other programs, {ours - got:.3f} to none;", end=" ")
    print(f"ratio to what they left: {rate / allowed / ours:.3f}")
    print(f"maps take {stored:.3f} of raw float16")


class Clock(logging.Handler):
    """Seconds since the work began: wall, CPU of this process and of those it ended, idle of the machine's cores."""

    def emit(self, record: logging.LogRecord) -> None:
        """Start, at the first line that is logged."""
        self.began: tuple[float, ...] = getattr(self, "began", None) or self.now()

    def now(self) -> tuple[float, float, float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        idle = sum(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[4:6])) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), time.process_time(), children.ru_utime + children.ru_stime, idle

    def read(self) -> tuple[float, float, float, float]:
        wall, own, workers, idle = (after - before for before, after in zip(self.began, self.now(), strict=True))
        return wall, own, workers, idle
