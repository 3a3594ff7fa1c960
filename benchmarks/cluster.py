"""Time an extraction on a local Ray cluster against the plain one: the same videos into the same shards.

    python benchmarks/cluster.py VIDEOS [--rounds 2] [--shard-videos 16] [--ray-cpus 0] [--ray-gpus 0.5] [--limit 0]

Both start afresh each round, in turn, since a machine does not stay equally busy. What counts is the extraction alone,
from the first video to the last: a cluster and its workers start in some seconds, once, whatever the set. Beside the
time by the clock stand the CPU seconds of all processes meanwhile, which others on the machine disturb less. Last the
two caches are compared byte by byte. Ray's workers get the niceness of the plain run (RAY_worker_niceness=0).
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

TICKS = os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """Adds up the CPU seconds of all processes whose environment bears a mark, also of those that end meanwhile."""

    def __init__(self, mark: str) -> None:
        self._mark, self._ticks, self._stop = mark.encode(), dict[int, int](), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def seconds(self) -> float:
        """Since the first of them started."""
        self._look()
        return sum(self._ticks.values()) / TICKS

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            self._look()

    def _look(self) -> None:
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and self._mark in (entry / "environ").read_bytes():
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    self._ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
            except OSError:
                continue  # it just ended

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()


@dataclass(frozen=True, order=True)
class Taken:
    """What an extraction took."""

    seconds: float  # from its first video to its last
    cpu: float  # CPU seconds meanwhile
    whole: float  # seconds of the whole command


def run(videos: Path, cache: Path, options: list[str]) -> Taken:
    """Extract into a new cache."""
    shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, "-m", "hcl.cli", "extract", str(videos), str(cache), "--no-text", *options]
    mark = uuid.uuid4().hex
    given = os.environ | {"PYTHONUNBUFFERED": "1", "RAY_worker_niceness": "0", "HCL_BENCHMARK": mark}
    meter, began, moments = CpuMeter(mark), time.perf_counter(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as done:
        for line in done.stdout or ():
            if re.match(r"videos are read with|\d+ videos extracted", line):
                moments.append((time.perf_counter(), meter.seconds()))
    meter.close()
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed")
    (first, cpu_before), (last, cpu_after) = moments
    return Taken(last - first, cpu_after - cpu_before, time.perf_counter() - began)


def first_ones(videos: Path, limit: int, folder: Path) -> Path:
    """A manifest of the first videos of another, all of them novel."""
    with videos.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[: limit or None]
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([str((videos.parent / row["path"]).absolute()), row["label"]] for row in rows)
    return path


def main() -> None:
    """Run both in turn and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, help="manifest")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shard-videos", type=int, default=16)
    parser.add_argument("--ray-cpus", type=int, default=0)
    parser.add_argument("--ray-gpus", help="GPUs of a worker, such as 0.5; one, where there are any")
    parser.add_argument("--limit", type=int, default=0, help="videos; 0: all")
    given = parser.parse_args()
    shards = ["--split-policy", "all-novel", "--shard-videos", str(given.shard_videos)]
    on_ray = ["--ray", "local", "--ray-cpus", str(given.ray_cpus)]
    on_ray += ["--ray-gpus", given.ray_gpus] if given.ray_gpus else []
    modes = {"plain": shards, "--ray local": [*shards, *on_ray]}
    found: dict[str, list[Taken]] = {name: [] for name in modes}
    with tempfile.TemporaryDirectory() as folder:
        videos = first_ones(given.videos, given.limit, Path(folder))
        caches = {name: Path(folder) / f"{place}.zarr" for place, name in enumerate(modes)}
        for _ in range(given.rounds):
            for name, options in modes.items():
                found[name].append(run(videos, caches[name], options))
                print(f"{name}: {found[name][-1]}, load {os.getloadavg()[0]:.1f}", flush=True)
        same = subprocess.run(["diff", "-r", *caches.values()], check=False).returncode == 0
    best = {name: min(taken) for name, taken in found.items()}
    cpu = {name: min(one.cpu for one in taken) for name, taken in found.items()}
    rows = [[name, f"{best[name].seconds:.1f}", f"{cpu[name]:.1f}", f"{best[name].whole:.1f}"] for name in modes]
    print(tabulate(rows, ["best of the rounds", "extraction s", "its CPU s", "whole command s"]))
    plain, other = best["plain"].seconds / best["--ray local"].seconds, cpu["plain"] / cpu["--ray local"]
    print(f"--ray local against plain: {plain:.3f} by the clock, {other:.3f} by CPU seconds; same bytes: {same}")


if __name__ == "__main__":
    main()
