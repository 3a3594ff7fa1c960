"""The memory of a long extraction: see extract.py."""

import argparse
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from extraction_speed import link_videos
from tabulate import tabulate

from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract

MIB = 2**20


def draw_videos(folder: Path) -> list[Path]:
    """Encode a few small videos of drifting noise."""
    folder.mkdir()
    paths = [folder / f"{number}.mp4" for number in range(8)]
    for number, path in enumerate(paths):
        picture = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for step in range(24):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, 5 * step, 1), format="rgb24")))
            output.mux(stream.encode(None))
    return paths


def resident_bytes(status: Path) -> int:
    """Bytes of a process that are in memory; 0 if it is gone."""
    try:
        return int((status / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@contextmanager
def watched(cache: Path, total: int) -> Iterator[list[tuple[int, float, float]]]:
    """Note (videos done, MiB of this process, MiB of all its processes) at every twentieth of the way, and the peak."""
    rows: list[tuple[int, float, float]] = []
    ended = threading.Event()

    def watch() -> None:
        peak = (0, 0.0, 0.0)
        while not ended.wait(0.1):
            own = resident_bytes(Path("/proc/self"))
            children = [
                resident_bytes(Path("/proc") / child)
                for task in Path("/proc/self/task").iterdir()
                for child in (task / "children").read_text().split()
            ]
            done = sum(1 for _ in os.scandir(cache / "maps" / "c")) if (cache / "maps" / "c").is_dir() else 0
            row = (done, own / MIB, (own + sum(children)) / MIB)
            peak = max(peak, row, key=lambda each: each[2])
            if done * 20 // total > (rows[-1][0] * 20 // total if rows else -1):
                rows.append(row)
        rows.append(peak)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield rows
    finally:
        ended.set()
        thread.join()


def show(options: argparse.Namespace, folder: Path) -> None:
    """Print the memory at every twentieth of the way."""
    config = ExtractConfig(workers=options.workers, split_policy="all-novel", text_model="none", frames=options.frames)
    videos = link_videos(draw_videos(folder / "drawn"), folder, options.memory)
    with watched(folder / "cache.zarr", options.memory) as rows:
        extract(videos, folder / "cache.zarr", config)
    headers = ("videos done", "MiB of the main process", "MiB of all, shared pages counted in each")
    print(tabulate(rows[:-1], headers, floatfmt=".0f", tablefmt="github"))
    print(f"peak: {rows[-1][2]:.0f} MiB after {rows[-1][0]} of {options.memory} videos")
